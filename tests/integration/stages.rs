//! Models of several parts over HTTP, with the plugins that are built in: stages around an engine, ensembles, what
//! answers, descriptions, metrics and errors say of their parts.

use std::{fs, path::Path};

use candor_tests::{Models, Plan, Reply, TestServer, infer::outputs, process};
use serde_json::{Value, json};

use super::lifecycle::BINARY;

/// Takes what a tokenizer gives, and gives it back as if it were embeddings of one column.
const ENCODER: &str = r#"
[[inputs]]
name = "input_ids"
datatype = "INT64"
dims = ["rows", "tokens"]
[[inputs]]
name = "attention_mask"
datatype = "INT64"
dims = ["rows", "tokens"]
[[outputs]]
name = "ids"
datatype = "INT64"
dims = ["rows", "tokens"]
echo = "input_ids"
[[outputs]]
name = "mask"
datatype = "INT64"
dims = ["rows", "tokens"]
echo = "attention_mask"
"#;

const SENTENCES: &str = r#"
[[stage]]
component = "candor.tokenizer"
config = { tokenizer = { file = "tokenizer.json" }, outputs = ["input_ids", "attention_mask"] }
inputs = { text = "sentence" }
"#;

/// Words are numbers, by a table.
fn tokenizer() -> Value {
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "[PAD]": 1, "good": 2, "morning": 3, "night": 4},
                  "unk_token": "[UNK]"}})
}

fn encoder(manifest: &str) -> TestServer {
    let models = Models::none()
        .with_file("encoder/model.toml", manifest)
        .with_file("encoder/1/model.onnx", ENCODER)
        .with_file("encoder/1/tokenizer.json", tokenizer().to_string());
    Plan::with(models).with_null_engines(&[("null", "1")]).start()
}

fn texts(sentences: &[&str]) -> Value {
    json!({"inputs": [{"name": "sentence", "datatype": "BYTES", "shape": [sentences.len()], "data": sentences}]})
}

fn infer(server: &TestServer, model: &str, body: &Value) -> Reply {
    server.post(&format!("/v2/models/{model}/infer"), body)
}

#[test]
fn a_model_takes_text_where_a_tokenizer_stands_before_it() {
    let server = encoder(SENTENCES);
    let reply = infer(&server, "encoder", &texts(&["good morning", "night"]));
    let reply = outputs(&reply);
    assert_eq!(reply[0].elements(), json!([2, 3, 4, 1]).as_array().unwrap().as_slice());
    assert_eq!(reply[1].elements(), json!([1, 1, 1, 0]).as_array().unwrap().as_slice());
    let metadata = server.get("/v2/models/encoder").expect(200).json();
    let inputs = json!([{"name": "sentence", "datatype": "BYTES", "shape": [-1]}]);
    assert_eq!(metadata["inputs"], inputs);
    let stages = metadata["properties"]["stages"].as_str().unwrap();
    assert!(stages.starts_with("tokenizer (candor.tokenizer, ") && stages.ends_with(" → engine"), "{stages}");
    let shown = server.get("/api/v1/models/encoder").expect(200).json();
    assert_eq!(shown["stages"][0]["role"], "before");
    assert_eq!(shown["stages"][0]["inputs"], json!(["sentence"]));
    assert_eq!(shown["stages"][0]["outputs"], json!(["input_ids", "attention_mask"]));
    assert_eq!(shown["stages"][1]["name"], "engine");
    let body = json!({"rows": [{"sentence": "good night"}]});
    let reply = server.post("/api/v1/models/encoder/predict", &body).expect(200).json();
    let stages = reply["timings_ms"]["stages"].as_object().unwrap();
    assert_eq!(stages.keys().collect::<Vec<_>>(), ["tokenizer", "engine"]);
    let metrics = server.get("/metrics").expect(200).text();
    for line in [
        "candor_stage_seconds_count{model=\"encoder\",version=\"1\",stage=\"tokenizer\"} 2",
        "candor_stage_seconds_count{model=\"encoder\",version=\"1\",stage=\"engine\"} 2",
        "candor_stage_failures_total{model=\"encoder\",version=\"1\",stage=\"tokenizer\"} 0",
    ] {
        assert!(metrics.contains(line), "no {line}");
    }
}

