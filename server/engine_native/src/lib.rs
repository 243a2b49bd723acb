//! Classical models as an engine of its own: trees, linear models, SVMs, encoders, and what exporters put
//! around them. Pure Rust, exact to the specification, made for small batches.
//!
//! Wiring makes a [`NativeEngine`]; serving sees only the traits of `candor-domain`. What this engine does not
//! run exactly it refuses by operator. It does not know neural graphs, subgraphs, or other engines.
//!
//! ```text
//! bytes ─► candor-onnx: scan, read ─► compile: kernels, constants, slots ─► plan ─► run, in a workspace
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `engine` | from files to sessions; signatures |
//! | `compile`, `constants` | from a graph to a plan |
//! | `plan` | a compiled graph; runs it |
//! | `kernel` | what an operator is: built once, run often |
//! | `kernels` | the operators |
//! | `workspace` | vectors that runs use again |

mod compile;
mod constants;
mod engine;
mod kernel;
mod kernels;
mod plan;
mod workspace;

pub use engine::NativeEngine;
