//! Dynamic batching of the sentence encoder: what it brings, beside the engine's own best batch; and whether the
//! server's choice of size and delay is as good as the best fixed delay, at three loads.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result};

use super::{Bench, has_key};
use crate::{
    cases::Format,
    child::Server,
    closed_loop::Load,
    open_loop::{self, Schedule},
    stats::figure,
    table::{shown_series, table},
};

const MODEL: &str = "minilm";

/// Rows of the batches that the engine alone is measured with.
const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Clients of the closed loop.
const CLIENTS: u32 = 32;

/// Shares of the engine's rows per second at its best batch.
const LOADS: [f64; 3] = [0.3, 0.7, 0.95];

/// Connections of the open loop: more requests than that never wait at the same time, or else the server is lost.
const CONNECTIONS: u32 = 256;

/// What a server is told of batching.
struct Policy {
    name: &'static str,
    keys: &'static [&'static str],
    /// Whether it is one of those that the server's own choice is held against at three loads.
    compared: bool,
}

/// The first is what the server does by itself; keys that a build does not have leave a policy out.
const POLICIES: [Policy; 7] = [
    Policy { name: "as the server chooses", keys: &[], compared: true },
    Policy { name: "no batching", keys: &["batching.enabled=false"], compared: false },
    Policy { name: "no delay", keys: &["batching.max_queue_delay_us=0"], compared: true },
    Policy { name: "1 ms at most", keys: &["batching.max_queue_delay_us=1000"], compared: true },
    Policy { name: "5 ms at most", keys: &["batching.max_queue_delay_us=5000"], compared: true },
    Policy { name: "20 ms at most", keys: &["batching.max_queue_delay_us=20000"], compared: true },
    Policy {
        name: "5 ms and 32 rows at most",
        keys: &["batching.max_queue_delay_us=5000", "batching.max_batch_rows=32"],
        compared: false,
    },
];

impl Policy {
    fn is_known(&self) -> bool {
        let keys = self.keys.iter().filter_map(|assignment| assignment.split_once('='));
        keys.fold(true, |known, (key, _)| known && has_key(key))
    }
}

pub fn run(bench: &Bench<'_>) -> Result<String> {
    let (text, best, rows) = engine_alone(bench)?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    crate::servers::repository(folder.path(), &[bench.repository.join(MODEL)])?;
    let mut servers = Vec::new();
    for policy in POLICIES.iter().filter(|policy| policy.is_known()) {
        servers.push((policy, bench.stage.candor(folder.path(), policy.keys).context(policy.name)?));
    }
    let mut text = text + "\n" + &many_clients(bench, &servers, rows)? + "\n" + &three_loads(bench, &servers, best)?;
    if !has_key("batching.enabled") {
        text.push_str("\nThis build has no dynamic batching; each request is a run of its own.\n");
    }
    Ok(text)
}

/// Rows per second of the engine alone by rows of the batch; the most, and the rows of that batch.
fn engine_alone(bench: &Bench<'_>) -> Result<(String, f64, usize)> {
    let span = Duration::from_millis(700 * u64::from(bench.plan.seconds));
    let (mut cells, mut best) = (Vec::new(), (0.0, 1));
    for rows in BATCHES {
        let cost = bench.engine.load(&bench.case(MODEL, rows)?)?.measure(span)?;
        #[allow(clippy::cast_precision_loss, reason = "a few rows")]
        // By CPU time, so that other programs do not make the engine look slower than it is.
        let per_second = rows as f64 * 1e6 / cost.cpu_us;
        println!("  engine alone, {rows:>2} rows: {per_second:.1} rows/s, wall {} µs", figure(cost.wall_us));
        cells.push(Some(format!("{per_second:.1}")));
        if per_second > best.0 {
            best = (per_second, rows);
        }
    }
    let columns = BATCHES.map(|rows| format!("{rows} rows"));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let row = std::iter::once(("engine alone, rows/s".to_owned(), cells));
    let title = "The sentence encoder in batches: the engine alone, rows per second of CPU";
    Ok((table(title, "", &columns, row).context("nothing was measured")?, best.0, best.1))
}

