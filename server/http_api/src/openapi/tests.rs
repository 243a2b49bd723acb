//! The twin, on small documents: one rule at a time, and what must not be touched.

use candor_domain::{ModelName, Version};
use serde_json::{Value, json};

use super::{document_30_json, document_json, document_yaml, twin};

/// The twin of a schema, and what was left out of it.
fn schema(schema: Value) -> (Value, Vec<String>) {
    let document = json!({"openapi": "3.1.0", "info": {}, "components": {"schemas": {"S": schema}}});
    let mut twin = twin(&document);
    let left = twin["x-left-out"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    (twin["components"]["schemas"]["S"].take(), left)
}

/// Nothing is lost on the way from one to the other.
fn becomes(old: Value, new: Value) {
    let (twin, left) = schema(old);
    assert_eq!(twin, new);
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn null_among_types_is_a_word_beside_them() {
    becomes(json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true}));
    becomes(json!({"type": ["string"]}), json!({"type": "string"}));
    becomes(json!({"type": "null"}), json!({"type": "string", "nullable": true, "enum": [null]}));
    becomes(
        json!({"type": ["number", "string", "null"], "minimum": 1}),
        json!({"anyOf": [{"type": "number"}, {"type": "string"}], "nullable": true, "minimum": 1}),
    );
    becomes(
        json!({"type": ["array", "boolean"], "items": {"type": ["integer", "null"]}}),
        json!({"anyOf": [{"type": "array", "items": {"type": "integer", "nullable": true}}, {"type": "boolean"}]}),
    );
}

#[test]
fn null_among_alternatives_is_a_word_beside_the_rest() {
    let reference = json!({"$ref": "#/components/schemas/T"});
    becomes(
        json!({"oneOf": [{"type": "null"}, reference], "description": "d"}),
        json!({"allOf": [reference], "nullable": true, "description": "d"}),
    );
    becomes(
        json!({"anyOf": [{"type": "string"}, {"const": null}, reference]}),
        json!({"anyOf": [{"type": "string"}, reference], "nullable": true}),
    );
}

#[test]
fn values_and_bounds_are_said_in_older_words() {
    becomes(json!({"const": "a"}), json!({"type": "string", "enum": ["a"]}));
    becomes(json!({"const": 2, "type": "number"}), json!({"type": "number", "enum": [2]}));
    becomes(json!({"examples": [1]}), json!({"example": 1}));
    becomes(json!({"exclusiveMinimum": 0}), json!({"minimum": 0, "exclusiveMinimum": true}));
    becomes(json!({"exclusiveMinimum": 0, "minimum": 1}), json!({"minimum": 1}));
    becomes(json!({"exclusiveMaximum": 1.5, "maximum": 1.5}), json!({"maximum": 1.5, "exclusiveMaximum": true}));
    becomes(json!({"type": "string", "contentEncoding": "base64"}), json!({"type": "string", "format": "byte"}));
    becomes(json!({"type": "array"}), json!({"type": "array", "items": {}}));
    becomes(
        json!({"type": "object", "additionalProperties": true, "properties": {"a": true, "b": false}}),
        json!({"type": "object", "additionalProperties": true, "properties": {"a": {}, "b": {"not": {}}}}),
    );
}

#[test]
fn nothing_stands_beside_a_reference() {
    let reference = json!({"$ref": "#/components/schemas/T"});
    becomes(reference.clone(), reference.clone());
    becomes(
        json!({"$ref": "#/components/schemas/T", "description": "d"}),
        json!({"allOf": [reference], "description": "d"}),
    );
}

#[test]
fn data_is_not_taken_for_schemas() {
    let data = json!({"type": ["string", "null"], "const": 1, "$ref": "x"});
    becomes(
        json!({"example": data, "default": data, "enum": [data]}),
        json!({"example": data, "default": data, "enum": [data]}),
    );
    // A property may be called anything.
    becomes(
        json!({"properties": {"const": {"type": ["string", "null"]}, "examples": {"type": "string"}}}),
        json!({"properties": {"const": {"type": "string", "nullable": true}, "examples": {"type": "string"}}}),
    );
}

