//! The command line, and the plan that follows from it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::cases::{KNOWN, known};

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    max_term_width = 100,
    about = "What a request costs, layer by layer, beside a bare handler in the same run",
    after_help = "Start here:
  cargo xtask bench --quick                          two minutes; shows that everything runs
  cargo xtask bench --only http --models iris        one part, one model
  cargo xtask bench --record --date 2026-01-31       the whole run (about ten minutes), written to
                                                     benches/RESULTS.md and its picture
  cargo xtask bench --peers --record --date …        with FastAPI, MLServer and mosec, to benches/PEERS.md too
  cargo xtask bench soak --minutes 10                not how fast, but whether it holds
  cargo xtask bench hot --minutes 10                 2000 models with room for 50, beside LRU

Parts:
  engine      Session::run in this process: what nobody can save
  pipeline    codec alone, and the whole pipeline over a null engine: what Candor adds before any socket
  http        a started server (JSON, binary, named rows, gRPC), the same over the null engine, and a bare
              actix handler that parses the same JSON; wrk for the closed loop, our own client for gRPC and
              for arrivals on a schedule (open loop)
  features    one feature after the other switched on or off
  batching    the sentence encoder with 32 clients; and policies of batching at three loads
  bulkheads   what a model notices of another one that is flooded, or loaded
  explanations  a prediction with its explanation beside one without
  clients     requests per second and p99 against the number of clients, with a picture
  start       from exec to the first right answer, and memory
  peers       other servers, same models, same client (only with --peers)

The number that matters is CPU per request: it leaves out the time in which other programs ran. Where there
are more cores than --workers, the servers are pinned to the first and the load to the others. Before
anything is measured, the servers' answers are compared with the engine's."
)]
struct Cli {
    #[command(subcommand)]
    other: Option<Other>,
    /// One short round. Shows that everything runs; the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Measure these parts only, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Other people's servers too.
    #[arg(long)]
    peers: bool,
    /// Models of the first three parts, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", default_values_t = usual_models())]
    models: Vec<String>,
    /// Connections of the closed loop, and of the open loop four times as many.
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Seconds of each HTTP measurement; one in this process takes a fifth of it.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
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
    /// Write benches/RESULTS.md, benches/clients.svg and, with --peers, benches/PEERS.md. Needs --date and a whole
    /// run, or --only peers.
    #[arg(long, requires = "date", conflicts_with = "quick")]
    record: bool,
    /// Today, for the record: a benchmark reads no calendar.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

fn usual_models() -> Vec<String> {
    KNOWN.iter().filter(|known| known.usual).map(|known| known.name.to_owned()).collect()
}

#[derive(Subcommand)]
enum Other {
    /// Strain a server for minutes, and see whether it holds: churn of models, clients that leave, slow ones, floods.
    Soak {
        /// For so long.
        #[arg(long, default_value_t = 10.0, value_name = "N")]
        minutes: f64,
    },
    /// Serve thousands of models with room for few, minutes long: with the usual policy, and with LRU beside it.
    Hot {
        /// For so long with each policy.
        #[arg(long, default_value_t = 10.0, value_name = "N")]
        minutes: f64,
        /// How many models there are.
        #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=20_000))]
        models: u32,
        /// How many of them there is room for.
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=20_000))]
        fit: u32,
        /// Requests per second.
        #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        /// Write benches/RESULTS-HOT.md. Needs --date.
        #[arg(long, requires = "date")]
        record: bool,
        /// Today, for the record.
        #[arg(long, value_name = "YYYY-MM-DD")]
        date: Option<String>,
    },
    /// Run the bare handler: for the benchmark's own child process.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        workers: u32,
    },
    /// Run Candor over the null engine: for the benchmark's own child process.
    #[command(hide = true)]
    Null {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        models: PathBuf,
        #[arg(long)]
        set: Vec<String>,
    },
}

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The session alone.
    Engine,
    /// Codec and pipeline in this process.
    Pipeline,
    /// Servers under load.
    Http,
    /// Features on and off.
    Features,
    /// Dynamic batching.
    Batching,
    /// One model beside another.
    Bulkheads,
    /// Predictions that are explained.
    Explanations,
    /// More and more clients.
    Clients,
    /// Cold start and memory.
    Start,
    /// Other people's servers.
    Peers,
}

impl Part {
    /// The layers of a request, which share rounds and tables.
    pub const LAYERS: [Self; 3] = [Self::Engine, Self::Pipeline, Self::Http];
}

/// What this process is to do.
pub enum Command {
    /// Measure.
    Measure(Plan),
    /// Strain a server for so long.
    Soak(Duration),
    /// Serve more models than memory.
    Hot(crate::hot::Plan),
    /// Be the bare server.
    Bare {
        /// Where it says its address.
        folder: PathBuf,
        /// How many threads it has.
        workers: u32,
    },
    /// Be Candor over the null engine.
    Null {
        /// Where it says its address.
        folder: PathBuf,
        /// The null models.
        models: PathBuf,
        /// Keys of the configuration.
        keys: Vec<String>,
    },
}

