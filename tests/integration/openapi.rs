//! The API document and the server say the same: routes, access, examples, the shapes of replies.

use std::collections::{BTreeMap, BTreeSet};

use candor_domain::Access;
use candor_http_api::{
    openapi::{document_30_json, document_json, document_yaml},
    routes::ROUTES,
};
use candor_tests::{Models, Plan, Reply, Request, TestServer, infer::iris, until};
use serde_json::{Value, json};

use super::plugins::with_acme_scale;

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
        "/health" | "/health/live" => Some("/v2/health/live".to_owned()),
        _ if inference || path.starts_with("/api/") => Some(path.to_owned()),
        _ => Some(path.replace("/versions/{version}", "")),
    }
}

#[test]
fn routes_and_document_name_the_same_paths() {
    // Contracts of other servers are off by default; `contracts` shows them documented where they are on.
    let own = ROUTES.iter().filter(|route| route.contract.is_none());
    let routes: BTreeSet<_> =
        own.filter_map(|route| Some((documented(route.path)?, route.method.to_string()))).collect();
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
        let declared: BTreeSet<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|p| p["in"] == "path")
            .map(|p| p["name"].as_str().unwrap())
            .collect();
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

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// Forbids what is not written down: a reply may hold nothing else. What several schemas say together is
/// closed as a whole, and refers to members that are left open.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(words) => {
            if let Some(Value::Array(all)) = words.get_mut("allOf") {
                for member in all.iter_mut().filter_map(Value::as_object_mut) {
                    match member.get_mut("$ref") {
                        Some(Value::String(reference)) => *reference = reference.replace("#/components", "#/open"),
                        _ => member.values_mut().for_each(close),
                    }
                }
                words.insert("unevaluatedProperties".to_owned(), json!(false));
            } else if words.get("properties").is_some_and(Value::is_object) {
                words.entry("additionalProperties").or_insert(json!(false));
            }
            words.iter_mut().filter(|(word, _)| *word != "allOf").for_each(|(_, inner)| close(inner));
        }
        Value::Array(several) => several.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Asserts that a value is what a schema of the document says, and nothing more.
fn assert_valid(document: &Value, schema: &Value, value: &Value, name: &str) {
    let mut root = schema.clone();
    root["components"] = json!({"schemas": document["components"]["schemas"]});
    close(&mut root);
    root["open"] = json!({"schemas": document["components"]["schemas"]});
    let validator = jsonschema::draft202012::new(&root).unwrap_or_else(|error| panic!("{name}: {error}"));
    let wrong: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{value:#}");
}

/// The path with the examples of its parameters, those of the query behind it.
fn concrete(path: &str, parameters: &Value) -> String {
    let mut query = Vec::new();
    let mut concrete = path.to_owned();
    for parameter in parameters.as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let value = parameter["example"].to_string();
        let value = value.trim_matches('"');
        if parameter["in"] == "path" {
            concrete = concrete.replace(&format!("{{{name}}}"), value);
        } else {
            query.push(format!("{name}={value}"));
        }
    }
    if query.is_empty() { concrete } else { format!("{concrete}?{}", query.join("&")) }
}

/// The example of a content: its own, that of its schema, or those of the schema's members.
fn example(document: &Value, content: &Value) -> Option<Value> {
    let own = content.get("example").or_else(|| content["schema"].get("example"));
    own.cloned().or_else(|| example_of(document, &content["schema"]))
}

fn example_of(document: &Value, schema: &Value) -> Option<Value> {
    let schema = resolve(document, schema);
    if let Some(example) = schema.get("example") {
        return Some(example.clone());
    }
    if let Some(items) = schema.get("items") {
        return Some(json!([example_of(document, items)?]));
    }
    let optional = |key: &String| !schema["required"].as_array().into_iter().flatten().any(|name| name == key);
    let mut example = serde_json::Map::new();
    for (key, property) in schema["properties"].as_object()? {
        match example_of(document, property) {
            Some(value) => drop(example.insert(key.clone(), value)),
            None if optional(key) => {}
            None => return None,
        }
    }
    Some(example.into())
}

fn request_example(document: &Value, operation: &Value) -> Option<Value> {
    example(document, operation.pointer("/requestBody/content/application~1json")?)
}

