//! The line of a row: neighbours as the row sees them, weighed by their distance, and fitted.
//!
//! A binned or named feature is 1 for a neighbour in the row's own bin or of its own name and 0 elsewhere; a plain
//! number is its distance from the mean in standard deviations. The weight of a neighbour at the distance d is
//! √exp(−d²/width²). It does not know where neighbours come from.

use super::{Line, Neighbours, Selection, Space, fit::Sums, space::Column};
use crate::linear::Symmetric;

/// How a line is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The width of the kernel.
    pub width: f64,
    /// What the ridge punishes.
    pub alpha: f64,
    /// How features are chosen.
    pub selection: Selection,
    /// How many.
    pub most: usize,
}

/// The line of one output, and the covariance of its coefficients over draws, where it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// The line.
    pub line: Line,
    /// Of the coefficients.
    pub covariance: Option<Symmetric>,
    /// What the line says for the row itself.
    pub prediction: f64,
}

/// Rows as the explained one sees them: the row itself first, then its neighbours; their weights; answers.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    features: usize,
    /// Row by row.
    pub cells: Vec<f64>,
    /// Of each row.
    pub weights: Vec<f64>,
    /// Whether all cells are 0 or 1.
    binary: bool,
}

impl View {
    /// Of a row and its neighbours.
    #[must_use]
    pub fn new(space: &Space, x: &[f64], neighbours: &Neighbours, width: f64) -> Self {
        let features = space.0.len();
        let own: Vec<Option<u32>> = space.0.iter().zip(x).map(|(column, &value)| column.code(value)).collect();
        let first: Vec<f64> = space
            .0
            .iter()
            .zip(x)
            .map(|(column, value)| match column {
                Column::Plain { mean, scale } => (value - mean) / scale,
                Column::Binned { .. } | Column::Named { .. } => 1.0,
            })
            .collect();
        let plain: Vec<bool> = space.0.iter().map(|column| matches!(column, Column::Plain { .. })).collect();
        let mut view = Self::of(features, first);
        view.binary = !plain.contains(&true);
        view.cells.reserve(neighbours.codes.len());
        for (at, codes) in neighbours.codes.chunks_exact(features.max(1)).enumerate() {
            if view.binary {
                view.cells.extend(codes.iter().zip(&own).map(|(code, own)| f64::from(u8::from(*own == Some(*code)))));
            } else {
                let scaled = neighbours.scaled.get(at * features..(at + 1) * features).unwrap_or_default();
                let cells = codes.iter().zip(&own).zip(scaled.iter().zip(&plain));
                view.cells.extend(cells.map(
                    |((code, own), (scaled, plain))| {
                        if *plain { *scaled } else { f64::from(u8::from(*own == Some(*code))) }
                    },
                ));
            }
        }
        view.weigh(width);
        view
    }

    /// Of rows that somebody else made, the explained one first: for comparisons.
    #[must_use]
    pub fn of(features: usize, cells: Vec<f64>) -> Self {
        let binary = cells.iter().all(|cell| *cell == 0.0 || *cell == 1.0);
        Self { features, cells, weights: Vec::new(), binary }
    }

    /// Weighs the rows by their distance from the first.
    pub fn weigh(&mut self, width: f64) {
        let first = self.cells.get(..self.features).unwrap_or_default();
        let weight = |row: &[f64]| {
            let distance: f64 = row.iter().zip(first).map(|(one, other)| (one - other) * (one - other)).sum();
            (-distance / (width * width)).exp().sqrt()
        };
        self.weights = self.cells.chunks_exact(self.features.max(1)).map(weight).collect();
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.features.max(1))
    }

    /// Weighted sums for every output; `answers` has a row of outputs for each row.
    fn sums(&self, answers: &[f64], outputs: usize) -> Vec<Sums> {
        let (mut gram, mut means) = (Symmetric::zeros(self.features), vec![0.0; self.features]);
        // Answers are summed as differences from the first, so that a large constant costs no digits.
        let first = answers.get(..outputs).unwrap_or_default();
        let mut made = vec![(0.0, vec![0.0; self.features], 0.0); outputs];
        let (mut weight, mut ones) = (0.0, Vec::with_capacity(self.features));
        for ((row, own), answer) in self.rows().zip(&self.weights).zip(answers.chunks_exact(outputs.max(1))) {
            weight += own;
            if self.binary {
                ones.clear();
                ones.extend(row.iter().enumerate().filter(|(_, cell)| **cell != 0.0).map(|(at, _)| at));
                gram.add_ones(&ones, *own);
            } else {
                gram.add_outer(row, *own);
            }
            means.iter_mut().zip(row).for_each(|(mean, cell)| *mean += own * cell);
            for ((sum, cross, square), (y, first)) in made.iter_mut().zip(answer.iter().zip(first)) {
                let (y, part) = (y - first, own * (y - first));
                *sum += part;
                *square += part * y;
                cross.iter_mut().zip(row).for_each(|(cross, cell)| *cross += part * cell);
            }
        }
        means.iter_mut().for_each(|mean| *mean /= weight);
        gram.add_outer(&means, -weight);
        gram.mirror();
        let out = |((sum, mut cross, square), first): ((f64, Vec<f64>, f64), &f64)| {
            let mean = sum / weight;
            cross.iter_mut().zip(&means).for_each(|(cross, of)| *cross -= sum * of);
            let (means, gram, total) = (means.clone(), gram.clone(), (square - sum * mean).max(0.0));
            Sums { weight, means, gram, mean: first + mean, cross, total }
        };
        made.into_iter().zip(first).map(out).collect()
    }

    /// Σ w²e²(z − z̄)(z − z̄)ᵀ of the chosen features, e what the line leaves.
    fn spread(&self, sums: &Sums, line: &Line, answers: impl Iterator<Item = f64>) -> Symmetric {
        let mut spread = Symmetric::zeros(line.chosen.len());
        let mut cells = vec![0.0; line.chosen.len()];
        let means: Vec<f64> = line.chosen.iter().filter_map(|&at| sums.means.get(at)).copied().collect();
        for ((row, weight), answer) in self.rows().zip(&self.weights).zip(answers) {
            let mut left = answer - sums.mean;
            for (((cell, &at), mean), own) in cells.iter_mut().zip(&line.chosen).zip(&means).zip(&line.coefficients) {
                *cell = row.get(at).copied().unwrap_or(0.0) - mean;
                left -= own * *cell;
            }
            spread.add_outer(&cells, weight * weight * left * left);
        }
        spread.mirror();
        spread
    }
}

/// Fits a line for each output; `answers` has a row of outputs for the row and each of its neighbours.
#[must_use]
pub fn explain(view: &View, answers: &[f64], outputs: usize, settings: &Settings) -> Vec<Local> {
    let row = view.cells.get(..view.features).unwrap_or_default();
    let of = |(output, sums): (usize, Sums)| {
        let line = sums.line(sums.choose(settings.selection, settings.most, row), settings.alpha);
        let own = answers.iter().skip(output).step_by(outputs.max(1)).copied();
        let covariance = sums.covariance(&line, settings.alpha, &view.spread(&sums, &line, own));
        let values = line.chosen.iter().zip(&line.coefficients);
        let prediction = line.intercept + values.map(|(&at, own)| own * row.get(at).unwrap_or(&0.0)).sum::<f64>();
        Local { line, covariance, prediction }
    };
    view.sums(answers, outputs).into_iter().enumerate().map(of).collect()
}
