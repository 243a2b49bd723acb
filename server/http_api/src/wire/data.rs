//! A `data` array, nested or flat, read straight into typed elements.
//!
//! Numbers must be of the declared datatype: no fraction for an integer, no number out of range, no NaN
//! (JSON has none). A nested array must be nested exactly as the shape says. Half-precision numbers have no
//! JSON form in the protocol and travel as bytes.

use std::fmt;

use candor_domain::{BytesArray, Datatype, Error, Shape, TensorData, names::quoted};
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::{Trouble, quick::Cursor, scan};

/// Reads the elements of a tensor whose datatype and shape are known.
pub(crate) struct DataSeed<'a> {
    pub(crate) datatype: Datatype,
    pub(crate) shape: Shape,
    pub(crate) trouble: &'a Trouble,
    /// Where the array stands, such as `/inputs/0/data`.
    pub(crate) at: &'a dyn Fn() -> String,
    /// No array can have more elements than the body has bytes.
    pub(crate) body_bytes: usize,
    /// Where the body is read, if it is read quickly.
    pub(crate) cursor: Option<&'a Cursor<'a>>,
}

impl<'de> DeserializeSeed<'de> for DataSeed<'_> {
    type Value = TensorData;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TensorData, D::Error> {
        if let Some(cursor) = self.cursor
            && let Some((data, rest)) = scan::data(self.datatype, &self.shape, cursor.rest())
        {
            cursor.go_to(rest);
            return Ok(data);
        }
        Ok(match self.datatype {
            Datatype::Bool => TensorData::Bool(self.read(Truths::default(), deserializer)?.0),
            Datatype::Uint8 => TensorData::Uint8(self.read(Vec::new(), deserializer)?),
            Datatype::Uint16 => TensorData::Uint16(self.read(Vec::new(), deserializer)?),
            Datatype::Uint32 => TensorData::Uint32(self.read(Vec::new(), deserializer)?),
            Datatype::Uint64 => TensorData::Uint64(self.read(Vec::new(), deserializer)?),
            Datatype::Int8 => TensorData::Int8(self.read(Vec::new(), deserializer)?),
            Datatype::Int16 => TensorData::Int16(self.read(Vec::new(), deserializer)?),
            Datatype::Int32 => TensorData::Int32(self.read(Vec::new(), deserializer)?),
            Datatype::Int64 => TensorData::Int64(self.read(Vec::new(), deserializer)?),
            Datatype::Fp32 => TensorData::Fp32(self.read(Vec::new(), deserializer)?),
            Datatype::Fp64 => TensorData::Fp64(self.read(Vec::new(), deserializer)?),
            Datatype::Bytes => TensorData::Bytes(self.read(BytesArray::default(), deserializer)?),
            Datatype::Fp16 | Datatype::Bf16 => {
                let error = Error::invalid(format!("{} has no JSON form", self.datatype))
                    .at((self.at)())
                    .hint("send it as bytes (binary_tensor_data)");
                return Err(self.trouble.raise(error));
            }
        })
    }
}

