//! What ONNX Runtime's numbers mean in the server's words, and the other way round.
//!
//! `engine` and `raw` ask; nothing is called here, so nothing is unsafe.

use candor_domain::{Datatype, ErrorCode};
use ort::{
    sys::{ONNXTensorElementDataType as Element, OrtErrorCode},
    value::{TensorElementType, ValueType},
};

/// A side of a graph.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// What goes in.
    Input,
    /// What comes out.
    Output,
}

impl Side {
    /// The side as a word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// What a value is that may be no tensor.
pub(crate) fn kind(value: &ValueType) -> &'static str {
    match value {
        ValueType::Tensor { .. } => "tensor",
        ValueType::Sequence(_) => "sequence",
        ValueType::Map { .. } => "map",
        ValueType::Optional(_) => "optional",
    }
}

/// The protocol's datatype; none for what it does not have.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the rest are sub-byte, complex and 8-bit floats, absent from the protocol"
)]
pub(crate) fn datatype(ty: TensorElementType) -> Option<Datatype> {
    Some(match ty {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// The library's name of a datatype.
pub(crate) fn element(datatype: Datatype) -> Element {
    match datatype {
        Datatype::Bool => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        Datatype::Uint8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        Datatype::Uint16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        Datatype::Uint32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        Datatype::Uint64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        Datatype::Int8 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        Datatype::Int16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        Datatype::Int32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        Datatype::Int64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        Datatype::Fp16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        Datatype::Bf16 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        Datatype::Fp32 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        Datatype::Fp64 => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        Datatype::Bytes => Element::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    }
}

/// Whose fault a failed run is. The graph was accepted when it was loaded, so a node that fails
/// now was given values or sizes that it cannot work with (text that is no number, shapes that do not
/// fit); the library calls that an invalid argument, a failure or an exception, as each node likes. What
/// ran out of memory is not told apart by the code, only by the words.
pub(crate) fn code_of_run(code: OrtErrorCode, message: &str) -> ErrorCode {
    const NO_MEMORY: [&str; 3] = ["bad_alloc", "Failed to allocate", "bad allocation"];
    let by_node = matches!(code, OrtErrorCode::ORT_FAIL | OrtErrorCode::ORT_RUNTIME_EXCEPTION)
        && message.contains("while running")
        && !NO_MEMORY.iter().any(|words| message.contains(words));
    if by_node || code == OrtErrorCode::ORT_INVALID_ARGUMENT {
        ErrorCode::InvalidInput
    } else {
        ErrorCode::EngineFailed
    }
}
