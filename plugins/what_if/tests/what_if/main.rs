//! Counterfactuals and anchors: against the best there is, independent samples, and what they promise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod anchors;
mod counterfactuals;
mod support;
mod trees;

use std::sync::atomic::{AtomicU32, Ordering};

use candor_plugin_sdk::{
    Inputs, Status,
    testing::{Harness, Output, Setup},
};
use support::matrix;

#[test]
fn a_call_that_nobody_waits_for_ends_between_batches() {
    for id in ["candor.counterfactuals", "candor.anchors"] {
        let (cancel, asked) = (AtomicU32::new(0), AtomicU32::new(0));
        let model = |given: &Inputs<'_>| {
            asked.fetch_add(1, Ordering::Relaxed);
            cancel.store(1, Ordering::Relaxed);
            let rows = given.need("x")?.shape()[0];
            Ok(vec![Output::new("y", &[rows, 1], &vec![0.2; usize::try_from(rows).unwrap()])])
        };
        let setup = Setup { model: Some(&model), cancel: Some(&cancel), ..Setup::default() };
        let inputs = [matrix("x", 2, &[0.0, 1.0]), matrix("background", 2, &[0.0, 1.0, 1.0, 3.0, 2.0, 2.0])];
        let harness = Harness::new(&candor_plugin_what_if::MODULE, id, "{}").unwrap();
        let error = harness.run_with(&setup, &inputs).err().unwrap();
        assert_eq!((asked.into_inner(), error.status()), (1, Status::Cancelled), "{id}");
    }
}