impl DataSeed<'_> {
    fn read<'de, S: Sink, D: Deserializer<'de>>(&self, mut sink: S, deserializer: D) -> Result<S, D::Error> {
        sink.reserve(self.shape.elements().min(self.body_bytes));
        let (mut count, mut nested) = (0, false);
        let bounds = Bounds { elements: self.shape.elements(), rank: self.shape.rank() };
        let level = Level { seed: self, bounds, depth: 0, count: &mut count, sink: &mut sink, nested: &mut nested };
        level.deserialize(deserializer)?;
        self.check_count(count)?;
        Ok(sink)
    }

    fn check_count<E: de::Error>(&self, count: usize) -> Result<(), E> {
        if count == self.shape.elements() {
            return Ok(());
        }
        let more = if count > self.shape.elements() { "more" } else { "only" };
        let error = Error::invalid("the number of elements does not fit the shape")
            .at((self.at)())
            .expected(format!("{} elements for shape {}", self.shape.elements(), self.shape))
            .got(if more == "more" { "more".to_owned() } else { format!("{count}") });
        Err(self.trouble.raise(error))
    }

    fn wrong_element<E: de::Error>(&self, index: usize, got: impl fmt::Display) -> E {
        let error = Error::invalid(format!("element {index} is not a {} value", self.datatype))
            .at((self.at)())
            .expected(expectation(self.datatype))
            .got(got.to_string());
        self.trouble.raise(error)
    }

    fn wrong_nesting<E: de::Error>(&self, depth: usize) -> E {
        let error = Error::invalid("the array is not nested as the shape says")
            .at((self.at)())
            .expected(format!("a flat array, or {} levels for shape {}", self.shape.rank().max(1), self.shape))
            .got(format!("{depth} levels"));
        self.trouble.raise(error)
    }

    /// Checks a finished array at `depth` with so many members, which were arrays themselves if `nested`.
    fn check_members<E: de::Error>(&self, depth: usize, members: usize, nested: bool) -> Result<(), E> {
        let dim = self.shape.dims().get(depth - 1).and_then(|&dim| usize::try_from(dim).ok());
        if (depth == 1 && !nested) || dim == Some(members) {
            return Ok(());
        }
        let error = Error::invalid(format!("an array at level {depth} has the wrong length"))
            .at((self.at)())
            .expected(format!("{} for shape {}", dim.unwrap_or(1), self.shape))
            .got(members.to_string());
        Err(self.trouble.raise(error))
    }
}

pub(crate) fn expectation(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "true or false",
        Datatype::Uint8 => "a whole number from 0 to 255",
        Datatype::Uint16 => "a whole number from 0 to 65535",
        Datatype::Uint32 => "a whole number from 0 to 4294967295",
        Datatype::Uint64 => "a whole number from 0 to 18446744073709551615",
        Datatype::Int8 => "a whole number from -128 to 127",
        Datatype::Int16 => "a whole number from -32768 to 32767",
        Datatype::Int32 => "a whole number from -2147483648 to 2147483647",
        Datatype::Int64 => "a whole number from -9223372036854775808 to 9223372036854775807",
        Datatype::Fp32 => "a number within ±3.4028235e38",
        Datatype::Fp64 => "a number",
        Datatype::Bytes => "a string",
        Datatype::Fp16 | Datatype::Bf16 => "a number within its range",
    }
}

/// A JSON scalar as an element; `None` when it is not one of that type.
pub(crate) trait Element: Copy {
    fn from_unsigned(value: u64) -> Option<Self>;
    fn from_signed(value: i64) -> Option<Self>;
    fn from_float(_: f64) -> Option<Self> {
        None
    }
}

macro_rules! whole_number {
    ($($number:ty)*) => {$(
        impl Element for $number {
            fn from_unsigned(value: u64) -> Option<Self> {
                Self::try_from(value).ok()
            }
            fn from_signed(value: i64) -> Option<Self> {
                Self::try_from(value).ok()
            }
        }
    )*};
}
whole_number!(u8 u16 u32 u64 i8 i16 i32 i64);

#[allow(clippy::cast_precision_loss, reason = "the nearest float is what a float tensor means by a number")]
impl Element for f64 {
    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as Self)
    }
    fn from_signed(value: i64) -> Option<Self> {
        Some(value as Self)
    }
    fn from_float(value: f64) -> Option<Self> {
        Some(value)
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest float32 is meant"
)]
impl Element for f32 {
    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as Self)
    }
    fn from_signed(value: i64) -> Option<Self> {
        Some(value as Self)
    }
    fn from_float(value: f64) -> Option<Self> {
        let single = value as Self;
        single.is_finite().then_some(single)
    }
}

/// Takes JSON scalars; says no to those that are not of its type.
trait Sink {
    fn reserve(&mut self, elements: usize);
    fn put_unsigned(&mut self, _: u64) -> bool {
        false
    }
    fn put_signed(&mut self, _: i64) -> bool {
        false
    }
    fn put_float(&mut self, _: f64) -> bool {
        false
    }
    fn put_bool(&mut self, _: bool) -> bool {
        false
    }
    fn put_text(&mut self, _: &str) -> bool {
        false
    }
}

