//! Nested values into tensors whose shape nobody has announced: the first list of each level says how long the
//! others are.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_domain::{Datatype, Error, Result, Shape, Tensor, TensorData, TensorSpec, names::quoted};
use candor_serving::features::{brain_bits, half_bits};
use half::{bf16, f16};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::tokens;
use crate::{
    limits::HttpLimits,
    native::Reading,
    wire::{Element, Word, expectation},
};

/// A tensor that is being read.
pub(super) struct Builder<'a> {
    pub(super) spec: &'a TensorSpec,
    limits: &'a HttpLimits,
    data: TensorData,
    /// Lengths of the lists of each level, outermost first.
    sizes: Vec<Option<usize>>,
    /// How many levels lie above an element, once there was one.
    rank: Option<usize>,
}

/// A value as JSON has it, or bytes that came in base64.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Bytes(&'a [u8]),
    Null,
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Float(value) => match tokens::word(*value) {
                Some(word) => f.write_str(word),
                None => write!(f, "{value:?}"),
            },
            Self::Bool(value) => write!(f, "{value}"),
            Self::Bytes(text) => write!(f, "the string {}", quoted(&String::from_utf8_lossy(text))),
            Self::Null => f.write_str("null"),
        }
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(spec: &'a TensorSpec, limits: &'a HttpLimits) -> Self {
        Self { spec, limits, data: TensorData::zeros(spec.datatype, 0), sizes: Vec::new(), rank: None }
    }

    /// The tensor; of so many rows if what was read are the values of rows.
    pub(super) fn finish(self, rows: Option<usize>) -> Result<Tensor> {
        let dims = rows.into_iter().chain(self.sizes.into_iter().map(|size| size.unwrap_or(0)));
        let dims: Vec<i64> = dims.map(|size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        Tensor::new(Shape::new(&dims)?, self.data)
    }

    fn wrong(&self, what: impl fmt::Display) -> Error {
        Error::invalid(format!("input '{}' {what}", self.spec.name))
    }

    fn put(&mut self, depth: usize, scalar: Scalar<'_>) -> Result<()> {
        match self.rank {
            Some(rank) if rank != depth => return Err(self.ragged(rank, depth)),
            None if self.sizes.len() > depth => return Err(self.ragged(self.sizes.len(), depth)),
            _ => self.rank = Some(depth),
        }
        if self.data.len() >= self.limits.tensors.elements_max {
            let max = self.limits.tensors.elements_max;
            return Err(self
                .wrong("is too large")
                .expected(format!("at most {max} elements (limits.tensor_elements_max)"))
                .hint("split the request"));
        }
        if push(&mut self.data, scalar) {
            return Ok(());
        }
        let datatype = self.spec.datatype;
        let expected = if datatype == Datatype::Bytes { "a string, or {\"b64\": …}" } else { expectation(datatype) };
        let error = self.wrong(format_args!("holds a value that is not {datatype}")).expected(expected);
        Err(error.got(scalar.to_string()))
    }

    fn ragged(&self, rank: usize, depth: usize) -> Error {
        self.wrong("is not nested evenly")
            .expected(format!("values below {rank} lists, as before"))
            .got(format!("one below {depth}"))
    }

    fn open(&self, depth: usize) -> Result<()> {
        if let Some(rank) = self.rank.filter(|rank| depth >= *rank) {
            return Err(self.ragged(rank, depth + 1));
        }
        let max = self.limits.tensors.rank_max;
        if depth >= max {
            return Err(self
                .wrong("is nested too deep")
                .expected(format!("at most {max} lists (limits.tensor_rank_max)")));
        }
        Ok(())
    }

    fn close(&mut self, depth: usize, members: usize) -> Result<()> {
        // Inner lists end before those around them.
        self.sizes.resize(self.sizes.len().max(depth + 1), None);
        match self.sizes.get_mut(depth) {
            Some(Some(size)) if *size != members => {
                let expected = format!("{size} members in every list of level {}", depth + 1);
                Err(self.wrong("has lists of different lengths").expected(expected).got(members.to_string()))
            }
            Some(size) => {
                *size = Some(members);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn push(data: &mut TensorData, scalar: Scalar<'_>) -> bool {
    fn number<T: Element>(scalar: Scalar<'_>) -> Option<T> {
        match scalar {
            Scalar::Unsigned(value) => T::from_unsigned(value),
            Scalar::Signed(value) => T::from_signed(value),
            Scalar::Float(value) => T::from_float(value),
            Scalar::Bool(_) | Scalar::Bytes(_) | Scalar::Null => None,
        }
    }
    /// The nearest of half precision, which is infinite only for what is.
    fn half_or(wide: f64, nearest: fn(f64) -> Option<u16>, infinity: u16) -> Option<u16> {
        const SIGN: u16 = 1 << 15;
        let infinite = wide.is_infinite().then_some(if wide > 0.0 { infinity } else { infinity | SIGN });
        infinite.or_else(|| nearest(wide))
    }
    macro_rules! put {
        ($values:expr, $value:expr) => {
            $value.map(|value| $values.push(value)).is_some()
        };
    }
    #[allow(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is wanted")]
    match data {
        TensorData::Bool(values) => {
            put!(values, if let Scalar::Bool(value) = scalar { Some(u8::from(value)) } else { None })
        }
        TensorData::Uint8(values) => put!(values, number(scalar)),
        TensorData::Uint16(values) => put!(values, number(scalar)),
        TensorData::Uint32(values) => put!(values, number(scalar)),
        TensorData::Uint64(values) => put!(values, number(scalar)),
        TensorData::Int8(values) => put!(values, number(scalar)),
        TensorData::Int16(values) => put!(values, number(scalar)),
        TensorData::Int32(values) => put!(values, number(scalar)),
        TensorData::Int64(values) => put!(values, number(scalar)),
        TensorData::Fp16(values) => {
            put!(values, number(scalar).and_then(|wide| half_or(wide, half_bits, f16::INFINITY.to_bits())))
        }
        TensorData::Bf16(values) => {
            put!(values, number(scalar).and_then(|wide| half_or(wide, brain_bits, bf16::INFINITY.to_bits())))
        }
        TensorData::Fp32(values) => {
            let single = number(scalar).map(|wide: f64| (wide, wide as f32));
            put!(values, single.filter(|(wide, it)| it.is_finite() || !wide.is_finite()).map(|(_, single)| single))
        }
        TensorData::Fp64(values) => put!(values, number(scalar)),
        TensorData::Bytes(values) => {
            put!(values, if let Scalar::Bytes(bytes) = scalar { Some(bytes) } else { None })
        }
    }
}

/// Reads a value below `depth` lists.
pub(super) struct ValueSeed<'b, 's, 'a> {
    pub(super) builder: &'b mut Builder<'s>,
    pub(super) depth: usize,
    pub(super) reading: &'a Reading<'a>,
    /// Where the whole value stands.
    pub(super) at: &'a dyn Fn() -> String,
}

impl ValueSeed<'_, '_, '_> {
    fn put<E: de::Error>(self, scalar: Scalar<'_>) -> Result<(), E> {
        let Self { builder, depth, reading, at } = self;
        builder.put(depth, scalar).map_err(|error| reading.trouble.raise(error.at(at())))
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or nested lists of values")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.put(Scalar::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.put(Scalar::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.put(Scalar::Float(value))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.put(Scalar::Bool(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        let number = (self.reading.number_of)(value);
        self.put(number.map_or(Scalar::Bytes(value.as_bytes()), Scalar::Float))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { builder, depth, reading, at } = self;
        builder.open(depth).map_err(|error| reading.trouble.raise(error.at(at())))?;
        let mut count = 0;
        while members.next_element_seed(ValueSeed { builder, depth: depth + 1, reading, at })?.is_some() {
            count += 1;
        }
        builder.close(depth, count).map_err(|error| reading.trouble.raise(error.at(at())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let wrong = |what: &str, got: String| {
            let error = self.builder.wrong(what).expected("a value, or {\"b64\": …}").got(got);
            self.reading.trouble.raise::<A::Error>(error.at((self.at)()))
        };
        // The form of bytes.
        let key = members.next_key::<Word<'de>>()?.map(|word| word.0);
        if key.as_deref() != Some("b64") {
            let got = key.map_or_else(|| "{}".to_owned(), |key| format!("an object with {}", quoted(&key)));
            return Err(wrong("holds an object", got));
        }
        let text = members.next_value::<Word<'de>>()?.0;
        if members.next_key::<Word<'de>>()?.is_some() {
            return Err(wrong("holds an object", "an object with more than \"b64\"".to_owned()));
        }
        match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => self.put(Scalar::Bytes(&bytes)),
            Err(error) => Err(wrong("holds \"b64\" that is no base64", error.to_string())),
        }
    }
}
