//! Integration tests: the whole server over real TCP, knocked on from outside. One binary, one module a topic.
//!
//! | module | what it shows |
//! |---|---|
//! | `golden` | every golden pair of the sample models, over JSON and bytes |
//! | `infer` | requested outputs, ids, versions, datatypes, classes, metadata |
//! | `binary` | tensors as bytes behind the JSON, and raw requests |
//! | `compression` | compressed requests and replies |
//! | `bad_tensors`, `bad_json`, `bad_http`, `bad_names` | everything that can be wrong with a request |
//! | `refusal` | how those are written down and checked |
//! | `slow` | clients that trickle, stop, or leave |
//! | `access` | every route with every kind of token; quotas |
//! | `registry`, `files` | load, unload, index; broken and hostile files; polling |
//! | `repositories` | what was laid out for Triton, TF Serving or MLflow |
//! | `swaps` | one version swapped again and again under load |
//! | `lifecycle`, `cli` | signals, draining, limits of connections; the command line |
//! | `openapi` | the document and the server say the same |
//! | `counting` | statistics and metrics rise by what was sent |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on panics, and waits by the real clock"
)]

mod access;
mod bad_http;
mod bad_json;
mod bad_names;
mod bad_tensors;
mod binary;
mod cli;
mod compression;
mod counting;
mod files;
mod golden;
mod infer;
mod lifecycle;
mod openapi;
mod refusal;
mod registry;
mod repositories;
mod slow;
mod swaps;