fn assert_documented(document: &Value, operation: &Value, reply: &Reply, name: &str) {
    let response = &operation["responses"][reply.status.to_string()];
    assert!(!response.is_null(), "{name}: {} is not in the document: {}", reply.status, reply.text());
    let response = resolve(document, response);
    let Some(contents) = response["content"].as_object() else {
        assert!(reply.body.is_empty(), "{name}: {}", reply.text());
        return;
    };
    let media_type = reply.header("content-type").unwrap().split(';').next().unwrap();
    let content = contents.get(media_type).unwrap_or_else(|| panic!("{name}: {media_type} is not in the document"));
    if media_type.ends_with("json") {
        assert_valid(document, &content["schema"], &reply.json(), name);
    }
    let headers = response["headers"].as_object();
    for (header, described) in headers.into_iter().flatten().filter(|(_, described)| described["required"] == true) {
        assert!(reply.header(header).is_some(), "{name} lacks {header}: {described}");
    }
}

#[test]
fn every_operation_says_what_its_reader_needs() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        for text in ["summary", "description", "operationId"] {
            assert!(!operation[text].as_str().unwrap_or_default().is_empty(), "{name} has no {text}");
        }
        assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{name} has no tag");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(!parameter["example"].is_null(), "{name}: {parameter} has no example");
            assert!(parameter["description"].is_string(), "{name}: {parameter} has no description");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolve(&document, response);
            assert!(!response["description"].as_str().unwrap().is_empty(), "{name} {status} has no description");
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                let example = example(&document, content);
                let example = example.unwrap_or_else(|| panic!("{name} {status} {media_type} has no example"));
                assert_valid(&document, &content["schema"], &example, &format!("{name} {status}, the example"));
            }
        }
        let public = operation["security"] == json!([{}]);
        let expected = [
            (!public, &["401", "403", "429"][..]),
            (path.contains("{model}"), &["400", "404", "503"]),
            (operation.get("requestBody").is_some(), &["400", "408", "413", "415", "500"]),
        ];
        for status in expected.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, statuses)| statuses) {
            assert!(operation["responses"].get(*status).is_some(), "{name} lacks {status}");
        }
        if let Some(body) = operation.get("requestBody") {
            assert!(body["description"].is_string(), "{name}: its body has no description");
            assert!(request_example(&document, &operation).is_some(), "{name}: its body has no example");
        }
    }
}

/// A path of the examples with ids that there are: of a job that is over, and of rows that were handed in.
struct Ids {
    job: String,
    background: String,
}

impl Ids {
    fn of(server: &TestServer) -> Self {
        let order = json!({"rows": [[5.1, 3.5, 1.4, 0.2]], "parts": ["attributions"]});
        let job = server.post("/api/v1/models/iris/explain/global", &order).expect(202).json();
        let job = job["id"].as_str().unwrap().to_owned();
        let state = || server.get(&format!("/api/v1/jobs/{job}")).expect(200).json()["state"].clone();
        until("the job is over", || (state() == "succeeded").then_some(()));
        let rows = server.post("/api/v1/models/iris/backgrounds", &json!({"rows": [[5.1, 3.5, 1.4, 0.2]]}));
        let background = rows.expect(201).json()["id"].as_str().unwrap().to_owned();
        Self { job, background }
    }

    fn path(&self, path: &str) -> String {
        path.replace("{job}", &self.job).replace("{background}", &self.background)
    }
}

/// The parameters that go with an answer in JSON: those of pictures are for who asks for one.
fn parameters(operation: &Value) -> Value {
    let all = operation["parameters"].as_array().into_iter().flatten();
    if operation.pointer("/responses/200/content/image~1svg+xml").is_none() {
        return all.cloned().collect();
    }
    all.filter(|parameter| parameter["in"] == "path").cloned().collect()
}

/// What an operation answers when all is well: 200, or 201, 202 or 204 if it says so.
fn good_status(operation: &Value) -> u16 {
    [200, 201, 202, 204].into_iter().find(|status| operation["responses"].get(status.to_string()).is_some()).unwrap()
}

