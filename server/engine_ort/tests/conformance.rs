//! ONNX Runtime goes through the conformance suite, and its library is found, refused and explained.
//!
//! Nothing is skipped when there is no library, because a suite that does not run holds nothing.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

mod library;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use candor_domain::{Engine as _, ErrorCode, ModelSource};
use candor_engine_conformance::{golden, run};
use candor_engine_ort::OrtEngine;
use library::{engine, library};

/// What ONNX Runtime cannot do, and why.
const SKIP: &[(&str, &str)] = &[];

#[test]
fn onnx_runtime_conforms() {
    let report = run(&engine(), SKIP).unwrap();
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}

#[test]
fn every_sample_model_gives_its_golden_answers() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let answered = golden(&engine(), &models, &[]).unwrap();
    assert!(answered.len() >= 9, "{answered:?}");
}

/// The text of the refusal.
fn refusal(configured: Option<&Path>, folders: &[PathBuf]) -> (ErrorCode, String) {
    let error = OrtEngine::try_new(configured, folders, 1).err().expect("a library came out of nothing");
    (error.code(), error.to_string())
}

#[test]
fn a_missing_library_is_unsupported_and_says_what_was_tried_and_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere.so");
    let (code, text) = refusal(Some(&missing), &[folder.path().into()]);
    assert_eq!(code, ErrorCode::Unsupported);
    assert!(text.contains(&missing.display().to_string()), "{text}");
    assert!(text.contains("cargo xtask runtime") && text.contains("--ort-library"), "{text}");
}

#[test]
fn a_file_that_is_not_a_library_is_refused_and_a_later_good_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so.9.9.9");
    fs::write(&text, "not a library").unwrap();
    // A real library that is not ONNX Runtime: this test itself has no such symbol either.
    let other = env::current_exe().unwrap();
    for wrong in [&text, &other, &folder.path().to_path_buf()] {
        let (code, why) = refusal(Some(wrong), &[]);
        assert_eq!(code, ErrorCode::Unsupported, "{why}");
        assert!(why.contains(&wrong.display().to_string()), "{why}");
    }
    let (configured, mut folders) = library();
    folders.extend(configured.as_deref().and_then(Path::parent).map(Path::to_path_buf));
    folders.insert(0, folder.path().into());
    let engine = OrtEngine::try_new(None, &folders, 1).unwrap();
    let info = engine.info().clone();
    assert_eq!((info.name, info.platform, info.backend), ("ort", "onnxruntime_onnx", "onnxruntime"));
    assert_ne!(info.library.as_deref(), Some(&*text));
    assert!(info.version.starts_with("1."), "{}", info.version);
    assert_eq!(info.library_sha256.as_ref().map(String::len), Some(64));
    let model = include_bytes!("../../engine_conformance/fixtures/linear.onnx");
    assert!(engine.load(ModelSource { bytes: model, folder: Path::new(".") }).is_ok());

    let double = include_bytes!("../../engine_conformance/fixtures/refused_datatype.onnx");
    let why = engine.load(ModelSource { bytes: double, folder: Path::new(".") }).err().unwrap().to_string();
    assert!(why.contains("Imputer") && why.contains("; export with FloatTensorType"), "{why}");

    // A process has one library: a second engine shares it, and another library is refused by name.
    let again = OrtEngine::try_new(None, &folders, 1).unwrap();
    assert_eq!(*again.info(), info);
    drop(engine);
    assert!(again.load(ModelSource { bytes: model, folder: Path::new(".") }).is_ok());
    let copy = folder.path().join("libonnxruntime.so.1.99.0");
    fs::copy(info.library.as_deref().unwrap(), &copy).unwrap();
    let (code, why) = refusal(Some(&copy), &[]);
    assert_eq!(code, ErrorCode::Unsupported);
    assert!(why.contains("already uses"), "{why}");
}
