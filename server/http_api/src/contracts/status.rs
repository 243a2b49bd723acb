//! Status and metadata in the words of TensorFlow Serving.

use candor_domain::{Datatype, Lifecycle, TensorSpec};
use candor_serving::{IndexEntry, ReadyVersion};
use serde_json::{Map, Value, json};

/// The state of each version, highest first.
pub(crate) fn model_version_status(entries: &[IndexEntry]) -> Value {
    let statuses = entries.iter().rev().filter_map(|entry| {
        let version = entry.version.as_ref()?;
        let (state, code) = match entry.state {
            Lifecycle::Discovered => ("START", "OK"),
            Lifecycle::Loading => ("LOADING", "OK"),
            Lifecycle::Ready => ("AVAILABLE", "OK"),
            Lifecycle::Draining => ("UNLOADING", "OK"),
            Lifecycle::Unloaded => ("END", "OK"),
            Lifecycle::Failed => ("END", "UNKNOWN"),
        };
        let message = if code == "OK" { "" } else { &entry.reason };
        let status = json!({"error_code": code, "error_message": message});
        Some(json!({"version": version.as_str(), "state": state, "status": status}))
    });
    json!({"model_version_status": statuses.collect::<Vec<_>>()})
}

/// What a version takes and gives.
pub(crate) fn metadata(version: &ReadyVersion) -> Value {
    let signature = json!({
        "inputs": tensors(&version.signature.inputs),
        "outputs": tensors(&version.signature.outputs),
        "method_name": "tensorflow/serving/predict",
    });
    json!({
        "model_spec": {"name": version.model.as_str(), "signature_name": "", "version": version.version.as_str()},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    })
}

fn tensors(specs: &[TensorSpec]) -> Map<String, Value> {
    specs.iter().map(|spec| (spec.name.to_string(), tensor(spec))).collect()
}

fn tensor(spec: &TensorSpec) -> Value {
    let dims = spec.dims.iter().flatten();
    let dims: Vec<Value> = dims.map(|dim| json!({"size": dim.wire().to_string(), "name": ""})).collect();
    json!({
        "dtype": dtype(spec.datatype),
        "tensor_shape": {"dim": dims, "unknown_rank": spec.dims.is_none()},
        "name": &*spec.name,
    })
}

const fn dtype(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "DT_BOOL",
        Datatype::Uint8 => "DT_UINT8",
        Datatype::Uint16 => "DT_UINT16",
        Datatype::Uint32 => "DT_UINT32",
        Datatype::Uint64 => "DT_UINT64",
        Datatype::Int8 => "DT_INT8",
        Datatype::Int16 => "DT_INT16",
        Datatype::Int32 => "DT_INT32",
        Datatype::Int64 => "DT_INT64",
        Datatype::Fp16 => "DT_HALF",
        Datatype::Bf16 => "DT_BFLOAT16",
        Datatype::Fp32 => "DT_FLOAT",
        Datatype::Fp64 => "DT_DOUBLE",
        Datatype::Bytes => "DT_STRING",
    }
}
