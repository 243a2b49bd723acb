//! The Candor model server: wiring only.
//!
//! [`start`] builds every part and hands each its needs; `main` and the tests call the same one
//! ([`start_with`] for a test with engines of its own). No logic
//! about models lives here. See docs/ARCHITECTURE.md for the house.
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`] | subcommands of the binary |
//! | [`config`] | file, environment and flags to validated settings |
//! | `wiring` | the architecture as code |
//! | `shutdown` | signals and the order of draining |
//! | `clock` | the real clock |
//! | `side_door` | opens gRPC and the health listener, which need not be there |
//! | `priority` | threads that step back behind others |
//! | `plugins` | what is built in, and what plugins may ask |
//! | `data` | the data folder: its lock, serving.json and engines.json |

pub mod cli;
mod clock;
pub mod config;
mod data;
mod plugins;
mod priority;
mod shutdown;
mod side_door;
mod wiring;

pub use wiring::{HAS_TRACT, RunningServer, start, start_with};
