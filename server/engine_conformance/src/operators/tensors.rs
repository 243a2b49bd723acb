//! A tensor of a file as one of Candor's: the same numbers, or the datatype that the protocol lacks.

use candor_domain::{BytesArray, Shape, Tensor, TensorData};
use candor_onnx::{DataType, Tensor as FileTensor};

/// Shape and elements of a tensor that lies in a file.
pub(super) fn read(tensor: &FileTensor) -> Result<Tensor, String> {
    let dims: Vec<i64> = tensor.dims.iter().map(|dim| i64::try_from(*dim).unwrap_or(i64::MAX)).collect();
    let shape = Shape::new(&dims).map_err(|error| error.to_string())?;
    let data = data(tensor)?.map_err(|error| error.to_string())?;
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

/// The outer error is a datatype that Candor does not have.
fn data(tensor: &FileTensor) -> Result<candor_onnx::Result<TensorData>, String> {
    macro_rules! numbers {
        ($variant:ident) => {
            tensor.values().map(|numbers| TensorData::$variant(numbers.into_owned()))
        };
    }
    Ok(match tensor.data_type {
        DataType::Float => numbers!(Fp32),
        DataType::Double => numbers!(Fp64),
        DataType::Float16 => numbers!(Fp16),
        DataType::Bfloat16 => numbers!(Bf16),
        DataType::Uint8 => numbers!(Uint8),
        DataType::Uint16 => numbers!(Uint16),
        DataType::Uint32 => numbers!(Uint32),
        DataType::Uint64 => numbers!(Uint64),
        DataType::Int8 => numbers!(Int8),
        DataType::Int16 => numbers!(Int16),
        DataType::Int32 => numbers!(Int32),
        DataType::Int64 => numbers!(Int64),
        DataType::Bool => {
            tensor.values::<bool>().map(|bits| TensorData::Bool(bits.iter().map(|bit| u8::from(*bit)).collect()))
        }
        DataType::String => tensor.strings().map(|strings| TensorData::Bytes(strings.iter().collect::<BytesArray>())),
        DataType::Undefined
        | DataType::Complex64
        | DataType::Complex128
        | DataType::Float8E4M3Fn
        | DataType::Float8E4M3Fnuz
        | DataType::Float8E5M2
        | DataType::Float8E5M2Fnuz
        | DataType::Float8E8M0
        | DataType::Float4E2M1
        | DataType::Uint4
        | DataType::Int4
        | DataType::Float6E2M3
        | DataType::Float6E3M2
        | DataType::Uint2
        | DataType::Int2 => return Err(format!("the protocol has no {}", tensor.data_type)),
    })
}
