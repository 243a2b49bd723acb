//! Requests per second and p99 against the number of clients that keep a connection busy, as a table and a picture.
//!
//! The sentence encoder's clients may be refused: where waiting would be longer than the server allows, it says so at
//! once. They come again when they were told to, and refusals are counted beside what was answered.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Bench;
use crate::{
    cases::Format,
    closed_loop::{Load, Outcome},
    grpc_loop,
    paced::{self, Pace},
    plot::{self, Panel, Series},
    stats::figure,
    table::table,
};

/// Clients at the same time.
const CLIENTS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// The picture, beside RESULTS.md.
const PICTURE: &str = "clients.svg";

pub fn run(bench: &Bench<'_>) -> Result<String> {
    let (iris, minilm) = (bench.case("iris", 1)?, bench.case("minilm", 1)?);
    let candor = bench.stage.candor(bench.repository, &[])?;
    let bare = bench.stage.bare()?;
    let seconds = bench.plan.seconds;
    let grpc = candor.grpc.context("the server does not listen for gRPC")?;
    let http = |addr, case, clients, seconds| bench.wrk.run(addr, Load::of(case, Format::Json, clients, seconds));
    let mut lines: [(&str, Vec<Outcome>); 4] = [
        ("bare handler", Vec::new()),
        ("iris, HTTP JSON", Vec::new()),
        ("iris, gRPC", Vec::new()),
        ("sentence encoder, HTTP JSON", Vec::new()),
    ];
    let mut refused = Vec::new();
    for clients in CLIENTS {
        for (at, (name, outcomes)) in lines.iter_mut().enumerate() {
            let outcome = match at {
                0 => http(bare.addr, &iris, clients, seconds),
                1 => http(candor.addr, &iris, clients, seconds),
                2 => grpc_loop::run(grpc, &iris, clients, Duration::from_secs(u64::from(seconds))),
                _ => {
                    // A second of it is fifty answers; each client should get some.
                    let span = Duration::from_secs(u64::from(seconds) * if clients > 8 { 6 } else { 2 });
                    let pace = Pace { callers: clients, pause: Duration::ZERO, span };
                    let outcome = paced::run(candor.addr, &minilm, Format::Json, pace);
                    outcome.map(|paced::Outcome { refused: times, per_second, p50_us, p99_us }| {
                        refused.push(times);
                        Outcome { requests: per_second * span.as_secs_f64(), per_second, p50_us, p99_us }
                    })
                }
            }?;
            println!(
                "  {clients:>3} clients, {name:<28} {:.0}/s  p99 {} µs",
                outcome.per_second,
                figure(outcome.p99_us)
            );
            outcomes.push(outcome);
        }
    }
    let path = bench.stage.house.root.join("benches").join(PICTURE);
    if bench.plan.record.is_some() {
        std::fs::write(&path, picture(&lines)).with_context(|| format!("cannot write {}", path.display()))?;
        println!("  wrote benches/{PICTURE}");
    } else {
        let path = bench.stage.house.programs.join(PICTURE);
        std::fs::write(&path, picture(&lines)).with_context(|| format!("cannot write {}", path.display()))?;
        println!("  the picture: {}", path.display());
    }
    let names: Vec<String> = lines.iter().flat_map(|(name, _)| [format!("{name}: /s"), "p99, µs".to_owned()]).collect();
    let columns: Vec<&str> = names.iter().map(String::as_str).chain(["refused"]).collect();
    let rows = CLIENTS.iter().zip(&refused).enumerate().map(|(at, (clients, refused))| {
        let outcomes = lines.iter().filter_map(|(_, outcomes)| outcomes.get(at));
        let cells = outcomes.flat_map(|one| [Some(format!("{:.0}", one.per_second)), Some(figure(one.p99_us))]);
        (clients.to_string(), cells.chain([Some(refused.to_string())]).collect())
    });
    let text = table("More and more clients", "clients", &columns, rows).context("nothing was measured")?;
    Ok(format!("{text}\n![Requests per second and p99 against clients]({PICTURE})\n"))
}

fn picture(lines: &[(&str, Vec<Outcome>)]) -> String {
    let series = |of: fn(&Outcome) -> f64| -> Vec<Series> {
        lines
            .iter()
            .map(|(name, outcomes)| Series { name: (*name).to_owned(), values: outcomes.iter().map(of).collect() })
            .collect()
    };
    let panels = [
        Panel { title: "requests per second", series: series(|one| one.per_second) },
        Panel { title: "99th percentile of the latency, ms", series: series(|one| one.p99_us / 1e3) },
    ];
    plot::svg("clients, each with one request at a time", &CLIENTS, &panels)
}
