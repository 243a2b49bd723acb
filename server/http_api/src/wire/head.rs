//! The JSON of an infer request: id, parameters, requested outputs; inputs are read next door.

use std::{borrow::Cow, fmt};

use candor_domain::{Error, Signature};
use candor_serving::oip::inputs::{self, names};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use super::{
    Trouble, Word,
    input::{Input, InputsSeed},
    params::{Params, ParamsSeed},
    quick::Cursor,
    skip::Skip,
};
use crate::limits::HttpLimits;

/// What most requests have one or two of, without an allocation for so few.
pub(crate) type Few<T> = SmallVec<[T; 2]>;

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: Option<String>,
    pub(crate) params: Params,
    pub(crate) inputs: Few<Input>,
    pub(crate) outputs: Option<Few<(usize, Params)>>,
}

/// What every part of a request is read with.
#[derive(Clone, Copy)]
pub(crate) struct HeadSeed<'a> {
    pub(crate) signature: &'a Signature,
    pub(crate) limits: &'a HttpLimits,
    pub(crate) trouble: &'a Trouble,
    pub(crate) body_bytes: usize,
    /// Where the body is read, if it is read quickly.
    pub(crate) cursor: Option<&'a Cursor<'a>>,
}

impl<'a> HeadSeed<'a> {
    pub(crate) fn params<'p>(self, at: &'p dyn Fn() -> String) -> ParamsSeed<'p>
    where
        'a: 'p,
    {
        ParamsSeed { trouble: self.trouble, at, name_bytes_max: self.limits.tensors.name_bytes_max }
    }

    pub(crate) fn skip(self) -> Skip<'a> {
        Skip { trouble: self.trouble, depth: 1, depth_max: self.limits.json_depth_max }
    }

    pub(crate) fn twice<E: de::Error>(self, at: String) -> E {
        self.trouble.raise(Error::invalid("this key stands there twice").at(at))
    }

    pub(crate) fn check_name<E: de::Error>(self, text: &str, at: impl FnOnce() -> String) -> Result<(), E> {
        self.limits.tensors.check_name(text).map_err(|error| self.trouble.raise(error.at(at())))
    }

    pub(crate) fn check_count<E: de::Error>(self, count: usize, at: &str) -> Result<(), E> {
        self.limits.tensors.check_count(count).map_err(|error| self.trouble.raise(error.at(at)))
    }
}

impl<'de> DeserializeSeed<'de> for HeadSeed<'_> {
    type Value = Head;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Head, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeadSeed<'_> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with inputs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let (mut id, mut params, mut inputs, mut outputs) = (None, None, None, None);
        while let Some(Word(key)) = map.next_key()? {
            match &*key {
                "id" if id.is_none() => {
                    let word = map.next_value::<Option<Word<'_>>>()?.map_or(Cow::Borrowed(""), |word| word.0);
                    self.check_name(&word, || "/id".into())?;
                    id = Some(word.into_owned());
                }
                "parameters" if params.is_none() => {
                    params = Some(map.next_value_seed(self.params(&|| String::new()))?);
                }
                "inputs" if inputs.is_none() => inputs = Some(map.next_value_seed(InputsSeed(self))?),
                "outputs" if outputs.is_none() => outputs = Some(map.next_value_seed(OutputsSeed(self))?),
                "id" | "parameters" | "inputs" | "outputs" => return Err(self.twice(format!("/{key}"))),
                _ => map.next_value_seed(self.skip())?,
            }
        }
        if let Some(inputs) = inputs {
            return Ok(Head {
                id: id.filter(|id| !id.is_empty()),
                params: params.unwrap_or_default(),
                inputs,
                // Clients write an empty list for "all of them".
                outputs: outputs.filter(|outputs| !outputs.is_empty()),
            });
        }
        let error = Error::invalid("the request has no inputs").at("/inputs").expected(names(&self.signature.inputs));
        Err(self.trouble.raise(error))
    }
}

struct OutputsSeed<'a>(HeadSeed<'a>);

impl<'de> DeserializeSeed<'de> for OutputsSeed<'_> {
    type Value = Few<(usize, Params)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for OutputsSeed<'_> {
    type Value = Few<(usize, Params)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of outputs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut outputs: Few<(usize, Params)> = Few::new();
        loop {
            let position = outputs.len();
            let Some(output) = array.next_element_seed(OutputSeed { head: self.0, position })? else {
                return Ok(outputs);
            };
            self.0.check_count(position, "/outputs")?;
            if outputs.iter().any(|known| known.0 == output.0) {
                let name = self.0.signature.outputs.get(output.0).map(|spec| &*spec.name).unwrap_or_default();
                let error = Error::invalid(format!("output '{name}' stands there twice"))
                    .at(format!("/outputs/{position}/name"));
                return Err(self.0.trouble.raise(error));
            }
            outputs.push(output);
        }
    }
}

struct OutputSeed<'a> {
    head: HeadSeed<'a>,
    position: usize,
}

impl<'de> DeserializeSeed<'de> for OutputSeed<'_> {
    type Value = (usize, Params);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OutputSeed<'_> {
    type Value = (usize, Params);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an output object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let at = |rest: &str| format!("/outputs/{}{rest}", self.position);
        let (mut index, mut params) = (None, None);
        while let Some(Word(key)) = map.next_key()? {
            match &*key {
                "name" if index.is_none() => {
                    let Word(name) = map.next_value()?;
                    self.head.check_name(&name, || at("/name"))?;
                    let found = inputs::output_index(self.head.signature, &name);
                    index = Some(found.map_err(|error| self.head.trouble.raise(error.at(at("/name"))))?);
                }
                "parameters" if params.is_none() => {
                    params = Some(map.next_value_seed(self.head.params(&|| at("")))?);
                }
                "name" | "parameters" => return Err(self.head.twice(at(&format!("/{key}")))),
                _ => map.next_value_seed(self.head.skip())?,
            }
        }
        match index {
            Some(index) => Ok((index, params.unwrap_or_default())),
            None => Err(self.head.trouble.raise(Error::invalid("the output has no name").at(at("")))),
        }
    }
}
