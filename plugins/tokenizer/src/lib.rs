//! `candor.tokenizer`: texts to `input_ids`, `attention_mask` and `token_type_ids`, as Hugging Face `tokenizers` does it.
//!
//! Before it come texts, after it an encoder. The work is the `tokenizers` crate's; here are the configuration, the
//! limits and the padding. It runs on the caller's thread only: the crate's own threads would outlive a library. It
//! knows the SDK and nothing of the server.
//!
//! | module | what it does |
//! |---|---|
//! | `config` | the configuration, and what it makes of a tokenizer's own settings |
//! | `rows` | token ids of all rows, brought to one length |

mod config;
mod rows;

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Description, Error, Inputs, Port, Result, TensorView, Transform, module, schema, version,
};
use tokenizers::{EncodeInput, Encoding, Tokenizer};

use config::Settings;
pub use config::{Config, Datatype, Kept, Padding, Side, Truncation};
use rows::Rows;

module!(transform Tokenize);

/// One tokenizer with its settings.
pub struct Tokenize {
    tokenizer: Tokenizer,
    settings: Settings,
}

impl Component for Tokenize {
    type Config = Config;
    const ID: &'static CStr = c"candor.tokenizer";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../schema.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: Config, call: &Call<'_>) -> Result<Self> {
        let (tokenizer, settings) = config.open(call)?;
        Ok(Self { tokenizer, settings })
    }

    fn describe(&self) -> Result<Description> {
        let inputs = [Some(&self.settings.input), self.settings.pair.as_ref()];
        let inputs = inputs.into_iter().flatten().map(|name| Port::new(name, "BYTES", &[-1])).collect();
        let shape = [-1, self.settings.fixed.and_then(|length| i64::try_from(length).ok()).unwrap_or(-1)];
        let port = |kept: &Kept| Port::new(kept.name(), self.settings.datatype.name(), &shape);
        Ok(Description { inputs, outputs: self.settings.outputs.iter().map(port).collect() })
    }
}

impl Transform for Tokenize {
    fn transform(&self, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        let texts = self.texts(inputs, &self.settings.input)?;
        let pairs = self.settings.pair.as_ref().map(|name| self.texts(inputs, name)).transpose()?;
        if let Some(pairs) = &pairs
            && pairs.len() != texts.len()
        {
            let (input, pair) = (&self.settings.input, self.settings.pair.as_deref().unwrap_or_default());
            let (texts, pairs) = (texts.len(), pairs.len());
            return Err(Error::invalid(format!("`{input}` has {texts} texts and `{pair}` has {pairs}")));
        }
        let mut encodings = Vec::with_capacity(texts.len());
        for (row, text) in texts.iter().enumerate() {
            call.check()?;
            let pair = pairs.as_ref().and_then(|pairs| pairs.get(row)).copied();
            encodings.push(self.encode(row, text, pair)?);
        }
        Rows { encodings: &encodings, settings: &self.settings }.write(call)
    }
}

impl Tokenize {
    /// The texts of an input: one for each row, which may be a row of one column.
    fn texts<'c>(&self, inputs: &Inputs<'c>, name: &str) -> Result<Vec<&'c str>> {
        let input: TensorView<'c> = inputs.need(name)?;
        let (&[_] | &[_, 1]) = input.shape() else {
            let shape = input.shape();
            return Err(Error::invalid(format!("`{name}` has the shape {shape:?}, expected one text for each row")));
        };
        let limit = self.settings.text_bytes_max;
        let texts = input.strings()?.enumerate().map(|(row, text)| {
            if text.len() > limit {
                let bytes = text.len();
                return Err(Error::invalid(format!(
                    "row {row} of `{name}` has {bytes} bytes; at most {limit} are read (text_bytes_max)"
                )));
            }
            std::str::from_utf8(text).map_err(|error| {
                let at = error.valid_up_to();
                Error::invalid(format!("row {row} of `{name}` is not UTF-8 at byte {at}"))
            })
        });
        texts.collect()
    }

    fn encode(&self, row: usize, text: &str, pair: Option<&str>) -> Result<Encoding> {
        let input: EncodeInput<'_> = match pair {
            Some(pair) => (text, pair).into(),
            None => text.into(),
        };
        let encoding = self.tokenizer.encode_fast(input, self.settings.special);
        let encoding = encoding.map_err(|error| Error::invalid(format!("row {row}: {error}")))?;
        match self.settings.refuse_above {
            Some(limit) if encoding.len() > limit => {
                let tokens = encoding.len();
                Err(Error::invalid(format!("row {row} has {tokens} tokens; at most {limit} fit, and none are cut off")))
            }
            Some(_) | None => Ok(encoding),
        }
    }
}
