//! Which engine runs a model: the order, the words that narrow it, what is told of it, and what is remembered.

use candor_tests::{
    Models, Plan, Process, Request, TestServer,
    counters::scrape,
    models::{fixture, golden_pairs, sample},
    process, until,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_candor-under-test");

/// A model file of the null engines.
fn null_model(head: &str) -> String {
    format!(
        "{head}\n[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\", 2]\n\
         [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [\"rows\"]\nconstant = 0.5\n"
    )
}

const NOT_FOR_ORT: &str = "key = \"m\"\nnot_for = [\"ort\"]";

fn describe(server: &TestServer, model: &str) -> Value {
    server.get(&format!("/api/v1/models/{model}")).expect(200).json()
}

#[test]
fn every_place_that_describes_a_model_names_its_engine() {
    let models = Models::none()
        .with_file("first/1/model.onnx", null_model(""))
        .with_file("second/1/model.onnx", null_model(NOT_FOR_ORT));
    let server = Plan::with(models).with_null_engines(&[("ort", "9"), ("native", "2")]).start();
    let engine = json!({"name": "native", "version": "2"});
    assert_eq!(server.get("/v2").expect(200).json()["engines"], json!([{"name": "ort", "version": "9"}, engine]));

    let first = describe(&server, "first");
    assert_eq!((&first["engine"]["name"], first.get("engine_passed_over")), (&json!("ort"), None));
    let second = describe(&server, "second");
    assert_eq!(second["engine"], engine);
    assert_eq!(second["engine_passed_over"], json!([{"name": "ort", "why": "'m' is not for this engine"}]));
    let listed = server.get("/api/v1/models?q=second").expect(200).json();
    assert_eq!(listed["models"][0]["versions"][0]["engine"], engine);

    let metadata = server.get("/v2/models/second").expect(200).json();
    assert_eq!(metadata["properties"]["engine"], "native 2");
    assert_eq!(metadata["properties"]["engine_passed_over"], "ort: 'm' is not for this engine");
    let config = server.get("/v2/models/second/config").expect(200).json();
    assert_eq!(config["parameters"]["engine"]["string_value"], "native 2");
    let answer = server.post("/api/v1/models/second/predict", &json!({"rows": [[1, 2]]})).expect(200).json();
    assert_eq!(answer["engine"], engine);

    let scrape = scrape(&server);
    for (model, engine) in [("first", "ort"), ("second", "native")] {
        assert_eq!(scrape.value("candor_model_info", &[("model", model), ("engine", engine)]), 1.0);
    }
}

#[test]
fn a_model_may_narrow_the_engines_and_is_told_when_none_is_left() {
    let models = Models::none()
        .with_file("narrowed/1/model.onnx", null_model(""))
        .with_file("narrowed/model.toml", "engine = \"native\"\n")
        .with_file("nobody/1/model.onnx", null_model("key = \"n\"\nnot_for = [\"ort\", \"native\"]"))
        .with_file("elsewhere/1/model.onnx", null_model(""))
        .with_file("elsewhere/model.toml", "engine = \"tract\"\n");
    let server = Plan::with(models).with_null_engines(&[("ort", "9"), ("native", "2")]).start();
    let narrowed = describe(&server, "narrowed");
    assert_eq!((&narrowed["engine"]["name"], narrowed.get("engine_passed_over")), (&json!("native"), None));
    let reason = |model: &str| server.index_of(model)[0]["reason"].as_str().unwrap().to_owned();
    assert_eq!(
        reason("nobody"),
        "no engine takes the file: ort: 'n' is not for this engine; native: 'n' is not for this engine"
    );
    assert_eq!(describe(&server, "elsewhere")["engine"]["name"], "native", "the pair of native and tract");
    server.models().write("elsewhere/model.toml", "engine = \"tracked\"\n");
    assert!(server.load("elsewhere").expect(400).error().contains("tracked"));
}

#[test]
fn a_change_of_engine_is_remembered_over_restarts() {
    let data = TempDir::new().unwrap();
    let start = |engines: &[(&'static str, &'static str)]| {
        let models = Models::none().with_file("m/1/model.onnx", null_model(""));
        Plan::with(models).set(&format!("data.dir={}", data.path().display())).with_null_engines(engines).start()
    };
    let was = |server: &TestServer| describe(server, "m").get("engine_was").cloned();
    let (old, new) = (&[("native", "1")], &[("ort", "9"), ("native", "1")]);
    for _ in 0..2 {
        let server = start(old);
        assert_eq!(was(&server), None);
        server.stop_and_expect_clean();
    }
    let before = json!({"name": "native", "version": "1"});
    for _ in 0..2 {
        let server = start(new);
        assert_eq!(was(&server), Some(before.clone()));
        let metadata = server.get("/v2/models/m").expect(200).json();
        assert_eq!(metadata["properties"]["engine_was"], "native 1");
        server.stop_and_expect_clean();
    }
    let kept = data.path().join("engines.json");
    let record: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    let entry = &record["engines"][0];
    assert_eq!((&entry["model"], &entry["version"], &entry["was"]), (&json!("m"), &json!("1"), &before));
    assert_eq!(entry["engine"], json!({"name": "ort", "version": "9"}));
    assert_eq!(entry["sha256"].as_str().unwrap().len(), 64);
    // What nobody can read is written anew.
    std::fs::write(&kept, "{").unwrap();
    let server = start(new);
    assert_eq!(was(&server), None);
    server.stop_and_expect_clean();
    serde_json::from_slice::<Value>(&std::fs::read(&kept).unwrap()).unwrap();
}

/// Serves with no library in sight.
fn without_library(models: &Models, more: &[&str]) -> Process {
    Process::serve(BINARY, models.root(), &[&["--set", "engine.ort_library=/nowhere/x.so"], more].concat())
}

#[test]
fn without_a_library_it_serves_and_says_how_to_get_one() {
    let models = Models::none().with_file("iris/1/model.onnx", sample("iris", "1"));
    let mut process = without_library(&models, &[]);
    let addr = process.ready();
    let said = until("the banner", || Some(process.said()).filter(|said| said.contains("/docs/")));
    for words in [
        "engine   native ",
        "! without ort: no usable ONNX Runtime library",
        "how to get one: `cargo xtask runtime",
        "WARN serving without the engine ort",
        "/nowhere/x.so",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let body = json!({"rows": [[5.1, 3.5, 1.4, 0.2]]});
    let answer = Request::post("/api/v1/models/iris/predict").json(&body).send(addr).expect(200).json();
    assert_eq!((&answer["engine"]["name"], &answer["predictions"][0]["label"]), (&json!("native"), &json!("0")));
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0));
}

