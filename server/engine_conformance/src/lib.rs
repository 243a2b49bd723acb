//! What every engine must do, as cases that are written once; and an engine that does almost nothing.
//!
//! An engine's own tests call [`run`] with the engine and a list of cases that it cannot do, each with
//! its reason. Tests of other rooms, and benchmarks that want to subtract the engine, use
//! [`NullEngine`]. This crate knows the contracts of `candor-domain`, the file format, and no engine.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@cases`] | the list of cases, and [`run`] |
//! | [`operators`] | the operator tests of the ONNX project, and the lists of those that pass |
//! | [`zoo`] | small exports of classical models: against their libraries, and engine against engine |
//! | `golden`, `named` | the sample models' golden pairs; tensors with names in JSON |
//! | `outcome`, `lists` | what became of a test, and the committed lists of what passes |
//! | [`null`] | the null engine and the hooks by which tests hold and watch it |
//! | `answers` | `fixtures/answers.json`: signatures and exact outputs |
//! | `fixtures` | the ONNX files, made by `fixtures/make_fixtures.py` |
//! | `external` | small ONNX files whose weights lie in another file |

mod answers;
pub mod cases;
mod external;
mod fixtures;
mod golden;
mod lists;
mod named;
pub mod null;
pub mod operators;
mod outcome;
pub mod zoo;

pub use cases::{Case, cases, run};
pub use golden::golden;
pub use null::{Gate, Hooks, NullEngine};
pub use outcome::{Finding, Outcome, Report};
