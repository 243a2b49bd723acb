//! Engines against each other on classical models: what one call of a session costs, in the same run.
//!
//! `cargo xtask bench engines` makes the models, puts ONNX Runtime in place and runs this in release. Before
//! anything is measured, the engines' answers are compared. It measures; it does not judge.
//!
//! | module | what it does |
//! |---|---|
//! | `models` | the models and rows that `make_models.py` made |
//! | `rounds` | the order of measuring: all engines on one cell, one right after the other |
//! | `report` | the table, and benches/ENGINES.md |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]

mod models;
mod report;
mod rounds;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use candor_domain::Engine;
use candor_engine_native::NativeEngine;
use candor_engine_ort::OrtEngine;
use clap::Parser;

/// What a call of a session costs, engine against engine, one thread each.
#[derive(Parser)]
struct Args {
    /// The folder of the models that make_models.py made.
    #[arg(long)]
    models: PathBuf,
    /// One short round: shows that everything runs; the numbers mean little.
    #[arg(long)]
    quick: bool,
    /// Only models whose title contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Rounds over all models and batches.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Milliseconds of each measurement.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    millis: u64,
    /// Write benches/ENGINES.md. Needs --date and a whole run.
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
        bail!("the numbers of a debug build mean nothing; use `cargo xtask bench engines`");
    }
    let own = std::env::current_exe().context("cannot find this program")?;
    let programs = own.parent().context("this program lies in no folder")?.to_path_buf();
    // The first is what the others are divided by.
    let engines: Vec<Box<dyn Engine>> =
        vec![Box::new(OrtEngine::try_new(None, &[programs], 1)?), Box::new(NativeEngine::new())];
    let models = models::read(&args.models, &args.only)?;
    ensure!(!models.is_empty(), "no model's title contains '{}'", args.only);
    let (repeats, millis) = if args.quick { (1, 20) } else { (args.repeats, args.millis) };
    let load_before = candor_measure::machine::load_average();
    let cells = rounds::measure(&engines, &models, repeats, std::time::Duration::from_millis(millis))?;
    let table = report::table(&engines, &cells);
    println!("\n{table}");
    if let Some(date) = args.date.as_ref().filter(|_| args.record) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let facts = report::Facts { date, root: &root, load_before: &load_before, repeats, millis };
        let path = root.join("benches/ENGINES.md");
        std::fs::write(&path, report::document(&facts, &engines, &table)).context("cannot write benches/ENGINES.md")?;
        println!("wrote benches/ENGINES.md");
    }
    Ok(())
}
