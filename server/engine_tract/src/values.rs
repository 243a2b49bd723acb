//! Tensors of ours as tract's, and back.
//!
//! tract's strings are text; ours are bytes. Each byte travels as the character of its number (as in
//! Latin-1), constants of the graph too (`file`): what compares, moves or reads digits answers the same.

use candor_domain::{BytesArray, Datatype, Error, ErrorCode, Result, Shape, Tensor, TensorData};
use tract_onnx::prelude::{Datum, DatumType, TValue, TractResult, f16};

type Foreign = tract_onnx::prelude::Tensor;

/// tract's type for values of this datatype; none for bfloat16, which it lacks.
pub(crate) fn datum(datatype: Datatype) -> Option<DatumType> {
    Some(match datatype {
        Datatype::Bool => DatumType::Bool,
        Datatype::Uint8 => DatumType::U8,
        Datatype::Uint16 => DatumType::U16,
        Datatype::Uint32 => DatumType::U32,
        Datatype::Uint64 => DatumType::U64,
        Datatype::Int8 => DatumType::I8,
        Datatype::Int16 => DatumType::I16,
        Datatype::Int32 => DatumType::I32,
        Datatype::Int64 => DatumType::I64,
        Datatype::Fp16 => DatumType::F16,
        Datatype::Fp32 => DatumType::F32,
        Datatype::Fp64 => DatumType::F64,
        Datatype::Bytes => DatumType::String,
        Datatype::Bf16 => return None,
    })
}

/// The datatype of values of this type of tract. Its sizes are integers.
pub(crate) fn datatype(datum_type: DatumType) -> Option<Datatype> {
    let found = if datum_type.is_tdim() { DatumType::I64 } else { datum_type };
    Datatype::ALL.into_iter().find(|datatype| datum(*datatype) == Some(found))
}

