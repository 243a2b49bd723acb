//! What a model is: its metadata in the protocol's words, its configuration in Triton's.

use std::collections::BTreeMap;

use candor_domain::{Datatype, Dim, TensorSpec, Version};
use candor_serving::{EngineId, ReadyVersion, VersionPolicy, oip::describe};
use serde::Serialize;
use utoipa::ToSchema;

/// A model's metadata.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelMetadata {
    /// The model.
    #[schema(example = "iris")]
    pub name: String,
    /// Its ready versions, lowest first.
    #[schema(example = json!(["1", "2"]))]
    pub versions: Vec<String>,
    /// The platform, as Triton's clients know it.
    #[schema(example = "onnxruntime_onnx")]
    pub platform: String,
    /// What it takes.
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata>,
    /// Facts about the version that is described: title, licence, engine, digest, what its file says; `notes` tell
    /// what the files of the model say that means nothing here.
    #[schema(example = json!({"title": "Iris species", "version": "2", "engine": "ort 1.31.1"}))]
    pub properties: BTreeMap<String, String>,
}

/// An input or output.
#[derive(Debug, Serialize, ToSchema)]
pub struct TensorMetadata {
    /// Its name.
    #[schema(example = "features")]
    pub name: String,
    /// Its element type.
    #[schema(example = "FP32")]
    pub datatype: String,
    /// Sizes of its dimensions; −1 stands for any size.
    #[schema(example = json!([-1, 4]))]
    pub shape: Vec<i64>,
}

impl From<&TensorSpec> for TensorMetadata {
    fn from(spec: &TensorSpec) -> Self {
        Self { name: spec.name.to_string(), datatype: spec.datatype.name().to_owned(), shape: spec.wire_shape() }
    }
}

impl ModelMetadata {
    /// Describes one version of a model that has `versions`.
    #[must_use]
    pub fn new(version: &ReadyVersion, versions: &[Version]) -> Self {
        Self {
            name: version.model.to_string(),
            versions: versions.iter().map(Version::to_string).collect(),
            platform: version.engine.platform.to_owned(),
            inputs: version.signature.inputs.iter().map(TensorMetadata::from).collect(),
            outputs: version.signature.outputs.iter().map(TensorMetadata::from).collect(),
            properties: describe::properties(version),
        }
    }
}

/// A model's configuration as Triton's `ModelConfig` has it.
///
/// Where `max_batch_size` is above 0, `dims` leave the batch dimension out; where it is 0, there is no
/// limit on rows and `dims` are whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelConfig {
    /// The model.
    #[schema(example = "simple")]
    pub name: String,
    /// Its platform.
    #[schema(example = "onnxruntime_onnx")]
    pub platform: String,
    /// Its backend.
    #[schema(example = "onnxruntime")]
    pub backend: String,
    /// Which versions are served.
    #[schema(example = json!({"latest": {"num_versions": 1}}))]
    pub version_policy: BTreeMap<String, serde_json::Value>,
    /// Most rows in one request; 0 for no limit.
    #[schema(example = 8)]
    pub max_batch_size: u64,
    /// What it takes.
    pub input: Vec<TensorConfig>,
    /// What it gives.
    pub output: Vec<TensorConfig>,
    /// The file that is served.
    #[schema(example = "model.onnx")]
    pub default_model_filename: String,
    /// `engine`: name and version of the engine that runs it.
    #[schema(example = json!({"engine": {"string_value": "ort 1.31.1"}}))]
    pub parameters: BTreeMap<String, TextParameter>,
}

/// A parameter in Triton's words.
#[derive(Debug, Serialize, ToSchema)]
pub struct TextParameter {
    /// Its value.
    #[schema(example = "ort 1.31.1")]
    pub string_value: String,
}

/// An input or output in Triton's words.
#[derive(Debug, Serialize, ToSchema)]
pub struct TensorConfig {
    /// Its name.
    #[schema(example = "INPUT0")]
    pub name: String,
    /// Its element type.
    #[schema(example = "TYPE_INT32")]
    pub data_type: String,
    /// Sizes of its dimensions; −1 stands for any size.
    #[schema(example = json!([16]))]
    pub dims: Vec<i64>,
    /// The file that holds the labels of an output's classes, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub label_filename: Option<String>,
}

impl TensorConfig {
    fn new(spec: &TensorSpec, without_batch: bool) -> Self {
        let is_text = spec.datatype == Datatype::Bytes;
        let data_type = if is_text { "TYPE_STRING".to_owned() } else { format!("TYPE_{}", spec.datatype) };
        let dims = spec.dims.as_deref().unwrap_or(&[Dim::Any(None)]);
        let dims = dims.iter().skip(usize::from(without_batch)).map(Dim::wire).collect();
        Self { name: spec.name.to_string(), data_type, dims, label_filename: None }
    }
}

impl ModelConfig {
    /// Describes one version of a model.
    #[must_use]
    pub fn new(version: &ReadyVersion) -> Self {
        let signature = &version.signature;
        let engine = EngineId::from(&version.engine);
        let max_batch_size = describe::max_batch_size(version);
        let policy = match describe::version_policy(version) {
            VersionPolicy::All => ("all", serde_json::json!({})),
            VersionPolicy::Latest(count) => ("latest", serde_json::json!({"num_versions": count})),
            VersionPolicy::Specific(versions) => {
                let versions: Vec<_> = versions.iter().map(Version::as_str).collect();
                ("specific", serde_json::json!({"versions": versions}))
            }
        };
        let config = |spec: &TensorSpec| TensorConfig::new(spec, max_batch_size > 0);
        let labelled = |spec: &TensorSpec| TensorConfig {
            label_filename: version.origin.label_files.get(&*spec.name).cloned(),
            ..config(spec)
        };
        Self {
            name: version.model.to_string(),
            platform: version.engine.platform.to_owned(),
            backend: version.engine.backend.to_owned(),
            version_policy: BTreeMap::from([(policy.0.to_owned(), policy.1)]),
            max_batch_size,
            input: signature.inputs.iter().map(config).collect(),
            output: signature.outputs.iter().map(labelled).collect(),
            default_model_filename: version.origin.file.clone(),
            parameters: BTreeMap::from([("engine".to_owned(), TextParameter { string_value: engine.to_string() })]),
        }
    }
}
