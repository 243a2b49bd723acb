//! tract on the operator tests of the ONNX project: what it passes, it passes for good.
#![allow(clippy::panic, reason = "a test fails loudly")]

use std::sync::Arc;

use candor_domain::Engine;
use candor_engine_conformance::operators;
use candor_engine_tract::TractEngine;

#[test]
fn what_passes_is_what_is_listed() {
    let engine: Arc<dyn Engine> = Arc::new(TractEngine::new());
    match operators::hold(&engine) {
        Ok(report) => println!("{report}"),
        Err(differences) => panic!("{differences}"),
    }
}
