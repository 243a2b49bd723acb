//! tract goes through the conformance suite.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

use candor_engine_conformance::run;
use candor_engine_tract::TractEngine;

/// What tract cannot do, and why.
const SKIP: &[(&str, &str)] = &[
    ("identity_bf16", "tract has no BF16"),
    ("regressor_leq", ML),
    ("regressor_lt", ML),
    ("classifier_leq", ML),
    ("classifier_lt", ML),
    ("regressor_gte", ML),
    ("regressor_gt", ML),
    ("regressor_eq", ML),
    ("regressor_neq", ML),
    ("regressor_missing", ML),
    ("regressor_missing_lt", ML),
    ("classifier_words", ML),
    ("encode_words", ML),
    ("decode_words", ML),
    ("threads_get_the_same_answer_from_trees", ML),
    ("long_loop", LOOP),
    ("cancelled_before_it_ran", LOOP),
    ("cancelled_while_it_ran", LOOP),
];

const ML: &str = "operators of ai.onnx.ml are refused: tract lacks some, and answers binary forests wrongly";
const LOOP: &str = "tract has no Loop; tests/sessions.rs cancels a run that it has";

#[test]
fn tract_conforms() {
    let report = run(&TractEngine::new(), SKIP).unwrap();
    assert!(report.is_clean(), "{report}");
    println!("{report}");
}