#[test]
fn every_example_works_and_every_reply_is_as_documented() {
    // Faults are ordered only where they are enabled, and the plugin of the examples is there.
    let server = with_acme_scale(Plan::default()).set("faults.enabled=true").start();
    let document = document();
    // Unloading last, because the other examples use the same model or others.
    let mut operations = operations(&document);
    operations.sort_by_key(|(path, method, _)| (path.ends_with("/unload"), method == "DELETE"));
    let ids = Ids::of(&server);
    for (path, method, operation) in operations {
        let name = format!("{method} {path}");
        let request = Request::new(&method, concrete(&ids.path(&path), &parameters(&operation)));
        let request = match request_example(&document, &operation) {
            Some(body) => request.json(&body),
            None => request,
        };
        if operation.pointer("/requestBody/required") == Some(&json!(false)) {
            let reply = server.send(&Request::new(&method, concrete(&ids.path(&path), &parameters(&operation))));
            assert_documented(&document, &operation, &reply.expect(200), &name);
        }
        let reply = server.send(&request);
        assert_eq!(reply.status, good_status(&operation), "{name}: {}", reply.text());
        assert_documented(&document, &operation, &reply, &name);
        let contents = operation["requestBody"]["content"].as_object();
        for (media_type, content) in
            contents.into_iter().flatten().filter(|(_, content)| content["example"].is_string())
        {
            let text = content["example"].as_str().unwrap();
            let request = Request::new(&method, concrete(&ids.path(&path), &parameters(&operation)));
            let reply = server.send(&request.header("Content-Type", media_type).body(text));
            let reply = reply.expect(good_status(&operation));
            assert_documented(&document, &operation, &reply, &format!("{name} {media_type}"));
        }
        if path.contains("{model}") {
            for (wrong, status) in [("irsi", 404), ("..", 400)] {
                let path = path.replace("{model}", wrong).replace("{version}", "1").replace("{background}", "x");
                let refusal = server.send(&Request::new(&method, path).json(&iris()));
                assert_documented(&document, &operation, &refusal, &name);
                assert_eq!(refusal.status, status, "{name}");
            }
        }
    }
}

/// Whether what is shown and what came are the same kinds of values. (What must be there, the schema says.)
fn is_part_of(shown: &Value, reply: &Value) -> bool {
    match (shown, reply) {
        (Value::Object(shown), Value::Object(reply)) => {
            shown.iter().all(|(key, member)| reply.get(key).is_none_or(|real| is_part_of(member, real)))
        }
        (Value::Array(shown), Value::Array(reply)) => shown.iter().zip(reply).all(|(one, real)| is_part_of(one, real)),
        _ => std::mem::discriminant(shown) == std::mem::discriminant(reply),
    }
}

#[test]
fn the_examples_of_replies_are_real() {
    // Faults are ordered only where they are enabled, and the plugin of the examples is there.
    let server = with_acme_scale(Plan::default()).set("faults.enabled=true").start();
    let document = document();
    let ids = Ids::of(&server);
    let mut operations = operations(&document);
    operations.sort_by_key(|(_, method, _)| method == "DELETE");
    for (path, method, operation) in operations {
        let Some(content) = operation.pointer("/responses/200/content/application~1json") else { continue };
        let request = Request::new(&method, concrete(&ids.path(&path), &parameters(&operation)));
        let request =
            request_example(&document, &operation).into_iter().fold(request, |request, body| request.json(&body));
        let reply = server.send(&request).expect(200).json();
        let shown = example(&document, content).unwrap_or_else(|| panic!("{method} {path} has no example"));
        assert!(is_part_of(&shown, &reply), "{method} {path}: {shown:#} is not part of {reply:#}");
    }
    let infer = &document["paths"]["/v2/models/{model}/infer"]["post"];
    let reply = server.post("/v2/models/iris/infer", &request_example(&document, infer).unwrap()).expect(200).json();
    let shown = example(&document, infer.pointer("/responses/200/content/application~1json").unwrap()).unwrap();
    assert_eq!((&shown["model_name"], &shown["model_version"]), (&reply["model_name"], &reply["model_version"]));
    assert_eq!(shown["outputs"][0], reply["outputs"][0]);
}

#[test]
fn the_document_is_served_and_shown() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let served = server.get("/openapi.json").expect(200);
    assert_eq!((served.text(), served.header("content-type")), (document_json(), Some("application/json")));
    let yaml = server.get("/openapi.yaml").expect(200);
    assert_eq!((yaml.text(), yaml.header("content-type")), (document_yaml(), Some("application/yaml")));
    let twin = server.get("/openapi-3.0.json").expect(200);
    assert_eq!((twin.text(), twin.header("content-type")), (document_30_json(), Some("application/json")));
    let to_page = server.get("/docs").expect(308);
    assert_eq!(to_page.header("location"), Some("/docs/"));
    let page = server.get("/docs/").expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
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
