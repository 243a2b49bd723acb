//! Operators of `ai.onnx.ml`, by the specification (docs/Operators-ml.md of the ONNX project).
//!
//! | module | what it is |
//! |---|---|
//! | `scores` | transforms of scores, choice and writing of labels; shared by classifiers and regressors |
//! | [`trees`] | TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble |

mod scores;
mod trees;

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[
    ("TreeEnsemble", trees::tree_ensemble),
    ("TreeEnsembleClassifier", trees::tree_ensemble),
    ("TreeEnsembleRegressor", trees::tree_ensemble),
];
