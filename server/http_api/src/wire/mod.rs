//! The Open Inference Protocol on the wire: JSON and bytes to tensors and back.
//!
//! Wire types are not domain types: they carry the protocol's words, their documentation and examples, and
//! convert. Decoding goes straight from the body into typed buffers, and replies straight into one buffer. What
//! the words mean is serving's to say (`oip`).
//!
//! | module | what it does |
//! |---|---|
//! | `request` | an infer request: JSON, JSON and bytes, or raw |
//! | `head`, `input`, `skip` | its JSON: head and outputs, inputs, and what means nothing here |
//! | `data` | a `data` array, nested or flat, into typed elements |
//! | `quick`, `scan` | the same for good bodies, in a fraction of the time: JSON, and numbers in it |
//! | `params` | `parameters` objects |
//! | `raw` | raw requests: a body that is one tensor |
//! | `reply`, `write` | an infer reply; JSON into its buffer |
//! | `describe` | metadata and configuration of models |
//! | `control` | repository index and load |
//! | `statistics` | counters |
//! | `schema` | the documented shapes of infer bodies |

mod control;
mod data;
mod describe;
mod head;
mod input;
mod params;
mod quick;
mod raw;
mod reply;
mod request;
mod scan;
mod schema;
mod skip;
mod statistics;
mod write;

pub(crate) use data::{Element, expectation};
pub(crate) use quick::Cursor;

pub use control::{IndexRequest, IndexRow, LoadRequest};
pub use describe::{ModelConfig, ModelMetadata};
pub use reply::{ReplyBody, ReplyEncoding};
pub use request::InferCodec;
pub use schema::{ErrorBody, InferBody, InferReplyBody};
pub use statistics::Statistics;

use std::{borrow::Cow, fmt};

use candor_domain::Error;
use serde::de::{Deserialize, Deserializer, Visitor};

/// Where an error was found while a body was being read. Serde's own errors are plain text, so the real
/// one is left here and picked up when the parser gives up.
#[derive(Default)]
pub(crate) struct Trouble(std::cell::RefCell<Option<Error>>);

impl Trouble {
    /// Leaves `error` and gives serde something to stop with.
    pub(crate) fn raise<E: serde::de::Error>(&self, error: Error) -> E {
        self.0.borrow_mut().get_or_insert(error);
        E::custom("")
    }

    /// The error that was left.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.borrow_mut().take()
    }

    /// The error that was left, or what the parser itself has to say.
    pub(crate) fn explain(&self, parser: &serde_json::Error, body: &[u8]) -> Error {
        self.take().unwrap_or_else(|| syntax_error(parser, body, NO_NAN))
    }
}

pub(crate) const NO_NAN: &str = "JSON has no NaN or Infinity; send the tensor as bytes (binary_tensor_data)";

/// A JSON syntax error with its place, and a hint for the usual suspects; `no_nan` is the one for numbers that
/// JSON does not have.
pub(crate) fn syntax_error(parser: &serde_json::Error, body: &[u8], no_nan: &'static str) -> Error {
    let error =
        Error::invalid(format!("the body is not the JSON that was expected: {}", shortened(&parser.to_string())));
    let line = body.split(|&byte| byte == b'\n').nth(parser.line().saturating_sub(1)).unwrap_or_default();
    let near = line.get(parser.column().saturating_sub(10)..).unwrap_or_default();
    let near = near.get(..near.len().min(20)).unwrap_or_default();
    let says = |word: &[u8]| near.windows(word.len()).any(|window| window == word);
    if body.is_empty() {
        error.hint("the body is empty")
    } else if says(b"NaN") || says(b"Infinity") || says(b"nan") || says(b"inf") {
        error.hint(no_nan)
    } else {
        error
    }
}

/// Both ends of a message: the parser puts in its middle whatever text it did not expect, all of it.
fn shortened(message: &str) -> Cow<'_, str> {
    const KEPT_OF_EACH_END: usize = 120;
    let mut chars = message.char_indices();
    match (chars.nth(KEPT_OF_EACH_END), chars.nth_back(KEPT_OF_EACH_END)) {
        (Some((head, _)), Some((tail, _))) => {
            let (head, tail) = (message.get(..head).unwrap_or_default(), message.get(tail..).unwrap_or_default());
            format!("{head}…{tail}").into()
        }
        _ => message.into(),
    }
}

/// A JSON string, borrowed from the body where it has no escapes.
pub(crate) struct Word<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Word<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsWord;
        impl<'de> Visitor<'de> for AsWord {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Borrowed(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(AsWord)
    }
}

#[cfg(test)]
mod tests;
