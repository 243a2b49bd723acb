//! The documented shapes of predict bodies. Reading and writing do not go through them; a test holds the
//! two together.

use std::collections::BTreeMap;

use candor_domain::EngineInfo;
use candor_serving::EngineId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Rows to predict: `rows` or `columns`, not both.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rows": [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}))]
pub struct PredictBody {
    /// One entry a row: an object of features by name, or a list of values in the order of the features.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rows: Option<Vec<Value>>,
    /// A list of values for each feature, by name; all equally long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub columns: Option<BTreeMap<String, Vec<Value>>>,
    /// Echoed in the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 256)]
    pub id: Option<String>,
    /// The caller's own limit on time, in milliseconds; 0 means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 86400000)]
    pub timeout_ms: Option<u64>,
    /// How urgent it is among requests that wait: 1 is the highest level; 0 means the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 100)]
    pub priority: Option<u64>,
}

/// Predictions, one a row, and what made them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "prediction_id": "019a9b1e-6f3c-7c52-9a51-0c8d5b1f2e3a", "model": "iris", "version": "2",
    "engine": {"name": "ort", "version": "1.31.1"},
    "predictions": [{"label": "setosa", "probabilities": {"setosa": 0.999, "versicolor": 0.001, "virginica": 0.0}}],
    "timings_ms": {"queue": 0.0, "decode": 0.01, "run": 0.03}}))]
pub struct PredictReplyBody {
    /// The id of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// This prediction's own id, a UUID of version 7 (RFC 9562), which sorts by time.
    #[schema(format = "uuid")]
    pub prediction_id: String,
    /// The model that answered.
    #[schema(example = "iris")]
    pub model: String,
    /// The version that answered.
    #[schema(example = "2")]
    pub version: String,
    /// The version that would have answered if its circuit breaker were not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fallback_from: Option<String>,
    /// The engine that ran it.
    pub engine: EngineBody,
    /// One entry a row, in the order of the rows.
    pub predictions: Vec<Prediction>,
    /// Outputs that do not fall apart into rows, by name, as nested lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outputs: Option<BTreeMap<String, Value>>,
    /// Where a default or an imputed value of the model's manifest was taken; the first 1,000 places.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub filled: Option<Vec<String>>,
    /// How many places `filled` has, or would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub filled_count: Option<u64>,
    /// Where the time went, in milliseconds.
    pub timings_ms: TimingsBody,
    /// The explanation of the predictions, where `explain=true` asked for it: as `explain` answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<crate::ExplanationBody>)]
    pub explanation: Option<Value>,
}

/// An engine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EngineBody {
    /// Its name.
    #[schema(example = "ort")]
    pub name: String,
    /// Its version.
    #[schema(example = "1.31.1")]
    pub version: String,
}

impl From<&EngineInfo> for EngineBody {
    fn from(info: &EngineInfo) -> Self {
        Self { name: info.name.to_owned(), version: info.version.clone() }
    }
}

impl From<&EngineId> for EngineBody {
    fn from(id: &EngineId) -> Self {
        Self { name: id.name.clone(), version: id.version.clone() }
    }
}

/// One row's prediction. Which members there are depends on the model: its description says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Prediction {
    /// The class that was chosen: its label, or its number where the model has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub label: Option<String>,
    /// The probability of each class, by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub probabilities: Option<BTreeMap<String, f64>>,
    /// A score of each class that is no probability, by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scores: Option<BTreeMap<String, f64>>,
    /// The number that was predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<f64>,
    /// Other outputs by name; lists are nested as their dimensions are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outputs: Option<BTreeMap<String, Value>>,
}

/// Milliseconds by phase.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TimingsBody {
    /// Waiting for a thread; 0 for what is answered where it came in.
    pub queue: f64,
    /// Reading the request.
    pub decode: f64,
    /// Inside the engine, and the stages around it.
    pub run: f64,
    /// What each part of `run` took, for a model that is more than a graph; for all requests of a batch together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!({"tokenizer": 0.05, "engine": 1.2, "pooling": 0.01}))]
    pub stages: Option<BTreeMap<String, f64>>,
}
