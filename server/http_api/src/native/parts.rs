//! What a version is made of, for descriptions.

use candor_serving::Part;
use serde::Serialize;
use utoipa::ToSchema;

/// One part of a version that is more than a graph, in the order in which they run.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartBody {
    /// What it is called in timings, errors and metrics.
    #[schema(example = "tokenizer")]
    pub name: String,
    /// `before` or `after` the engine, `engine`, `member` of an ensemble, or its `combiner`.
    #[schema(example = "before")]
    pub role: String,
    /// The component that does it; not there for an engine that reads a graph, and for a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "candor.tokenizer")]
    pub component: Option<String>,
    /// Where that comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub plugin: Option<OriginBody>,
    /// What it reads, by the model's names.
    #[schema(example = json!(["sentence"]))]
    pub inputs: Vec<String>,
    /// What it gives, by the model's names.
    #[schema(example = json!(["input_ids", "attention_mask"]))]
    pub outputs: Vec<String>,
    /// Whether the same inputs give the same outputs, as far as it tells.
    #[schema(example = true)]
    pub deterministic: bool,
}

/// A plugin, as a part of a version comes from it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OriginBody {
    /// Its name.
    #[schema(example = "candor-tokenizer")]
    pub name: String,
    /// Its version.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// sha256 of its library, in hex; not there for one that is compiled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sha256: Option<String>,
}

impl From<&Part> for PartBody {
    fn from(part: &Part) -> Self {
        let origin = part.origin();
        Self {
            name: part.name.clone(),
            role: part.role.word().to_owned(),
            component: part.id.clone(),
            plugin: origin.map(|origin| OriginBody {
                name: origin.plugin,
                version: origin.version,
                sha256: origin.sha256,
            }),
            inputs: part.inputs.clone(),
            outputs: part.outputs.clone(),
            deterministic: part.deterministic,
        }
    }
}
