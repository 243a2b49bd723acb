//! The inputs of an infer request: name, shape, datatype, and elements or the length of their bytes.

use std::{cell::Cell, fmt};

use candor_domain::{Datatype, Error, Shape, Tensor, TensorData, tensor::RANK_MAX};
use candor_serving::oip::inputs;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{
    Word,
    data::DataSeed,
    head::{Few, HeadSeed},
    scan,
};

/// An input whose name is known; its place in the request's order is its place in the list.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) index: usize,
    pub(crate) payload: Payload,
}

#[derive(Debug)]
pub(crate) enum Payload {
    Here(Tensor),
    Behind { datatype: Datatype, shape: Shape, bytes: u64 },
}

pub(crate) struct InputsSeed<'a>(pub(crate) HeadSeed<'a>);

impl<'de> DeserializeSeed<'de> for InputsSeed<'_> {
    type Value = Few<Input>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Few<Input>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for InputsSeed<'_> {
    type Value = Few<Input>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of inputs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Few<Input>, A::Error> {
        let mut inputs: Few<Input> = Few::new();
        loop {
            let position = inputs.len();
            let Some(input) = array.next_element_seed(InputSeed { head: self.0, position, known: Cell::new(None) })?
            else {
                return Ok(inputs);
            };
            self.0.check_count(position, "/inputs")?;
            if inputs.iter().any(|known| known.index == input.index) {
                let name = self.0.signature.inputs.get(input.index).map(|spec| &*spec.name).unwrap_or_default();
                let error =
                    Error::invalid(format!("input '{name}' stands there twice")).at(format!("/inputs/{position}/name"));
                return Err(self.0.trouble.raise(error));
            }
            inputs.push(input);
        }
    }
}

struct InputSeed<'a> {
    head: HeadSeed<'a>,
    position: usize,
    /// Its place in the signature, once its name has been read.
    known: Cell<Option<usize>>,
}

impl<'de> DeserializeSeed<'de> for InputSeed<'_> {
    type Value = Input;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Input, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// The `data` of an input: read, or kept until datatype and shape are known.
enum Read<'de> {
    Nothing,
    Later(&'de RawValue),
    Done(TensorData),
}

