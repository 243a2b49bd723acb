//! What an explanation costs beside the libraries that people use: the same models, rows and thread, in the same run.
//!
//! `cargo xtask bench explain` makes the environment of reference.py and runs this in release. Before anything is
//! measured, the answers are compared. It measures; it does not judge.
//!
//! | module | what it does |
//! |---|---|
//! | `reference` | the process of reference.py |
//! | `cases` | what is measured |
//! | `trees` | exact shares of trees |
//! | `report` | the table, and benches/RESULTS-EXPLAIN.md |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod cases;
mod reference;
mod report;
mod trees;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use candor_measure::{stats::figure, usage};
use clap::Parser;
use serde_json::json;

use self::{
    cases::{Case, Stage},
    reference::{Measured, Reference},
    report::Series,
};

/// What an explanation costs, beside shap, one thread each.
#[derive(Parser)]
struct Args {
    /// A Python that has what benches/explain/requirements.txt lists.
    #[arg(long)]
    python: PathBuf,
    /// Where models go.
    #[arg(long)]
    folder: PathBuf,
    /// One short round: shows that everything runs; the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Only cases whose method, model and rows contain this, as in `TreeSHAP, path-dependent 100x4 1`.
    #[arg(long, default_value = "")]
    only: String,
    /// Rounds over all cases.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Milliseconds of each measurement of ours, and about that of the reference.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,
    /// Write benches/RESULTS-EXPLAIN.md. Needs --date and a whole run.
    #[arg(long, requires = "date", conflicts_with_all = ["quick", "only"])]
    record: bool,
    /// Today, for the record: a benchmark reads no calendar.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("the numbers of a debug build mean nothing; use `cargo xtask bench explain`");
    }
    let load_before = candor_measure::machine::load_average();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut reference = Reference::start(&args.python, &root.join("benches/explain/reference.py"), &args.folder)?;
    let stage = Stage::set(&args.folder, &mut reference)?;
    // Other methods add their own here.
    let mut cases = trees::cases(&stage)?;
    cases.retain(|case| format!("{} {} {}", case.method, case.model, case.rows).contains(&args.only));
    ensure!(!cases.is_empty(), "no case contains '{}'", args.only);
    let (repeats, millis) = if args.quick { (1, 20) } else { (args.repeats, args.millis) };
    let mut series = vec![Series::default(); cases.len()];
    for round in 0..repeats {
        println!("round {} of {repeats}", round + 1);
        for (case, series) in cases.iter().zip(&mut series) {
            measure(&stage, case, series, &mut reference, Duration::from_millis(millis))?;
        }
    }
    let table = report::table(&cases, &series, &stage.models);
    println!("\n{table}");
    if let Some(date) = args.date.as_ref().filter(|_| args.record) {
        let facts = report::Facts { date, root: &root, load_before: &load_before, repeats, models: &stage.models };
        let path = root.join("benches/RESULTS-EXPLAIN.md");
        std::fs::write(&path, report::document(&facts, &table)).context("cannot write benches/RESULTS-EXPLAIN.md")?;
        println!("wrote benches/RESULTS-EXPLAIN.md");
    }
    Ok(())
}

/// Ours, and right after it the reference, for about as long.
fn measure(
    stage: &Stage<'_>,
    case: &Case,
    series: &mut Series,
    reference: &mut Reference,
    span: Duration,
) -> Result<()> {
    let ask = |reference: &mut Reference, calls: u32| -> Result<Measured> {
        let question = json!({"work": case.work, "model": case.model, "rows": case.rows, "calls": calls});
        reference.ask(&question)
    };
    let (next, circle) = (Cell::new(0), stage.count() - case.rows + 1);
    let cost = usage::measure(span, || {
        let first = next.replace((next.get() + case.rows) % circle);
        std::hint::black_box((case.ours)(first)?);
        Ok(())
    })?;
    let answer = ask(reference, 1)?;
    if series.ours.is_empty() {
        agree(case, &answer.values)?;
    }
    let once = answer.cpu_us.max(1.0);
    let calls = (span.as_secs_f64() * 1e6 / once).clamp(1.0, 1000.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1000")]
    let measured = if calls < 2.0 { once } else { ask(reference, calls as u32)?.cpu_us };
    let (method, model, rows) = (case.method, &case.model, case.rows);
    let times = measured / cost.cpu_us;
    println!(
        "  {method:<36} {model} × {rows:<5} {} µs  {} µs  {times:.1} times",
        figure(cost.cpu_us),
        figure(measured)
    );
    series.ours.push(cost.cpu_us);
    series.reference.push(measured);
    Ok(())
}

/// What is measured must be the same work.
fn agree(case: &Case, expected: &[f64]) -> Result<()> {
    let ours = (case.ours)(0)?;
    let most = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    ensure!(ours.len() >= expected.len() && !expected.is_empty(), "{}: answers of other sizes", case.method);
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let near = (ours - expected).abs() <= case.tolerance * most;
        ensure!(near, "{} {}: value {at} is {ours}, the reference's {expected}", case.method, case.model);
    }
    Ok(())
}
