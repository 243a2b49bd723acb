//! One schema of OpenAPI 3.1 (JSON Schema 2020-12) in the words of OpenAPI 3.0.3.
//!
//! Called by [`super::twin`] for every schema that it comes by. Only places where schemas stand are walked:
//! examples, defaults and enumerated values are data and stay as they are.

use serde_json::{Map, Number, Value, json};

use super::twin::{LeftOut, below, members};

/// The same words with the same meaning in both.
const SHARED: [&str; 23] = [
    "default",
    "deprecated",
    "description",
    "discriminator",
    "enum",
    "example",
    "externalDocs",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "required",
    "title",
    "uniqueItems",
    "writeOnly",
];

/// The schema in 3.0.3.
pub(super) fn schema(old: &Value, at: &str, left: &mut LeftOut) -> Value {
    let Some(old_words) = old.as_object() else {
        return if *old == json!(false) { json!({"not": {}}) } else { json!({}) };
    };
    let mut new = Map::new();
    for (word, value) in old_words {
        let at = below(at, word);
        let value = match word.as_str() {
            word if SHARED.contains(&word) || word.starts_with("x-") => value.clone(),
            "xml" => value.clone(),
            // Set below; its place is here.
            "type" => value.clone(),
            "additionalProperties" if value.is_boolean() => value.clone(),
            "additionalProperties" | "items" | "not" => schema(value, &at, left),
            "properties" => mapped(value, &at, left, schema),
            "allOf" | "anyOf" | "oneOf" => each(value, &at, left),
            // Done below, for more than one word at a time.
            "$ref" | "const" | "examples" | "exclusiveMinimum" | "exclusiveMaximum" | "prefixItems" => {
                continue;
            }
            "contentEncoding" | "contentMediaType" => continue,
            // Keys of JSON objects are strings anyway.
            "propertyNames" if *value == json!({"type": "string"}) => continue,
            _ => {
                left.add(&at, "3.0 has no such word");
                continue;
            }
        };
        new.insert(word.clone(), value);
    }
    if old.get("patternProperties").is_some() {
        // What the patterns allowed must not be forbidden now.
        new.remove("additionalProperties");
    }
    set_bounds(old, &mut new);
    set_values(old, &mut new, at, left);
    set_tuple(old, &mut new, at, left);
    set_bytes(old, &mut new);
    set_types(old, &mut new);
    unite_null(&mut new);
    set_reference(old, &mut new);
    Value::Object(new)
}

/// Every value of an object, each with the pointer to it.
pub(super) fn mapped(
    object: &Value,
    at: &str,
    left: &mut LeftOut,
    each: fn(&Value, &str, &mut LeftOut) -> Value,
) -> Value {
    members(object).map(|(key, value)| (key.clone(), each(value, &below(at, key), left))).collect()
}

/// A reference to something that is no schema: in 3.0 nothing may stand beside it.
pub(super) fn reference(object: &Value) -> Option<Value> {
    object.get("$ref").map(|reference| json!({"$ref": reference}))
}

fn each(schemas: &Value, at: &str, left: &mut LeftOut) -> Value {
    let schemas = schemas.as_array().into_iter().flatten().enumerate();
    schemas.map(|(index, one)| schema(one, &below(at, &index.to_string()), left)).collect()
}

/// Exclusive bounds are numbers in 3.1, and a word about the inclusive ones in 3.0. The tighter bound counts.
fn set_bounds(old: &Value, new: &mut Map<String, Value>) {
    let number = |word: &str| old.get(word).and_then(Value::as_f64);
    for (exclusive, inclusive, sign) in [("exclusiveMinimum", "minimum", 1.0), ("exclusiveMaximum", "maximum", -1.0)] {
        let Some(bound) = number(exclusive) else { continue };
        if number(inclusive).is_none_or(|other| sign * bound >= sign * other) {
            new.insert(inclusive.to_owned(), old.get(exclusive).cloned().unwrap_or_default());
            new.insert(exclusive.to_owned(), json!(true));
        }
    }
}