#[test]
fn what_a_stage_refuses_is_the_callers_fault_and_says_which_stage() {
    let manifest = SENTENCES.replace("outputs = [\"input", "text_bytes_max = 12, outputs = [\"input");
    let server = encoder(&manifest);
    let _ = infer(&server, "encoder", &texts(&["good night"])).expect(200);
    let reply = infer(&server, "encoder", &texts(&["good night", "good morning, good night"])).expect(400).json();
    let error = reply["error"].as_str().unwrap();
    assert!(error.contains("stage 1 'tokenizer': ") && error.contains("row 1 of `text`"), "{error}");
}

#[test]
fn a_model_whose_parts_do_not_fit_is_not_served_and_says_why() {
    for (manifest, wanted) in [
        (SENTENCES.replace("candor.tokenizer", "candor.tokeniser"), "no plugin offers it"),
        (SENTENCES.replace("candor.tokenizer", "candor.vote"), "stage 1 'vote'"),
        (SENTENCES.replace("tokenizer.json", "vocab.json"), "vocab.json"),
        (SENTENCES.replace("{ text =", "{ texts ="), "it has no input 'texts'; expected text"),
        (SENTENCES.replace("outputs = [\"input_ids\", \"attention_mask\"]", "padding = \"longest\""), "token_type_ids"),
    ] {
        let models = Models::none()
            .with_file("encoder/model.toml", &manifest)
            .with_file("encoder/1/model.onnx", ENCODER)
            .with_file("encoder/1/tokenizer.json", tokenizer().to_string());
        let server = Plan::with(models).with_null_engines(&[("null", "1")]).start();
        let reply = infer(&server, "encoder", &texts(&["good"])).expect(503).json();
        let error = reply["error"].as_str().unwrap();
        assert!(error.contains("stage 1") && error.contains(wanted), "{error}");
    }
}

const VOTE: &str = r#"
[ensemble]
members = [
    { model = "iris", version = "1", output = "probabilities" },
    { model = "iris", version = "2", output = "probabilities" },
]
combiner = { component = "candor.vote", config = { voting = "soft", weights = [3, 1] } }
"#;

fn flower() -> Value {
    json!({"inputs": [{"name": "features", "datatype": "FP32", "shape": [2, 4],
        "data": [6.0, 3.0, 5.0, 1.8, 5.1, 3.5, 1.4, 0.2]}]})
}

fn numbers(reply: &Reply, output: &str) -> Vec<f64> {
    let outputs = outputs(reply);
    let found = outputs.iter().find(|one| one.name == output).unwrap();
    found.elements().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn an_ensemble_of_two_versions_answers_their_weighted_mean() {
    let models = Models::copies(&["iris"]).with_file("both/model.toml", VOTE);
    let server = Plan::with(models).start();
    let of = |version: &str| {
        let reply = server.post(&format!("/v2/models/iris/versions/{version}/infer"), &flower()).expect(200);
        numbers(&reply, "probabilities")
    };
    let got = numbers(&infer(&server, "both", &flower()).expect(200), "probabilities");
    assert_eq!(got.len(), 6);
    for ((first, second), got) in of("1").into_iter().zip(of("2")).zip(got) {
        let want = (3.0 * first + second) / 4.0;
        assert!((want - got).abs() < 1e-6, "{got}, wanted {want}");
    }
    let shown = server.get("/api/v1/models/both").expect(200).json();
    let names: Vec<&str> =
        shown["stages"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["iris:1", "iris:2", "combiner"]);
    assert_eq!(shown["engine"]["name"], "ensemble");
    // A member that is gone is named.
    let _ = server.post("/v2/repository/models/iris/unload", &json!({})).expect(200);
    let error = infer(&server, "both", &flower()).expect(503).json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("member 'iris:1'") && error.contains("not loaded"), "{error}");
}

