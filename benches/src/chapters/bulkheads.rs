//! What a model notices of its neighbours: one that is flooded with dear requests, and one that is loaded.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::Bench;
use crate::{
    cases::{Case, Format},
    http,
    paced::{self, Outcome, Pace},
    servers::Stage,
    stats::{figure, paired},
    table::{shown_series, table},
};

/// Rows of a request of the pathological model: some tenths of a second of work.
const DEAR_ROWS: usize = 32;

/// Callers of the model that is not flooded.
const CALLERS: u32 = 4;

/// Who floods.
const FLOODERS: u32 = 16;

/// What the neighbour does meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// 16 clients keep requests of 32 rows to the sentence encoder under way.
    Flood,
    /// The sentence encoder is loaded and unloaded again and again.
    Load,
}

pub fn run(bench: &Bench<'_>) -> Result<String> {
    // All cores: a bulkhead is about queues and threads. On one core everything waits for everything.
    let stage = Stage { pinning: bench.stage.pinning.everywhere(), ..bench.stage.clone() };
    let server = stage.candor(bench.repository, &[])?;
    let dear = bench.case("minilm", DEAR_ROWS)?;
    let victims = [("iris, on the HTTP thread", bench.case("iris", 1)?), ("CNN, on the pool", bench.case("cnn", 1)?)];
    // A server that leaves a core free: what a run on that core notices, no server could spare it.
    let apart = bench.stage.candor(bench.repository, &[])?;
    let engine = bench.engine.load(&victims[1].1)?;
    let mut rows = Vec::new();
    for (name, victim) in &victims {
        let pause = Duration::from_millis(if victim.is_large() { 100 } else { 5 });
        let measured = rounds(bench, name, |beside, span| {
            let pace = Pace { callers: CALLERS, pause, span };
            beside_of(server.addr, beside, &dear, || paced::run(server.addr, victim, Format::Json, pace))
        })?;
        rows.push(row(name, &measured));
    }
    let name = "CNN, the engine alone on a core of its own";
    let measured = rounds(bench, name, |beside, span| {
        let pause = Duration::from_millis(100) / CALLERS;
        beside_of(apart.addr, beside, &dear, || paced::calls(pause, span, || engine.outputs().map(drop)))
    })?;
    rows.push(row(name, &measured));
    let columns =
        ["p99 alone, ms", "p99 beside a flood, ms", "÷ alone", "p99 beside loads, ms", "÷ alone", "requests refused"];
    let mut text =
        table("One model beside another", "model", &columns, rows.into_iter()).context("nothing was measured")?;
    let _ = writeln!(
        text,
        "\nCallers of the model pause between requests. The flood is {FLOODERS} clients that always have a request of \
         {DEAR_ROWS} rows to the sentence encoder under way; refusals of theirs are not counted. Loads are of the sentence \
         encoder (90 MB), one after the other. The server has all cores here and shares them with its clients, so that \
         these figures say less the fewer cores there are. The last row is the machine's own share in this: the same runs in \
         another process on a core that is left to them, while a server on the other core is flooded or loads. Clients have the shortest turns on a core that Linux gives."
    );
    Ok(text)
}

/// What is measured beside each in turn, some times.
fn rounds(
    bench: &Bench<'_>,
    name: &str,
    measure: impl Fn(Beside, Duration) -> Result<Outcome>,
) -> Result<[Vec<Outcome>; 3]> {
    let span = Duration::from_secs(u64::from(bench.plan.seconds) * 3);
    let mut measured: [Vec<Outcome>; 3] = Default::default();
    for round in 1..=bench.plan.repeats.min(3) {
        for (beside, outcomes) in [Beside::Nothing, Beside::Flood, Beside::Load].into_iter().zip(&mut measured) {
            let outcome = measure(beside, span).with_context(|| format!("{name}, {beside:?}"))?;
            println!(
                "  round {round} {name:<26} beside {beside:?}: p50 {} µs  p99 {} µs  refused {}",
                figure(outcome.p50_us),
                figure(outcome.p99_us),
                outcome.refused
            );
            outcomes.push(outcome);
        }
    }
    Ok(measured)
}

fn row(name: &str, [alone, flooded, loading]: &[Vec<Outcome>; 3]) -> (String, Vec<Option<String>>) {
    let p99 = |outcomes: &[Outcome]| outcomes.iter().map(|one| one.p99_us / 1e3).collect::<Vec<f64>>();
    let ratio = |other: &[Outcome]| shown_series(&paired(&p99(other), &p99(alone), |other, alone| other / alone));
    let refused = flooded.iter().chain(loading).map(|one| one.refused).sum::<f64>();
    let cells = vec![
        shown_series(&p99(alone)),
        shown_series(&p99(flooded)),
        ratio(flooded),
        shown_series(&p99(loading)),
        ratio(loading),
        Some(format!("{refused:.0}")),
    ];
    (name.to_owned(), cells)
}

/// What `measure` measures while the server at `addr` has this to do.
fn beside_of(
    addr: SocketAddr,
    beside: Beside,
    dear: &Case,
    measure: impl FnOnce() -> Result<Outcome>,
) -> Result<Outcome> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut neighbours = Vec::new();
        match beside {
            Beside::Nothing => {}
            Beside::Flood => neighbours.extend((0..FLOODERS).map(|_| scope.spawn(|| flood(addr, dear, &over)))),
            Beside::Load => neighbours.push(scope.spawn(|| load_again_and_again(addr, &over))),
        }
        if !neighbours.is_empty() {
            // The flood has to be there before anything is measured beside it.
            thread::sleep(Duration::from_millis(300));
        }
        let outcome = measure();
        over.store(true, Relaxed);
        for neighbour in neighbours {
            neighbour.join().map_err(|_| anyhow!("a neighbour panicked"))??;
        }
        outcome
    })
}

fn flood(addr: SocketAddr, dear: &Case, over: &AtomicBool) -> Result<()> {
    let mut connection = http::Connection::open(addr)?;
    while !over.load(Relaxed) {
        let reply = connection.post(dear, Format::Binary)?;
        ensure!([200, 429, 503].contains(&reply.status), "the flood was answered {}", reply.status);
        if reply.closes {
            connection = http::Connection::open(addr)?;
        }
        if reply.status != 200 {
            // As a client that was told to come back later, but sooner than it was told.
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

fn load_again_and_again(addr: SocketAddr, over: &AtomicBool) -> Result<()> {
    while !over.load(Relaxed) {
        for verb in ["unload", "load"] {
            let (status, body) = http::call(addr, "POST", &format!("/v2/repository/models/minilm/{verb}"), b"{}")?;
            ensure!(status == 200, "{verb}: status {status}: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(())
}
