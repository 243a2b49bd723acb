//! The table of what was measured, and benches/ENGINES.md. It draws no conclusions.

use std::{fmt::Write as _, path::Path};

use candor_domain::Engine;
use candor_measure::{
    machine,
    stats::{Summary, figure, paired},
};

use crate::rounds::Cell;

/// What must be known to read the numbers.
pub struct Facts<'a> {
    pub date: &'a str,
    pub root: &'a Path,
    pub load_before: &'a str,
    pub repeats: u32,
    pub millis: u64,
}

const HOW_TO_READ: &str = "\
## How to read it

- A figure is the median of the rounds, CPU microseconds of one `Session::run` on ready tensors; in brackets the smallest
  and the largest. CPU time leaves out what other programs used.
- A ratio below 1 is faster than the first engine. It is taken within each round, where the engines run right after one
  another on the same rows, and then summed up; so what slowed a whole round cancels out.
- Each call has other rows than the one before (1024 of them, which the models were not trained on): a row that comes again
  and again would be predicted by the processor, and cost a fraction.
- One thread for each engine. Before measuring, the engines' answers to all rows were compared.
- `benches/engines/make_models.py` trains the models on generated data, where trees grow fuller than on most real data.
";

/// benches/ENGINES.md.
pub fn document(facts: &Facts<'_>, engines: &[Box<dyn Engine>], table: &str) -> String {
    let named: Vec<String> = engines.iter().map(|e| format!("{} {}", shown(e.info().name), e.info().version)).collect();
    let mut text = String::from(
        "# What a call costs, engine against engine\n\nWritten by `cargo xtask bench engines --record --date YYYY-MM-DD`; \
         do not edit.\n\n| | |\n|---|---|\n",
    );
    for (key, value) in [
        ("date", facts.date.to_owned()),
        ("commit", machine::commit(facts.root)),
        ("machine", machine::describe()),
        ("load average (1 min)", format!("{} before, {} after", facts.load_before, machine::load_average())),
        ("compiler", format!("{}, profile release", machine::compiler())),
        ("engines", named.join("; ")),
        ("rounds", format!("{} of {} ms each", facts.repeats, facts.millis)),
    ] {
        let _ = writeln!(text, "| {key} | {value} |");
    }
    let _ = write!(text, "\n{table}\n{HOW_TO_READ}");
    text
}

fn shown(engine: &str) -> &str {
    if engine == "ort" { "ONNX Runtime" } else { engine }
}

/// All cells: microseconds, and how the others compare with the first engine.
pub fn table(engines: &[Box<dyn Engine>], cells: &[Cell]) -> String {
    let names: Vec<&str> = engines.iter().map(|engine| shown(engine.info().name)).collect();
    let mut columns: Vec<String> = names.iter().map(|name| format!("{name}, µs")).collect();
    let first = names.first().copied().unwrap_or_default();
    columns.extend(names.iter().skip(1).map(|name| format!("{name} ÷ {first}")));
    let mut text = format!("## CPU of a call\n\n| model | size | rows | {} |\n", columns.join(" | "));
    let _ = writeln!(text, "|---|---:|---:|{}", "---:|".repeat(columns.len()));
    for cell in cells {
        let of = |series: &Option<Vec<f64>>| spread(series.as_deref().and_then(Summary::of));
        let mut cells: Vec<String> = cell.cpu_us.iter().map(of).collect();
        let base = cell.cpu_us.first().and_then(Option::as_deref).unwrap_or_default();
        let ratio = |series: &Option<Vec<f64>>| {
            let ratios = series.as_deref().map(|series| paired(series, base, |one, base| one / base));
            spread(ratios.as_deref().and_then(Summary::of))
        };
        cells.extend(cell.cpu_us.iter().skip(1).map(ratio));
        let _ = writeln!(text, "| {} | {} | {} | {} |", cell.title, cell.size, cell.rows, cells.join(" | "));
    }
    text
}

fn spread(summary: Option<Summary>) -> String {
    let Some(Summary { median, min, max }) = summary else { return "–".to_owned() };
    // A single round has no range.
    let range = if min < max { format!(" ({}–{})", figure(min), figure(max)) } else { String::new() };
    figure(median) + &range
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_engine_native::NativeEngine;

    #[test]
    fn ratios_are_of_the_same_round_and_refusals_are_dashes() {
        let engines: Vec<Box<dyn Engine>> = vec![Box::new(NativeEngine::new()), Box::new(NativeEngine::new())];
        let cell = |other| Cell {
            title: "trees".to_owned(),
            size: "7 nodes".to_owned(),
            rows: 32,
            cpu_us: vec![Some(vec![10.0, 30.0]), other],
        };
        let text = table(&engines, &[cell(Some(vec![5.0, 30.0])), cell(None)]);
        assert!(
            text.contains("| trees | 7 nodes | 32 | 20.0 (10.0–30.0) | 17.5 (5.00–30.0) | 0.75 (0.50–1.00) |"),
            "{text}"
        );
        assert!(text.contains("| trees | 7 nodes | 32 | 20.0 (10.0–30.0) | – | – |"), "{text}");
    }
}
