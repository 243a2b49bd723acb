//! Bodies that are not the JSON that was expected: no JSON, too deep, too many, twice, wrong types.

use candor_tests::{
    Models, Plan, Request,
    infer::{iris, path},
    patience::timed,
};
use serde_json::{Value, json};

use super::refusal::{check_all, refusal, server, still_answers};

fn ask(body: impl Into<Vec<u8>>) -> Request {
    Request::post(path("iris")).body(body)
}

fn with_data(data: &str) -> Request {
    ask(format!(r#"{{"inputs":[{{"name":"features","shape":[1,4],"datatype":"FP32","data":{data}}}]}}"#))
}

/// A good request with one key more, written as text.
fn with_key(key: &str) -> Request {
    let good = iris().to_string();
    ask(format!("{{{key},{}", good.strip_prefix('{').unwrap()))
}

#[test]
fn what_is_no_json() {
    let good = iris().to_string();
    let half = good[..good.len() / 2].to_owned();
    check_all(
        &server(&[]),
        &[
            refusal("empty", ask(""), 400, &["not the JSON", "the body is empty"]),
            refusal("no body at all", Request::post(path("iris")), 400, &["the body is empty"]),
            refusal("blank", ask(" \n\t "), 400, &["not the JSON"]),
            refusal("half", ask(half), 400, &["not the JSON", "EOF"]),
            refusal("more", ask(format!("{good}{good}")), 400, &["trailing characters"]),
            refusal("array", ask("[]"), 400, &["an object with inputs"]),
            refusal("text", ask("\"inputs\""), 400, &["an object with inputs"]),
            refusal("null", ask("null"), 400, &["an object with inputs"]),
            refusal("number", ask("17"), 400, &["an object with inputs"]),
            refusal("not UTF-8", ask(b"{\"inputs\":\"\xff\xfe\"}"), 400, &["not the JSON"]),
            refusal("not UTF-8 in a name", ask(b"{\"inputs\":[{\"name\":\"\xc0\xaf\"}]}"), 400, &["not the JSON"]),
            refusal("not UTF-8 in a key", ask(b"{\"\xff\":1,\"inputs\":[]}"), 400, &["not the JSON"]),
            refusal(
                "UTF-16",
                ask(good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
                400,
                &["not the JSON"],
            ),
            refusal("byte order mark", ask(format!("\u{feff}{good}")), 400, &["not the JSON"]),
            refusal(
                "half of a pair of surrogates",
                ask(r#"{"inputs":[{"name":"\ud83e"}]}"#),
                400,
                &["not the JSON", "hex escape"],
            ),
            refusal("a control character", ask("{\"inputs\":[{\"name\":\"a\nb\"}]}"), 400, &["control character"]),
            refusal("single quotes", ask("{'inputs':[]}"), 400, &["not the JSON"]),
            refusal("a comma too many", with_data("[1,2,3,4,]"), 400, &["trailing comma"]),
            refusal("a comment", ask(format!("/* */{good}")), 400, &["not the JSON"]),
            refusal("XML", ask("<?xml version='1.0'?>"), 400, &["not the JSON"]),
            refusal("a pickle", ask(b"\x80\x04\x95\x0b\x00\x00\x00".to_vec()), 400, &["not the JSON"]),
        ],
    );
}

#[test]
fn literals_that_json_does_not_have() {
    let mut refusals = Vec::new();
    for word in ["NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"] {
        let request = with_data(&format!("[1,{word},3,4]"));
        refusals.push(refusal(word, request, 400, &["JSON has no NaN or Infinity", "binary_tensor_data"]));
    }
    for word in ["+1", "01", ".5", "1.", "0x10", "1_000", "1e", "True", "None", "undefined"] {
        refusals.push(refusal(word, with_data(&format!("[1,{word},3,4]")), 400, &["not the JSON"]));
    }
    let digits = "9".repeat(1_000_000);
    for huge in ["1e309", "-1e400", "1e999999999999999999999", &digits] {
        refusals.push(refusal(&huge[..6.min(huge.len())], with_data(&format!("[1,{huge},3,4]")), 400, &[]));
    }
    check_all(&server(&[]), &refusals);
}

#[test]
fn numbers_of_many_digits_are_still_numbers() {
    let server = server(&[]);
    let request = with_data(&format!("[1.{},0.{}1,3e-999,4]", "5".repeat(100_000), "0".repeat(100_000)));
    assert_eq!(server.send(&request).status, 200);
}

#[test]
fn nesting_is_bounded_wherever_it_stands() {
    const DEEP: usize = 100_000;
    let server = server(&[]);
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let input = |key: &str| {
        ask(format!(r#"{{"inputs":[{{"name":"features","shape":[1,4],"datatype":"FP32","data":[1,2,3,4],{key}}}]}}"#))
    };
    let too_deep = &["nested too deep", "at most 100 levels", "limits.json_depth_max"][..];
    check_all(
        &server,
        &[
            refusal("an ignored key", with_key(&format!("\"x\":{}", arrays(DEEP))), 400, too_deep),
            refusal("an ignored key of objects", with_key(&format!("\"x\":{}", objects(DEEP))), 400, too_deep),
            refusal("just one too deep", with_key(&format!("\"x\":{}", arrays(100))), 400, too_deep),
            refusal("an ignored key of an input", input(&format!("\"x\":{}", arrays(DEEP))), 400, too_deep),
            refusal("data", with_data(&arrays(DEEP)), 400, &["/inputs/0/data", "not nested as the shape says"]),
            refusal("data that never ends", with_data(&"[".repeat(DEEP)), 400, &["/inputs/0/data"]),
            refusal(
                "data before the shape",
                ask(format!(
                    r#"{{"inputs":[{{"data":{},"name":"features","shape":[1,4],"datatype":"FP32"}}]}}"#,
                    arrays(DEEP)
                )),
                400,
                &["/inputs/0/data"],
            ),
            refusal(
                "a parameter",
                with_key(&format!("\"parameters\":{{\"x\":{}}}", arrays(DEEP))),
                400,
                &["parameters/x", "cannot be nested"],
            ),
            refusal(
                "a parameter of an input",
                input(&format!("\"parameters\":{{\"x\":{}}}", objects(DEEP))),
                400,
                &["/inputs/0", "cannot be nested"],
            ),
            refusal("an id", with_key(&format!("\"id\":{}", arrays(DEEP))), 400, &["a string"]),
            refusal("outputs", with_key(&format!("\"outputs\":{}", arrays(DEEP))), 400, &["an output object"]),
            refusal("everything", ask(arrays(DEEP)), 400, &["an object with inputs"]),
            refusal("everything as objects", ask(objects(DEEP)), 400, &[]),
        ],
    );
    assert_eq!(server.send(&with_key(&format!("\"x\":{}", arrays(99)))).status, 200);
    server.stop_and_expect_clean();
}

#[test]
fn a_million_keys_are_passed_over_in_no_time_worth_mentioning() {
    let server = server(&[]);
    let keys = (0..1_000_000).map(|n| format!("\"k{n}\":{n},")).collect::<String>();
    let (reply, took) = timed(|| server.send(&with_key(keys.trim_end_matches(','))));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let parameters = format!("\"parameters\":{{{}}}", keys.trim_end_matches(','));
    let (reply, again) = timed(|| server.send(&with_key(&parameters)));
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Quadratic handling would take hours.
    assert!(took.max(again).as_secs() < 20, "{took:?} {again:?}");
    still_answers(server.addr());
}

#[test]
fn nothing_may_stand_there_twice() {
    let twice = |key: &str| {
        ask(format!(r#"{{"inputs":[{{"name":"features","shape":[1,4],"datatype":"FP32","data":[1,2,3,4],{key}}}]}}"#))
    };
    let good: Value = iris();
    let inputs = good["inputs"].to_string();
    check_all(
        &server(&[]),
        &[
            refusal("inputs", with_key(&format!("\"inputs\":{inputs}")), 400, &["/inputs", "twice"]),
            refusal(
                "outputs",
                with_key("\"outputs\":[{\"name\":\"label\"}],\"outputs\":[]"),
                400,
                &["/outputs", "twice"],
            ),
            refusal(
                "empty outputs",
                with_key("\"outputs\":[],\"outputs\":[{\"name\":\"label\"}]"),
                400,
                &["/outputs", "twice"],
            ),
            refusal("id", with_key("\"id\":\"a\",\"id\":\"b\""), 400, &["/id", "twice"]),
            refusal("parameters", with_key("\"parameters\":{},\"parameters\":{}"), 400, &["/parameters", "twice"]),
            refusal(
                "a parameter",
                with_key("\"parameters\":{\"timeout\":1,\"timeout\":2}"),
                400,
                &["/parameters/timeout", "twice"],
            ),
            refusal("name", twice("\"name\":\"features\""), 400, &["/inputs/0/name", "twice"]),
            refusal("shape", twice("\"shape\":[1,4]"), 400, &["/inputs/0/shape", "twice"]),
            refusal("datatype", twice("\"datatype\":\"FP32\""), 400, &["/inputs/0/datatype", "twice"]),
            refusal("data", twice("\"data\":[1,2,3,4]"), 400, &["/inputs/0/data", "twice"]),
            refusal(
                "parameters of an input",
                twice("\"parameters\":{},\"parameters\":{}"),
                400,
                &["/inputs/0/parameters", "twice"],
            ),
            refusal(
                "name of an output",
                with_key("\"outputs\":[{\"name\":\"label\",\"name\":\"probabilities\"}]"),
                400,
                &["/outputs/0/name", "twice"],
            ),
        ],
    );
}

#[test]
fn wrong_types_of_keys_and_parameters() {
    let parameters = |text: &str| with_key(&format!("\"parameters\":{text}"));
    let output =
        |parameters: &str| with_key(&format!("\"outputs\":[{{\"name\":\"label\",\"parameters\":{parameters}}}]"));
    let long = "x".repeat(1025);
    check_all(
        &server(&[]),
        &[
            refusal("id", with_key("\"id\":7"), 400, &["a string"]),
            refusal(
                "a long id",
                with_key(&format!("\"id\":\"{long}\"")),
                400,
                &["/id", "limits.name_bytes_max", "got 1025 bytes"],
            ),
            refusal("parameters as a list", parameters("[]"), 400, &["an object of strings, numbers and booleans"]),
            refusal(
                "a parameter that is null",
                parameters("{\"x\":null}"),
                400,
                &["/parameters/x", "cannot be nested"],
            ),
            refusal("a long parameter", parameters(&format!("{{\"x\":\"{long}\"}}")), 400, &["limits.name_bytes_max"]),
            refusal("a long parameter name", parameters(&format!("{{\"{long}\":1}}")), 400, &["limits.name_bytes_max"]),
            refusal(
                "binary_data_output",
                parameters("{\"binary_data_output\":1}"),
                400,
                &["/parameters/binary_data_output", "true or false"],
            ),
            refusal("timeout", parameters("{\"timeout\":\"1\"}"), 400, &["/parameters/timeout", "a whole number"]),
            refusal(
                "a negative timeout",
                parameters("{\"timeout\":-1}"),
                400,
                &["/parameters/timeout", "a whole number"],
            ),
            refusal(
                "classification",
                output("{\"classification\":\"3\"}"),
                400,
                &["/outputs/0/parameters/classification", "a whole number"],
            ),
            refusal(
                "negative classification",
                output("{\"classification\":-3}"),
                400,
                &["/outputs/0/parameters/classification"],
            ),
            refusal(
                "binary_data",
                output("{\"binary_data\":\"true\"}"),
                400,
                &["/outputs/0/parameters/binary_data", "true or false"],
            ),
            refusal("inputs as an object", ask(r#"{"inputs":{"features":[1,2,3,4]}}"#), 400, &["an array of inputs"]),
            refusal(
                "a megabyte of text",
                ask(format!("{{\"inputs\":\"{}\"}}", "x".repeat(1 << 20))),
                400,
                &["an array of inputs"],
            ),
            refusal("a name that is a number", ask(r#"{"inputs":[{"name":1}]}"#), 400, &["a string"]),
            refusal("a datatype that is null", ask(r#"{"inputs":[{"datatype":null}]}"#), 400, &["a string"]),
        ],
    );
}

#[test]
fn limits_are_those_of_the_configuration() {
    let plan = Plan::with(Models::copies(&["iris", "simple"])).set("limits.tensor_elements_max=32");
    let plan = plan.set("limits.tensors_max=1").set("limits.json_depth_max=4").set("limits.name_bytes_max=16");
    let plan = plan.set("limits.tensor_rank_max=4");
    let server = plan.start();
    let rows = |rows: usize| {
        Request::post(path("iris")).json(&json!({"inputs": [{"name": "features", "shape": [rows, 4], "datatype": "FP32", "data": vec![1; rows * 4]}]}))
    };
    assert_eq!(server.send(&rows(8)).status, 200);
    check_all(
        &server,
        &[
            refusal("elements", rows(9), 400, &["/inputs/0/shape", "at most 32 elements (limits.tensor_elements_max)"]),
            refusal("depth", with_key("\"x\":[[[[1]]]]"), 400, &["at most 4 levels (limits.json_depth_max)"]),
            refusal(
                "name",
                with_key("\"id\":\"01234567890123456\""),
                400,
                &["/id", "at most 16 bytes (limits.name_bytes_max)"],
            ),
            refusal(
                "inputs",
                Request::post(path("simple")).json(&candor_tests::infer::simple(1)),
                400,
                &["/inputs", "at most 1 (limits.tensors_max)"],
            ),
            refusal(
                "outputs",
                with_key("\"outputs\":[{\"name\":\"label\"},{\"name\":\"probabilities\"}]"),
                400,
                &["/outputs", "at most 1 (limits.tensors_max)"],
            ),
        ],
    );
}
