//! The parts of a run behind the layers of a request; each gives its section of the report.
//!
//! | module | what it asks |
//! |---|---|
//! | `features` | what does a feature cost that is switched on? |
//! | `batching` | what does dynamic batching bring, and does it choose well? |
//! | `bulkheads` | what does a model notice of its neighbours? |
//! | `explanations` | what does an explanation cost that comes with the prediction? |
//! | `clients` | what happens when clients become more? |
//! | `start` | how long until the first right answer, and how much memory? |
//! | `peers` | what do other servers cost? |

mod batching;
mod bulkheads;
mod clients;
mod explanations;
mod features;
mod peers;
mod start;

use std::{net::SocketAddr, path::Path};

use anyhow::Result;
use candor::config::Layers;

use crate::{
    args::{Part, Plan},
    cases::{self, Case},
    child::Server,
    closed_loop::{Load, Outcome, Wrk},
    engine::Engine,
    servers::Stage,
    usage::process_cpu_seconds,
};

pub use peers::run as peers;

/// What every part needs.
pub struct Bench<'a> {
    pub plan: &'a Plan,
    pub stage: &'a Stage<'a>,
    /// The sample models and the large ones.
    pub repository: &'a Path,
    pub engine: &'a Engine,
    pub wrk: Wrk,
}

/// A part gives its section of the report.
pub type Chapter = fn(&Bench<'_>) -> Result<String>;

/// In their order; peers have a report of their own.
pub const ALL: [(Part, Chapter); 6] = [
    (Part::Features, features::run),
    (Part::Batching, batching::run),
    (Part::Bulkheads, bulkheads::run),
    (Part::Explanations, explanations::run),
    (Part::Clients, clients::run),
    (Part::Start, start::run),
];

impl Bench<'_> {
    fn case(&self, model: &str, rows: usize) -> Result<Case> {
        cases::case_of(self.repository, model, rows)
    }

    /// Loads a server; what came of it, and CPU microseconds per request.
    fn closed(&self, server: &Server, load: Load<'_>) -> Result<(Outcome, f64)> {
        self.closed_at(server.pid, server.addr, load)
    }

    fn closed_at(&self, pid: u32, addr: SocketAddr, load: Load<'_>) -> Result<(Outcome, f64)> {
        let before = process_cpu_seconds(pid)?;
        let outcome = self.wrk.run(addr, load)?;
        let cpu = process_cpu_seconds(pid)? - before;
        Ok((outcome, cpu * 1e6 / outcome.requests))
    }
}

/// Whether this build has such a key in its configuration.
fn has_key(key: &str) -> bool {
    Layers::default().entries().any(|(known, _)| known == key)
}
