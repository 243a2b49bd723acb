//! What a loaded version is, in the form in which the API describes it.

use candor_domain::{Datatype, Dim, EngineInfo, TensorSpec};
use candor_serving::{
    Manifest, Opened,
    repository::{Feature, Filler, FoundModel, Role, TensorNotes},
};
use serde_json::{Map, Value, json};

/// The description of one version.
pub(super) fn describe(model: &FoundModel, opened: &Opened, version: &str, engine: &EngineInfo) -> Value {
    let manifest = &model.manifest;
    let inputs: Vec<Value> =
        opened.signature.inputs.iter().map(|spec| tensor(spec, notes(&manifest.inputs, spec))).collect();
    let output = |spec: &TensorSpec| {
        let notes = notes(&manifest.outputs, spec);
        let mut value = tensor(spec, notes);
        put(&mut value, "labels", notes.map(|notes| &notes.labels).filter(|labels| !labels.is_empty()));
        put(&mut value, "role", notes.and_then(|notes| notes.role).map(role));
        value
    };
    let outputs: Vec<Value> = opened.signature.outputs.iter().map(output).collect();
    let mut value = json!({
        "name": model.name.as_str(),
        "version": version,
        "engine": {"name": engine.backend, "version": engine.version},
        "sha256": opened.sha256,
        "file_bytes": opened.file_bytes,
        "inputs": inputs,
        "features": features(manifest, &opened.signature.inputs),
        "outputs": outputs,
        "properties": opened.properties,
    });
    for (key, text) in [
        ("title", &manifest.title),
        ("description", &manifest.description),
        ("licence", &manifest.licence),
        ("task", &manifest.task),
    ] {
        put(&mut value, key, text.as_ref());
    }
    value
}

fn notes<'a>(all: &'a [TensorNotes], spec: &TensorSpec) -> Option<&'a TensorNotes> {
    all.iter().find(|notes| *notes.name == *spec.name)
}

fn put(value: &mut Value, key: &str, what: Option<impl serde::Serialize>) {
    if let (Some(object), Some(what)) = (value.as_object_mut(), what) {
        object.insert(key.to_owned(), json!(what));
    }
}

fn tensor(spec: &TensorSpec, notes: Option<&TensorNotes>) -> Value {
    let mut value = json!({"name": &*spec.name, "datatype": spec.datatype.name(), "shape": spec.wire_shape()});
    put(&mut value, "description", notes.and_then(|notes| notes.description.as_ref()));
    value
}

/// The features of all inputs: columns of rows of numbers, or whole inputs.
fn features(manifest: &Manifest, inputs: &[TensorSpec]) -> Vec<Value> {
    let mut all = Vec::new();
    for spec in inputs {
        let notes = notes(&manifest.inputs, spec);
        let declared = notes.map(|notes| notes.features.as_slice()).unwrap_or_default();
        match columns(spec) {
            Some(columns) => {
                let prefix = if inputs.len() == 1 { String::new() } else { format!("{}_", spec.name) };
                all.extend((0..columns).map(|column| feature(spec, declared.get(column), &prefix, column)));
            }
            None => {
                let mut value = json!({"name": &*spec.name, "type": "array", "datatype": spec.datatype.name(),
                    "input": &*spec.name, "shape": spec.wire_shape(), "required": true, "declared": false});
                put(&mut value, "description", notes.and_then(|notes| notes.description.as_ref()));
                all.push(value);
            }
        }
    }
    all
}

/// How many columns an input has, if it is rows of columns.
pub(super) fn columns(spec: &TensorSpec) -> Option<usize> {
    match spec.dims.as_deref() {
        Some([_, Dim::Fixed(columns)]) => usize::try_from(*columns).ok(),
        _ => None,
    }
}

fn feature(spec: &TensorSpec, declared: Option<&Feature>, prefix: &str, column: usize) -> Value {
    let name = declared.map_or_else(|| format!("{prefix}f{column}"), |feature| feature.name.clone());
    let mut value = json!({"name": name, "type": kind(spec.datatype), "datatype": spec.datatype.name(),
        "input": &*spec.name, "column": column, "declared": declared.is_some()});
    let Some(declared) = declared else {
        put(&mut value, "required", Some(true));
        return value;
    };
    put(&mut value, "unit", declared.unit.as_ref());
    put(&mut value, "description", declared.description.as_ref());
    put(&mut value, "min", declared.min);
    put(&mut value, "max", declared.max);
    put(&mut value, "categories", Some(&declared.categories).filter(|categories| !categories.is_empty()));
    put(&mut value, "default", declared.default.as_ref().map(filler));
    put(&mut value, "impute", declared.impute.as_ref().map(filler));
    put(&mut value, "required", Some(declared.default.is_none()));
    value
}

fn kind(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "boolean",
        Datatype::Bytes => "string",
        Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64 | Datatype::Bf16 => "number",
        Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64 => "integer",
    }
}

fn filler(filler: &Filler) -> Value {
    match filler {
        Filler::Bool(value) => json!(value),
        Filler::Whole(value) => json!(value),
        // JSON has no NaN, and "nan" is what the manifest says.
        Filler::Number(value) if value.is_nan() => json!("nan"),
        Filler::Number(value) => json!(value),
        Filler::Text(value) => json!(value),
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Label => "label",
        Role::Probabilities => "probabilities",
        Role::Scores => "scores",
        Role::Value => "value",
        Role::Other => "other",
    }
}

/// A row that the described model takes: in the middle of each range, or whatever is neutral.
pub(super) fn sample_row(description: &Value) -> Value {
    let features = super::list::list(description, "features");
    let row: Map<String, Value> = features
        .iter()
        .filter(|feature| feature["required"] != false)
        .map(|feature| (super::list::word(feature, "name").to_owned(), sample_value(feature)))
        .collect();
    Value::Object(row)
}

fn sample_value(feature: &Value) -> Value {
    let first = feature.get("categories").and_then(|categories| categories.get(0));
    match (super::list::word(feature, "type"), first) {
        (_, Some(first)) => first.clone(),
        ("string", None) => json!("text"),
        ("boolean", None) => json!(true),
        ("array", None) => {
            let element = match super::list::word(feature, "datatype") {
                "BYTES" => json!("text"),
                "BOOL" => json!(true),
                _ => json!(0),
            };
            // The first dimension counts rows, and a row is one of them.
            let dims = super::list::list(feature, "shape").iter().skip(1).rev();
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