impl<T: Element> Sink for Vec<T> {
    fn reserve(&mut self, elements: usize) {
        Self::reserve(self, elements);
    }
    fn put_unsigned(&mut self, value: u64) -> bool {
        T::from_unsigned(value).map(|element| self.push(element)).is_some()
    }
    fn put_signed(&mut self, value: i64) -> bool {
        T::from_signed(value).map(|element| self.push(element)).is_some()
    }
    fn put_float(&mut self, value: f64) -> bool {
        T::from_float(value).map(|element| self.push(element)).is_some()
    }
}

#[derive(Default)]
struct Truths(Vec<u8>);

impl Sink for Truths {
    fn reserve(&mut self, elements: usize) {
        self.0.reserve(elements);
    }
    fn put_bool(&mut self, value: bool) -> bool {
        self.0.push(u8::from(value));
        true
    }
}

impl Sink for BytesArray {
    fn reserve(&mut self, elements: usize) {
        *self = Self::with_capacity(elements);
    }
    fn put_text(&mut self, value: &str) -> bool {
        self.push(value.as_bytes());
        true
    }
}

/// What each element is compared with, worked out once.
#[derive(Clone, Copy)]
struct Bounds {
    elements: usize,
    rank: usize,
}

/// One level of a possibly nested array, or one element of it.
struct Level<'a, S> {
    seed: &'a DataSeed<'a>,
    bounds: Bounds,
    depth: usize,
    count: &'a mut usize,
    sink: &'a mut S,
    /// Tells the array around this that it holds arrays.
    nested: &'a mut bool,
}

impl<S: Sink> Level<'_, S> {
    fn put<E: de::Error>(self, put: impl FnOnce(&mut S) -> bool, got: impl fmt::Display) -> Result<(), E> {
        let (seed, index) = (self.seed, *self.count);
        if self.depth == 0 || index >= self.bounds.elements {
            return Err(if self.depth == 0 { not_an_array(seed, got) } else { overfull(seed) });
        }
        // Elements stand in one flat array, or as deep as the shape is.
        if self.depth != 1 && self.depth != self.bounds.rank {
            return Err(seed.wrong_nesting(self.depth));
        }
        if !put(self.sink) {
            return Err(seed.wrong_element(index, got));
        }
        *self.count += 1;
        Ok(())
    }
}

fn not_an_array<E: de::Error>(seed: &DataSeed<'_>, got: impl fmt::Display) -> E {
    let error = Error::invalid("data is not an array").at((seed.at)()).expected("an array").got(got.to_string());
    seed.trouble.raise(error)
}

fn overfull<E: de::Error>(seed: &DataSeed<'_>) -> E {
    match seed.check_count::<E>(seed.shape.elements() + 1) {
        Err(error) => error,
        Ok(()) => E::custom(""),
    }
}

