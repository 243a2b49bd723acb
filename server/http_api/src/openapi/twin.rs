//! The mechanical twin: an OpenAPI 3.1 document as OpenAPI 3.0.3, for generators that read nothing newer.
//!
//! Pure: a document in, a document out. Besides the older dialect (see [`super::schema`]) the twin keeps to
//! what generators of 3.0 can take: one media type per direction, one body of success and one of error per
//! operation. What does not fit is left out, and the twin says so in its `x-left-out`.

use serde_json::{Map, Value, json};

use super::schema::{mapped, reference, schema};

/// What the twin lacks: a JSON pointer into the 3.1 document and why, one line each.
#[derive(Default)]
pub(super) struct LeftOut(Vec<String>);

impl LeftOut {
    pub(super) fn add(&mut self, at: &str, why: &str) {
        self.0.push(format!("{at}: {why}"));
    }
}

/// The twin of a 3.1 document. Its extension `x-left-out` lists what 3.0.3, or its generators, cannot say.
#[must_use]
pub fn twin(document: &Value) -> Value {
    let mut left = LeftOut::default();
    let mut twin = Map::new();
    for (key, value) in members(document) {
        let value = match key.as_str() {
            "openapi" => json!("3.0.3"),
            "info" => info(value, &mut left),
            "paths" => mapped(value, "/paths", &mut left, path_item),
            "components" => components(value, &mut left),
            "webhooks" | "jsonSchemaDialect" => {
                left.add(&below("", key), "3.0 has no such thing");
                continue;
            }
            _ => value.clone(),
        };
        twin.insert(key.clone(), value);
    }
    twin.entry("paths").or_insert(json!({}));
    let mut twin = Value::Object(twin);
    one_body_per_outcome(&mut twin, &mut left);
    if let Some(twin) = twin.as_object_mut() {
        twin.insert("x-left-out".to_owned(), json!(left.0));
    }
    twin
}

pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The pointer to a member of what `at` points to.
pub(super) fn below(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn info(info: &Value, left: &mut LeftOut) -> Value {
    let mut info = info.clone();
    let mut drop = |object: Option<&mut Value>, key: &str, at: &str| {
        if object.and_then(Value::as_object_mut).and_then(|object| object.remove(key)).is_some() {
            left.add(at, "3.0 has no such thing");
        }
    };
    drop(Some(&mut info), "summary", "/info/summary");
    drop(info.get_mut("license"), "identifier", "/info/license/identifier");
    info
}

fn components(components: &Value, left: &mut LeftOut) -> Value {
    let mut twin = Map::new();
    for (kind, all) in members(components) {
        let at = below("/components", kind);
        let all = match kind.as_str() {
            "schemas" => mapped(all, &at, left, schema),
            "responses" => mapped(all, &at, left, response),
            "parameters" | "headers" => mapped(all, &at, left, parameter),
            "requestBodies" => mapped(all, &at, left, request_body),
            "pathItems" | "callbacks" => {
                left.add(&at, "not carried over");
                continue;
            }
            _ => all.clone(),
        };
        twin.insert(kind.clone(), all);
    }
    Value::Object(twin)
}

fn path_item(item: &Value, at: &str, left: &mut LeftOut) -> Value {
    let mut twin = Map::new();
    for (key, value) in members(item) {
        let at = below(at, key);
        let value = match key.as_str() {
            "parameters" => listed(value, &at, left, parameter),
            "get" | "put" | "post" | "delete" | "options" | "head" | "patch" | "trace" => operation(value, &at, left),
            _ => value.clone(),
        };
        twin.insert(key.clone(), value);
    }
    Value::Object(twin)
}

fn operation(operation: &Value, at: &str, left: &mut LeftOut) -> Value {
    let mut twin = Map::new();
    for (key, value) in members(operation) {
        let at = below(at, key);
        let value = match key.as_str() {
            "parameters" => listed(value, &at, left, parameter),
            "requestBody" => request_body(value, &at, left),
            "responses" => mapped(value, &at, left, response),
            "callbacks" => {
                left.add(&at, "not carried over");
                continue;
            }
            _ => value.clone(),
        };
        twin.insert(key.clone(), value);
    }
    Value::Object(twin)
}

/// A parameter or a header.
fn parameter(parameter: &Value, at: &str, left: &mut LeftOut) -> Value {
    described(parameter, at, left, &[])
}

fn request_body(body: &Value, at: &str, left: &mut LeftOut) -> Value {
    described(body, at, left, &["application/json"])
}

fn response(response: &Value, at: &str, left: &mut LeftOut) -> Value {
    described(response, at, left, &["application/json", "application/problem+json"])
}

/// An object that has a schema, headers, or a content of which one media type is kept: the first of the
/// `preferred` that is there, or else the first.
fn described(object: &Value, at: &str, left: &mut LeftOut, preferred: &[&str]) -> Value {
    if let Some(reference) = reference(object) {
        return reference;
    }
    let mut twin = Map::new();
    for (key, value) in members(object) {
        let at = below(at, key);
        let value = match key.as_str() {
            "schema" => schema(value, &at, left),
            "headers" => mapped(value, &at, left, parameter),
            "content" => content(value, &at, left, preferred),
            _ => value.clone(),
        };
        twin.insert(key.clone(), value);
    }
    Value::Object(twin)
}

fn content(content: &Value, at: &str, left: &mut LeftOut, preferred: &[&str]) -> Value {
    let wanted = preferred.iter().find(|wanted| content.get(**wanted).is_some());
    let kept =
        wanted.map(|wanted| (*wanted).to_owned()).or_else(|| members(content).next().map(|(key, _)| key.clone()));
    let mut twin = Map::new();
    for (media, value) in members(content) {
        let at = below(at, media);
        if kept.as_ref() == Some(media) {
            twin.insert(media.clone(), described(value, &at, left, &[]));
        } else {
            left.add(&at, "one media type per direction");
        }
    }
    Value::Object(twin)
}

fn listed(list: &Value, at: &str, left: &mut LeftOut, each: fn(&Value, &str, &mut LeftOut) -> Value) -> Value {
    let list = list.as_array().into_iter().flatten().enumerate();
    list.map(|(index, value)| each(value, &below(at, &index.to_string()), left)).collect()
}

/// Leaves out the responses of an operation whose body is not that of its first success or, among errors,
/// not the most frequent one.
fn one_body_per_outcome(document: &mut Value, left: &mut LeftOut) {
    let shared = document.pointer("/components/responses").cloned().unwrap_or_default();
    for (path, item) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
            let at = below(&below(&below("/paths", path), method), "responses");
            for outcome in [is_success, is_error] {
                keep_one_body(responses, &shared, outcome, &at, left);
            }
        }
    }
}

fn is_success(status: &str) -> bool {
    status.starts_with('2')
}

fn is_error(status: &str) -> bool {
    status.starts_with(['4', '5']) || status == "default"
}

fn keep_one_body(
    responses: &mut Map<String, Value>,
    shared: &Value,
    outcome: fn(&str) -> bool,
    at: &str,
    left: &mut LeftOut,
) {
    let of_outcome: Vec<(&String, Value)> = responses
        .iter()
        .filter(|(status, _)| outcome(status))
        .map(|(status, response)| (status, body(response, shared)))
        .collect();
    let uses = |wanted: &Value| of_outcome.iter().filter(|(_, body)| body == wanted).count();
    // Of equals `max_by_key` takes the last, so they are read backwards: the first one wins.
    let kept = match of_outcome.first() {
        Some((status, first)) if is_success(status) => Some(first),
        Some(_) | None => of_outcome.iter().rev().map(|(_, body)| body).max_by_key(|body| uses(body)),
    };
    let Some(kept) = kept.cloned() else { return };
    responses.retain(|status, response| {
        let stays = !outcome(status) || body(response, shared) == kept;
        if !stays {
            left.add(&below(at, status), "one body of success and one of error per operation");
        }
        stays
    });
}

/// What a generator takes for the type of a response: its media type and schema.
fn body(response: &Value, shared: &Value) -> Value {
    let named = response.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
    let response = named.and_then(|name| shared.get(name)).unwrap_or(response);
    let content = members(response.get("content").unwrap_or(&Value::Null)).next();
    content.map_or(Value::Null, |(media, of)| json!([media, of.get("schema")]))
}
