//! What a model is: its metadata in the protocol's words, its configuration in Triton's.

use std::collections::HashMap;

use candor_domain::{Datatype, Dim, TensorSpec, Version};
use candor_serving::{EngineId, ReadyVersion, VersionPolicy, oip::describe};

use crate::proto::{
    DataType, ModelConfig, ModelInput, ModelMetadataResponse, ModelOutput, ModelParameter, ModelVersionPolicy,
    model_metadata_response::TensorMetadata,
    model_version_policy::{All, Latest, PolicyChoice, Specific},
};

/// Describes one version of a model that has `versions`.
pub(super) fn metadata(version: &ReadyVersion, versions: &[Version]) -> ModelMetadataResponse {
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.to_string(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.wire_shape(),
    };
    ModelMetadataResponse {
        name: version.model.to_string(),
        versions: versions.iter().map(Version::to_string).collect(),
        platform: version.engine.platform.to_owned(),
        inputs: version.signature.inputs.iter().map(tensor).collect(),
        outputs: version.signature.outputs.iter().map(tensor).collect(),
        properties: describe::properties(version).into_iter().collect(),
    }
}

/// One version's configuration.
pub(super) fn config(version: &ReadyVersion) -> ModelConfig {
    let engine = EngineId::from(&version.engine);
    let max_batch_size = describe::max_batch_size(version);
    let dims = |spec: &TensorSpec| -> Vec<i64> {
        let dims = spec.dims.as_deref().unwrap_or(&[Dim::Any(None)]);
        dims.iter().skip(usize::from(max_batch_size > 0)).map(Dim::wire).collect()
    };
    let input = |spec: &TensorSpec| ModelInput {
        name: spec.name.to_string(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec),
    };
    let output = |spec: &TensorSpec| ModelOutput {
        name: spec.name.to_string(),
        data_type: data_type(spec.datatype).into(),
        dims: dims(spec),
        label_filename: version.origin.label_files.get(&*spec.name).cloned().unwrap_or_default(),
    };
    ModelConfig {
        name: version.model.to_string(),
        platform: version.engine.platform.to_owned(),
        backend: version.engine.backend.to_owned(),
        version_policy: Some(ModelVersionPolicy { policy_choice: Some(policy(describe::version_policy(version))) }),
        max_batch_size: i32::try_from(max_batch_size).unwrap_or(i32::MAX),
        input: version.signature.inputs.iter().map(input).collect(),
        output: version.signature.outputs.iter().map(output).collect(),
        default_model_filename: version.origin.file.clone(),
        parameters: HashMap::from([("engine".to_owned(), ModelParameter { string_value: engine.to_string() })]),
    }
}

fn policy(policy: VersionPolicy) -> PolicyChoice {
    match policy {
        VersionPolicy::All => PolicyChoice::All(All {}),
        VersionPolicy::Latest(count) => {
            PolicyChoice::Latest(Latest { num_versions: u32::try_from(count).unwrap_or(u32::MAX) })
        }
        // A version such as 1.4.0 has no number in Triton's words.
        VersionPolicy::Specific(versions) => PolicyChoice::Specific(Specific {
            versions: versions.iter().filter_map(|version| version.as_str().parse().ok()).collect(),
        }),
    }
}

fn data_type(datatype: Datatype) -> DataType {
    match datatype {
        Datatype::Bool => DataType::TypeBool,
        Datatype::Uint8 => DataType::TypeUint8,
        Datatype::Uint16 => DataType::TypeUint16,
        Datatype::Uint32 => DataType::TypeUint32,
        Datatype::Uint64 => DataType::TypeUint64,
        Datatype::Int8 => DataType::TypeInt8,
        Datatype::Int16 => DataType::TypeInt16,
        Datatype::Int32 => DataType::TypeInt32,
        Datatype::Int64 => DataType::TypeInt64,
        Datatype::Fp16 => DataType::TypeFp16,
        Datatype::Bf16 => DataType::TypeBf16,
        Datatype::Fp32 => DataType::TypeFp32,
        Datatype::Fp64 => DataType::TypeFp64,
        Datatype::Bytes => DataType::TypeString,
    }
}
