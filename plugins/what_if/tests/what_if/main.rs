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
