//! Operators of `ai.onnx.ml`, by the specification (docs/Operators-ml.md of the ONNX project).
//!
//! | module | what it is |
//! |---|---|
//! | `scores` | transforms of scores, choice and writing of labels; shared by classifiers and regressors |

#[allow(dead_code, reason = "the operators that use it follow")]
mod scores;

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[];
