//! Wrong requests to the native API and exactly what they are told, in a table that a person can read; and
//! that every problem is what the document says.

use std::{cell::Cell, fmt::Write as _};

use candor_http_api::openapi::document_json;
use candor_tests::{Models, Plan, Reply, Request, TestServer};
use jsonschema::Validator;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

const PREDICT: &str = "/api/v1/models/iris/predict";

fn server() -> TestServer {
    let models = Models::copies(&["iris", "digits", "simple", "simple_string"])
        .with_file("broken/1/model.onnx", "not a graph")
        .with_file("gaps/model.toml", GAPS);
    candor_tests::models::copy(&models.path("iris/1"), &models.path("gaps/1"));
    Plan::with(models).set("limits.body_bytes_max=100000").start()
}

const GAPS: &str = r#"
[[inputs]]
name = "features"
features = [
    { name = "length/total", impute = 1.0 }, { name = "width", default = 1.0 }, { name = "depth" }, { name = "age" },
]
"#;

fn rows(rows: &str) -> Request {
    json_body(&format!("{{\"rows\": {rows}}}"))
}

fn json_body(body: &str) -> Request {
    Request::post(PREDICT).header("Content-Type", "application/json").body(body)
}

fn csv(body: &str) -> Request {
    Request::post(PREDICT).header("Content-Type", "text/csv").body(body)
}

fn lines(body: &str) -> Request {
    Request::post(PREDICT).header("Content-Type", "application/jsonl").body(body)
}

fn to(model: &str, body: &str) -> Request {
    Request::post(format!("/api/v1/models/{model}/predict")).header("Content-Type", "application/json").body(body)
}

