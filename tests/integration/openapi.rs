//! The API document and the server say the same: routes, access, examples, the shapes of replies.

use std::collections::{BTreeMap, BTreeSet};

use candor_domain::Access;
use candor_http_api::{openapi::document_json, routes::ROUTES};
use candor_tests::{Models, Plan, Reply, Request, TestServer, infer::iris};
use serde_json::{Value, json};

fn document() -> Value {
    serde_json::from_str(&document_json()).unwrap()
}

/// Every operation: its path, its method, itself.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().iter();
        operations
            .map(|(method, operation)| (path.clone(), method.to_uppercase(), operation.clone()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// The path under which a route is documented: aliases share one, and the page that shows the document is
/// no part of the API.
fn documented(path: &str) -> Option<String> {
    let inference = path.ends_with("/infer");
    match path {
        "/docs" | "/docs/{file:.*}" => None,
        "/v2/" => Some("/v2".to_owned()),
        "/health" => Some("/v2/health/live".to_owned()),
        _ if inference => Some(path.to_owned()),
        _ => Some(path.replace("/versions/{version}", "")),
    }
}

#[test]
fn routes_and_document_name_the_same_paths() {
    let routes: BTreeSet<_> =
        ROUTES.iter().filter_map(|route| Some((documented(route.path)?, route.method.to_string()))).collect();
    let written: BTreeSet<_> = operations(&document()).into_iter().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(routes, written);
}

#[test]
fn the_document_is_openapi_3_1_and_hangs_together() {
    let text = document_json();
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert!(text.ends_with("}\n"));
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
        assert!(ids.insert(id.to_owned()), "{id} stands there twice");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path} has no summary");
        let named: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
        let declared: BTreeSet<&str> =
            operation["parameters"].as_array().into_iter().flatten().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(named, declared, "{method} {path}");
    }
    for reference in text.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn the_document_says_which_routes_need_a_token() {
    for (path, method, operation) in operations(&document()) {
        let route = ROUTES.iter().find(|route| route.path == path && route.method.as_str() == method).unwrap();
        let open =
            operation["security"].as_array().is_some_and(|schemes| schemes.iter().all(|scheme| scheme == &json!({})));
        assert_eq!(open, route.access == Access::Public, "{method} {path}");
        for (status, wanted) in [("401", route.access > Access::Public), ("403", route.access > Access::Infer)] {
            if wanted {
                assert!(operation["responses"].get(status).is_some(), "{method} {path} lacks {status}");
            }
        }
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}

/// Whether a value is what a schema says: types, required keys, no keys that are not written down, members.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(document, schema);
    let kinds: Vec<&str> = match schema["type"].as_array() {
        Some(several) => several.iter().filter_map(Value::as_str).collect(),
        None => schema["type"].as_str().into_iter().collect(),
    };
    assert!(kinds.is_empty() || kinds.iter().any(|kind| is_of_type(value, kind)), "{at}: {value} is no {kinds:?}");
    let empty = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(required.as_str().unwrap()).is_some(), "{at}: lacks {required}");
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        match (properties.get(key), schema.get("additionalProperties")) {
            (Some(inner), _) | (None, Some(inner)) => check(document, inner, member, &format!("{at}/{key}")),
            (None, None) => assert!(properties.is_empty(), "{at}: {key} is not in the document"),
        }
    }
    if let Some(items) = schema.get("items") {
        for (index, member) in value.as_array().into_iter().flatten().enumerate() {
            check(document, items, member, &format!("{at}/{index}"));
        }
    }
}

fn concrete(path: &str, parameters: &Value) -> String {
    parameters.as_array().into_iter().flatten().fold(path.to_owned(), |path, parameter| {
        let example = parameter["example"].as_str().unwrap_or_else(|| panic!("{path}: {parameter} has no example"));
        path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), example)
    })
}

/// The example of a body, or of the schema that it names.
fn example(document: &Value, operation: &Value) -> Option<Value> {
    let content = operation.pointer("/requestBody/content/application~1json")?;
    let schema = resolve(document, &content["schema"]);
    let whole = [&content["example"], &schema["example"]].into_iter().find(|example| !example.is_null()).cloned();
    whole.or_else(|| {
        let of = |(key, property): (&String, &Value)| Some((key.clone(), property.get("example")?.clone()));
        Some(schema["properties"].as_object()?.iter().filter_map(of).collect())
    })
}

fn matches_document(document: &Value, operation: &Value, reply: &Reply, name: &str) {
    let response = &operation["responses"][reply.status.to_string()];
    assert!(!response.is_null(), "{name}: {} is not in the document: {}", reply.status, reply.text());
    let response = resolve(document, response);
    match response.pointer("/content/application~1json/schema") {
        Some(schema) => check(document, schema, &reply.json(), name),
        None => assert!(reply.body.is_empty() || reply.header("content-type").is_some(), "{name}"),
    }
}

#[test]
fn every_example_works_and_every_reply_is_as_documented() {
    let server = TestServer::start();
    let document = document();
    // Unloading last, because the other examples use the same model or others.
    let mut operations = operations(&document);
    operations.sort_by_key(|(path, ..)| path.ends_with("/unload"));
    for (path, method, operation) in operations {
        let name = format!("{method} {path}");
        let request = Request::new(&method, concrete(&path, &operation["parameters"]));
        let request = match example(&document, &operation) {
            Some(body) => request.json(&body),
            None => request,
        };
        let reply = server.send(&request);
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        matches_document(&document, &operation, &reply, &name);
        if path.contains("{model}") {
            let wrong = server
                .send(&Request::new(&method, path.replace("{model}", "irsi").replace("{version}", "1")).json(&iris()));
            matches_document(&document, &operation, &wrong, &name);
            assert_eq!(wrong.status, 404, "{name}");
            let hostile = server
                .send(&Request::new(&method, path.replace("{model}", "..").replace("{version}", "1")).json(&iris()));
            matches_document(&document, &operation, &hostile, &name);
            assert_eq!(hostile.status, 400, "{name}");
        }
    }
}

#[test]
fn the_examples_of_replies_are_real() {
    let server = TestServer::start();
    let document = document();
    let infer = document["paths"]["/v2/models/{model}/infer"]["post"].clone();
    let reply = server.post("/v2/models/iris/infer", &example(&document, &infer).unwrap()).expect(200).json();
    let schema = resolve(&document, infer.pointer("/responses/200/content/application~1json/schema").unwrap());
    check(&document, schema, &schema["example"], "the example");
    let shown = &schema["example"];
    assert_eq!((&shown["model_name"], &shown["model_version"]), (&reply["model_name"], &reply["model_version"]));
    assert_eq!(shown["outputs"][0], reply["outputs"][0]);
}

#[test]
fn the_document_is_served_and_shown() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let served = server.get("/openapi.json").expect(200);
    assert_eq!((served.text(), served.header("content-type")), (document_json(), Some("application/json")));
    let to_page = server.get("/docs").expect(308);
    assert_eq!(to_page.header("location"), Some("/docs/"));
    let page = server.get("/docs/").expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let page = page.text();
    assert!(page.to_lowercase().contains("<html"), "{page}");
    let mut files = BTreeMap::new();
    for file in page.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css")) {
        let path = format!("/docs/{}", file.trim_start_matches("./"));
        assert!(!file.contains("//"), "{file} comes from elsewhere");
        files.insert(path.clone(), server.get(&path).expect(200).body);
    }
    assert!(files.len() >= 3, "{:?}", files.keys());
    assert!(files.values().any(|body| String::from_utf8_lossy(body).contains("/openapi.json")));
    assert_eq!(server.get("/docs/nothing.html").status, 404);
}
