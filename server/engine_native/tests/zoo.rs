//! The native engine on small exports of classical models, against the libraries that trained them and against ONNX Runtime.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

#[path = "../../engine_ort/tests/library/mod.rs"]
mod library;

use std::sync::Arc;

use candor_domain::Engine;
use candor_engine_conformance::zoo;
use candor_engine_native::NativeEngine;

#[test]
fn what_passes_is_what_is_listed() {
    let engine: Arc<dyn Engine> = Arc::new(NativeEngine::new());
    match zoo::hold(&engine) {
        Ok(report) => println!("{report}"),
        Err(differences) => panic!("{differences}"),
    }
}

#[test]
fn drawn_rows_are_answered_as_onnx_runtime_answers_them() {
    let engine: Arc<dyn Engine> = Arc::new(NativeEngine::new());
    let reference: Arc<dyn Engine> = Arc::new(library::engine());
    match zoo::hold_against(&engine, &reference) {
        Ok(report) => println!("{report}"),
        Err(differences) => panic!("{differences}"),
    }
}
