//! Operators of `ai.onnx`, by the specification (docs/Operators.md of the ONNX project).
//!
//! | module | operators |
//! |---|---|
//! | `identity` | Identity |

mod identity;

use super::Builder;

/// Every operator by name.
pub(super) const TABLE: &[(&str, Builder)] = &[("Identity", identity::identity)];
