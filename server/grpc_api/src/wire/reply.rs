//! An infer reply in the form of its request: raw when that was raw, else typed.
//!
//! FP16 and BF16 have no typed form; a reply that holds one is raw altogether, because the two do not mix.

use std::collections::HashMap;

use bytes::Bytes;
use candor_domain::{Result, Tensor, TensorData};
use candor_serving::{
    Ran,
    oip::{
        bytes::{wire_bytes, write_tensor},
        classification,
    },
};

use super::request::Wish;
use crate::proto::{
    InferParameter, InferTensorContents, ModelInferResponse, infer_parameter::ParameterChoice,
    model_infer_response::InferOutputTensor,
};

/// The parameter of a reply that another version than the one that was asked for has given, because the breaker of
/// that one is open: it names that one.
const FALLBACK_FROM: &str = "candor_fallback_from";
/// The parameter that says with how many others a request of the pool ran, and why not with more.
const BATCH: &str = "candor_batch";
/// The parameter that says what the cache of answers did, where the version keeps them.
const CACHE: &str = "candor_cache";

fn text(text: &str) -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::StringParam(text.to_owned())) }
}

/// Writes the reply to a request that had `id`, wished for `wishes` and was `raw` or not.
pub(super) fn write(ran: Ran<'_>, id: String, wishes: &[Wish], raw: bool) -> Result<ModelInferResponse> {
    let Ran { version, fallback_from, batch, cache, outputs, .. } = ran;
    let (specs, batched) = (&version.signature.outputs, version.signature.is_batched());
    let mut named: Vec<(String, Tensor)> = Vec::with_capacity(wishes.len());
    for (wish, tensor) in wishes.iter().zip(outputs) {
        let Some(spec) = specs.get(wish.output) else { continue };
        let tensor = match wish.classes {
            None => tensor,
            Some(count) => classification::top(&tensor, count, version.manifest.labels(&spec.name), batched)
                .map_err(|error| error.at(format!("output '{}'", spec.name)))?,
        };
        named.push((spec.name.to_string(), tensor));
    }
    let raw = raw || named.iter().any(|(_, tensor)| is_half(tensor.data()));
    let mut reply = ModelInferResponse {
        model_name: version.model.to_string(),
        model_version: version.version.to_string(),
        id,
        parameters: fallback_from
            .map(|version| (FALLBACK_FROM.to_owned(), text(version.as_str())))
            .into_iter()
            .chain(batch.map(|batch| (BATCH.to_owned(), text(&batch.to_string()))))
            .chain(cache.map(|note| (CACHE.to_owned(), text(note.word()))))
            .collect(),
        outputs: Vec::with_capacity(named.len()),
        raw_output_contents: Vec::new(),
    };
    for (name, tensor) in named {
        let datatype = tensor.datatype().name().to_owned();
        let (shape, data) = tensor.into_parts();
        let contents = if raw {
            reply.raw_output_contents.push(raw_contents(&data));
            None
        } else {
            Some(typed_contents(data))
        };
        let (shape, parameters) = (shape.dims().to_vec(), HashMap::new());
        reply.outputs.push(InferOutputTensor { name, datatype, shape, parameters, contents });
    }
    Ok(reply)
}

fn is_half(data: &TensorData) -> bool {
    matches!(data, TensorData::Fp16(_) | TensorData::Bf16(_))
}

fn raw_contents(data: &TensorData) -> Bytes {
    let mut bytes = Vec::with_capacity(wire_bytes(data));
    write_tensor(data, &mut bytes);
    bytes.into()
}

fn typed_contents(data: TensorData) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::Bool(values) => contents.bool_contents = values.into_iter().map(|value| value != 0).collect(),
        TensorData::Int8(values) => contents.int_contents = values.into_iter().map(i32::from).collect(),
        TensorData::Int16(values) => contents.int_contents = values.into_iter().map(i32::from).collect(),
        TensorData::Int32(values) => contents.int_contents = values,
        TensorData::Int64(values) => contents.int64_contents = values,
        TensorData::Uint8(values) => contents.uint_contents = values.into_iter().map(u32::from).collect(),
        TensorData::Uint16(values) => contents.uint_contents = values.into_iter().map(u32::from).collect(),
        TensorData::Uint32(values) => contents.uint_contents = values,
        TensorData::Uint64(values) => contents.uint64_contents = values,
        TensorData::Fp32(values) => contents.fp32_contents = values,
        TensorData::Fp64(values) => contents.fp64_contents = values,
        TensorData::Bytes(strings) => contents.bytes_contents = strings.iter().map(Bytes::copy_from_slice).collect(),
        // Raw: see `write`.
        TensorData::Fp16(_) | TensorData::Bf16(_) => {}
    }
    contents
}
