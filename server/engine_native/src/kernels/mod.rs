//! The operators: one table of names, one small module per family.
//!
//! | module | operators of |
//! |---|---|
//! | [`standard`] | `ai.onnx`: what exporters put around classical models |
//! | [`ml`] | `ai.onnx.ml`: the classical models themselves |

mod ml;
mod standard;

use candor_domain::Result;
use candor_onnx::Node;

use crate::kernel::{Build, Built};

/// Builds a kernel out of a node.
pub(crate) type Builder = fn(&Build<'_>) -> Result<Built>;

/// The builder of a node's operator, if this engine has it.
pub(crate) fn find(node: &Node) -> Option<Builder> {
    let table = match node.domain.as_str() {
        "" => standard::TABLE,
        "ai.onnx.ml" => ml::TABLE,
        _ => return None,
    };
    table.iter().find(|(name, _)| *name == node.op_type).map(|(_, builder)| *builder)
}
