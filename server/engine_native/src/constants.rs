//! Constants of the file as tensors of the domain.

use candor_domain::{BytesArray, Datatype, Error, Result, Shape, Tensor, TensorData};
use candor_engine_source::{datatype, told};
use candor_onnx::{Dim, Folder};

use crate::workspace::bounded_shape;

/// A constant of the file, its data read from the model's `folder` if they lie there.
///
/// # Errors
/// `InvalidModel` when it cannot be read.
pub(crate) fn tensor(from: &candor_onnx::Tensor, folder: &Folder) -> Result<Tensor> {
    let whole = from.resolve(folder).map_err(|error| told(&error))?;
    let dims: Vec<i64> = whole.dims.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    let shape = Shape::new(&dims).and_then(|shape| bounded_shape(&shape).map(|()| shape));
    let shape = shape.map_err(|error| Error::model(error.to_string()))?;
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
    read().map_err(|error| told(&error))
}

/// The dimensions of a tensor that is at hand.
pub(crate) fn dims_of(tensor: &Tensor) -> Vec<Dim> {
    tensor.shape().dims().iter().map(|size| Dim::Fixed(size.unsigned_abs())).collect()
}
