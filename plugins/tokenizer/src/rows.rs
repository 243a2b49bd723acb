//! Token ids of all rows, brought to one length and written.
//!
//! After every row has its tokens. It does not know texts or tokenizers' files.

use candor_plugin_sdk::{Call, Element, Error, Result};
use tokenizers::Encoding;

use crate::config::{Datatype, Kept, Settings};

/// Rows that are to be written.
pub struct Rows<'a> {
    pub(crate) encodings: &'a [Encoding],
    pub(crate) settings: &'a Settings,
}

impl Rows<'_> {
    pub(crate) fn write(&self, call: &Call<'_>) -> Result<()> {
        match self.settings.datatype {
            Datatype::Int64 => self.write_as(call, i64::from),
            // That every id is one was looked at when the instance was made.
            Datatype::Int32 => self.write_as(call, |id| i32::try_from(id).unwrap_or(i32::MAX)),
        }
    }

    /// The length of all rows: a fixed one, or that of the longest. Longer rows than a fixed one do not exist, because
    /// they are cut or refused before, unless the tokenizer pads to less than it cuts to.
    fn length(&self) -> usize {
        let longest = self.encodings.iter().map(Encoding::len).max().unwrap_or(0);
        longest.max(self.settings.fixed.unwrap_or(0)).next_multiple_of(self.settings.multiple)
    }

    fn write_as<T: Element>(&self, call: &Call<'_>, of: impl Fn(u32) -> T) -> Result<()> {
        let length = self.length();
        let dim = |size: usize| i64::try_from(size).map_err(|_| Error::invalid("there are too many tokens"));
        let shape = [dim(self.encodings.len())?, dim(length)?];
        for &kept in &self.settings.outputs {
            let (filler, out) = (of(self.filler(kept)), call.output::<T>(kept.name(), &shape)?);
            if length == 0 {
                continue;
            }
            for (out, encoding) in out.chunks_exact_mut(length).zip(self.encodings) {
                let ids = match kept {
                    Kept::InputIds => encoding.get_ids(),
                    Kept::AttentionMask => encoding.get_attention_mask(),
                    Kept::TokenTypeIds => encoding.get_type_ids(),
                };
                let (tokens, rest) = if self.settings.pad_left {
                    let (rest, tokens) = out.split_at_mut(length.saturating_sub(ids.len()));
                    (tokens, rest)
                } else {
                    out.split_at_mut(ids.len().min(length))
                };
                rest.fill(filler);
                for (out, &id) in tokens.iter_mut().zip(ids) {
                    *out = of(id);
                }
            }
        }
        Ok(())
    }

    fn filler(&self, kept: Kept) -> u32 {
        match kept {
            Kept::InputIds => self.settings.pad_id,
            Kept::AttentionMask => 0,
            Kept::TokenTypeIds => self.settings.pad_type_id,
        }
    }
}
