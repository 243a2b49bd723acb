//! What the components answer, against scikit-learn, NumPy and integrals that are known; and what they refuse.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod local;
mod occlusion;
mod partial;
mod path;
mod permutation;
mod support;

use candor_plugin_sdk::Status;
use support::{given_up, list, matrix};

#[test]
fn a_call_that_nobody_waits_for_ends_between_batches() {
    let x = || matrix("x", 2, &[0.0, 1.0, 1.0, 3.0, 2.0, 2.0, 3.0, 0.5]);
    let first = || list("features", &[0_i64]);
    for (id, config, inputs) in [
        ("candor.permutation_importance", r#"{"batch_rows_max": 3}"#, vec![x(), list("y", &[0.0, 1.0, 0.5, 0.2])]),
        ("candor.pdp", r#"{"batch_rows_max": 3}"#, vec![x(), first()]),
        ("candor.ale", r#"{"batch_rows_max": 3}"#, vec![x(), first()]),
        ("candor.occlusion", r#"{"of": "tokens"}"#, vec![x()]),
        ("candor.integrated_gradients", "{}", vec![x(), list("baseline", &[0.0, 0.0])]),
    ] {
        assert_eq!(given_up(id, config, &inputs), (1, Status::Cancelled), "{id}");
    }
}
