//! The table of what was measured, and benches/RESULTS-EXPLAIN.md. It draws no conclusions.

use std::{fmt::Write as _, path::Path};

use candor_measure::{
    machine,
    stats::{Summary, figure, paired},
};

use crate::cases::{Case, Models};

/// What must be known to read the numbers.
pub struct Facts<'a> {
    pub date: &'a str,
    pub root: &'a Path,
    pub load_before: &'a str,
    pub repeats: u32,
    pub models: &'a Models,
}

/// What each round of a case took: ours and the reference's, CPU microseconds of a call.
#[derive(Debug, Clone, Default)]
pub struct Series {
    pub ours: Vec<f64>,
    pub reference: Vec<f64>,
}

const HOW_TO_READ: &str = "\
## How to read it

- A figure is the median of the rounds, CPU microseconds of one call, one thread each; in brackets the smallest and the
  largest. CPU time leaves out what other programs used.
- \"times\" is the reference's time by ours, within each round, where both run right after one another on the same rows.
- Before measuring, the answers were compared: none differs by more than a hundred-thousandth of the largest.
- TreeSHAP: the reference is shap's C extension alone, without the Python around it; ours is the whole way from features to
  shares. Rows of a call follow those of the call before. \"made before\" is spent once for a background and is not part of
  a call: counting rows for covers, or sets and tables of the background; shap reads covers from the model.
- The models are scikit-learn's `GradientBoostingRegressor` of 30 features, trained on 2000 generated rows.
";

/// benches/RESULTS-EXPLAIN.md.
pub fn document(facts: &Facts<'_>, table: &str) -> String {
    let mut text = String::from(
        "# What an explanation costs\n\nWritten by `cargo xtask bench explain --record --date YYYY-MM-DD`; do not edit.\n\n\
         | | |\n|---|---|\n",
    );
    let versions: Vec<String> =
        facts.models.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    for (key, value) in [
        ("date", facts.date.to_owned()),
        ("commit", machine::commit(facts.root)),
        ("machine", machine::describe()),
        ("load average (1 min)", format!("{} before, {} after", facts.load_before, machine::load_average())),
        ("compiler", format!("{}, profile release", machine::compiler())),
        ("reference", versions.join(", ")),
        ("rounds", facts.repeats.to_string()),
    ] {
        let _ = writeln!(text, "| {key} | {value} |");
    }
    let _ = write!(text, "\n{table}\n{HOW_TO_READ}");
    text
}

/// All cases, and the worst of each method.
pub fn table(cases: &[Case], series: &[Series], models: &Models) -> String {
    let mut text = String::from(
        "## CPU of a call\n\n| method | model | leaves a tree | rows | ours, µs | reference, µs | times | made before, ms |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut worst: Vec<(&str, f64)> = Vec::new();
    for (case, series) in cases.iter().zip(series) {
        let times = paired(&series.reference, &series.ours, |reference, ours| reference / ours);
        let leaves = models.leaves.get(&case.model).map_or_else(|| "–".to_owned(), |leaves| figure(*leaves));
        let (method, model, rows) = (case.method, &case.model, case.rows);
        let (ours, reference) = (spread(&series.ours), spread(&series.reference));
        let prepare = figure(case.prepare_ms);
        let line = [&ours, &reference, &spread(&times), &prepare].map(String::as_str).join(" | ");
        let _ = writeln!(text, "| {method} | {model} | {leaves} | {rows} | {line} |");
        let median = Summary::of(&times).map_or(f64::INFINITY, |times| times.median);
        match worst.iter_mut().find(|(known, _)| *known == method) {
            Some((_, least)) => *least = least.min(median),
            None => worst.push((method, median)),
        }
    }
    text.push('\n');
    for (method, times) in worst {
        let _ = writeln!(text, "- worst of {method}: {} times", figure(times));
    }
    text
}

fn spread(series: &[f64]) -> String {
    let Some(Summary { median, min, max }) = Summary::of(series) else { return "–".to_owned() };
    // A single round has no range.
    let range = if min < max { format!(" ({}–{})", figure(min), figure(max)) } else { String::new() };
    figure(median) + &range
}
