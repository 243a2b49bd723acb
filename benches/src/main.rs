//! What a request costs, layer by layer: engine alone, codec, pipeline, HTTP, and a bare handler beside it.
//!
//! `cargo xtask bench` puts the runtime library and `wrk` in place and runs this in release. It prints as
//! it goes and, with `--record`, writes benches/RESULTS.md. It measures; it does not judge: no number here
//! fails a build.
//!
//! | module | what it does |
//! |---|---|
//! | `args` | the command line, and the plan that follows from it |
//! | `whole` | the parts of a run in their order, and what is written |
//! | `cases`, `bodies` | the requests: models, rows; and their bytes |
//! | `engine`, `pipeline` | layers in this process: session, codec, pipeline over the null engine |
//! | `breaker` | the breaker alone |
//! | `bare`, `null` | the handler that only parses, what everything over HTTP is divided by; Candor over the null engine |
//! | `child`, `servers` | servers in processes of their own, pinned and always killed; which ones there are |
//! | `closed_loop`, `grpc_loop`, `open_loop`, `paced` | load: `wrk`, gRPC, arrivals on a schedule, callers who pause |
//! | `http` | requests and replies as bytes, for our own clients and for the check of answers |
//! | `run` | the layers of a request: rounds over all cells |
//! | `chapters` | everything else that is measured |
//! | `samples` | what was measured |
//! | `report`, `table`, `plot` | benches/RESULTS.md, its tables and its picture |
//! | `machine` | where things are, and who runs on which core |
//! | `hot` | far more models than memory: whether the budget holds, and what the policy is worth |
//! | `soak` | minutes of strain: whether it holds |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod args;
mod bare;
mod bodies;
mod breaker;
mod cases;
mod chapters;
mod child;
mod closed_loop;
mod engine;
mod grpc_loop;
mod hot;
mod http;
mod machine;
mod null;
mod open_loop;
mod paced;
mod pipeline;
mod plot;
mod report;
mod run;
mod samples;
mod servers;
mod soak;
mod table;
mod whole;

use std::process::ExitCode;

use args::Command;
use candor_measure::{stats, timer, usage};

fn main() -> ExitCode {
    let done = args::read().and_then(|command| match command {
        Command::Bare { folder, workers } => bare::serve(&folder, workers),
        Command::Null { folder, models, keys } => null::serve(&folder, &models, &keys),
        Command::Soak(length) => soak::run(length),
        Command::Hot(plan) => hot::run(&plan),
        Command::Measure(plan) => whole::measure(&plan),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
