//! The documented shapes of what is asked. Reading does not go through them; a test holds the two together.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Rows to explain: `rows` or `columns`, not both; and what is asked of them.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"rows": [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}], "output": "setosa"}))]
pub struct ExplainBody {
    /// One entry a row: an object of features by name, or a list of values in the order of the features.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 1)]
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
    #[serde(flatten)]
    #[schema(inline = false)]
    pub question: QuestionBody,
}

/// What is asked of an explanation.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct QuestionBody {
    /// `auto`, `linear`, `tree`, `exact`, `kernel`, `permutation`, `lime`, `occlusion`, `integrated_gradients`, or the
    /// name of a component.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "auto")]
    pub method: Option<String>,
    /// A class by its label or its number, an output by its name, or a list of those; all classes if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub output: Option<Value>,
    /// `probability`, `margin` or `raw`; what the method is best at if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "probability")]
    pub space: Option<String>,
    /// Evaluations of the model per row at most, for sampled methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub budget: Option<u64>,
    /// Seed of sampled methods.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    pub seed: Option<u64>,
    /// The rows that stand for "absent": an id, or `{"id": "…", "summary": 10}` for so many centres in their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub background: Option<Value>,
    /// Features that are explained as one: `declared` in the model's manifest, or lists of features by the name of the
    /// group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub groups: Option<Value>,
    /// Whether the shares of pairs of features are wanted too, where the method knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub interactions: Option<bool>,
    /// More choices for the method, by its own names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub options: Option<Value>,
}

/// What a prediction may be asked in its query string.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by the derive only")]
pub(crate) struct PredictParameters {
    /// `true` for a prediction with its explanation, of the same version. `method`, `output` (classes by label or number,
    /// or outputs by name, separated by commas), `space`, `budget`, `seed`, `background`, `summary`, `groups` (`declared`)
    /// and `interactions` may stand beside it and mean what they mean for `explain`; in a JSON body, a member `explain`
    /// with the members of `explain` says the same.
    #[param(required = false, nullable = false, example = false)]
    explain: Option<bool>,
}

/// What may be said of the picture or the report of a row.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by the derive only")]
pub(crate) struct PictureParameters {
    /// `waterfall`, `force`, `bar`, or where parts of an image were covered `heat_map`; `waterfall` if absent, of such
    /// an image `heat_map`. With `Accept: image/svg+xml` only.
    #[param(required = false, nullable = false, example = "waterfall")]
    picture: Option<String>,
    /// The row that is shown, from 0. For a picture or a report only.
    #[param(required = false, nullable = false, minimum = 0, example = 0)]
    row: Option<u64>,
    /// `true` for a report that also looks for what would have changed the answer. With `Accept: text/html` only.
    #[param(required = false, nullable = false, example = false)]
    counterfactuals: Option<bool>,
}

/// What may be said of the picture or the report of a job's result.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by the derive only")]
pub(crate) struct ResultParameters {
    /// `bar` (mean shares), `beeswarm` and `dependence` (both of an order with `keep_rows`), `importance` (by
    /// permutation), `partial_dependence` or `local_effects`; what fits the result best if absent. With
    /// `Accept: image/svg+xml` only.
    #[param(required = false, nullable = false, example = "bar")]
    picture: Option<String>,
    /// The feature that is shown; for dependence the largest, otherwise the first, if absent. For a picture only.
    #[param(required = false, nullable = false, example = "petal_length")]
    feature: Option<String>,
    /// The output that is shown, a class by its label; the first if absent. For a picture or a report only.
    #[param(required = false, nullable = false, example = "setosa")]
    output: Option<String>,
}
