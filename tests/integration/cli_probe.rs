//! `candor probe` and `candor bench cache`: what models take, and what policies would make of it.

use std::fs;

use candor_tests::{
    process::{self, Said},
    server::library,
};
use serde_json::Value;

use super::lifecycle::BINARY;

fn run(args: &[&str]) -> Said {
    process::run(BINARY, args, &[])
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn models() -> String {
    format!("{}/../models", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_model_is_measured_in_a_process_of_its_own_and_the_server_will_know() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("data");
    let said = run(&["probe", &format!("{}/iris", models()), "--data", folder.to_str().unwrap(), "--engine", "native"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = json(&said);
    let versions = told["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 2);
    for version in versions {
        let number = |key: &str| version[key].as_u64().unwrap_or_else(|| panic!("{key}: {version}"));
        assert!(number("load_bytes") >= number("steady_bytes"), "{version}");
        assert!(number("base_bytes") > 0 && number("row_nanos") > 0, "{version}");
        assert_eq!(version["engine"]["name"], "native");
    }
    let kept: Value = serde_json::from_str(&fs::read_to_string(folder.join("weights.json")).unwrap()).unwrap();
    let known = kept["weights"].as_array().unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(known[0]["sha256"], versions[0]["sha256"]);
    // Measured again, it stands there once.
    let version = format!("{}/iris/1", models());
    assert_eq!(run(&["probe", &version, "--data", folder.to_str().unwrap(), "--engine", "native"]).code, Some(0));
    let kept: Value = serde_json::from_str(&fs::read_to_string(folder.join("weights.json")).unwrap()).unwrap();
    assert_eq!(kept["weights"].as_array().unwrap().len(), 2);
}

#[test]
fn a_version_that_cannot_be_measured_is_told_and_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in
        [("broken", b"no graph".to_vec()), ("good", fs::read(format!("{}/iris/1/model.onnx", models())).unwrap())]
    {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("model.onnx"), bytes).unwrap();
    }
    let said = run(&["probe", folder.path().to_str().unwrap(), "--engine", "native"]);
    assert_eq!(said.code, Some(1));
    let told = json(&said);
    assert!(told["versions"][0]["error"].as_str().unwrap().contains("cannot be measured"), "{told}");
    assert_eq!(told["versions"][1]["model"], "good");
}

#[test]
fn a_version_that_takes_more_memory_than_it_may_is_told() {
    let library = library();
    let engine = ["--engine", "ort", "--ort-library", library.to_str().unwrap()];
    let model = format!("{}/iris/1", models());
    let enough = run(&[&["probe", &model, "--memory", "1 GiB"], &engine[..]].concat());
    assert_eq!(enough.code, Some(0), "{enough:?}");
    // Less than the library itself.
    let said = run(&[&["probe", &model, "--memory", "1 MiB"], &engine[..]].concat());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(json(&said)["versions"][0]["error"].is_string(), "{said:?}");
    assert_eq!(run(&["probe", &models(), "--memory", "much"]).code, Some(2));
}

#[test]
fn policies_are_compared_on_a_trace_and_the_same_seed_says_the_same() {
    let args =
        ["bench", "cache", "--synthetic", "zipf", "--seed", "3", "--models", "40", "--requests", "1500", "--json"];
    let (one, other) = (run(&args), run(&args));
    assert_eq!(one.code, Some(0), "{one:?}");
    assert_eq!(one.out, other.out);
    let told = json(&one);
    let policies: Vec<&str> =
        told["policies"].as_array().unwrap().iter().map(|policy| policy["policy"].as_str().unwrap()).collect();
    assert_eq!(policies, ["gdsf", "lru", "lfu", "idle", "clairvoyant"]);
    assert!(told["policies"][0]["reserved_bytes_peak"].as_u64() <= told["budget_bytes"].as_u64());

    let file = tempfile::NamedTempFile::new().unwrap();
    let line = "{\"model\":\"a\",\"steady_bytes\":100,\"load_bytes\":200,\"load_ms\":30}\n{\"at_ms\":0,\"model\":\"a\"}\n{\"at_ms\":90,\"model\":\"a\"}\n";
    fs::write(file.path(), line).unwrap();
    let path = file.path().to_str().unwrap();
    let said = run(&["bench", "cache", "--trace", path, "--budget", "200"]);
    assert!(said.code == Some(0) && said.out.contains("gdsf") && said.out.contains("0.5000"), "{said:?}");
    fs::write(file.path(), "{\"at_ms\":0,\"model\":\"a\"}\n").unwrap();
    let said = run(&["bench", "cache", "--trace", path]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains(":1") && said.err.contains("no line above says"), "{}", said.err);
}
