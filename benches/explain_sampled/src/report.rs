//! The table: medians, ranges, and quotients of the same round; and benches/RESULTS-EXPLAIN-SAMPLED.md. It draws no
//! conclusions.

use std::{fmt::Write as _, path::Path};

use candor_measure::{
    machine,
    stats::{Summary, figure, paired},
};

/// The record.
pub const PATH: &str = "benches/RESULTS-EXPLAIN-SAMPLED.md";

const HOW_TO_READ: &str = "\
## How to read it

- CPU of one thread; the peer and each of our engines right after one another, on the same row. The model's share is taken
  around its function, casts to single precision included.
- kernel: `shap.KernelExplainer` with its default budget and `l1_reg=False`; permutation: `shap.PermutationExplainer` with ten
  orders; lime: `LimeTabularExplainer` with 5,000 samples. 30 features, 100 background rows. The peer's models run in ONNX
  Runtime, ours in the native engine and in ONNX Runtime. Where the model takes most of the time on both sides, no explainer can be
  much quicker than another at an equal budget: see the columns of the model's share.
- `line` is a logistic line in NumPy and in our own code: almost nothing, so that what is left is the explaining itself.
- \"apart\" is the largest difference of attributions by the largest of the peer's. Both sides sample, each with coalitions of
  its own; LIME also weighs and samples differently.
";

/// The record: when, where, and the table.
pub fn document(date: &str, root: &Path, (load_before, rounds): (&str, usize), table: &str) -> String {
    let mut text = String::from(
        "# What a sampled explanation costs\n\n\
         Written by `cargo xtask bench explain-sampled --record --date YYYY-MM-DD`; do not edit.\n\n| | |\n|---|---|\n",
    );
    for (key, value) in [
        ("date", date.to_owned()),
        ("commit", machine::commit(root)),
        ("machine", machine::describe()),
        ("load average (1 min)", format!("{load_before} before, {} after", machine::load_average())),
        ("compiler", format!("{}, profile release", machine::compiler())),
        ("rounds", rounds.to_string()),
    ] {
        let _ = writeln!(text, "| {key} | {value} |");
    }
    let _ = write!(text, "\n{table}\n{HOW_TO_READ}");
    text
}

/// Of one explanation.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// CPU milliseconds in all.
    pub cpu_ms: f64,
    /// Of these, the model's.
    pub model_ms: f64,
    /// Rows that the model was asked.
    pub rows: u64,
}

/// One method with one model.
pub struct Cell {
    method: &'static str,
    /// The model's name.
    pub model: String,
    engines: Vec<&'static str>,
    /// By round.
    pub peer: Vec<Cost>,
    /// By engine and round.
    pub ours: Vec<Vec<Cost>>,
    /// The largest difference from the peer's attributions, of the largest of them, by round.
    pub apart: Vec<f64>,
}

impl Cell {
    /// Nothing measured yet.
    pub fn new(method: &'static str, model: &str, engines: impl Iterator<Item = &'static str>) -> Self {
        let engines: Vec<&str> = engines.collect();
        let ours = vec![Vec::new(); engines.len()];
        Self { method, model: model.to_owned(), engines, peer: Vec::new(), ours, apart: Vec::new() }
    }
}

impl Cell {
    /// Forgets what was measured so far.
    pub fn forget(&mut self) {
        self.peer.clear();
        self.apart.clear();
        self.ours.iter_mut().for_each(Vec::clear);
    }
}

fn range(series: &[f64]) -> String {
    Summary::of(series)
        .map_or_else(String::new, |of| format!("{} ({}–{})", figure(of.median), figure(of.min), figure(of.max)))
}

/// One line for each method, model and engine.
pub fn table<'c>(cells: impl Iterator<Item = &'c Cell>) -> String {
    let mut text = String::from(
        "Milliseconds of CPU for one row: median (range). × is the peer's divided by ours, of the same round.\n\n\
         | method | model | engine | peer | of it model | ours | of it model | × in all | × without the model | rows: peer, \
         ours | apart |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for cell in cells {
        for (engine, ours) in cell.engines.iter().zip(&cell.ours) {
            let of = |costs: &[Cost], what: fn(&Cost) -> f64| costs.iter().map(what).collect::<Vec<f64>>();
            let all: fn(&Cost) -> f64 = |cost| cost.cpu_ms;
            let model: fn(&Cost) -> f64 = |cost| cost.model_ms;
            let own: fn(&Cost) -> f64 = |cost| (cost.cpu_ms - cost.model_ms).max(1e-3);
            let times = |what| range(&paired(&of(&cell.peer, what), &of(ours, what), |peer, ours| peer / ours));
            let rows = |costs: &[Cost]| costs.last().map_or(0, |cost| cost.rows);
            text += &format!(
                "| {} | {} | {engine} | {} | {} | {} | {} | {} | {} | {}, {} | {} % |\n",
                cell.method,
                cell.model,
                range(&of(&cell.peer, all)),
                range(&of(&cell.peer, model)),
                range(&of(ours, all)),
                range(&of(ours, model)),
                times(all),
                times(own),
                rows(&cell.peer),
                rows(ours),
                range(&cell.apart.iter().map(|apart| apart * 100.0).collect::<Vec<f64>>()),
            );
        }
    }
    text
}