type Wrong = (&'static str, Request);

/// Every wrong request by a name for it.
fn table() -> Vec<Wrong> {
    [wrong_rows(), wrong_bodies(), wrong_lines(), wrong_for_the_model(), wrong_about_the_rest()].concat()
}

fn wrong_rows() -> Vec<Wrong> {
    let good = r#"{"sepal_length": 5, "sepal_width": 3, "petal_length": 1, "petal_width": 0.2"#;
    let one = |more: &str| rows(&format!("[{good}{more}}}]"));
    vec![
        ("a feature is missing", rows(r#"[{"sepal_length": 5, "sepal_width": 3, "petal_length": 1}]"#)),
        (
            "a feature is misspelt",
            rows(r#"[{"sepal_lenght": 5, "sepal_width": 3, "petal_length": 1, "petal_width": 0}]"#),
        ),
        ("a feature is unknown", one(r#", "colour": "red""#)),
        ("a feature stands there twice", one(r#", "petal_width": 0.3"#)),
        ("a number is a text", rows(r#"[["5.1", 3, 1, 0]]"#)),
        ("a number is true", rows("[[true, 3, 1, 0]]")),
        ("a number is null", rows("[[null, 3, 1, 0]]")),
        ("a number is a list", rows("[[[5], 3, 1, 0]]")),
        ("a number is an object", rows(r#"[[{"cm": 5}, 3, 1, 0]]"#)),
        ("a number is out of range", rows("[[5, 3, 1, 31]]")),
        ("a number is too large for the datatype", rows("[[1e39, 3, 1, 0]]")),
        ("a number is no number of JSON", rows("[[NaN, 3, 1, 0]]")),
        ("a row is too short", rows("[[5, 3, 1]]")),
        ("a row is too long", rows("[[5, 3, 1, 0, 7]]")),
        ("a row is a number", rows("[5, 3, 1, 0]")),
        ("a row is null", rows("[null]")),
        ("rows are an object", rows(r#"{"sepal_length": 5}"#)),
        ("rows are a text", rows("\"5,3,1,0\"")),
        ("there are no rows", rows("[]")),
        ("several things are wrong in several rows", rows(r#"[[5, 3, 1, "x"], {"sepal_length": -1}]"#)),
    ]
}

fn wrong_bodies() -> Vec<Wrong> {
    vec![
        ("rows and columns", json_body(r#"{"rows": [[5, 3, 1, 0]], "columns": {}}"#)),
        (
            "columns differ in length",
            json_body(
                r#"{"columns": {"sepal_length": [5, 6], "sepal_width": [3], "petal_length": [1, 1], "petal_width": [0, 0]}}"#,
            ),
        ),
        ("a column is missing", json_body(r#"{"columns": {"sepal_length": [5]}}"#)),
        ("a column is no list", json_body(r#"{"columns": {"sepal_length": 5}}"#)),
        (
            "a value of a column is wrong",
            json_body(
                r#"{"columns": {"sepal_length": [5, "x"], "sepal_width": [3, 3], "petal_length": [1, 1], "petal_width": [0, 0]}}"#,
            ),
        ),
        ("neither rows nor columns", json_body("{}")),
        ("a member is misspelt", json_body(r#"{"row": []}"#)),
        ("tensors at the wrong door", json_body(r#"{"inputs": []}"#)),
        ("the body is a list", json_body("[[5, 3, 1, 0]]")),
        ("the body is empty", json_body("")),
        ("the body ends too early", json_body(r#"{"rows": [[5, 3,"#)),
        ("there is more behind the body", json_body(r#"{"rows": [[5, 3, 1, 0]]} {}"#)),
        ("the id is a number", json_body(r#"{"rows": [[5, 3, 1, 0]], "id": 7}"#)),
        ("the timeout is negative", json_body(r#"{"rows": [[5, 3, 1, 0]], "timeout_ms": -1}"#)),
    ]
}

fn wrong_lines() -> Vec<Wrong> {
    vec![
        ("CSV without a column", csv("sepal_length,sepal_width,petal_length\n5,3,1\n")),
        ("CSV with a misspelt column", csv("sepal_length,sepal_width,petal_length,petal_widht\n5,3,1,0\n")),
        ("CSV with a short line", csv("sepal_length,sepal_width,petal_length,petal_width\n5,3,1,0\n5,3\n")),
        ("CSV with a text", csv("sepal_length,sepal_width,petal_length,petal_width\n5,3,1,long\n")),
        ("CSV with an empty cell", csv("sepal_length,sepal_width,petal_length,petal_width\n5,3,,0\n")),
        ("CSV with infinity", csv("sepal_length,sepal_width,petal_length,petal_width\n5,3,inf,0\n")),
        ("CSV that is only names", csv("sepal_length,sepal_width,petal_length,petal_width\n")),
        ("a line that is no JSON", lines("[5, 3, 1, 0]\n[5, 3, 1\n")),
        ("a line with a wrong value", lines("[5, 3, 1, 0]\n[5, 3, 1, \"x\"]\n")),
    ]
}

fn wrong_for_the_model() -> Vec<Wrong> {
    vec![
        ("a whole number has a fraction", to("simple", &format!(r#"{{"rows": [{:?}]}}"#, [1.5; 32]))),
        ("a whole number is too large", to("simple", &format!(r#"{{"rows": [{:?}]}}"#, [3_000_000_000_u64; 32]))),
        ("a text is a number", to("simple_string", &format!(r#"{{"rows": [{:?}]}}"#, [1; 32]))),
        ("more rows than the model takes", to("simple", &json!({"rows": vec![vec![1; 32]; 9]}).to_string())),
        ("an image of the wrong size", to("digits", r#"{"rows": [{"image": [[[1, 2], [3, 4]]]}]}"#)),
        ("an image that is flat", to("digits", r#"{"rows": [[[1, 2, 3]]]}"#)),
        ("a gap where none is filled", to("gaps", r#"{"rows": [{"length/total": null, "depth": null, "age": 1}]}"#)),
        ("a name with a slash", to("gaps", r#"{"rows": [{"length/total": "x", "depth": 1, "age": 1}]}"#)),
    ]
}

fn wrong_about_the_rest() -> Vec<Wrong> {
    vec![
        ("a model is misspelt", to("irsi", r#"{"rows": [[5, 3, 1, 0]]}"#)),
        ("a model could not be loaded", to("broken", r#"{"rows": [[5, 3, 1, 0]]}"#)),
        ("a name that no model can have", to("..", "{}")),
        ("a version that there is not", Request::post("/api/v1/models/iris/versions/9/predict").body("{}")),
        ("a media type that is not read", Request::post(PREDICT).header("Content-Type", "text/xml").body("<rows/>")),
        ("an encoding that is not read", json_body("{}").header("Content-Encoding", "br")),
        ("a body that is too large", json_body(&" ".repeat(100_001))),
        ("a version of the API that there is not", json_body("{}").header("Accept", "application/vnd.candor.v3+json")),
        ("a page that is too large", Request::get("/api/v1/models?page_size=501")),
        ("a parameter that there is not", Request::get("/api/v1/models?size=5")),
        ("a state that there is not", Request::get("/api/v1/models?state=up")),
        ("a path that there is not", Request::get("/api/v1/model/iris")),
        ("a method that there is not", Request::get(PREDICT)),
    ]
}

/// A problem as its reader sees it, without what follows from the rest.
fn shown(problem: &Value) -> String {
    let mut text = String::new();
    for key in ["pointer", "at", "detail", "hint"] {
        if let Some(value) = problem[key].as_str() {
            writeln!(text, "    {key:<8} {value}").unwrap();
        }
    }
    text
}

/// What the document says of problems, and that they have no other members.
fn schema() -> Validator {
    let document: Value = serde_json::from_str(&document_json()).unwrap();
    let root = json!({
        "$ref": "#/components/schemas/ProblemBody", "unevaluatedProperties": false,
        "components": document["components"]});
    jsonschema::draft202012::new(&root).unwrap()
}

/// The problem that a reply is; what is wrong with it, if it is none.
fn problem_of(reply: &Reply, schema: &Validator) -> Result<Value, String> {
    if reply.header("content-type") != Some("application/problem+json") {
        return Err(format!("{:?}", reply.header("content-type")));
    }
    let problem = reply.json();
    if let Some(error) = schema.iter_errors(&problem).next() {
        return Err(format!("{error} in {problem}"));
    }
    let word = problem["reason"].as_str().or(problem["code"].as_str());
    let same = problem["status"] == reply.status && word == reply.header("candor-reason");
    if same { Ok(problem) } else { Err(format!("head and body differ: {problem}")) }
}

/// A body that is nearly right: the good one with members and values that mean something elsewhere.
fn nearly_right() -> impl Strategy<Value = String> {
    let words =
        select(vec!["rows", "columns", "id", "timeout_ms", "sepal_length", "sepal_lenght", "petal_width", "~/"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(6, 64, 6, move |inner| {
        let object = vec((words.clone(), inner.clone()), 0..5).prop_map(|members| {
            members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
        });
        prop_oneof![vec(inner, 0..5).prop_map(Value::from), object]
    });
    let torn = (tree.clone(), any::<Index>()).prop_map(|(tree, cut)| {
        let text = json!({"rows": tree}).to_string();
        let cut =
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).nth(cut.index(text.chars().count())).unwrap();
        text[..cut].to_owned()
    });
    prop_oneof![
        4 => tree.clone().prop_map(|rows| json!({"rows": rows}).to_string()),
        2 => tree.clone().prop_map(|columns| json!({"columns": columns}).to_string()),
        2 => tree.prop_map(|body| body.to_string()),
        1 => torn,
        1 => ".{0,60}",
    ]
}

#[test]
fn whatever_is_sent_a_refusal_is_a_problem_as_documented() {
    let (server, schema) = (server(), schema());
    let media_types =
        select(vec!["application/json", "application/jsonl", "text/csv", "text/csv; header=absent", "x/y"]);
    let paths = select(vec![PREDICT, "/api/v1/models/digits/predict", "/api/v1/models/simple_string/predict"]);
    let refused = Cell::new(0);
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(paths, media_types, nearly_right()), |(path, media_type, body)| {
        let request = Request::post(path).header("Content-Type", media_type).body(body);
        let reply = server.send(&request);
        match reply.status {
            200 => {}
            400 | 415 => {
                refused.set(refused.get() + 1);
                problem_of(&reply, &schema).map_err(TestCaseError::fail)?;
            }
            other => return Err(TestCaseError::fail(format!("{other}: {}", reply.text()))),
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(refused.get() > 1000, "only {} were refused", refused.get());
}

#[test]
fn wrong_requests_are_told_what_is_wrong_where_and_how_to_mend_it() {
    let server = server();
    let (table, schema) = (table(), schema());
    assert!(table.len() >= 40);
    let mut text = String::new();
    for (name, request) in table {
        let reply = server.send(&request);
        assert!((400..600).contains(&reply.status) && reply.status != 500, "{name}: {}", reply.text());
        let problem = problem_of(&reply, &schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        writeln!(text, "{name}\n  {} {}", reply.status, problem["code"].as_str().unwrap()).unwrap();
        match problem["errors"].as_array() {
            Some(errors) => errors.iter().for_each(|error| text.push_str(&shown(error))),
            None => text.push_str(&shown(&problem)),
        }
        text.push('\n');
    }
    insta::with_settings!({omit_expression => true}, {
        insta::assert_snapshot!("wrong_requests", text);
    });
}
