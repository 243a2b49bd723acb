//! The configuration, and what it makes of a tokenizer's own settings.
//!
//! Read once, when an instance is made: whatever can be wrong is found here and not by a request. It does not know
//! texts.

use candor_plugin_sdk::{Call, Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokenizers::{
    PaddingDirection, PaddingStrategy, Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy,
};

/// Longest row.
const LENGTH_MAX: usize = 1 << 20;
/// Largest number that lengths are brought to a multiple of.
const MULTIPLE_MAX: usize = 1 << 16;

/// The configuration; `schema.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What a `tokenizer.json` has in it.
    tokenizer: Box<RawValue>,
    #[serde(default = "text")]
    input: String,
    pair: Option<String>,
    outputs: Option<Vec<Kept>>,
    max_length: Option<usize>,
    truncation: Option<Truncation>,
    truncation_side: Option<Side>,
    padding: Option<Padding>,
    padding_side: Option<Side>,
    pad_to_multiple_of: Option<usize>,
    pad_token: Option<String>,
    #[serde(default = "yes")]
    add_special_tokens: bool,
    #[serde(default)]
    datatype: Datatype,
    #[serde(default = "text_bytes_max")]
    text_bytes_max: usize,
}

/// A file that the host should have read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unread {
    file: String,
}

fn text() -> String {
    "text".to_owned()
}

const fn yes() -> bool {
    true
}

const fn text_bytes_max() -> usize {
    1 << 20
}

/// An output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The tokens.
    InputIds,
    /// 1 for a token, 0 for padding.
    AttentionMask,
    /// Which of the two texts of a pair.
    TokenTypeIds,
}

impl Kept {
    const ALL: [Self; 3] = [Self::InputIds, Self::AttentionMask, Self::TokenTypeIds];

    /// The name of the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputIds => "input_ids",
            Self::AttentionMask => "attention_mask",
            Self::TokenTypeIds => "token_type_ids",
        }
    }
}

/// What is cut off from texts that are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// From the longer one of a pair, until both fit.
    LongestFirst,
    /// From the first text only.
    OnlyFirst,
    /// From the second text only.
    OnlySecond,
    /// Nothing: a text that is too long is an error.
    None,
}

/// To which length rows are brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// That of the longest row of the request.
    Longest,
    /// `max_length`.
    MaxLength,
}

/// An end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the usual words")]
pub enum Side {
    Left,
    Right,
}

/// The type of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[allow(missing_docs, reason = "the usual words")]
pub enum Datatype {
    #[default]
    #[serde(rename = "INT64")]
    Int64,
    #[serde(rename = "INT32")]
    Int32,
}

impl Datatype {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Int64 => "INT64",
            Self::Int32 => "INT32",
        }
    }
}

/// What a call needs to know.
pub struct Settings {
    pub(crate) input: String,
    pub(crate) pair: Option<String>,
    pub(crate) outputs: Vec<Kept>,
    pub(crate) datatype: Datatype,
    pub(crate) special: bool,
    pub(crate) text_bytes_max: usize,
    /// More tokens than that are an error.
    pub(crate) refuse_above: Option<usize>,
    /// The length of every row, if it is the same for all requests.
    pub(crate) fixed: Option<usize>,
    pub(crate) multiple: usize,
    pub(crate) pad_left: bool,
    pub(crate) pad_id: u32,
    pub(crate) pad_type_id: u32,
}