impl<'de, S: Sink> DeserializeSeed<'de> for Level<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Level<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of elements")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.put(|sink| sink.put_unsigned(value), value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.put(|sink| sink.put_signed(value), value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        // Debug writes 1e39 where Display writes forty digits.
        self.put(|sink| sink.put_float(value), format_args!("{value:?}"))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.put(|sink| sink.put_bool(value), value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.put(|sink| sink.put_text(value), format_args!("the string {}", quoted(value)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put(|_| false, "null")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.put(|_| false, "an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let Level { seed, bounds, depth, count, sink, nested } = self;
        *nested = true;
        if depth >= bounds.rank.max(1) {
            return Err(seed.wrong_nesting(depth + 1));
        }
        let (mut members, mut holds_arrays) = (0, false);
        loop {
            let level = Level { seed, bounds, depth: depth + 1, count, sink, nested: &mut holds_arrays };
            if array.next_element_seed(level)?.is_none() {
                return seed.check_members(depth + 1, members, holds_arrays);
            }
            members += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(datatype: Datatype, dims: &[i64], json: &str) -> Result<TensorData, String> {
        let trouble = Trouble::default();
        let at = || "/inputs/0/data".to_owned();
        let shape = Shape::new(dims).unwrap();
        let seed = DataSeed { datatype, shape, trouble: &trouble, at: &at, body_bytes: json.len(), cursor: None };
        let mut parser = serde_json::Deserializer::from_str(json);
        seed.deserialize(&mut parser).map_err(|error| trouble.explain(&error, json.as_bytes()).to_string())
    }

    #[test]
    fn nested_and_flat_give_the_same_elements() {
        let want = TensorData::Fp32(vec![1.0, 2.5, -3.0, 4e10]);
        for json in ["[1, 2.5, -3, 4e10]", "[[1, 2.5], [-3, 4e10]]"] {
            assert_eq!(read(Datatype::Fp32, &[2, 2], json).unwrap(), want);
        }
        assert_eq!(read(Datatype::Fp32, &[2, 1, 2], "[[[1,2.5]],[[-3,4e10]]]").unwrap(), want);
        assert_eq!(read(Datatype::Int64, &[], "[7]").unwrap(), TensorData::Int64(vec![7]));
        assert_eq!(read(Datatype::Bool, &[2], "[true,false]").unwrap(), TensorData::Bool(vec![1, 0]));
        let strings: BytesArray = ["", "a\u{e9}\n"].iter().collect();
        assert_eq!(read(Datatype::Bytes, &[2], r#"["", "a\u00e9\n"]"#).unwrap(), TensorData::Bytes(strings));
    }

    #[test]
    fn the_ends_of_integer_ranges_are_kept_exactly() {
        let json = "[18446744073709551615, 0]";
        assert_eq!(read(Datatype::Uint64, &[2], json).unwrap(), TensorData::Uint64(vec![u64::MAX, 0]));
        let json = "[-9223372036854775808, 9223372036854775807]";
        assert_eq!(read(Datatype::Int64, &[2], json).unwrap(), TensorData::Int64(vec![i64::MIN, i64::MAX]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (datatype, dims, json, message) in [
            (
                Datatype::Int8,
                &[1][..],
                "[128]",
                "element 0 is not a INT8 value; expected a whole number from -128 to 127, got 128",
            ),
            (
                Datatype::Int32,
                &[2],
                "[1, 1.5]",
                "element 1 is not a INT32 value; expected a whole number from -2147483648 to 2147483647, got 1.5",
            ),
            (
                Datatype::Fp32,
                &[1],
                "[1e39]",
                "element 0 is not a FP32 value; expected a number within ±3.4028235e38, got 1e39",
            ),
            (
                Datatype::Fp32,
                &[1],
                "[\"1\"]",
                "element 0 is not a FP32 value; expected a number within ±3.4028235e38, got the string \"1\"",
            ),
            (Datatype::Bool, &[1], "[1]", "element 0 is not a BOOL value; expected true or false, got 1"),
            (Datatype::Fp32, &[1], "[null]", "got null"),
            (Datatype::Fp32, &[2, 2], "[1,2,3]", "expected 4 elements for shape [2, 2], got 3"),
            (Datatype::Fp32, &[2, 2], "[1,2,3,4,5]", "expected 4 elements for shape [2, 2], got more"),
            (
                Datatype::Fp32,
                &[2, 2],
                "[[1,2,3],[4]]",
                "an array at level 2 has the wrong length; expected 2 for shape [2, 2], got 3",
            ),
            (Datatype::Fp32, &[4], "[[1,2],[3,4]]", "not nested as the shape says"),
            (Datatype::Fp32, &[1], "5", "data is not an array"),
            (Datatype::Fp32, &[1], "[[[[[[[[[[1]]]]]]]]]]", "not nested as the shape says"),
            (Datatype::Fp32, &[1], "[NaN]", "JSON has no NaN or Infinity; send the tensor as bytes"),
            (Datatype::Fp16, &[1], "[1]", "FP16 has no JSON form"),
        ] {
            let error = read(datatype, dims, json).unwrap_err();
            assert!(error.contains(message), "{json}: {error}");
        }
    }
}
