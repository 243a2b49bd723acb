//! What a request costs, layer by layer: engine alone, codec, pipeline, HTTP, and a bare handler beside it.
//!
//! `cargo xtask bench` puts the runtime library and `wrk` in place and runs this in release. It prints as
//! it goes and, with `--record`, writes benches/RESULTS.md. It measures; it does not judge: no number here
//! fails a build.
//!
//! | module | what it does |
//! |---|---|
//! | `args` | the command line, and the plan that follows from it |
//! | `cases` | the requests: models, rows, bodies |
//! | `engine`, `pipeline` | layers in this process: session, codec, pipeline over the null engine |
//! | `breaker` | the breaker alone |
//! | `bare` | the handler that only parses: what everything over HTTP is divided by |
//! | `child` | servers in processes of their own, pinned and always killed |
//! | `closed_loop`, `open_loop` | load: `wrk`, and arrivals on a schedule |
//! | `http` | requests and replies as bytes, for `open_loop` and for the check of answers |
//! | `run` | the order of measuring: rounds over all cells |
//! | `samples` | what was measured |
//! | `report` | tables and benches/RESULTS.md |
//! | `machine` | where things are, and who runs on which core |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod args;
mod bare;
mod breaker;
mod cases;
mod child;
mod closed_loop;
mod engine;
mod http;
mod machine;
mod open_loop;
mod pipeline;
mod report;
mod run;
mod samples;

use std::process::ExitCode;

use args::Command;
use candor_measure::{stats, timer, usage};

fn main() -> ExitCode {
    let done = args::read().and_then(|command| match command {
        Command::Bare { folder, workers } => bare::serve(&folder, workers),
        Command::Measure(plan) => run::run(&plan),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
