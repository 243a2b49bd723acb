//! tract as an engine: neural graphs in pure Rust, without a library to install.
//!
//! [`TractEngine`] refuses at load whatever tract lacks or answers wrongly, by the operator's name, with
//! `Unsupported`, so that another engine may be asked. No type of tract leaves this room, nor a panic of it.
//! docs/decisions/0012-tract.md says what is refused and why.
//!
//! | module | what it does |
//! |---|---|
//! | `engine` | sessions out of model bytes that have been scanned; signatures |
//! | `operators`, `table` | what may stand in a graph: operators, their attributes, types of their inputs |
//! | `file` | the file as tract reads it, with external data and strings put in |
//! | `plan` | plans with symbols for sizes, or of one shape each, and which of them runs |
//! | `types` | types of values within the graph, and numbers that it must not hold |
//! | `values` | tensors, there and back |
//! | `guard` | panics and errors of tract as errors of ours |

mod engine;
mod file;
mod guard;
mod operators;
mod plan;
mod table;
mod types;
mod values;

pub use engine::TractEngine;