/// A string of tract for these bytes.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Bytes of a string of tract; none when it holds a character that no byte stands for.
fn untext(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

/// A tensor for tract.
///
/// # Errors
/// `Unsupported` for bfloat16, `EngineFailed` when tract cannot hold it.
pub(crate) fn to_tract(tensor: &Tensor) -> Result<TValue> {
    let shape = sizes(tensor.shape())?;
    let mapped = match tensor.data() {
        TensorData::Bool(list) => made(&shape, &list.iter().map(|byte| *byte != 0).collect::<Vec<_>>()),
        TensorData::Uint8(list) => made(&shape, list),
        TensorData::Uint16(list) => made(&shape, list),
        TensorData::Uint32(list) => made(&shape, list),
        TensorData::Uint64(list) => made(&shape, list),
        TensorData::Int8(list) => made(&shape, list),
        TensorData::Int16(list) => made(&shape, list),
        TensorData::Int32(list) => made(&shape, list),
        TensorData::Int64(list) => made(&shape, list),
        TensorData::Fp16(list) => made(&shape, &list.iter().copied().map(f16::from_bits).collect::<Vec<_>>()),
        TensorData::Fp32(list) => made(&shape, list),
        TensorData::Fp64(list) => made(&shape, list),
        TensorData::Bytes(list) => {
            let texts: Vec<String> = list.iter().map(text).collect();
            tract_onnx::prelude::tensor1(&texts).into_shape(&shape)
        }
        TensorData::Bf16(_) => return Err(Error::new(ErrorCode::Unsupported, "tract has no BF16")),
    };
    mapped.map(TValue::from).map_err(|error| failed(&format!("an input could not be handed over: {error}")))
}

fn made<T: Datum + Copy>(shape: &[usize], list: &[T]) -> TractResult<Foreign> {
    Foreign::from_shape(shape, list)
}

/// The sizes of a shape as tract counts them.
pub(crate) fn sizes(shape: &Shape) -> Result<Vec<usize>> {
    let size = |dim: &i64| usize::try_from(*dim).map_err(|_| failed("a dimension is too large for this machine"));
    shape.dims().iter().map(size).collect()
}

/// The output `name` as a tensor of ours.
///
/// # Errors
/// `EngineFailed` when it is not of `datatype`, or of more dimensions than the protocol carries.
pub(crate) fn from_tract(name: &str, datatype: Datatype, value: TValue) -> Result<Tensor> {
    use tract_onnx::prelude::IntoTensor as _;
    let wrong = |why: &str| failed(&format!("output '{name}' {why}"));
    let value = value.into_tensor();
    if Some(value.datum_type()) != datum(datatype) {
        return Err(wrong(&format!("is of type {:?}, declared as {datatype}", value.datum_type())));
    }
    let dims: Vec<i64> = value.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    let shape = Shape::new(&dims).map_err(|error| wrong(&error.to_string()))?;
    let data = match datatype {
        Datatype::Bool => TensorData::Bool(list::<bool>(&value)?.iter().map(|held| u8::from(*held)).collect()),
        Datatype::Uint8 => TensorData::Uint8(list(&value)?.to_vec()),
        Datatype::Uint16 => TensorData::Uint16(list(&value)?.to_vec()),
        Datatype::Uint32 => TensorData::Uint32(list(&value)?.to_vec()),
        Datatype::Uint64 => TensorData::Uint64(list(&value)?.to_vec()),
        Datatype::Int8 => TensorData::Int8(list(&value)?.to_vec()),
        Datatype::Int16 => TensorData::Int16(list(&value)?.to_vec()),
        Datatype::Int32 => TensorData::Int32(list(&value)?.to_vec()),
        Datatype::Int64 => TensorData::Int64(list(&value)?.to_vec()),
        Datatype::Fp16 => TensorData::Fp16(list::<f16>(&value)?.iter().map(|half| half.to_bits()).collect()),
        Datatype::Fp32 => TensorData::Fp32(list(&value)?.to_vec()),
        Datatype::Fp64 => TensorData::Fp64(list(&value)?.to_vec()),
        Datatype::Bytes => {
            let texts = list::<String>(&value)?.iter().map(|text| untext(text));
            let texts = texts.collect::<Option<BytesArray>>();
            TensorData::Bytes(texts.ok_or_else(|| wrong("holds text that no bytes stand for"))?)
        }
        Datatype::Bf16 => return Err(wrong("is BF16, which tract lacks")),
    };
    Tensor::new(shape, data).map_err(|error| wrong(&error.to_string()))
}

/// The first float of a tensor in which `look` finds something.
pub(crate) fn find_float<T>(tensor: &Tensor, look: impl Fn(f64) -> Option<T>) -> Option<T> {
    match tensor.data() {
        TensorData::Fp32(list) => list.iter().find_map(|number| look(f64::from(*number))),
        TensorData::Fp64(list) => list.iter().find_map(|number| look(*number)),
        TensorData::Fp16(list) => list.iter().find_map(|bits| look(f16::from_bits(*bits).to_f64())),
        TensorData::Bool(_)
        | TensorData::Uint8(_)
        | TensorData::Uint16(_)
        | TensorData::Uint32(_)
        | TensorData::Uint64(_)
        | TensorData::Int8(_)
        | TensorData::Int16(_)
        | TensorData::Int32(_)
        | TensorData::Int64(_)
        | TensorData::Bf16(_)
        | TensorData::Bytes(_) => None,
    }
}

/// The same for a tensor of tract.
pub(crate) fn find_foreign_float<T>(tensor: &Foreign, look: impl Fn(f64) -> Option<T>) -> Option<T> {
    let singles = list::<f32>(tensor).ok().and_then(|list| list.iter().find_map(|number| look(f64::from(*number))));
    let doubles = || list::<f64>(tensor).ok()?.iter().find_map(|number| look(*number));
    let halves = || list::<f16>(tensor).ok()?.iter().find_map(|number| look(number.to_f64()));
    singles.or_else(doubles).or_else(halves)
}

fn list<T: Datum>(value: &Foreign) -> Result<&[T]> {
    let view = value.try_as_plain_ram().and_then(|view| view.as_slice::<T>());
    view.map_err(|error| failed(&format!("an output could not be read: {error}")))
}

fn failed(what: &str) -> Error {
    Error::new(ErrorCode::EngineFailed, format!("tract: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datatype_but_bfloat16_comes_back_as_it_went_empty_or_not() {
        let bytes: BytesArray = [&b"\xff\x00\x80"[..], b"plain"].into_iter().collect();
        let numbers = [
            TensorData::Bool(vec![1, 0]),
            TensorData::Fp16(vec![0x7E01, 0x8000]),
            TensorData::Uint64(vec![u64::MAX, 0]),
            TensorData::Int64(vec![i64::MIN, i64::MAX]),
            TensorData::Fp64(vec![5e-324, -0.0]),
            TensorData::Bytes(bytes),
        ];
        let zeros = Datatype::ALL.into_iter().map(|datatype| TensorData::zeros(datatype, 2));
        for data in numbers.into_iter().chain(zeros).filter(|data| data.datatype() != Datatype::Bf16) {
            for (dims, data) in [(&[2_i64, 1][..], data.clone()), (&[0, 3], TensorData::zeros(data.datatype(), 0))] {
                let tensor = Tensor::new(Shape::new(dims).unwrap(), data).unwrap();
                let back = from_tract("y", tensor.datatype(), to_tract(&tensor).unwrap()).unwrap();
                assert_eq!(back, tensor);
            }
        }
    }

    #[test]
    fn another_type_than_declared_is_an_error_that_names_the_output() {
        let tensor = Tensor::new(Shape::new(&[1]).unwrap(), TensorData::Fp32(vec![1.0])).unwrap();
        let error = from_tract("y", Datatype::Int64, to_tract(&tensor).unwrap()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::EngineFailed);
        assert!(error.to_string().contains("'y' is of type F32, declared as INT64"), "{error}");
    }
}
