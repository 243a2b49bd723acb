//! The table: medians, ranges, and quotients of the same round.

use candor_measure::stats::{Summary, figure, paired};

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
