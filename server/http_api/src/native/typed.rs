//! The API document of one served model: its own feature names, types, ranges and labels, so that a
//! generated client has `sepal_length: float`.
//!
//! Made from the version that is ready; everything that does not depend on the model is taken from the
//! server's own document.

use candor_domain::Dim;
use candor_serving::{
    ReadyVersion, Role,
    features::{FeatureKind, FeatureSpec, OutputNotes, Place, RowCount},
};
use serde_json::{Map, Value, json};

use super::catalog::filler_value;
use super::head::{ID_CHARS_MAX, PRIORITY_MAX, TIMEOUT_MS_MAX};
use crate::openapi::errors;

/// The document of the model that `version` belongs to, in OpenAPI 3.1; `server` is the server's own.
pub(crate) fn document(version: &ReadyVersion, server: &Value) -> Value {
    let (model, manifest) = (version.model.as_str(), &version.manifest);
    let title = manifest.title.as_deref().unwrap_or(model);
    let set = version.features.as_ref().ok();
    let features = set.map(|set| set.all()).unwrap_or_default();
    let mut components = Map::new();
    components.insert("Row".to_owned(), row_schema(features));
    components.insert("PredictRequest".to_owned(), request_schema(version, features));
    components.insert("Prediction".to_owned(), prediction_schema(version));
    components.insert("PredictReply".to_owned(), reply_schema(version));
    for name in ["EngineBody", "TimingsBody", "ProblemBody", "ProblemDetail"] {
        if let Some(schema) = server.pointer(&format!("/components/schemas/{name}")) {
            components.insert(name.to_owned(), schema.clone());
        }
    }
    let mut paths = Map::new();
    if set.is_some() {
        paths.insert(format!("/api/v1/models/{model}/predict"), predict_path(version, server));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version.version.as_str(),
            "description": manifest.description.clone().unwrap_or_default(),
            "x-model": model,
            "x-sha256": version.sha256,
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": server.pointer("/components/responses").map(problem_answers),
            "securitySchemes": server.pointer("/components/securitySchemes").cloned().unwrap_or_else(|| json!({})),
        },
        "security": server.get("security").cloned().unwrap_or_else(|| json!([])),
        "tags": [{"name": model, "description": title}],
    })
}

/// The error answers of the native API.
fn problem_answers(all: &Value) -> Value {
    let named = |(name, _): &(&String, &Value)| name.ends_with(errors::OF_PROBLEMS);
    let all = all.as_object().into_iter().flatten().filter(named);
    all.map(|(name, answer)| (name.clone(), answer.clone())).collect()
}

/// One row as an object of features.
fn row_schema(features: &[FeatureSpec]) -> Value {
    let properties: Map<String, Value> =
        features.iter().map(|feature| (feature.name.to_string(), feature_schema(feature))).collect();
    let required: Vec<&str> =
        features.iter().filter(|feature| feature.notes.default.is_none()).map(|feature| &*feature.name).collect();
    let undeclared = features.iter().any(|feature| !feature.declared);
    let description = if undeclared {
        "One row. Features that the model's model.toml does not name are called after their input, or f0, f1, … by \
         their column."
    } else {
        "One row."
    };
    let mut schema = json!({
        "type": "object", "description": description, "properties": properties, "additionalProperties": false});
    if let Some(object) = schema.as_object_mut() {
        object.extend(example_row(features).map(|row| ("example".to_owned(), row)));
        if !required.is_empty() {
            object.insert("required".to_owned(), json!(required));
        }
    }
    schema
}

