//! Datatypes and constants of the file as those of the domain.

use candor_domain::{BytesArray, Datatype, Error, Result, Shape, Tensor, TensorData};
use candor_onnx::{DataType, Dim, Folder};

/// The datatype of the same meaning; none for those that the domain does not have.
#[allow(clippy::wildcard_enum_match_arm, reason = "the rest are sub-byte, complex and 8-bit floats")]
pub(crate) fn datatype(of: DataType) -> Option<Datatype> {
    Some(match of {
        DataType::Bool => Datatype::Bool,
        DataType::Uint8 => Datatype::Uint8,
        DataType::Uint16 => Datatype::Uint16,
        DataType::Uint32 => Datatype::Uint32,
        DataType::Uint64 => Datatype::Uint64,
        DataType::Int8 => Datatype::Int8,
        DataType::Int16 => Datatype::Int16,
        DataType::Int32 => Datatype::Int32,
        DataType::Int64 => Datatype::Int64,
        DataType::Float16 => Datatype::Fp16,
        DataType::Bfloat16 => Datatype::Bf16,
        DataType::Float => Datatype::Fp32,
        DataType::Double => Datatype::Fp64,
        DataType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// A constant of the file, its data read from the model's `folder` if they lie there.
///
/// # Errors
/// `InvalidModel` when it cannot be read.
pub(crate) fn tensor(from: &candor_onnx::Tensor, folder: &Folder) -> Result<Tensor> {
    let whole = from.resolve(folder).map_err(crate::engine::told)?;
    let dims: Vec<i64> = whole.dims.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    let shape = Shape::new(&dims).map_err(|error| Error::model(error.to_string()))?;
    Tensor::new(shape, data(&whole)?).map_err(|error| Error::model(error.to_string()))
}

fn data(from: &candor_onnx::Tensor) -> Result<TensorData> {
    let Some(datatype) = datatype(from.data_type) else {
        return Err(Error::model("a constant has a datatype that is not supported").got(from.data_type.to_string()));
    };
    let read = || -> candor_onnx::Result<TensorData> {
        Ok(match datatype {
            Datatype::Bool => TensorData::Bool(from.values::<bool>()?.iter().map(|held| u8::from(*held)).collect()),
            Datatype::Uint8 => TensorData::Uint8(from.values()?.into_owned()),
            Datatype::Uint16 => TensorData::Uint16(from.values()?.into_owned()),
            Datatype::Uint32 => TensorData::Uint32(from.values()?.into_owned()),
            Datatype::Uint64 => TensorData::Uint64(from.values()?.into_owned()),
            Datatype::Int8 => TensorData::Int8(from.values()?.into_owned()),
            Datatype::Int16 => TensorData::Int16(from.values()?.into_owned()),
            Datatype::Int32 => TensorData::Int32(from.values()?.into_owned()),
            Datatype::Int64 => TensorData::Int64(from.values()?.into_owned()),
            Datatype::Fp16 => TensorData::Fp16(from.values()?.into_owned()),
            Datatype::Bf16 => TensorData::Bf16(from.values()?.into_owned()),
            Datatype::Fp32 => TensorData::Fp32(from.values()?.into_owned()),
            Datatype::Fp64 => TensorData::Fp64(from.values()?.into_owned()),
            Datatype::Bytes => TensorData::Bytes(from.strings()?.iter().collect::<BytesArray>()),
        })
    };
    read().map_err(crate::engine::told)
}

/// The dimensions of a tensor that is at hand.
pub(crate) fn dims_of(tensor: &Tensor) -> Vec<Dim> {
    tensor.shape().dims().iter().map(|size| Dim::Fixed(size.unsigned_abs())).collect()
}