#[test]
fn a_word_narrows_the_engines_of_a_server_and_of_a_check() {
    let server = Plan::with(Models::copies(&["iris"])).set("engine.choice=native").start();
    assert_eq!(server.get("/v2").expect(200).json()["engines"].as_array().unwrap().len(), 1);
    let iris = describe(&server, "iris");
    assert_eq!((&iris["engine"]["name"], iris.get("engine_passed_over")), (&json!("native"), None));
    assert_eq!(iris["cross_check"]["reason"], "there is no other engine");

    let root = server.models().root().to_str().unwrap();
    let check = |engine: &str| process::run(BINARY, &["model", "check", root, "--engine", engine], &[]).out;
    assert!(check("native").contains("✓ engine       native "), "{}", check("native"));
    let shown = process::run(BINARY, &["model", "show", "iris", root, "--engine", "native"], &[]).out;
    assert!(shown.contains("engine      native "), "{shown}");
    let ort = process::run(BINARY, &["model", "check", root, "--engine", "ort", "--ort-library", "/nowhere"], &[]);
    assert_eq!(ort.code, Some(1));
    assert!(ort.err.contains("no usable ONNX Runtime library"), "{}", ort.err);
}

#[test]
fn what_one_engine_does_not_run_the_next_one_does() {
    let models = Models::none().with_file("maps/1/model.onnx", fixture("refused_sequence"));
    let server = Plan::with(models).start();
    let described = describe(&server, "maps");
    assert_eq!(described["engine"]["name"], "native");
    let passed_over = &described["engine_passed_over"][0];
    assert_eq!(passed_over["name"], "ort");
    assert!(
        passed_over["why"].as_str().unwrap().starts_with("output 'y' is a sequence, not a tensor"),
        "{passed_over}"
    );
}

#[test]
fn the_embedded_pair_serves_every_sample_model_without_a_library() {
    let plan = Plan::default().set("engine.choice=tract").set("engine.ort_library=/nowhere/x.so");
    if !candor::HAS_TRACT {
        let error = plan.try_start().unwrap_err();
        assert!(
            error.contains("this build has no engine called tract; build candor with its default features"),
            "{error}"
        );
        return;
    }
    let server = plan.start();
    let mut engines = BTreeSet::new();
    for pair in golden_pairs() {
        let described = server.get(&format!("/api/v1/models/{}", pair.model)).expect(200).json();
        engines.insert(described["engine"]["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(engines.into_iter().collect::<Vec<_>>(), ["native", "tract"]);
}
