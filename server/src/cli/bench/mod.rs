//! `candor bench`: what a choice would cost, tried out without a server.
//!
//! | module | what it does |
//! |---|---|
//! | `cache` | policies of residency beside each other, on a trace of requests |
//! | `trace` | reads a trace |

mod cache;
mod trace;

use clap::Subcommand;

use super::problem::Done;

#[derive(Subcommand)]
pub(super) enum BenchCommand {
    /// Play a trace of requests to every policy of residency, and compare what loads and waits come of it.
    #[command(after_help = cache::EXAMPLES)]
    Cache(cache::CacheArgs),
}

pub(super) fn run(command: &BenchCommand) -> Done {
    match command {
        BenchCommand::Cache(args) => cache::run(args),
    }
}
