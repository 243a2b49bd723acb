//! The command line, and the plan that follows from it.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::cases::MODELS;

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    max_term_width = 100,
    about = "What a request costs, layer by layer, beside a bare handler in the same run",
    after_help = "Start here:
  cargo xtask bench --quick                          a minute or two; shows that everything runs
  cargo xtask bench --only http --models iris        one layer of one model
  cargo xtask bench --record --date 2026-01-31       the whole run (about ten minutes),
                                                     written to benches/RESULTS.md

Targets, for each model at 1 and 32 rows, measured in turn so that noise hits all alike:
  engine    Session::run in this process: what nobody can save
  pipeline  codec alone, and the whole pipeline over a null engine: what Candor adds before any socket
  http      a started server (JSON, binary) and a bare actix handler that parses the same JSON and answers
            a fixed reply; wrk for the closed loop, our own client for arrivals on a schedule (open loop)

The number that matters is CPU per request: it leaves out the time in which other programs ran. Where there
are more cores than --workers, the servers are pinned to the first and the load to the others. Before
anything is measured, the servers' answers are compared with the engine's."
)]
struct Cli {
    #[command(subcommand)]
    hidden: Option<Hidden>,
    /// One short round. Shows that everything runs; the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Measure one layer only.
    #[arg(long, value_name = "LAYER")]
    only: Option<Layer>,
    /// Models, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_values_t = MODELS.map(str::to_owned))]
    models: Vec<String>,
    /// Connections of the closed loop, and of the open loop four times as many.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Seconds of each HTTP measurement; one in this process takes a fifth of it.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Rounds over all measurements.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Arrivals per second of the open loop [default: for each request, half of what the server managed in
    /// the closed loop while warming up].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// Worker threads of the servers.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Write benches/RESULTS.md. Needs --date and a whole run.
    #[arg(long, requires = "date", conflicts_with_all = ["quick", "only"])]
    record: bool,
    /// Today, for the record: a benchmark reads no calendar.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

#[derive(Subcommand)]
enum Hidden {
    /// Run the bare handler: for the benchmark's own child process.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        workers: u32,
    },
}

/// A part of the way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// The session alone.
    Engine,
    /// Codec and pipeline in this process.
    Pipeline,
    /// Servers under load.
    Http,
}

/// What this process is to do.
pub enum Command {
    /// Measure.
    Measure(Plan),
    /// Be the bare server.
    Bare {
        /// Where it says its address.
        folder: PathBuf,
        /// How many threads it has.
        workers: u32,
    },
}

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    pub only: Option<Layer>,
    pub models: Vec<String>,
    pub connections: u32,
    pub seconds: u32,
    pub repeats: u32,
    pub rate: Option<u32>,
    pub workers: u32,
    /// The date to record under, when recording.
    pub record: Option<String>,
}

impl Plan {
    /// Whether this layer is measured.
    pub fn wants(&self, layer: Layer) -> bool {
        self.only.is_none_or(|only| only == layer)
    }
}

/// Reads the command line.
pub fn read() -> Result<Command> {
    command(Cli::parse())
}

fn command(cli: Cli) -> Result<Command> {
    if let Some(Hidden::Bare { folder, workers }) = cli.hidden {
        return Ok(Command::Bare { folder, workers });
    }
    for model in &cli.models {
        ensure!(MODELS.contains(&model.as_str()), "--models: '{model}' is not one of {}", MODELS.join(", "));
    }
    if cli.record && cli.models.len() < MODELS.len() {
        bail!("--record needs a whole run; leave --models out");
    }
    if let Some(date) = &cli.date {
        ensure!(is_date(date), "--date: '{date}' is not a date such as 2026-01-31");
    }
    let (repeats, seconds) = if cli.quick { (1, 1) } else { (cli.repeats, cli.seconds) };
    Ok(Command::Measure(Plan {
        only: cli.only,
        models: cli.models,
        connections: cli.connections,
        seconds,
        repeats,
        rate: cli.rate,
        workers: cli.workers,
        record: cli.date.filter(|_| cli.record),
    }))
}

fn is_date(text: &str) -> bool {
    let shape = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
    shape(text) == "0000-00-00"
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn plan(words: &[&str]) -> Result<Plan, String> {
        let words = std::iter::once("bench").chain(words.iter().copied());
        match command(Cli::try_parse_from(words).map_err(|error| error.to_string())?) {
            Ok(Command::Measure(plan)) => Ok(plan),
            Ok(Command::Bare { .. }) => Err("bare".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_record_is_a_whole_run_with_a_date() {
        Cli::command().debug_assert();
        assert_eq!(plan(&["--record", "--date", "2026-01-31"]).unwrap().record.as_deref(), Some("2026-01-31"));
        for bad in [
            &["--record"][..],
            &["--record", "--date", "31.1.2026"],
            &["--record", "--date", "2026-01-31", "--quick"],
            &["--record", "--date", "2026-01-31", "--only", "http"],
            &["--record", "--date", "2026-01-31", "--models", "iris"],
        ] {
            assert!(plan(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn quick_is_one_short_round_and_only_is_one_layer() {
        let quick = plan(&["--quick", "--only", "engine"]).unwrap();
        assert_eq!((quick.repeats, quick.seconds), (1, 1));
        assert!(quick.wants(Layer::Engine) && !quick.wants(Layer::Http));
        assert!(plan(&["--models", "nothing"]).unwrap_err().contains("iris"));
        let plain = plan(&[]).unwrap();
        assert_eq!((plain.repeats, plain.connections, plain.record), (5, 8, None));
        assert_eq!(plain.models, MODELS);
    }
}
