//! The native engine goes through the conformance suite.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

use candor_engine_conformance::run;
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