#[test]
fn how_many_parts_a_model_may_have_is_configured() {
    let within = VOTE.replace("\"iris\", version = \"2\"", "\"both\"");
    let models = || {
        Models::copies(&["iris"])
            .with_file("both/model.toml", VOTE)
            .with_file("within/model.toml", &within)
            .with_file("encoder/model.toml", SENTENCES.repeat(2).replacen("inputs =", "name = \"first\"\ninputs =", 1))
            .with_file("encoder/1/model.onnx", ENCODER)
            .with_file("encoder/1/tokenizer.json", tokenizer().to_string())
    };
    for (key, most, model, says) in [
        ("limits.stages_max", 1, "encoder", "there are too many stages; expected at most 1 (limits.stages_max), got 2"),
        ("limits.members_max", 1, "both", "too many members; expected at most 1 (limits.members_max), got 2"),
        (
            "limits.call_depth_max",
            2,
            "within",
            "too deeply; expected at most 2 models deep (limits.call_depth_max), got within → both → iris",
        ),
    ] {
        for (most, is_refused) in [(most, true), (most + 1, false)] {
            let server = Plan::with(models()).set(&format!("{key}={most}")).start();
            let index = server.index_of(model);
            let refused = index.iter().any(|one| one["reason"].as_str().is_some_and(|reason| reason.contains(says)));
            assert_eq!(refused, is_refused, "{key}={most}: {index:?}");
        }
    }
}

/// One of the classical models, of whom `tests/zoo/zoo.json` has what their library answers.
fn of_zoo(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("zoo/models/{name}.onnx"))).unwrap()
}

const MEAN: &str = r#"
[ensemble]
members = [{ model = "forest" }, { model = "linear" }]
[ensemble.combiner]
component = "candor.average"
config = { weights = [3, 1] }
gives = [{ name = "y", datatype = "FP32", shape = [-1, 1] }]
"#;

#[test]
fn an_average_of_two_regressors_has_their_shape() {
    let models = Models::none()
        .with_file("forest/1/model.onnx", of_zoo("sk_forest_numbers"))
        .with_file("linear/1/model.onnx", of_zoo("sk_linear"))
        .with_file("mean/model.toml", MEAN)
        .with_file("silent/model.toml", MEAN.replace("gives =", "takes ="));
    let server = Plan::with(models).start();
    let zoo = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo/zoo.json")).unwrap();
    let zoo: Value = serde_json::from_str(&zoo).unwrap();
    let of = |name: &str| zoo["models"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    let (forest, linear) = (of("sk_forest_numbers"), of("sk_linear"));
    let reply = infer(&server, "mean", &json!({"inputs": forest["inputs"]})).expect(200);
    assert_eq!(outputs(&reply)[0].shape, json!([6, 1]));
    let answers = |model: &Value| model["outputs"][0]["data"].as_array().unwrap().clone();
    for ((forest, linear), got) in answers(forest).iter().zip(answers(linear)).zip(numbers(&reply, "y")) {
        let want = (3.0 * forest.as_f64().unwrap() + linear.as_f64().unwrap()) / 4.0;
        assert!((want - got).abs() < 1e-3, "{got}, wanted {want}");
    }
    let error = infer(&server, "silent", &json!({"inputs": linear["inputs"]})).expect(503).json();
    let error = error["error"].as_str().unwrap();
    assert!(error.contains("'candor.average' does not tell what it takes and gives"), "{error}");
}

#[test]
fn the_command_line_opens_an_ensemble_with_its_members() {
    let models = Models::copies(&["iris"]).with_file("both/model.toml", VOTE);
    let (root, both) = (models.root().to_str().unwrap(), models.path("both"));
    let both = both.to_str().unwrap();
    let run = |args: &[&str]| {
        let said = process::run(BINARY, &[args, &["--engine", "native"]].concat(), &[]);
        assert_eq!(said.code, Some(0), "{args:?}: {} {}", said.out, said.err);
        said.out
    };
    let checked = run(&["model", "check", both]);
    for part in ["iris:1", "iris:2", "combiner"] {
        assert!(checked.contains(part), "no {part} in {checked}");
    }
    let shown: Value = serde_json::from_str(&run(&["model", "show", "both", root, "--json"])).unwrap();
    assert_eq!(shown["engine"]["name"], "ensemble");
    assert_eq!(shown["stages"].as_array().unwrap().len(), 3);
    assert_eq!(shown["inputs"][0]["name"], "features");
    let probed: Value = serde_json::from_str(&run(&["probe", both])).unwrap();
    let version = &probed["versions"][0];
    assert_eq!((&version["engine"]["name"], version["error"].is_null()), (&json!("ensemble"), true), "{version}");

    // A member that is not there is named.
    models.write("both/model.toml", VOTE.replace("\"2\"", "\"3\""));
    let said = process::run(BINARY, &["model", "check", both, "--engine", "native"], &[]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.contains("ensemble.members[1]") && said.out.contains("member 'iris'"), "{}", said.out);
}
