//! ONNX Runtime on small exports of classical models, against the libraries that trained them.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

mod library;

use std::sync::Arc;

use candor_domain::Engine;
use candor_engine_conformance::zoo;

#[test]
fn what_passes_is_what_is_listed() {
    let engine: Arc<dyn Engine> = Arc::new(library::engine());
    match zoo::hold(&engine) {
        Ok(report) => println!("{report}"),
        Err(differences) => panic!("{differences}"),
    }
}