/// 32 clients that always have one request each under way; the engine alone runs batches of `rows` before each server,
/// so that both see the same machine.
fn many_clients(bench: &Bench<'_>, servers: &[(&Policy, Server)], rows: usize) -> Result<String> {
    let case = bench.case(MODEL, 1)?;
    let engine = bench.engine.load(&bench.case(MODEL, rows)?)?;
    let rounds = bench.plan.repeats.min(3);
    let mut measured: Vec<[Vec<f64>; 6]> = servers.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        for ((policy, server), series) in servers.iter().zip(&mut measured) {
            let alone = engine.measure(Duration::from_secs(u64::from(bench.plan.seconds) * 2))?;
            #[allow(clippy::cast_precision_loss, reason = "a few rows")]
            let (wall, cpu_alone) = (alone.wall_us / rows as f64, alone.cpu_us / rows as f64);
            let load = Load::of(&case, Format::Json, CLIENTS, bench.plan.seconds * 4);
            let (outcome, cpu) = bench.closed(server, load).context(policy.name)?;
            println!(
                "  round {} {:<26} {:.1} rows/s  p50 {} ms  p99 {} ms  CPU {} µs; the engine alone {:.1} rows/s, {} µs",
                round + 1,
                policy.name,
                outcome.per_second,
                figure(outcome.p50_us / 1e3),
                figure(outcome.p99_us / 1e3),
                figure(cpu),
                1e6 / wall,
                figure(cpu_alone)
            );
            let (p50, p99) = (outcome.p50_us / 1e3, outcome.p99_us / 1e3);
            let numbers = [outcome.per_second, outcome.per_second * wall / 1e6, p50, p99, cpu, cpu / cpu_alone];
            for (series, number) in series.iter_mut().zip(numbers) {
                series.push(number);
            }
        }
    }
    let policies = servers.iter().zip(&measured).map(|((policy, _), series)| {
        (policy.name.to_owned(), series.iter().map(|series| shown_series(series)).collect())
    });
    let columns = ["rows/s", "÷ engine's best", "p50, ms", "p99, ms", "CPU per row, µs", "÷ engine's"];
    let title = format!("The sentence encoder with {CLIENTS} clients, closed loop");
    let mut text = table(&title, "policy", &columns, policies).context("nothing was measured")?;
    let _ = writeln!(
        text,
        "\nThe engine's best are batches of {rows}, run without a pause on the load's core just before each server, by the \
         clock and by CPU time."
    );
    Ok(text)
}

/// Arrivals by chance at shares of what the engine can do.
fn three_loads(bench: &Bench<'_>, servers: &[(&Policy, Server)], best: f64) -> Result<String> {
    let case = bench.case(MODEL, 1)?;
    let span = Duration::from_secs(u64::from(bench.plan.seconds) * 6);
    let mut rows = Vec::new();
    for share in LOADS {
        let rate = best * share;
        for (policy, server) in servers.iter().filter(|(policy, _)| policy.compared) {
            let outcome = open_loop::run(server.addr, &case, Format::Json, Schedule::random(rate, span, CONNECTIONS))
                .context(policy.name)?;
            println!(
                "  load {:.0} % {:<26} {:.1} rows/s  p50 {} ms  p99 {} ms",
                share * 100.0,
                policy.name,
                outcome.per_second,
                figure(outcome.p50_us / 1e3),
                figure(outcome.p99_us / 1e3)
            );
            let cells = [outcome.per_second, outcome.p50_us / 1e3, outcome.p99_us / 1e3];
            let cells =
                cells.iter().map(|number| Some(figure(*number))).chain([Some(format!("{:.0}", outcome.unanswered))]);
            rows.push((format!("{:.0} %, {}", share * 100.0, policy.name), cells.collect()));
        }
    }
    let columns = ["rows/s", "p50, ms", "p99, ms", "unanswered"];
    let mut text = table("Policies of batching at three loads, open loop", "load, policy", &columns, rows.into_iter())
        .context("nothing was measured")?;
    let _ = writeln!(
        text,
        "\nLoads are shares of the engine's rows per second at its best batch. Arrivals are random (Poisson), the same \
         ones for each policy, {} s each; with so few of them, p99 is a handful of requests. Unanswered are \
         also those that were refused.",
        span.as_secs()
    );
    Ok(text)
}