impl Config {
    /// The tokenizer, which cuts and does not pad, and the rest.
    pub(crate) fn open(self, call: &Call<'_>) -> Result<(Tokenizer, Settings)> {
        call.check()?;
        if let Ok(Unread { file }) = serde_json::from_str(self.tokenizer.get()) {
            return Err(Error::unsupported(format!(
                "`tokenizer`: this host reads no files; put what {file:?} has in it in its place"
            )));
        }
        let mut tokenizer: Tokenizer =
            self.tokenizer.get().parse().map_err(|error| Error::invalid(format!("`tokenizer`: {error}")))?;
        let limit = self.max_length.or_else(|| tokenizer.get_truncation().map(|own| own.max_length));
        bounded("`max_length`", limit, LENGTH_MAX)?;
        let refuse_above = self.cut(&mut tokenizer, limit)?;
        let own = tokenizer.get_padding().cloned();
        let own_fixed = own.as_ref().and_then(|own| match own.strategy {
            PaddingStrategy::Fixed(length) => Some(length),
            PaddingStrategy::BatchLongest => None,
        });
        let multiple = self.pad_to_multiple_of.or_else(|| own.as_ref().and_then(|own| own.pad_to_multiple_of));
        bounded("`pad_to_multiple_of`", multiple, MULTIPLE_MAX)?;
        bounded("the tokenizer's padding", own_fixed, LENGTH_MAX)?;
        let multiple = multiple.unwrap_or(1).max(1);
        let fixed = match self.padding {
            Some(Padding::Longest) => None,
            Some(Padding::MaxLength) => Some(limit.ok_or_else(|| {
                Error::invalid("`padding` is \"max_length\", and neither `max_length` nor the tokenizer says how long")
            })?),
            // The tokenizer's own length, unless this configuration has another one.
            None => own_fixed.map(|own| self.max_length.unwrap_or(own)),
        };
        let pad_left = match self.padding_side {
            Some(side) => side == Side::Left,
            None => own.as_ref().is_some_and(|own| matches!(own.direction, PaddingDirection::Left)),
        };
        if self.datatype == Datatype::Int32
            && let Some(id) = tokenizer.get_vocab(true).into_values().find(|&id| i32::try_from(id).is_err())
        {
            return Err(Error::invalid(format!("the tokenizer has the id {id}, which is no INT32")));
        }
        let pad_id = self.pad_id(&tokenizer, own.as_ref().map(|own| own.pad_id))?;
        tokenizer.with_padding(None);
        let settings = Settings {
            input: self.input,
            pair: self.pair,
            outputs: self.outputs.unwrap_or_else(|| Kept::ALL.to_vec()),
            datatype: self.datatype,
            special: self.add_special_tokens,
            text_bytes_max: self.text_bytes_max,
            refuse_above,
            fixed: fixed.map(|length| length.next_multiple_of(multiple)),
            multiple,
            pad_left,
            pad_id,
            pad_type_id: own.map_or(0, |own| own.pad_type_id),
        };
        Ok((tokenizer, settings))
    }

    /// Sets what is cut off; the limit above which nothing is, and a row is refused.
    fn cut(&self, tokenizer: &mut Tokenizer, limit: Option<usize>) -> Result<Option<usize>> {
        let own = tokenizer.get_truncation().cloned();
        // Cleared first: the crate subtracts the special tokens from a limit without looking.
        tokenizer.with_truncation(None).map_err(|error| Error::internal(error.to_string()))?;
        let Some(max_length) = limit else {
            return match self.truncation {
                Some(Truncation::LongestFirst | Truncation::OnlyFirst | Truncation::OnlySecond) => {
                    Err(Error::invalid("`truncation` needs `max_length`; the tokenizer says no length of its own"))
                }
                Some(Truncation::None) | None => Ok(None),
            };
        };
        let added =
            if self.add_special_tokens { tokenizer.get_post_processor().map_or(0, |own| added(own, self)) } else { 0 };
        if max_length <= added {
            return Err(Error::invalid(format!(
                "`max_length` is {max_length}, and the special tokens alone are {added}"
            )));
        }
        let strategy = match self.truncation {
            Some(Truncation::None) => return Ok(Some(max_length)),
            Some(Truncation::LongestFirst) => TruncationStrategy::LongestFirst,
            Some(Truncation::OnlyFirst) => TruncationStrategy::OnlyFirst,
            Some(Truncation::OnlySecond) => TruncationStrategy::OnlySecond,
            None => own.as_ref().map_or(TruncationStrategy::LongestFirst, |own| own.strategy),
        };
        if strategy == TruncationStrategy::OnlySecond && self.pair.is_none() {
            return Err(Error::invalid("`truncation` is \"only_second\", and there is no `pair`"));
        }
        let direction = match self.truncation_side {
            Some(Side::Left) => TruncationDirection::Left,
            Some(Side::Right) => TruncationDirection::Right,
            None => own.map_or(TruncationDirection::Right, |own| own.direction),
        };
        let cut = TruncationParams { direction, max_length, strategy, stride: 0 };
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|error| Error::invalid(format!("`max_length` is {max_length}: {error}")))?;
        Ok(None)
    }

    /// The token that fills rows: the configured one, the tokenizer's, or one of the usual names.
    fn pad_id(&self, tokenizer: &Tokenizer, own: Option<u32>) -> Result<u32> {
        if let Some(token) = &self.pad_token {
            let id = tokenizer.token_to_id(token);
            return id.ok_or_else(|| Error::invalid(format!("`pad_token`: the tokenizer has no token {token:?}")));
        }
        let usual = || ["[PAD]", "<pad>", "<|endoftext|>"].iter().find_map(|token| tokenizer.token_to_id(token));
        own.or_else(usual).ok_or_else(|| {
            Error::invalid("the tokenizer says no token to fill rows with; name one of its tokens in `pad_token`")
        })
    }
}

fn bounded(what: &str, number: Option<usize>, max: usize) -> Result<()> {
    match number {
        Some(number) if number > max => Err(Error::invalid(format!("{what} is {number}; at most {max} are possible"))),
        Some(_) | None => Ok(()),
    }
}

fn added(processor: &tokenizers::PostProcessorWrapper, config: &Config) -> usize {
    tokenizers::PostProcessor::added_tokens(processor, config.pair.is_some())
}
