//! The components against brute force, the original libraries and their own promises.
//!
//! | module | what it holds |
//! |---|---|
//! | `support` | models, questions, Shapley values by definition |
//! | `originals`, `trees` | `shap` and `lime`, by fixtures |
//! | `lime` | what LIME promises of its own |
//! | `properties` | what holds for every game |
//! | `errors` | standard errors against what they tell |
//! | `refused` | questions that are wrong |
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod errors;
mod lime;
mod originals;
mod properties;
mod refused;
mod support;
mod trees;
