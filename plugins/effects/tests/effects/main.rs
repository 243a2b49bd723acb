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
