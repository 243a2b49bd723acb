//! `candor bench cache`: the ledger that serves, played a trace with every policy.
//!
//! Before it: a trace from a file or a seed. After it: a table or JSON. Loads no model and measures no time: what loads
//! take stands in the trace.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use candor_domain::Error;
use candor_serving::residency::{
    policy::Policy,
    replay::{Outcome, Setting, Shape, Trace, replay, synthetic},
};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::trace;
use crate::cli::{
    problem::{Done, Failure},
    screen::{self, Table},
};

pub(super) const EXAMPLES: &str = "Examples:
  candor bench cache --synthetic zipf --seed 1
  candor bench cache --synthetic bursts --models 2000 --requests 200000 --budget \"2 GiB\" --json
  candor bench cache --trace requests.jsonl --budget \"512 MiB\"

A trace has a line of JSON for each model and for each request, in order of time:
  {\"model\": \"iris\", \"steady_bytes\": 2000000, \"load_bytes\": 5000000, \"load_ms\": 12}
  {\"at_ms\": 0, \"model\": \"iris\"}
`candor probe` tells what a model takes. docs/RESIDENCY.md says what the columns mean.";

#[derive(Args)]
pub(in crate::cli) struct CacheArgs {
    /// File with models and requests.
    #[arg(long, value_name = "FILE", conflicts_with = "synthetic", required_unless_present = "synthetic")]
    trace: Option<PathBuf>,
    /// A trace made up from the seed.
    #[arg(long, value_enum)]
    synthetic: Option<Synthetic>,
    /// What a made-up trace comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Models of a made-up trace.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    models: u32,
    /// Requests of a made-up trace.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    requests: u32,
    /// Hours that a made-up trace covers.
    #[arg(long, default_value_t = 72, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hours: u32,
    /// Memory for models, such as "2 GiB"; a tenth of what all models take if it is left out.
    #[arg(long, value_name = "SIZE")]
    budget: Option<String>,
    /// Loads at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    load_threads: u32,
    /// Seconds without a request after which the policy "idle" lets a model go.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    idle_ttl_s: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Synthetic {
    /// Always the same models are popular.
    Zipf,
    /// Each model has its hours of the day.
    Diurnal,
    /// Models are asked many times in a short while, and then not for long.
    Bursts,
}

impl Synthetic {
    fn shape(self) -> Shape {
        match self {
            Self::Zipf => Shape::Zipf,
            Self::Diurnal => Shape::Diurnal,
            Self::Bursts => Shape::Bursts,
        }
    }
}

/// Name, policy, and whether unused models leave also when there is room.
const CONTENDERS: [(&str, Policy, bool); 5] = [
    ("gdsf", Policy::Gdsf, false),
    ("lru", Policy::Lru, false),
    ("lfu", Policy::Lfu, false),
    ("idle", Policy::Lru, true),
    ("clairvoyant", Policy::Clairvoyant, false),
];

pub(super) fn run(args: &CacheArgs) -> Done {
    let trace = match (&args.trace, args.synthetic) {
        (Some(file), _) => trace::read(file).map_err(Failure::of_arguments)?,
        (None, Some(shape)) => synthetic(shape.shape(), args.seed, args.models, args.requests, f64::from(args.hours)),
        (None, None) => return Err(Failure::of_arguments(Error::invalid("there is neither --trace nor --synthetic"))),
    };
    let budget = match &args.budget {
        None => trace.bytes() / 10,
        Some(text) => crate::config::parse_bytes(text).ok_or_else(|| {
            Failure::of_arguments(Error::invalid("--budget is no size").expected("such as \"2 GiB\"").got(text.clone()))
        })?,
    };
    let play = |policy, leaves_unused| {
        let idle_ttl = Some(Duration::from_secs(args.idle_ttl_s.into())).filter(|_| leaves_unused);
        let load_threads = usize::try_from(args.load_threads).unwrap_or(1);
        replay(&trace, Setting { policy, budget, idle_ttl, load_threads })
    };
    let outcomes: Vec<(&str, Outcome)> =
        CONTENDERS.iter().map(|(name, policy, leaves_unused)| (*name, play(*policy, *leaves_unused))).collect();
    if args.json {
        screen::print_json(&as_json(args, &trace, budget, &outcomes));
    } else {
        screen::print(&as_text(&trace, budget, &outcomes));
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(trace: &Trace, budget: u64, outcomes: &[(&str, Outcome)]) -> String {
    let heads = ["POLICY", "RELOAD s", "RELOADS", "HIT RATE", "COLD p50 ms", "COLD p99.9 ms", "ALL p99.9 ms", "GiB h"];
    let mut table = Table::new(heads).right(1..heads.len());
    for (name, outcome) in outcomes {
        table.row(vec![
            (*name).to_owned(),
            format!("{:.1}", outcome.reload_s),
            outcome.reloads.to_string(),
            format!("{:.4}", outcome.hit_rate()),
            format!("{:.0}", outcome.cold_ms_p50),
            format!("{:.0}", outcome.cold_ms_p999),
            format!("{:.0}", outcome.all_ms_p999),
            format!("{:.2}", outcome.gib_hours),
        ]);
    }
    let first = outcomes.first().map(|(_, outcome)| *outcome).unwrap_or_default();
    format!(
        "{} models of {} together, {} requests, a budget of {}\nfirst loads, which no policy saves: {:.1} s; requests to models that can never fit: {}\n\n{table}",
        trace.models.len(),
        screen::size(trace.bytes()),
        trace.requests.len(),
        screen::size(budget),
        first.first_load_s,
        first.refused,
    )
}

fn as_json(args: &CacheArgs, trace: &Trace, budget: u64, outcomes: &[(&str, Outcome)]) -> Value {
    let one = |(name, outcome): &(&str, Outcome)| {
        json!({
            "policy": name,
            "requests": outcome.requests,
            "hits": outcome.hits,
            "hit_rate": outcome.hit_rate(),
            "cold": outcome.cold,
            "refused": outcome.refused,
            "reloads": outcome.reloads,
            "reload_s": outcome.reload_s,
            "first_load_s": outcome.first_load_s,
            "evictions": outcome.evictions,
            "cold_ms_p50": outcome.cold_ms_p50,
            "cold_ms_p999": outcome.cold_ms_p999,
            "all_ms_p999": outcome.all_ms_p999,
            "reserved_bytes_peak": outcome.peak_bytes,
            "gib_hours": outcome.gib_hours,
        })
    };
    json!({
        "models": trace.models.len(),
        "models_bytes": trace.bytes(),
        "requests": trace.requests.len(),
        "seed": args.synthetic.map(|_| args.seed),
        "budget_bytes": budget,
        "load_threads": args.load_threads,
        "idle_ttl_s": args.idle_ttl_s,
        "policies": outcomes.iter().map(one).collect::<Vec<_>>(),
    })
}