#[test]
fn what_a_schema_loses_is_listed() {
    let (twin, left) =
        schema(json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": false}));
    assert_eq!(
        twin,
        json!({"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}, "maxItems": 2})
    );
    assert_eq!(left, ["/components/schemas/S/prefixItems: 3.0 does not know which member stands where"]);
    let (twin, left) =
        schema(json!({"patternProperties": {"^x": {}}, "additionalProperties": false, "if": {}, "examples": [1, 2]}));
    assert_eq!(twin, json!({"example": 1}));
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn an_operation_keeps_one_media_type_per_direction_and_one_body_per_outcome() {
    let json_of =
        |name: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}});
    let document = json!({"openapi": "3.1.0", "info": {"license": {"name": "L", "identifier": "L"}, "title": "T"},
        "webhooks": {}, "jsonSchemaDialect": "d",
        "components": {"responses": {"Bad": {"content": json_of("E")}}},
        "paths": {"/a/b": {"post": {
            "requestBody": {"content": {"text/csv": {}, "application/json": {"schema": {"type": ["string", "null"]}}}},
            "responses": {
                "200": {"content": json_of("A")}, "201": {"content": json_of("B")}, "308": {},
                "400": {"$ref": "#/components/responses/Bad"}, "404": {"$ref": "#/components/responses/Bad"},
                "500": {"content": {"text/plain": {}}}, "503": {"content": json_of("A")}}}}}});
    let twin = twin(&document);
    assert_eq!(twin["openapi"], "3.0.3");
    assert_eq!(twin["info"], json!({"license": {"name": "L"}, "title": "T"}));
    let operation = &twin["paths"]["/a/b"]["post"];
    assert_eq!(
        operation["requestBody"]["content"],
        json!({"application/json": {"schema": {"type": "string", "nullable": true}}})
    );
    let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["200", "308", "400", "404"]);
    let left: Vec<_> = twin["x-left-out"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for place in [
        "/info/license/identifier",
        "/webhooks",
        "/jsonSchemaDialect",
        "text~1csv",
        "post/responses/201",
        "responses/500",
        "responses/503",
    ] {
        assert!(left.iter().any(|line| line.contains(place)), "{place} is not in {left:#?}");
    }
    assert_eq!(left.len(), 7);
}

#[test]
fn a_problem_is_as_good_as_json_in_an_answer() {
    let document = json!({"paths": {"/a": {"get": {"responses": {
        "400": {"content": {"application/problem+json": {"schema": {}}, "text/html": {}}}}}}}});
    let twin = twin(&document);
    assert_eq!(
        twin["paths"]["/a"]["get"]["responses"]["400"]["content"],
        json!({"application/problem+json": {"schema": {}}})
    );
}

#[test]
fn anything_has_a_twin() {
    for odd in [
        json!(null),
        json!([]),
        json!({"paths": 1, "components": [], "info": "x"}),
        json!({"paths": {"/": {"get": 1}}}),
    ] {
        assert!(twin(&odd)["x-left-out"].is_array());
    }
}

#[test]
fn the_forms_of_the_document_agree() {
    let json: Value = serde_json::from_str(&document_json()).unwrap();
    let yaml = document_yaml();
    assert!(yaml.starts_with("openapi: 3.1.0\n"), "{}", &yaml[..40]);
    let twin: Value = serde_json::from_str(&document_30_json()).unwrap();
    let paths = |document: &Value| document["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&json), paths(&twin));
    for path in paths(&json) {
        assert!(yaml.contains(&format!("  {path}:\n")), "{path}");
    }
}

#[test]
fn names_in_the_document_are_those_that_are_taken() {
    let document: Value = serde_json::from_str(&document_json()).unwrap();
    let pattern = |name: &str| {
        let pattern = document["components"]["schemas"][name]["pattern"].as_str().unwrap();
        regex::Regex::new(pattern).unwrap()
    };
    let (model, version) = (pattern("ModelName"), pattern("Version"));
    let long = ["a".repeat(255), "a".repeat(256), "1".repeat(19), "1.".repeat(4) + "1"];
    let names = [
        "iris",
        "Iris-2.0_b",
        "_x",
        "1",
        "",
        ".x",
        "..",
        "-x",
        "a/b",
        "ä",
        "a b",
        "a\n",
        "0",
        "01",
        "1.0",
        "1.00",
        "1.",
        ".1",
        "1.2.3.4",
    ];
    for name in names.into_iter().chain(long.iter().map(String::as_str)) {
        assert_eq!(model.is_match(name), ModelName::parse(name).is_ok(), "{name:?}");
        assert_eq!(version.is_match(name), Version::parse(name).is_ok(), "{name:?}");
    }
}