/// What is measured, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    pub only: Vec<Part>,
    pub peers: bool,
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
    /// Whether this part is measured.
    pub fn wants(&self, part: Part) -> bool {
        match self.only.as_slice() {
            [] => part != Part::Peers || self.peers,
            only => only.contains(&part),
        }
    }

    /// Whether any of these is.
    pub fn wants_any(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| self.wants(*part))
    }
}

/// Reads the command line.
pub fn read() -> Result<Command> {
    command(Cli::parse())
}

fn command(cli: Cli) -> Result<Command> {
    match cli.other {
        None => {}
        Some(Other::Bare { folder, workers }) => return Ok(Command::Bare { folder, workers }),
        Some(Other::Null { folder, models, set }) => return Ok(Command::Null { folder, models, keys: set }),
        Some(Other::Soak { minutes }) => {
            ensure!(minutes > 0.0 && minutes <= 1440.0, "--minutes: {minutes} is not above 0 and at most 1440");
            return Ok(Command::Soak(Duration::from_secs_f64(minutes * 60.0)));
        }
        Some(Other::Hot { minutes, models, fit, rate, record, date }) => {
            ensure!(minutes > 0.0 && minutes <= 1440.0, "--minutes: {minutes} is not above 0 and at most 1440");
            ensure!(fit < models, "--fit: where all models fit there is nothing to see");
            if let Some(date) = &date {
                ensure!(is_date(date), "--date: '{date}' is not a date such as 2026-01-31");
            }
            let length = Duration::from_secs_f64(minutes * 60.0);
            let record = date.filter(|_| record);
            return Ok(Command::Hot(crate::hot::Plan { length, models, fit, rate: f64::from(rate), record }));
        }
    }
    for model in &cli.models {
        let names = KNOWN.map(|known| known.name).join(", ");
        ensure!(known(model).is_some(), "--models: '{model}' is not one of {names}");
    }
    let is_whole = cli.only.is_empty() && usual_models().iter().all(|usual| cli.models.contains(usual));
    if cli.record && !is_whole && cli.only != [Part::Peers] {
        bail!("--record needs a whole run; leave --only and --models out (or --only peers, for benches/PEERS.md)");
    }
    if let Some(date) = &cli.date {
        ensure!(is_date(date), "--date: '{date}' is not a date such as 2026-01-31");
    }
    let (repeats, seconds) = if cli.quick { (1, 1) } else { (cli.repeats, cli.seconds) };
    Ok(Command::Measure(Plan {
        peers: cli.peers || cli.only.contains(&Part::Peers),
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
            Ok(Command::Bare { .. } | Command::Null { .. } | Command::Soak(_) | Command::Hot(_)) => {
                Err("no plan".into())
            }
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
            &["--record", "--date", "2026-01-31", "--only", "http,peers"],
            &["--record", "--date", "2026-01-31", "--models", "iris"],
        ] {
            assert!(plan(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_soak_has_a_length() {
        let soak = |minutes: &str| command(Cli::try_parse_from(["bench", "soak", "--minutes", minutes]).unwrap());
        assert!(matches!(soak("0.5"), Ok(Command::Soak(length)) if length == Duration::from_secs(30)));
        assert!(soak("0").is_err());
    }

    #[test]
    fn hot_models_are_more_than_there_is_room_for() {
        let hot = |words: &[&str]| command(Cli::try_parse_from([&["bench", "hot"], words].concat()).unwrap());
        let Ok(Command::Hot(plan)) = hot(&[]) else { panic!("it is not hot") };
        assert_eq!((plan.models, plan.fit, plan.length, plan.record), (2000, 50, Duration::from_secs(600), None));
        assert!(hot(&["--models", "50"]).is_err() && hot(&["--minutes", "0"]).is_err());
        assert!(hot(&["--record", "--date", "today"]).is_err());
    }

    #[test]
    fn quick_is_one_short_round_and_only_is_one_layer() {
        let quick = plan(&["--quick", "--only", "engine,start"]).unwrap();
        assert_eq!((quick.repeats, quick.seconds), (1, 1));
        assert!(quick.wants(Part::Engine) && quick.wants(Part::Start) && !quick.wants(Part::Http));
        assert!(quick.wants_any(&Part::LAYERS) && !quick.peers);
        assert!(plan(&["--models", "nothing"]).unwrap_err().contains("iris"));
        let plain = plan(&[]).unwrap();
        assert_eq!((plain.repeats, plain.connections, plain.record.as_deref()), (5, 8, None));
        assert_eq!(plain.models, ["iris", "breast_cancer", "cnn", "minilm"]);
        assert!(plain.wants(Part::Features) && !plain.wants(Part::Peers));
        assert!(plan(&["--peers"]).unwrap().wants(Part::Peers));
        assert!(plan(&["--only", "peers", "--record", "--date", "2026-01-31"]).unwrap().peers);
    }
}
