//! What it costs to have a prediction explained in the same answer, and what those pay who do not ask.
//!
//! The sample of 100 boosted trees over 30 features, asked by names in JSON. Explained by exact TreeSHAP, as `auto`
//! chooses. The last server has the same model without a background, so that it can explain nothing.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use crate::{
    cases::Format,
    child::Server,
    closed_loop::Load,
    http,
    stats::{figure, paired},
    table::{shown_series, table},
};

const MODEL: &str = "breast_cancer";

/// A way to ask.
struct Way<'a> {
    name: &'static str,
    server: &'a Server,
    query: &'static str,
    connections: u32,
    /// By round: p50 and p99 in microseconds, and CPU microseconds per request.
    p50: Vec<f64>,
    p99: Vec<f64>,
    cpu: Vec<f64>,
}

pub fn run(bench: &Bench<'_>) -> Result<String> {
    let case = bench.case(MODEL, 1)?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let (models, without) = (folder.path().join("able"), folder.path().join("unable"));
    crate::servers::repository(&models, &[bench.repository.join(MODEL)])?;
    crate::servers::repository(&without, &[bench.repository.join(MODEL)])?;
    let manifest = without.join(MODEL).join("model.toml");
    let text = fs::read_to_string(&manifest).context("no manifest")?;
    let (bare, _) = text.split_once("[explain]").context("the sample says nothing of explanations")?;
    // Its bytes may be shared with the tree, so another file takes its place.
    fs::remove_file(&manifest)?;
    fs::write(&manifest, bare).context("cannot write a manifest")?;
    let (able, unable) = (bench.stage.candor(&models, &[])?, bench.stage.candor(&without, &[])?);
    let path = format!("{}?explain=true", case.path(Format::Rows));
    let (status, answer) = http::call(able.addr, "POST", &path, case.body(Format::Rows))?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(status == 200 && answer.contains("attributions"), "no explanation, but {status}: {answer}");
    let way = |name, server, query, connections| Way {
        name,
        server,
        query,
        connections,
        p50: Vec::new(),
        p99: Vec::new(),
        cpu: Vec::new(),
    };
    let mut ways = [
        way("prediction alone, 1 client", &able, "", 1),
        way("with its explanation, 1 client", &able, "?explain=true", 1),
        way("prediction alone, 8 clients", &able, "", 8),
        way("with its explanation, 8 clients", &able, "?explain=true", 8),
        way("prediction alone, 8 clients, of a server that cannot explain", &unable, "", 8),
    ];
    for round in 0..bench.plan.repeats {
        for way in &mut ways {
            let load = Load::of(&case, Format::Rows, way.connections, bench.plan.seconds);
            let (outcome, cpu) = bench.closed(way.server, Load { query: way.query, ..load })?;
            println!("  round {} {:<62} p50 {} µs  CPU {cpu:.1} µs", round + 1, way.name, figure(outcome.p50_us));
            way.p50.push(outcome.p50_us);
            way.p99.push(outcome.p99_us);
            way.cpu.push(cpu);
        }
    }
    let rows = ways.iter().map(|way| {
        let cells = [&way.p50, &way.p99, &way.cpu].map(|series| shown_series(series));
        (way.name.to_owned(), cells.to_vec())
    });
    let columns = ["p50, µs", "p99, µs", "CPU, µs"];
    let mut text =
        table("Predictions with their explanation: 100 trees, 30 features, HTTP JSON", "asked", &columns, rows)
            .context("nothing was measured")?;
    let [_, _, able, _, unable] = &ways;
    let ratio = shown_series(&paired(&able.cpu, &unable.cpu, |able, unable| able / unable)).unwrap_or_default();
    let _ = writeln!(
        text,
        "\nWho does not ask pays, as CPU on a server that can explain ÷ on one that cannot, within a round: {ratio}."
    );
    Ok(text)
}
