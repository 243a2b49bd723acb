//! `candor bench`: what a choice would cost, and what a start does.
//!
//! | module | what it does |
//! |---|---|
//! | `cache` | policies of residency beside each other, on a trace of requests |
//! | `trace` | reads a trace |
//! | `cold` | from exec to the first right answer |

mod cache;
mod cold;
mod trace;

use clap::Subcommand;

use super::problem::Done;

#[derive(Subcommand)]
pub(super) enum BenchCommand {
    /// Play a trace of requests to every policy of residency, and compare what loads and waits come of it.
    #[command(after_help = cache::EXAMPLES)]
    Cache(cache::CacheArgs),
    /// Start servers again and again, and measure how long they take to the first right answer.
    #[command(after_help = cold::EXAMPLES)]
    Cold(cold::ColdArgs),
    /// The process that `cold` compares with.
    #[command(hide = true)]
    Library(cold::LibraryArgs),
}

pub(super) fn run(command: &BenchCommand) -> Done {
    match command {
        BenchCommand::Cache(args) => cache::run(args),
        BenchCommand::Cold(args) => cold::run(args),
        BenchCommand::Library(args) => cold::run_library(args),
    }
}
