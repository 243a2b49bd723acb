//! What a loaded version is, in the form in which the API describes it.

use candor_domain::{Dim, EngineInfo, TensorSpec};
use candor_serving::{
    Meaning, Opened, Role,
    features::{FeatureSpec, Place},
    repository::{Filler, FoundModel, TensorNotes},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::list::{list, word};

/// The description of one version.
pub(super) fn describe(
    model: &FoundModel,
    opened: &Opened,
    meaning: &Meaning,
    version: &str,
    engine: &EngineInfo,
) -> Value {
    let (manifest, signature) = (&model.manifest, &opened.signature);
    let input = |spec: &TensorSpec| tensor(spec, note(&manifest.inputs, spec));
    let outputs = signature.outputs.iter().zip(meaning.answers.outputs()).map(|(spec, notes)| {
        let mut value = tensor(spec, notes.description.as_ref());
        put(&mut value, "labels", Some(&notes.labels).filter(|labels| !labels.is_empty()));
        put(&mut value, "role", Some(role(notes.role)));
        value
    });
    let features = meaning.features.as_ref().map(|set| set.all()).unwrap_or_default();
    let mut value = json!({
        "name": model.name.as_str(),
        "version": version,
        "engine": {"name": engine.backend, "version": engine.version},
        "sha256": opened.sha256,
        "file_bytes": opened.file_bytes,
        "inputs": signature.inputs.iter().map(input).collect::<Vec<_>>(),
        "features": features.iter().map(|spec| feature(spec, &signature.inputs)).collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
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

fn note<'a>(notes: &'a [TensorNotes], spec: &TensorSpec) -> Option<&'a String> {
    notes.iter().find(|notes| *notes.name == *spec.name)?.description.as_ref()
}

fn put(value: &mut Value, key: &str, what: Option<impl Serialize>) {
    if let (Some(object), Some(what)) = (value.as_object_mut(), what) {
        object.insert(key.to_owned(), json!(what));
    }
}

fn tensor(spec: &TensorSpec, description: Option<&String>) -> Value {
    let mut value = json!({"name": &*spec.name, "datatype": spec.datatype.name(), "shape": spec.wire_shape()});
    put(&mut value, "description", description);
    value
}

fn feature(spec: &FeatureSpec, inputs: &[TensorSpec]) -> Value {
    let mut value = json!({"name": &*spec.name, "datatype": spec.datatype.name(), "declared": spec.declared});
    let notes = &spec.notes;
    put(&mut value, "input", inputs.get(spec.input).map(|input| &*input.name));
    match &spec.place {
        Place::Column(column) => {
            put(&mut value, "type", Some(spec.kind().word()));
            put(&mut value, "column", Some(column));
        }
        Place::Whole(dims) => {
            put(&mut value, "type", Some("array"));
            put(&mut value, "shape", Some(dims.iter().map(Dim::wire).collect::<Vec<_>>()));
        }
    }
    put(&mut value, "unit", notes.unit.as_ref());
    put(&mut value, "description", notes.description.as_ref());
    put(&mut value, "min", notes.min);
    put(&mut value, "max", notes.max);
    put(&mut value, "categories", Some(&notes.categories).filter(|categories| !categories.is_empty()));
    put(&mut value, "default", notes.default.as_ref().map(filler));
    put(&mut value, "impute", notes.impute.as_ref().map(filler));
    put(&mut value, "required", Some(notes.default.is_none()));
    value
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
