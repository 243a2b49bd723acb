//! `parameters` objects: flat maps of strings, numbers and booleans.
//!
//! Known keys are read into fields; other keys pass without effect, as the protocol allows; nested values
//! are refused.

use std::{borrow::Cow, fmt};

use candor_domain::{Error, names::quoted};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::{Trouble, Word};

/// The parameters that mean something here.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Params {
    /// Bytes of this input behind the JSON.
    pub(crate) binary_data_size: Option<u64>,
    /// Whether this output is wanted as bytes.
    pub(crate) binary_data: Option<bool>,
    /// Whether all outputs are wanted as bytes.
    pub(crate) binary_data_output: Option<bool>,
    /// How many classes of this output are wanted.
    pub(crate) classification: Option<u64>,
    /// The caller's limit on time, in microseconds; 0 means none.
    pub(crate) timeout_micros: Option<u64>,
    /// How urgent the request is: 1 is the highest level, 0 the default one.
    pub(crate) priority: Option<u64>,
}

/// Reads a `parameters` object at a place.
pub(crate) struct ParamsSeed<'a> {
    pub(crate) trouble: &'a Trouble,
    pub(crate) at: &'a dyn Fn() -> String,
    pub(crate) name_bytes_max: usize,
}

enum Scalar<'de> {
    Bool(bool),
    Unsigned(u64),
    Number,
    Text(Cow<'de, str>),
}

impl Scalar<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Unsigned(value) => value.to_string(),
            Self::Number => "a negative or fractional number".to_owned(),
            Self::Text(value) => quoted(value),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ParamsSeed<'_> {
    type Value = Params;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Params, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ParamsSeed<'_> {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings, numbers and booleans")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
        let mut params = Params::default();
        while let Some(key) = map.next_key::<Word<'de>>()?.map(|word| word.0) {
            let at = || format!("{}/parameters/{}", (self.at)(), quoted(&key).trim_matches('"'));
            let value = map.next_value_seed(ScalarSeed { trouble: self.trouble, at: &at })?;
            let too_long = |text: &str| text.len() > self.name_bytes_max;
            if too_long(&key) || matches!(&value, Scalar::Text(text) if too_long(text)) {
                let error = Error::invalid("the parameter is too long")
                    .at((self.at)())
                    .expected(format!("at most {} bytes (limits.name_bytes_max)", self.name_bytes_max));
                return Err(self.trouble.raise(error));
            }
            let wrong = |expected: &str| {
                let error = Error::invalid("the parameter has the wrong type");
                self.trouble.raise(error.at(at()).expected(expected).got(value.shown()))
            };
            let number = || match value {
                Scalar::Unsigned(number) => Ok(Some(number)),
                Scalar::Bool(_) | Scalar::Number | Scalar::Text(_) => Err(wrong("a whole number, 0 or more")),
            };
            let truth = || match value {
                Scalar::Bool(truth) => Ok(Some(truth)),
                Scalar::Unsigned(_) | Scalar::Number | Scalar::Text(_) => Err(wrong("true or false")),
            };
            let taken = match &*key {
                "binary_data_size" => params.binary_data_size.is_some(),
                "binary_data" => params.binary_data.is_some(),
                "binary_data_output" => params.binary_data_output.is_some(),
                "classification" => params.classification.is_some(),
                "timeout" => params.timeout_micros.is_some(),
                "priority" => params.priority.is_some(),
                // What has no effect has none twice, and remembering every name would cost memory.
                _ => false,
            };
            if taken {
                return Err(self.trouble.raise(Error::invalid("this parameter stands there twice").at(at())));
            }
            match &*key {
                "binary_data_size" => params.binary_data_size = number()?,
                "binary_data" => params.binary_data = truth()?,
                "binary_data_output" => params.binary_data_output = truth()?,
                "classification" => params.classification = number()?,
                "timeout" => params.timeout_micros = number()?,
                "priority" => params.priority = number()?,
                _ => {}
            }
        }
        Ok(params)
    }
}

struct ScalarSeed<'a> {
    trouble: &'a Trouble,
    at: &'a dyn Fn() -> String,
}

impl ScalarSeed<'_> {
    fn nested<E: de::Error>(&self) -> E {
        let error = Error::invalid("a parameter cannot be nested");
        self.trouble.raise(error.at((self.at)()).expected("a string, a number or a boolean"))
    }
}

impl<'de> DeserializeSeed<'de> for ScalarSeed<'_> {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed<'_> {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Number)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar<'de>, E> {
        Err(self.nested())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Err(self.nested())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar<'de>, A::Error> {
        Err(self.nested())
    }
}