impl<'de> Visitor<'de> for InputSeed<'_> {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an input object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input, A::Error> {
        let (mut index, mut shape, mut datatype) = (None, None, None);
        let (mut params, mut data) = (None, Read::Nothing);
        while let Some(Word(key)) = map.next_key()? {
            match &*key {
                "name" if index.is_none() => index = Some(self.index(&map.next_value::<Word<'_>>()?.0)?),
                "shape" if shape.is_none() => shape = Some(self.shape(&map.next_value_seed(DimsSeed(&self))?)?),
                "datatype" if datatype.is_none() => datatype = Some(self.datatype(&map.next_value::<Word<'_>>()?.0)?),
                "parameters" if params.is_none() => {
                    params = Some(map.next_value_seed(self.head.params(&|| self.at("")))?);
                }
                "data" if matches!(data, Read::Nothing) => {
                    // Not before the name is known, so that a complaint can name the input.
                    data = match (index, datatype, shape) {
                        (Some(_), Some(datatype), Some(shape)) => {
                            Read::Done(map.next_value_seed(self.data_seed(datatype, shape, &|| self.at("/data")))?)
                        }
                        _ => Read::Later(map.next_value()?),
                    };
                }
                "name" | "shape" | "datatype" | "parameters" | "data" => {
                    return Err(self.head.twice(self.at(&format!("/{key}"))));
                }
                _ => map.next_value_seed(self.head.skip())?,
            }
        }
        let missing =
            |key: &str| self.head.trouble.raise(Error::invalid(format!("the input has no {key}")).at(self.at("")));
        let index = index.ok_or_else(|| missing("name"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        let datatype = datatype.ok_or_else(|| missing("datatype"))?;
        let payload = self.payload(datatype, shape, data, params.unwrap_or_default().binary_data_size)?;
        Ok(Input { index, payload })
    }
}

impl InputSeed<'_> {
    fn at(&self, rest: &str) -> String {
        let known = self.known.get().and_then(|index| self.head.signature.inputs.get(index));
        let name = known.map(|spec| format!("input '{}' at ", spec.name)).unwrap_or_default();
        format!("{name}/inputs/{}{rest}", self.position)
    }

    fn raise<E: de::Error>(&self, error: Error, rest: &str) -> E {
        self.head.trouble.raise(error.at(self.at(rest)))
    }

    fn index<E: de::Error>(&self, name: &str) -> Result<usize, E> {
        self.head.check_name(name, || self.at("/name"))?;
        let index = inputs::input_index(self.head.signature, name).map_err(|error| self.raise(error, "/name"))?;
        self.known.set(Some(index));
        Ok(index)
    }

    fn datatype<E: de::Error>(&self, name: &str) -> Result<Datatype, E> {
        inputs::datatype(name).map_err(|error| self.raise(error, "/datatype"))
    }

    fn shape<E: de::Error>(&self, dims: &[i64]) -> Result<Shape, E> {
        self.head.limits.tensors.shape(dims).map_err(|error| self.raise(error, "/shape"))
    }

    fn data_seed<'s>(&'s self, datatype: Datatype, shape: Shape, at: &'s dyn Fn() -> String) -> DataSeed<'s> {
        let HeadSeed { trouble, body_bytes, cursor, .. } = self.head;
        DataSeed { datatype, shape, trouble, at, body_bytes, cursor }
    }

    fn payload<E: de::Error>(
        &self,
        datatype: Datatype,
        shape: Shape,
        data: Read<'_>,
        size: Option<u64>,
    ) -> Result<Payload, E> {
        let data = match (data, size) {
            (Read::Nothing, Some(bytes)) => return Ok(Payload::Behind { datatype, shape, bytes }),
            (Read::Nothing, None) => {
                let error = Error::invalid("the input has neither data nor parameters.binary_data_size");
                return Err(self.raise(error, ""));
            }
            (_, Some(_)) => {
                let error = Error::invalid("the input has both data and parameters.binary_data_size");
                return Err(self.raise(error.hint("leave one of them out"), ""));
            }
            (Read::Done(data), None) => data,
            (Read::Later(raw), None) => {
                // In most bodies shape and datatype come first; in some, keys are sorted.
                if let Some((data, [])) = scan::data(datatype, &shape, raw.get().as_bytes()) {
                    return self.here(shape, data);
                }
                let at = || self.at("/data");
                let seed = self.data_seed(datatype, shape, &at);
                let mut parser = serde_json::Deserializer::from_str(raw.get());
                seed.deserialize(&mut parser).map_err(|error| {
                    let explained = self.head.trouble.explain(&error, raw.get().as_bytes());
                    self.head.trouble.raise(explained)
                })?
            }
        };
        self.here(shape, data)
    }

    fn here<E: de::Error>(&self, shape: Shape, data: TensorData) -> Result<Payload, E> {
        Tensor::new(shape, data).map(Payload::Here).map_err(|error| self.raise(error, "/data"))
    }
}

/// The dimensions of a shape, as they are written.
type Dims = SmallVec<[i64; RANK_MAX]>;

/// Reads a shape; bounded, because a rank is.
struct DimsSeed<'a>(&'a InputSeed<'a>);

impl<'de> DeserializeSeed<'de> for DimsSeed<'_> {
    type Value = Dims;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Dims, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for DimsSeed<'_> {
    type Value = Dims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of whole numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Dims, A::Error> {
        const KEPT_MAX: usize = 64;
        let mut dims = Dims::new();
        while dims.len() < KEPT_MAX {
            let Some(Size(dim)) = array.next_element()? else { return Ok(dims) };
            dims.push(dim);
        }
        let error = Error::invalid("the shape has too many dimensions")
            .expected(format!("at most {}", self.0.head.limits.tensors.rank_max));
        Err(self.0.raise(error, "/shape"))
    }
}

/// One dimension as it is written; whether it may be negative is said elsewhere.
struct Size(i64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsSize;
        impl Visitor<'_> for AsSize {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the size of a dimension, a whole number below 2^63")
            }

            fn visit_i64<E>(self, size: i64) -> Result<Size, E> {
                Ok(Size(size))
            }

            fn visit_u64<E: de::Error>(self, size: u64) -> Result<Size, E> {
                i64::try_from(size).map(Size).map_err(|_| E::invalid_value(Unexpected::Unsigned(size), &self))
            }
        }
        deserializer.deserialize_i64(AsSize)
    }
}
