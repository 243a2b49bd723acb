//! Cold starts over real TCP: copies over restarts, copies that are no good, lazy models.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candor_tests::grpc::proto::{ModelMetadataRequest, ModelReadyRequest};
use candor_tests::{
    Grpc, Models, Plan, TestServer,
    infer::{iris, path},
    models::SAMPLES,
    process, until,
};
use serde_json::{Value, json};

use super::lifecycle::BINARY;

/// A server over all samples that keeps copies even of the smallest, in `data`.
fn server(data: &Path, twins: bool) -> TestServer {
    let plan = Plan::with(Models::copies(&SAMPLES)).set(&format!("data.dir={}", data.display()));
    let plan = plan.set("cold_start.model_bytes_min=0").set("engine.choice=ort");
    plan.set(if twins { "cold_start.twin_bytes_min=1" } else { "cold_start.twin_bytes_min=0" }).start()
}

fn copies(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("copies")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<_> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "copy")).collect();
    all.sort();
    all
}

/// What each sample answers to the inputs of its first golden pair.
fn answers(server: &TestServer) -> Vec<Value> {
    let ask = |model: &&str| {
        let folder = candor_tests::models::samples().join(model);
        let version = if *model == "iris" { "2" } else { "1" };
        let golden: Value =
            serde_json::from_slice(&fs::read(folder.join(version).join("golden.json")).unwrap()).unwrap();
        server.post(&path(model), &json!({"inputs": golden["cases"][0]["inputs"]})).expect(200).json()
    };
    SAMPLES.iter().map(ask).collect()
}

/// Versions that are served: one of each sample, and both of iris.
const SERVED: usize = SAMPLES.len() + 1;

#[test]
fn after_a_restart_all_samples_answer_from_copies_bit_by_bit_as_before() {
    let data = tempfile::tempdir().unwrap();
    let first = server(data.path(), false);
    let before = answers(&first);
    until("all copies are made", || (copies(data.path()).len() == SERVED).then_some(()));
    first.stop_and_expect_clean();
    let made = copies(data.path());
    let second = server(data.path(), false);
    assert_eq!(answers(&second), before);
    second.stop_and_expect_clean();
    assert_eq!(copies(data.path()), made);
    // With twins every golden pair still holds, or nothing would be ready.
    let third = server(data.path(), true);
    assert_eq!(answers(&third).len(), before.len());
    third.stop_and_expect_clean();
}

#[test]
fn copies_that_are_no_good_are_removed_made_anew_and_never_answer() {
    let data = tempfile::tempdir().unwrap();
    let first = server(data.path(), false);
    let before = answers(&first);
    until("all copies are made", || (copies(data.path()).len() == SERVED).then_some(()));
    first.stop_and_expect_clean();
    let all = copies(data.path());
    let other = fs::read(&all[all.len() - 1]).unwrap();
    for (at, path) in all.iter().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        match at % 4 {
            0 => bytes[middle] ^= 1,
            1 => bytes.truncate(middle),
            2 => bytes.clear(),
            _ => bytes.clone_from(&other),
        }
        fs::write(path, bytes).unwrap();
    }
    let second = server(data.path(), false);
    assert_eq!(answers(&second), before);
    until("all copies are there again", || {
        let now = copies(data.path());
        (now == all && now.iter().all(|path| fs::metadata(path).unwrap().len() > 100)).then_some(())
    });
    second.stop_and_expect_clean();
    let third = server(data.path(), false);
    assert_eq!(answers(&third), before);
    third.stop_and_expect_clean();
}

#[test]
fn without_copies_or_without_a_data_folder_none_are_kept() {
    let data = tempfile::tempdir().unwrap();
    let plan = Plan::with(Models::copies(&["iris"])).set(&format!("data.dir={}", data.path().display()));
    let server = plan.set("cold_start.model_bytes_min=0").set("cold_start.copies=false").start();
    let _ = server.post(&path("iris"), &iris()).expect(200);
    assert!(!data.path().join("copies").exists());
    server.stop_and_expect_clean();
}

#[test]
fn a_lazy_model_is_ready_and_described_before_anybody_has_asked_it() {
    let server = Plan::with(Models::copies(&["iris", "simple"])).set("repository.load_at_start=lazy").empty().start();
    let state = |model: &str| server.index_of(model)[0]["state"].clone();
    assert_eq!(server.get("/v2/health/ready").status, 200);
    assert_eq!(server.get("/v2/models/iris/ready").expect(200).json(), json!({"name": "iris", "ready": true}));
    assert_eq!(server.get("/v2/models/iris/versions/1/ready").status, 503, "versions are known when it is loaded");
    assert_eq!(server.get("/v2/models/nobody/ready").status, 404);
    assert_ne!(state("iris"), "READY", "asking that loads nothing");
    let described = server.get("/v2/models/iris").expect(200).json();
    assert_eq!(described["inputs"][0]["name"], "features");
    assert_eq!(state("iris"), "READY");
    let _ = server.post(&path("iris"), &iris()).expect(200);

    let grpc = Grpc::open(server.grpc_addr());
    let name = || "simple".to_owned();
    let ready = ModelReadyRequest { name: name(), version: String::new() };
    let ready = grpc.wait(async { grpc.client().model_ready(ready).await });
    assert!(ready.unwrap().into_inner().ready);
    assert_ne!(state("simple"), "READY");
    let metadata = ModelMetadataRequest { name: name(), version: String::new() };
    let metadata = grpc.wait(async { grpc.client().model_metadata(metadata).await }).unwrap().into_inner();
    assert_eq!(metadata.inputs.len(), 2);
    assert_eq!(state("simple"), "READY");
    // Somebody has decided that.
    let _ = server.unload("iris").expect(200);
    assert_eq!(server.get("/v2/models/iris/ready").status, 503);
    assert_eq!(server.get("/v2/models/iris").status, 503);
    server.stop_and_expect_clean();
}

#[test]
fn a_cold_start_is_measured_against_the_library_alone() {
    let models = Models::copies(&["iris"]);
    let library = candor_tests::server::library();
    let args = ["bench", "cold", "--models", models.root().to_str().unwrap(), "--repeats", "1", "--json"];
    let said = process::run(BINARY, &[&args[..], &["--ort-library", library.to_str().unwrap()]].concat(), &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert!(told["library"][0]["ms"].as_f64().unwrap() > 0.0 && told["library"][0]["peak_bytes"].as_u64().unwrap() > 0);
    let cases = told["cases"].as_array().unwrap();
    assert_eq!(cases.iter().map(|case| case["copies"].as_bool().unwrap()).collect::<Vec<_>>(), [false, true]);
    for case in cases {
        let start = &case["starts"][0];
        assert!(start["first_answer_ms"].as_f64() >= start["ready_ms"].as_f64(), "{case}");
        assert!(start["peak_bytes"].as_u64().unwrap() > 1 << 20, "{case}");
    }
    let said = process::run(BINARY, &["bench", "cold", "--models", "/nowhere"], &[]);
    assert!(said.code == Some(1) && said.err.contains("--models DIR"), "{said:?}");
}
