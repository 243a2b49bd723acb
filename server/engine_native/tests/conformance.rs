//! The native engine goes through the conformance suite.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

use std::path::Path;

use candor_engine_conformance::{golden, run};
use candor_engine_native::NativeEngine;

/// What the native engine cannot do, and why.
const SKIP: &[(&str, &str)] = &[
    ("long_loop", "the native engine runs no subgraphs"),
    ("cancelled_before_it_ran", "its model is a Loop, and the native engine runs no subgraphs"),
    ("cancelled_while_it_ran", "its model is a Loop, and the native engine runs no subgraphs"),
    (
        "a_sequence_output_is_refused",
        "the case's sequence is ZipMap's, whose scores this engine passes through as a tensor",
    ),
];

#[test]
fn the_native_engine_conforms() {
    let report = run(&NativeEngine::new(), SKIP).unwrap();
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}

#[test]
fn the_sample_models_give_their_golden_answers() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let neural = [("digits", "it has convolutions"), ("digits_rows", "it has convolutions")];
    let answered = golden(&NativeEngine::new(), &models, &neural).unwrap();
    assert_eq!(answered.len(), 7, "{answered:?}");
}
