//! What each feature costs a request that does not need it: the same load on servers that differ in one thing.

use std::{
    fmt::Write as _,
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::{Bench, has_key};
use crate::{
    cases::{Case, Format},
    child::Server,
    closed_loop::Load,
    http,
    stats::paired,
    table::{shown_series, table},
};

/// The token that is sent where tokens are on.
const TOKEN: &str = "bench-token-of-no-value";

/// A server that differs from the usual one, or a client that does.
struct Variant {
    name: &'static str,
    /// Keys of the configuration.
    keys: &'static [&'static str],
    tokens: bool,
    headers: &'static [&'static str],
    /// Whether somebody reads /metrics ten times a second.
    scraped: bool,
    /// With 32 rows, whose answers are long enough to be compressed.
    long: bool,
}

const PLAIN: Variant =
    Variant { name: "as it is", keys: &[], tokens: false, headers: &[], scraped: false, long: false };

const VARIANTS: [Variant; 12] = [
    PLAIN,
    Variant { name: "the native engine", keys: &["engine.choice=native"], ..PLAIN },
    Variant { name: "tokens", tokens: true, ..PLAIN },
    Variant { name: "a quota for each caller", keys: &["limits.requests_per_second_max=10000000"], ..PLAIN },
    Variant { name: "no circuit breaker", keys: &["breaker.enabled=false"], ..PLAIN },
    Variant { name: "no batching", keys: &["batching.enabled=false"], ..PLAIN },
    Variant { name: "cross-check of 1 % of answers", keys: &["cross_check.live_share=0.01"], ..PLAIN },
    Variant { name: "cross-check of all answers", keys: &["cross_check.live_share=1.0"], ..PLAIN },
    Variant { name: "faults can be ordered", keys: &["faults.enabled=true"], ..PLAIN },
    Variant { name: "metrics read 10 times a second", scraped: true, ..PLAIN },
    Variant { name: "32 rows", long: true, ..PLAIN },
    Variant { name: "32 rows, answers compressed (gzip)", headers: &["Accept-Encoding: gzip"], long: true, ..PLAIN },
];

pub fn run(bench: &Bench<'_>) -> Result<String> {
    let (short, long) = (bench.case("iris", 1)?, bench.case("iris", 32)?);
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let models = folder.path().join("models");
    crate::servers::repository(&models, &[bench.repository.join("iris")])?;
    let tokens = folder.path().join("tokens.toml");
    let sha256 = Sha256::digest(TOKEN).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    fs::write(&tokens, format!("[[token]]\nname = \"bench\"\naccess = \"infer\"\nsha256 = \"{sha256}\"\n"))?;
    let tokens = format!("auth.tokens_file={}", tokens.display());
    let mut servers = Vec::new();
    for variant in VARIANTS.iter().filter(|variant| variant.keys.iter().all(|key| is_known(key))) {
        let keys: Vec<&str> = variant.keys.iter().copied().chain(variant.tokens.then_some(tokens.as_str())).collect();
        servers.push((
            variant,
            bench.stage.candor(&models, &keys).with_context(|| variant.name)?,
            Vec::new(),
            Vec::new(),
        ));
    }
    for round in 0..bench.plan.repeats {
        for (variant, server, cpu, rate) in &mut servers {
            let case = if variant.long { &long } else { &short };
            let (per_request, per_second) = measured(bench, variant, server, case).with_context(|| variant.name)?;
            println!("  round {} {:<36} CPU {per_request:.2} µs  {per_second:.0}/s", round + 1, variant.name);
            cpu.push(per_request);
            rate.push(per_second);
        }
    }
    let cpu_of =
        |long: bool| servers.iter().find(|(variant, ..)| variant.long == long).map(|(_, _, cpu, _)| cpu.as_slice());
    let rows = servers.iter().map(|(variant, _, cpu, rate)| {
        let base = cpu_of(variant.long).unwrap_or_default();
        let more = Some(paired(cpu, base, |own, base| own - base)).filter(|more| more.iter().any(|more| *more != 0.0));
        let more = more.and_then(|more| shown_series(&more));
        (variant.name.to_owned(), vec![shown_series(cpu), more, shown_series(rate)])
    });
    let mut text = table(
        "Features, one by one: iris, HTTP JSON",
        "server",
        &["CPU, µs", "more than without, µs", "requests/s"],
        rows,
    )
    .context("nothing was measured")?;
    let _ = writeln!(
        text,
        "\nEach server differs in one thing from the first, or from the one with 32 rows; differences are taken within \
         a round. Where answers are cross-checked, the second engine's run is in the CPU."
    );
    Ok(text)
}

fn is_known(assignment: &str) -> bool {
    assignment.split_once('=').is_some_and(|(key, _)| has_key(key))
}

/// CPU microseconds per request, and requests per second.
fn measured(bench: &Bench<'_>, variant: &Variant, server: &Server, case: &Case) -> Result<(f64, f64)> {
    let token = variant.tokens.then(|| format!("Authorization: Bearer {TOKEN}"));
    let headers: Vec<String> = variant.headers.iter().map(|line| (*line).to_owned()).chain(token).collect();
    let load = Load { headers: &headers, ..Load::of(case, Format::Json, bench.plan.connections, bench.plan.seconds) };
    let over = AtomicBool::new(!variant.scraped);
    let (outcome, cpu) = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                // One that fails costs no less than one that is answered; the load itself is checked.
                let _ = http::get(server.addr, "/metrics");
                thread::sleep(Duration::from_millis(100));
            }
        });
        let measured = bench.closed(server, load);
        over.store(true, Relaxed);
        measured
    })?;
    Ok((cpu, outcome.per_second))
}