fn feature_schema(feature: &FeatureSpec) -> Value {
    let notes = &feature.notes;
    let mut schema = element_schema(feature);
    if let Place::Whole(dims) = &feature.place {
        for dim in dims.iter().rev() {
            schema = match dim {
                Dim::Fixed(size) => json!({"type": "array", "minItems": size, "maxItems": size, "items": schema}),
                Dim::Any(_) => json!({"type": "array", "minItems": 1, "items": schema}),
            };
        }
    }
    let Some(object) = schema.as_object_mut() else { return schema };
    let unit = notes.unit.as_ref().map(|unit| format!("in {unit}"));
    let kind = feature.kind();
    // Not as `default`: generated clients would send it themselves, and the answer could not tell that it was taken.
    let default = notes.default.as_ref().map(|default| filler_value(default, kind));
    let left_out = default.as_ref().map(|default| format!("left out, it is {default}"));
    let impute = notes.impute.as_ref().map(|impute| format!("null is taken as {}", filler_value(impute, kind)));
    let described: Vec<String> = [notes.description.clone(), unit, left_out, impute].into_iter().flatten().collect();
    if !described.is_empty() {
        object.insert("description".to_owned(), described.join(", ").into());
    }
    object.extend(default.map(|default| ("x-default".to_owned(), default)));
    if notes.impute.is_some() {
        if let Some(kind) = object.get("type").cloned() {
            object.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    schema
}

fn element_schema(feature: &FeatureSpec) -> Value {
    use candor_domain::Datatype as D;
    let notes = &feature.notes;
    let mut schema = Map::from_iter([("type".to_owned(), json!(feature.kind().word()))]);
    let (format, natural) = match feature.datatype {
        // Half floats' own bounds need more digits than they have; whoever comes near them is told.
        D::Fp16 | D::Bf16 => (Some("float"), None),
        D::Fp32 => (Some("float"), Some((json!(f64::from(f32::MIN)), json!(f64::from(f32::MAX))))),
        D::Fp64 => (Some("double"), None),
        D::Int64 => (Some("int64"), Some((json!(i64::MIN), json!(i64::MAX)))),
        D::Int32 => (Some("int32"), Some((json!(i32::MIN), json!(i32::MAX)))),
        D::Int16 => (Some("int32"), Some((json!(i16::MIN), json!(i16::MAX)))),
        D::Int8 => (Some("int32"), Some((json!(i8::MIN), json!(i8::MAX)))),
        D::Uint64 => (None, Some((json!(0), json!(u64::MAX)))),
        D::Uint32 => (Some("int64"), Some((json!(0), json!(u32::MAX)))),
        D::Uint16 => (Some("int32"), Some((json!(0), json!(u16::MAX)))),
        D::Uint8 => (Some("int32"), Some((json!(0), json!(u8::MAX)))),
        D::Bool | D::Bytes => (None, None),
    };
    if let Some(format) = format {
        schema.insert("format".to_owned(), format.into());
    }
    let (least, most) = natural.unzip();
    let integer = feature.kind() == FeatureKind::Integer;
    // Whole numbers within the declared range and that of the datatype.
    let bound = |declared: Option<f64>, natural: Option<Value>, tighter: fn(f64, f64) -> f64, whole: fn(f64) -> f64| {
        let own = natural.as_ref().and_then(Value::as_f64);
        match declared {
            None => natural,
            Some(declared) if own.is_some_and(|own| tighter(own, declared) == own) => natural,
            Some(declared) if integer => Some(json!(whole(declared) as i64)),
            Some(declared) => Some(json!(declared)),
        }
    };
    let least = bound(notes.min, least, f64::max, f64::ceil);
    let most = bound(notes.max, most, f64::min, f64::floor);
    schema.extend(least.map(|least| ("minimum".to_owned(), least)));
    schema.extend(most.map(|most| ("maximum".to_owned(), most)));
    if !notes.categories.is_empty() {
        schema.insert("enum".to_owned(), json!(notes.categories));
    }
    Value::Object(schema)
}

/// A row that the model takes: in the middle of each range, or the least that is taken. None where it would be
/// longer than anybody reads.
fn example_row(features: &[FeatureSpec]) -> Option<Value> {
    const ELEMENTS_MAX: usize = 1000;
    let size = |dim: &Dim| usize::try_from(dim.wire()).unwrap_or(1);
    let elements = |feature: &FeatureSpec| match &feature.place {
        Place::Column(_) => 1,
        Place::Whole(dims) => dims.iter().map(size).fold(1, usize::saturating_mul),
    };
    if features.iter().map(elements).fold(0, usize::saturating_add) > ELEMENTS_MAX {
        return None;
    }
    let value = |feature: &FeatureSpec| {
        let notes = &feature.notes;
        let element = match feature.kind() {
            FeatureKind::Boolean => json!(false),
            FeatureKind::String => json!(notes.categories.first().map_or("", String::as_str)),
            FeatureKind::Integer | FeatureKind::Number => {
                let middle = match (notes.min, notes.max) {
                    (Some(min), Some(max)) => f64::midpoint(min, max),
                    (Some(bound), None) | (None, Some(bound)) => bound,
                    (None, None) => 0.0,
                };
                // Half way through a declared range may lie beyond the datatype's own.
                let schema = element_schema(feature);
                let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
                let middle = bound("minimum").map_or(middle, |least| middle.max(least));
                let middle = bound("maximum").map_or(middle, |most| middle.min(most));
                if feature.kind() == FeatureKind::Integer { json!(middle as i64) } else { json!(middle) }
            }
        };
        match &feature.place {
            Place::Column(_) => element,
            Place::Whole(dims) => dims.iter().rev().fold(element, |inner, dim| Value::Array(vec![inner; size(dim)])),
        }
    };
    Some(features.iter().map(|feature| (feature.name.to_string(), value(feature))).collect::<Map<_, _>>().into())
}

fn request_schema(version: &ReadyVersion, features: &[FeatureSpec]) -> Value {
    let count = version.features.as_ref().map(|set| set.rows());
    let (least, most) = match count {
        Ok(RowCount::Exactly(rows)) => (rows as u64, Some(rows as u64)),
        Ok(RowCount::Single) => (1, Some(1)),
        Ok(RowCount::Free) | Err(_) => (1, version.manifest.batch_rows_max),
    };
    let mut rows = json!({
        "type": "array", "description": "The rows to predict.", "minItems": least,
        "items": {"$ref": "#/components/schemas/Row"}});
    if let (Some(most), Some(object)) = (most, rows.as_object_mut()) {
        object.insert("maxItems".to_owned(), most.into());
    }
    // As many rows as it must have, if they are few.
    const EXAMPLE_ROWS_MAX: usize = 8;
    let rows_wanted = usize::try_from(least).ok().filter(|rows| *rows <= EXAMPLE_ROWS_MAX);
    let example = example_row(features).zip(rows_wanted).map(|(row, rows)| json!({"rows": vec![row; rows]}));
    let mut schema = json!({
        "type": "object", "description": "Rows to predict.", "required": ["rows"], "additionalProperties": false,
        "properties": {
            "rows": rows,
            "id": {"type": "string", "description": "Echoed in the reply.", "maxLength": ID_CHARS_MAX},
            "timeout_ms": {"type": "integer", "minimum": 0, "maximum": TIMEOUT_MS_MAX,
                "description": "The caller's own limit on time, in milliseconds; 0 means none."},
            "priority": {"type": "integer", "minimum": 0, "maximum": PRIORITY_MAX,
                "description": "How urgent it is among requests that wait: 1 is the highest level; 0 means the model's own."},
        },
    });
    if let Some(object) = schema.as_object_mut() {
        object.extend(example.map(|example| ("example".to_owned(), example)));
    }
    schema
}

fn prediction_schema(version: &ReadyVersion) -> Value {
    let (mut properties, mut required, mut others) = (Map::new(), Vec::new(), Map::new());
    for notes in version.answers.outputs() {
        let described = |fallback: &str| notes.description.clone().unwrap_or_else(|| fallback.to_owned());
        let (member, schema) = match notes.role {
            Role::Label => {
                let mut schema = json!({"type": "string", "description": described("The class that was chosen.")});
                if let (false, Some(object)) = (notes.labels.is_empty(), schema.as_object_mut()) {
                    object.insert("enum".to_owned(), json!(notes.labels));
                }
                ("label", schema)
            }
            Role::Probabilities => {
                ("probabilities", classes_schema(notes, &described("The probability of each class.")))
            }
            Role::Scores => ("scores", classes_schema(notes, &described("A score of each class."))),
            Role::Value => {
                let kind = FeatureKind::of(notes.datatype).word();
                ("value", json!({"type": kind, "description": described("The value that was predicted.")}))
            }
            Role::Other => {
                // What is one for all rows stands beside the predictions.
                if notes.by_row != Some(false) {
                    others.insert(notes.name.to_string(), nested_schema(notes));
                }
                continue;
            }
        };
        properties.insert(member.to_owned(), schema);
        required.push(member);
    }
    if !others.is_empty() {
        let outputs = json!({
            "type": "object", "properties": others, "description": "Other outputs, as nested lists."});
        properties.insert("outputs".to_owned(), outputs);
    }
    let mut schema = json!({"type": "object", "description": "One row's prediction.", "properties": properties});
    if let (false, Some(object)) = (required.is_empty(), schema.as_object_mut()) {
        object.insert("required".to_owned(), json!(required));
    }
    schema
}

/// An output as nested lists of its elements; anything where the graph does not say how deep they are.
fn nested_schema(notes: &OutputNotes) -> Value {
    let element = json!({"type": FeatureKind::of(notes.datatype).word()});
    match &notes.dims {
        None => json!({}),
        Some(dims) => dims.iter().fold(element, |inner, _| json!({"type": "array", "items": inner})),
    }
}

fn classes_schema(notes: &OutputNotes, description: &str) -> Value {
    let number = json!({"type": "number", "format": "double"});
    if notes.labels.is_empty() {
        return json!({"type": "object", "description": description, "additionalProperties": number});
    }
    let properties: Map<String, Value> = notes.labels.iter().map(|label| (label.clone(), number.clone())).collect();
    json!({"type": "object", "description": description, "required": notes.labels, "properties": properties})
}

fn reply_schema(version: &ReadyVersion) -> Value {
    let shared =
        version.answers.outputs().iter().filter(|notes| notes.by_row != Some(true) && notes.role == Role::Other);
    let shared: Map<String, Value> = shared.map(|notes| (notes.name.to_string(), nested_schema(notes))).collect();
    let mut schema = json!({
        "type": "object", "description": "Predictions, one a row, and what made them.",
        "required": ["prediction_id", "model", "version", "engine", "predictions", "timings_ms"],
        "properties": {
            "id": {"type": "string", "description": "The id of the request, if it had one."},
            "prediction_id": {"type": "string", "format": "uuid",
                "description": "This prediction's own id, a UUID of version 7 (RFC 9562), which sorts by time."},
            "model": {"type": "string", "description": "The model that answered."},
            "version": {"type": "string", "description": "The version that answered."},
            "engine": {"$ref": "#/components/schemas/EngineBody"},
            "predictions": {"type": "array", "description": "One entry a row, in the order of the rows.",
                "items": {"$ref": "#/components/schemas/Prediction"}},
            "filled": {"type": "array", "items": {"type": "string"},
                "description": "Where a default or an imputed value was taken; the first 1,000 places."},
            "filled_count": {"type": "integer", "format": "int64", "description": "How many places those are."},
            "timings_ms": {"$ref": "#/components/schemas/TimingsBody"},
        },
    });
    if let (false, Some(properties)) =
        (shared.is_empty(), schema.pointer_mut("/properties").and_then(Value::as_object_mut))
    {
        let outputs = json!({
            "type": "object", "properties": shared,
            "description": "Outputs that do not fall apart into rows, as nested lists."});
        properties.insert("outputs".to_owned(), outputs);
    }
    schema
}

/// The operation, with the errors that the server's own document gives it.
fn predict_path(version: &ReadyVersion, server: &Value) -> Value {
    let pointer = "/paths/~1api~1v1~1models~1{model}~1predict/post/responses";
    let mut responses = server.pointer(pointer).cloned().unwrap_or_else(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        responses.insert(
            "200".to_owned(),
            json!({
                "description": "The predictions.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictReply"}}}}),
        );
    }
    let title = version.manifest.title.as_deref().unwrap_or(version.model.as_str());
    json!({"post": {
        "tags": [version.model.as_str()],
        "operationId": "predict",
        "summary": format!("Predict: {title}."),
        "description": "Answered by the version of the model that is served by default.",
        "requestBody": {
            "required": true,
            "description": "The rows to predict.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}}},
        "responses": responses,
    }})
}
