//! Operators of `ai.onnx.ml`, by the specification (docs/Operators-ml.md of the ONNX project).

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[];
