//! `candor model scan`: model files judged without an engine.

use std::fs;

use candor_tests::{
    Models,
    models::{fixture, sample, samples},
    process::{self, Said},
};
use serde_json::Value;

use super::lifecycle::BINARY;

/// No library is named: none is needed.
fn scan(args: &[&str]) -> Said {
    process::run(BINARY, &[&["model", "scan"], args].concat(), &[("CANDOR_ENGINE_ORT_LIBRARY", "/nowhere.so")])
}

fn hostile(name: &str) -> Vec<u8> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk/onnx/corpus");
    fs::read(format!("{corpus}/{name}.onnx")).unwrap()
}

fn steady(said: &str, models: &Models) -> String {
    let full = fs::canonicalize(models.root()).unwrap();
    said.replace(full.to_str().unwrap(), "<models>").replace(models.root().to_str().unwrap(), "<models>")
}

#[test]
fn nothing_in_the_sample_models_is_refused_and_no_engine_is_asked() {
    let root = samples();
    let said = scan(&[root.to_str().unwrap()]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let full = fs::canonicalize(&root).unwrap();
    let out = said.out.replace(full.to_str().unwrap(), "<models>").replace(root.to_str().unwrap(), "<models>");
    insta::assert_snapshot!("scan_samples", out);
}

#[test]
fn what_hostile_files_do_is_named_and_the_exit_code_says_so() {
    let models = Models::none()
        .with_file("climbs/1/model.onnx", hostile("external_climbs"))
        .with_file("beside/1/model.onnx", hostile("external_good"))
        .with_file("beside/1/sub/w.bin", [7; 16])
        .with_file("bomb/1/model.onnx", hostile("bomb_nested_loops"))
        .with_file("laughs/1/model.onnx", hostile("functions_that_laugh"))
        .with_file("unknown/1/model.onnx", hostile("domain_unknown"))
        .with_file("values/1/model.onnx", hostile("loop_by_values"))
        .with_file("dangling/1/model.onnx", fixture("refused_dangling"))
        .with_file("garbage/1/model.onnx", "this is no graph");
    let root = models.root().to_str().unwrap();
    let said = scan(&[root]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    insta::assert_snapshot!("scan_hostile", steady(&said.out, &models));
    let report: Value = serde_json::from_str(&scan(&[root, "--json"]).out).unwrap();
    assert_eq!((&report["failed"], &report["warnings"]), (&6.into(), &1.into()), "{report}");
    let model = |name: &str| report["models"].as_array().unwrap().iter().find(|model| model["model"] == name).unwrap();
    let checks = model("climbs")["versions"][0]["checks"].as_array().unwrap();
    let failed = checks.iter().find(|check| check["mark"] == "fail").unwrap();
    assert_eq!(failed["check"], "external");
    assert!(failed["text"].as_str().unwrap().contains("outside the model's folder"), "{failed}");
}

#[test]
fn a_file_by_itself_is_scanned_and_its_digest_covers_its_weights() {
    let models = Models::none()
        .with_file("download.onnx", hostile("external_good"))
        .with_file("sub/w.bin", [7; 16])
        .with_file("plain/model.onnx", sample("iris", "1"));
    let path = models.path("download.onnx");
    let content = || {
        let said = scan(&[path.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
        said.out.lines().find(|line| line.contains("content")).unwrap().to_owned()
    };
    let before = content();
    models.write("sub/w.bin", [8; 16]);
    assert_ne!(content(), before);
    models.write("sub/w.bin", [7; 16]);
    assert_eq!(content(), before);
    let said = scan(&[models.path("nothing.onnx").to_str().unwrap()]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
}
