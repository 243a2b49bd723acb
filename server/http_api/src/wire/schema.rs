//! The documented shapes of infer bodies. Decoding and encoding do not go through them (they go straight
//! between the body and typed buffers); a test holds the two together.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// An inference request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"inputs": [
    {"name": "features", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}))]
pub struct InferBody {
    /// Echoed in the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `binary_data_output` (boolean): outputs as bytes; `timeout` (microseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameters: Option<Map<String, Value>>,
    /// Every input of the model, in any order.
    pub inputs: Vec<InputTensor>,
    /// The outputs that are wanted; all of them if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outputs: Option<Vec<WantedOutput>>,
}

/// An input.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct InputTensor {
    /// Its name in the model's metadata.
    #[schema(example = "features")]
    pub name: String,
    /// Sizes of its dimensions, outermost first.
    #[schema(example = json!([1, 4]))]
    pub shape: Vec<i64>,
    /// BOOL, UINT8…UINT64, INT8…INT64, FP16, BF16, FP32, FP64 or BYTES.
    #[schema(example = "FP32")]
    pub datatype: String,
    /// `binary_data_size`: bytes of this tensor behind the JSON, in place of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameters: Option<Map<String, Value>>,
    /// Elements in row-major order, flat or nested as the shape says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([5.1, 3.5, 1.4, 0.2]))]
    pub data: Option<Vec<Value>>,
}

/// An output that is wanted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WantedOutput {
    /// Its name in the model's metadata.
    #[schema(example = "probabilities")]
    pub name: String,
    /// `binary_data` (boolean): as bytes; `classification` (n): its n best classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameters: Option<Map<String, Value>>,
}

/// An inference reply.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"model_name": "iris", "model_version": "2", "outputs": [
    {"name": "label", "datatype": "INT64", "shape": [1], "data": [0]}]}))]
pub struct InferReplyBody {
    /// The id of the request, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// The model that answered.
    pub model_name: String,
    /// The version that answered.
    pub model_version: String,
    /// The outputs, in the order in which they were asked for.
    pub outputs: Vec<OutputTensor>,
}

/// An output.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OutputTensor {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub datatype: String,
    /// Sizes of its dimensions, outermost first.
    pub shape: Vec<i64>,
    /// `binary_data_size`: bytes of this tensor behind the JSON, in place of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameters: Option<Map<String, Value>>,
    /// Elements in row-major order, flat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub data: Option<Vec<Value>>,
}

/// What went wrong: what, where, what was expected, what came, and how to fix it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// One line for people.
    #[schema(example = "/inputs/0/datatype: there is no such datatype; expected BOOL, UINT8, …, got \"float\"")]
    pub error: String,
}
