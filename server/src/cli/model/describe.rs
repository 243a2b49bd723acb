//! A request that a described model takes, and its signature in words.

use candor_domain::{Dim, TensorSpec};
use serde_json::{Value, json};

use super::list::{list, word};

/// A row that the described model takes, as JSON in the order of its features: in the middle of each range,
/// or whatever is neutral.
pub(super) fn sample_row(description: &Value) -> String {
    let needed = list(description, "features").iter().filter(|feature| feature["required"] != false);
    let members = needed.map(|feature| format!("{}:{}", json!(word(feature, "name")), sample_value(feature)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn sample_value(feature: &Value) -> Value {
    let first = feature.get("categories").and_then(|categories| categories.get(0));
    match (word(feature, "type"), first) {
        (_, Some(first)) => first.clone(),
        ("string", None) => json!("text"),
        ("boolean", None) => json!(true),
        ("array", None) => {
            let element = match word(feature, "datatype") {
                "BYTES" => json!("text"),
                "BOOL" => json!(true),
                _ => json!(0),
            };
            let dims = list(feature, "shape").iter().rev();
            dims.fold(element, |inner, dim| {
                let size = usize::try_from(dim.as_i64().unwrap_or(1).max(1)).unwrap_or(1);
                Value::Array(vec![inner; size])
            })
        }
        (kind, None) => {
            let number = |key: &str| feature.get(key).and_then(Value::as_f64);
            let middle = match (number("min"), number("max")) {
                (Some(min), Some(max)) => f64::midpoint(min, max),
                (Some(min), None) => min.max(1.0),
                (None, Some(max)) => max.min(0.0),
                (None, None) => 0.0,
            };
            #[allow(clippy::cast_possible_truncation, reason = "an example within the range")]
            if kind == "integer" { json!(middle.floor() as i64) } else { json!(middle) }
        }
    }
}

/// A shape with the names of its free dimensions.
pub(super) fn shape_text(spec: &TensorSpec) -> String {
    let Some(dims) = &spec.dims else { return "any shape".to_owned() };
    let dims: Vec<String> = dims.iter().map(Dim::to_string).collect();
    format!("[{}]", dims.join(", "))
}