/// `const` is an enumeration of one; of several examples the first is kept.
fn set_values(old: &Value, new: &mut Map<String, Value>, at: &str, left: &mut LeftOut) {
    if let Some(value) = old.get("const") {
        new.insert("enum".to_owned(), json!([value]));
        if old.get("type").is_none() {
            new.insert("type".to_owned(), json!(type_of(value)));
        }
    }
    let Some(examples) = old.get("examples").and_then(Value::as_array) else { return };
    if let Some(first) = examples.first() {
        new.entry("example").or_insert_with(|| first.clone());
    }
    if examples.len() > 1 {
        left.add(&below(at, "examples"), "3.0 takes one example; this is the first");
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        // There is no such type: `unite_null` turns it into a word of 3.0.
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A tuple becomes an array of any of its members, in any order.
fn set_tuple(old: &Value, new: &mut Map<String, Value>, at: &str, left: &mut LeftOut) {
    let Some(prefix) = old.get("prefixItems") else { return };
    let at = below(at, "prefixItems");
    left.add(&at, "3.0 does not know which member stands where");
    let mut members = Vec::new();
    let prefix = each(prefix, &at, left);
    let rest = old.get("items");
    let closed = rest == Some(&json!(false));
    let count = prefix.as_array().map_or(0, Vec::len);
    let rest = new.remove("items").filter(|_| !closed);
    for member in prefix.as_array().into_iter().flatten().chain(rest.as_ref()) {
        if !members.contains(member) {
            members.push(member.clone());
        }
    }
    if closed {
        new.insert("maxItems".to_owned(), Value::Number(Number::from(count)));
    }
    // Without a word about the rest, anything may follow.
    let items = match members.as_slice() {
        _ if old.get("items").is_none() => json!({}),
        [one] => one.clone(),
        several => json!({"anyOf": several}),
    };
    new.insert("items".to_owned(), items);
}

/// Bytes in text or as they are were told by formats.
fn set_bytes(old: &Value, new: &mut Map<String, Value>) {
    let format = match old.get("contentEncoding").and_then(Value::as_str) {
        Some("base64") => "byte",
        None if old.get("contentMediaType").is_some() => "binary",
        Some(_) | None => return,
    };
    new.entry("format").or_insert(json!(format));
}

/// One type per schema; `null` is a word beside it, and several types are alternatives.
fn set_types(old: &Value, new: &mut Map<String, Value>) {
    let types: Vec<&Value> = match old.get("type") {
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
        None => return,
    };
    let null = json!("null");
    let some: Vec<&Value> = types.iter().copied().filter(|one| **one != null).collect();
    match some.as_slice() {
        [] => {
            new.insert("type".to_owned(), null.clone());
        }
        [one] => {
            new.insert("type".to_owned(), (*one).clone());
        }
        several => {
            new.shift_remove("type");
            // An array must say what it holds, and the word stands with the type in 3.0.
            let items = new.remove("items").unwrap_or_else(|| json!({}));
            let alternative = |one: &&Value| match one.as_str() {
                Some("array") => json!({"type": one, "items": items}),
                _ => json!({"type": one}),
            };
            let any: Vec<Value> = several.iter().map(alternative).collect();
            also(new, json!({"anyOf": any}));
        }
    }
    if types.contains(&&null) && !some.is_empty() {
        new.insert("nullable".to_owned(), json!(true));
    }
    if new.get("type") == Some(&json!("array")) {
        new.entry("items").or_insert(json!({}));
    }
}

/// Adds alternatives where there may be some already: then both hold.
fn also(new: &mut Map<String, Value>, alternatives: Value) {
    if new.contains_key("anyOf") {
        if let Some(all) = new.entry("allOf").or_insert(json!([])).as_array_mut() {
            all.push(alternatives);
        }
    } else if let Value::Object(alternatives) = alternatives {
        new.extend(alternatives);
    }
}

/// An alternative that is null makes the whole nullable; a schema that is nothing else is an enumeration.
fn unite_null(new: &mut Map<String, Value>) {
    for word in ["oneOf", "anyOf"] {
        let Some(alternatives) = new.get_mut(word).and_then(Value::as_array_mut) else { continue };
        let before = alternatives.len();
        alternatives.retain(|one| one.get("enum") != Some(&json!([null])));
        if alternatives.len() == before {
            continue;
        }
        if let [_] = alternatives.as_slice() {
            let one = new.remove(word).unwrap_or_default();
            match new.get_mut("allOf").and_then(Value::as_array_mut) {
                Some(all) => all.extend(one.as_array().cloned().unwrap_or_default()),
                None => drop(new.insert("allOf".to_owned(), one)),
            }
        }
        new.insert("nullable".to_owned(), json!(true));
    }
    if new.get("type") == Some(&json!("null")) {
        new.extend(members(&only_null()).map(|(key, value)| (key.clone(), value.clone())));
    }
}

/// 3.0 has no type of null alone, and `nullable` counts only beside a type.
fn only_null() -> Value {
    json!({"type": "string", "nullable": true, "enum": [null]})
}

/// Nothing may stand beside a reference in 3.0, so a reference with company moves into `allOf`.
fn set_reference(old: &Value, new: &mut Map<String, Value>) {
    let Some(reference) = reference(old) else { return };
    if new.is_empty() {
        new.extend(members(&reference).map(|(key, value)| (key.clone(), value.clone())));
    } else if let Some(all) = new.entry("allOf").or_insert(json!([])).as_array_mut() {
        all.insert(0, reference);
    }
}
