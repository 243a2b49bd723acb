//! `InferTensorContents` into typed elements: as many as the shape says, in the field that goes with the datatype.

use candor_domain::{BytesArray, Datatype, Error, Result, Shape, Tensor, TensorData};

use super::fields::{Fields, Value};

/// The field of `InferInputTensor` that holds them.
const CONTENTS: u32 = 5;

/// The fields, by number minus one.
const FIELDS: [&str; 8] = [
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
];

/// Reads the contents of `input`, an `InferInputTensor`.
pub(super) fn read(datatype: Datatype, shape: Shape, input: &[u8]) -> Result<Tensor> {
    let contents = |number| Contents { input, datatype, number, elements: shape.elements() };
    let data = match datatype {
        Datatype::Bool => TensorData::Bool(contents(1).varints(|number| Some(u8::from(number != 0)))?),
        Datatype::Int8 => TensorData::Int8(contents(2).varints(|number| signed(number).try_into().ok())?),
        Datatype::Int16 => TensorData::Int16(contents(2).varints(|number| signed(number).try_into().ok())?),
        Datatype::Int32 => TensorData::Int32(contents(2).varints(|number| Some(signed(number)))?),
        Datatype::Int64 => TensorData::Int64(contents(3).varints(|number| Some(number.cast_signed()))?),
        Datatype::Uint8 => TensorData::Uint8(contents(4).varints(|number| unsigned(number).try_into().ok())?),
        Datatype::Uint16 => TensorData::Uint16(contents(4).varints(|number| unsigned(number).try_into().ok())?),
        Datatype::Uint32 => TensorData::Uint32(contents(4).varints(|number| Some(unsigned(number)))?),
        Datatype::Uint64 => TensorData::Uint64(contents(5).varints(Some)?),
        Datatype::Fp32 => TensorData::Fp32(contents(6).singles()?),
        Datatype::Fp64 => TensorData::Fp64(contents(7).doubles()?),
        Datatype::Bytes => TensorData::Bytes(contents(8).strings()?),
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(Error::invalid(format!("{datatype} has no field in contents"))
                .hint("send the tensor in raw_input_contents"));
        }
    };
    Tensor::new(shape, data)
}

/// Whether an `InferInputTensor` has contents with anything in them.
pub(super) fn are_in(input: &[u8]) -> Result<bool> {
    for field in Fields::of(input) {
        if let (CONTENTS, contents) = field?
            && !contents.bytes()?.is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The low half, as protobuf reads a 32-bit number that was written with more bits.
fn signed(number: u64) -> i32 {
    unsigned(number).cast_signed()
}

#[allow(clippy::cast_possible_truncation, reason = "meant: protobuf drops the upper half")]
fn unsigned(number: u64) -> u32 {
    number as u32
}

/// The elements that stand in one field.
struct Contents<'a> {
    input: &'a [u8],
    datatype: Datatype,
    number: u32,
    elements: usize,
}

impl<'a> Contents<'a> {
    /// Gives each value of the field, one or several packed, and refuses other fields.
    fn each(&self, mut take: impl FnMut(Value<'a>) -> Result<()>) -> Result<()> {
        for field in Fields::of(self.input) {
            let (CONTENTS, contents) = field? else { continue };
            for field in Fields::of(contents.bytes()?) {
                match field? {
                    (number, value) if number == self.number => take(value)?,
                    (_, Value::Bytes(&[])) => {}
                    (number, _) => {
                        let Some(other) = name(number) else { continue };
                        return Err(Error::invalid(format!(
                            "the elements of {} stand in the wrong field",
                            self.datatype
                        ))
                        .expected(format!("contents.{}", name(self.number).unwrap_or_default()))
                        .got(format!("contents.{other}")));
                    }
                }
            }
        }
        Ok(())
    }

    fn varints<T>(&self, convert: impl Fn(u64) -> Option<T>) -> Result<Vec<T>> {
        let mut elements = Vec::new();
        self.each(|value| {
            // A number takes a byte at least.
            elements.reserve(value.bytes().map_or(1, <[u8]>::len).min(self.elements));
            value.each_varint(|number| {
                self.check_room(elements.len())?;
                let out_of_range = || {
                    Error::invalid(format!("element {} is out of range for {}", elements.len(), self.datatype))
                        .got(self.shown(number))
                };
                elements.push(convert(number).ok_or_else(out_of_range)?);
                Ok(())
            })
        })?;
        Ok(elements)
    }

    fn singles(&self) -> Result<Vec<f32>> {
        let mut elements = Vec::new();
        self.each(|value| {
            let numbers = value.fixed32()?;
            self.check_room((elements.len() + numbers.len()).saturating_sub(1))?;
            elements.extend(numbers.iter().map(|number| f32::from_le_bytes(*number)));
            Ok(())
        })?;
        Ok(elements)
    }

    fn doubles(&self) -> Result<Vec<f64>> {
        let mut elements = Vec::new();
        self.each(|value| {
            let numbers = value.fixed64()?;
            self.check_room((elements.len() + numbers.len()).saturating_sub(1))?;
            elements.extend(numbers.iter().map(|number| f64::from_le_bytes(*number)));
            Ok(())
        })?;
        Ok(elements)
    }

    fn strings(&self) -> Result<BytesArray> {
        let mut elements = BytesArray::default();
        self.each(|value| {
            self.check_room(elements.len())?;
            elements.push(value.bytes()?);
            Ok(())
        })?;
        Ok(elements)
    }

    /// Whether there may be an element behind the first `elements`.
    fn check_room(&self, elements: usize) -> Result<()> {
        if elements < self.elements {
            return Ok(());
        }
        Err(Error::invalid("the number of elements does not fit the shape")
            .expected(format!("{} elements", self.elements))
            .got(format!("at least {}", elements + 1)))
    }

    fn shown(&self, number: u64) -> String {
        if self.number == 2 { signed(number).to_string() } else { unsigned(number).to_string() }
    }
}

fn name(number: u32) -> Option<&'static str> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    FIELDS.get(index).copied()
}
