//! What the integration tests start and talk with: servers, clients, model repositories.
//!
//! | module | what it gives |
//! |---|---|
//! | [`server`] | [`TestServer`]: a server in this process, with settings and tokens of the test's choice |
//! | [`process`] | [`Process`]: the real command line in a process of its own |
//! | [`http`] | [`Request`], [`Connection`]: HTTP that is sent exactly as written, right or wrong |
//! | [`grpc`] | [`Grpc`]: a gRPC client of the server's own `.proto` files |
//! | [`infer`] | infer requests in JSON and in bytes, and their replies read back |
//! | [`models`] | [`Models`]: a model repository in a temporary folder; golden pairs |
//! | [`counters`] | `/metrics` and `/v2/…/stats` read back |
//! | [`stub`] | [`Stub`]: a server that says what it is told to |
//! | [`patience`] | waiting for a condition, with an end |
//!
//! Everything panics when it fails, because a test is its only caller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on panics, and waits by the real clock"
)]

pub mod counters;
pub mod grpc;
pub mod http;
pub mod infer;
pub mod models;
pub mod patience;
pub mod process;
pub mod server;
pub mod stub;

pub use grpc::Grpc;
pub use http::{Connection, Reply, Request};
pub use models::Models;
pub use patience::until;
pub use process::Process;
pub use server::{Plan, TestServer};
pub use stub::Stub;
