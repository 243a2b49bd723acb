//! `parameters` maps: known keys are read, others pass without effect, as the protocol allows.

use std::time::Duration;

use candor_domain::{Error, ErrorCode, Result, names::quoted};
use candor_serving::oip::TensorLimits;

use super::fields::{Fields, Value};

/// The parameters that mean something here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Params {
    /// The caller's limit on time.
    pub(super) timeout: Option<Duration>,
    /// How urgent the request is: 1 is the highest level, 0 the default one.
    pub(super) priority: u64,
    /// How many classes of this output are wanted.
    pub(super) classes: Option<u64>,
}

/// Field numbers of a map's entry, and of `InferParameter`.
const KEY: u32 = 1;
const VALUE: u32 = 2;
const INT64: u32 = 2;
const TEXT: u32 = 3;
const UINT64: u32 = 5;

impl Params {
    /// Reads one entry of the map.
    pub(super) fn read(&mut self, entry: &[u8], limits: &TensorLimits) -> Result<()> {
        let (mut key, mut value) = ("", &[][..]);
        for field in Fields::of(entry) {
            match field? {
                (KEY, text) => key = text.text()?,
                (VALUE, message) => value = message.bytes()?,
                _ => {}
            }
        }
        let at = || format!("parameters[{}]", quoted(key));
        limits.check_name(key).map_err(|error| error.at("parameters"))?;
        let mut number = None;
        for field in Fields::of(value) {
            match field? {
                (TEXT, text) => limits.check_name(text.text()?).map_err(|error| error.at(at()))?,
                (INT64, Value::Varint(signed)) => number = u64::try_from(signed.cast_signed()).ok(),
                (UINT64, Value::Varint(unsigned)) => number = Some(unsigned),
                _ => {}
            }
        }
        let number = || {
            let wrong = || Error::invalid("the parameter has the wrong type").at(at());
            number.ok_or_else(|| wrong().expected("a whole number, 0 or more (int64_param or uint64_param)"))
        };
        match key {
            "timeout" => self.timeout = Some(number()?).filter(|micros| *micros > 0).map(Duration::from_micros),
            "priority" => self.priority = number()?,
            "classification" => self.classes = Some(number()?).filter(|classes| *classes > 0),
            "shared_memory_region" => {
                return Err(Error::new(ErrorCode::Unsupported, "shared memory is not taken")
                    .at(at())
                    .hint("send the tensor in the message"));
            }
            _ => {}
        }
        Ok(())
    }
}
