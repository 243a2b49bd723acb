//! The documented shapes of bodies. Predictions are read and written without them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::openapi::names::ModelText;

/// Tensors to predict: `instances` or, for TensorFlow Serving, `inputs`; not both.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"instances": [[5.1, 3.5, 1.4, 0.2]]}))]
pub(crate) struct V1Body {
    /// One entry a row: the row's value of the only input; an object of values by input; or an object of features.
    #[schema(nullable = false)]
    instances: Option<Vec<Value>>,
    /// Whole tensors: that of the only input, or an object of tensors by input.
    inputs: Option<Value>,
    /// `serving_default`, the only one that there is.
    signature_name: Option<String>,
}

/// Predictions, one a row: the row of the only output, or an object of rows by output. For `inputs`, `outputs`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Predictions {
    /// One entry a row.
    #[schema(nullable = false)]
    predictions: Option<Vec<Value>>,
    /// The tensor of the only output, or an object of tensors by output.
    outputs: Option<Value>,
}

/// A table to predict, in one of these forms.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"dataframe_split": {
    "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[5.1, 3.5, 1.4, 0.2]]}}))]
pub(crate) struct InvocationBody {
    /// One entry a row: a list of values in the order of the features, an object of features, or a tensor's row.
    #[schema(nullable = false)]
    instances: Option<Vec<Value>>,
    /// Whole tensors, or an object of columns by feature.
    inputs: Option<Value>,
    /// As pandas' `to_dict(orient="split")` gives it; `index` is passed over.
    #[schema(nullable = false)]
    dataframe_split: Option<BTreeMap<String, Vec<Value>>>,
    /// As pandas' `to_dict(orient="records")` gives it.
    #[schema(nullable = false)]
    dataframe_records: Option<Vec<BTreeMap<String, Value>>>,
    /// An empty object or nothing: an ONNX model takes none.
    params: Option<BTreeMap<String, Value>>,
}

/// Instances to predict, as Vertex AI sends them.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"instances": [[5.1, 3.5, 1.4, 0.2]]}))]
pub(crate) struct VertexBody {
    /// One entry a row: a list of values in the order of the features, an object of features, or a tensor's row.
    instances: Vec<Value>,
    /// An empty object or nothing: an ONNX model takes none.
    parameters: Option<BTreeMap<String, Value>>,
}

/// Predictions, one a row.
#[derive(Serialize, ToSchema)]
pub(crate) struct PredictionRows {
    /// One entry a row: `label`, `probabilities`, `scores`, `value`, and `outputs` for what is none of these.
    predictions: Vec<Value>,
    /// Outputs that do not fall apart into rows, by name.
    #[schema(nullable = false)]
    outputs: Option<BTreeMap<String, Value>>,
}

/// Names of models.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelNames {
    /// Those that are ready.
    #[schema(example = json!(["iris", "simple"]))]
    pub(crate) models: Vec<String>,
}

/// A model in SageMaker's words.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelRow {
    /// Its name.
    #[serde(rename = "modelName")]
    #[schema(example = "iris")]
    pub(crate) model_name: String,
    /// Its folder in the model repository, which has the same name.
    #[serde(rename = "modelUrl")]
    #[schema(example = "iris")]
    pub(crate) model_url: String,
}

impl ModelRow {
    pub(crate) fn new(name: &str) -> Self {
        Self { model_name: name.to_owned(), model_url: name.to_owned() }
    }
}

/// Models in SageMaker's words.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelRows {
    /// Those that are ready.
    pub(crate) models: Vec<ModelRow>,
}

/// Which model to load.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"model_name": "iris"}))]
pub(crate) struct LoadBody {
    /// Its name in the model repository.
    #[schema(value_type = ModelText)]
    pub(crate) model_name: String,
    /// Left out, or the model's folder in the repository: models come from nowhere else.
    #[serde(default)]
    pub(crate) url: Option<String>,
}
