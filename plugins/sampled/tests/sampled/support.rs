//! Models, questions, and Shapley values straight from their definition.

use std::cell::Cell;

use candor_plugin_sampled::{MODULE, random::Random};
use candor_plugin_sdk::{
    Result,
    testing::{Answer, Harness, Input, ModelFn, Output, Setup},
};

pub const SHAP: [&str; 3] = ["candor.exact_shap", "candor.kernel_shap", "candor.permutation_shap"];

/// What a model makes of a row.
pub type Model = dyn Fn(&[f64]) -> Vec<f64>;

pub fn open(id: &str, config: &str) -> Harness {
    Harness::new(&MODULE, id, config).unwrap()
}

/// Rows of numbers.
#[derive(Debug, Clone)]
pub struct Rows {
    pub features: usize,
    pub cells: Vec<f64>,
}

impl Rows {
    pub fn new(features: usize, cells: &[f64]) -> Self {
        assert_eq!(cells.len() % features, 0);
        Self { features, cells: cells.to_vec() }
    }

    /// Standard normal numbers, more or less.
    pub fn random(rows: usize, features: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 77);
        let mut one = || (0..6).map(|_| random.uniform()).sum::<f64>() * 2.0_f64.sqrt() - 18.0_f64.sqrt();
        Self { features, cells: (0..rows * features).map(|_| one()).collect() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.features)
    }

    pub fn count(&self) -> usize {
        self.cells.len() / self.features
    }

    pub fn input(&self, name: &str) -> Input {
        Input::new(name, &[self.count() as i64, self.features as i64], &self.cells)
    }
}

pub fn integers(name: &str, numbers: &[i64]) -> Input {
    Input::new(name, &[numbers.len() as i64], numbers)
}

/// Asks a component about a model; tells how many rows the model was asked too.
pub fn asked(harness: &Harness, model: &Model, inputs: &[Input]) -> (Result<Answer>, usize) {
    let count = Cell::new(0);
    let lent: &ModelFn<'_> = &|inputs| {
        let x = inputs.need("x")?;
        let (rows, features) = (x.shape()[0], x.shape()[1] as usize);
        count.set(count.get() + rows as usize);
        let answers: Vec<Vec<f64>> = x.slice::<f64>()?.chunks_exact(features).map(model).collect();
        let outputs = answers.first().map_or(0, Vec::len) as i64;
        Ok(vec![Output::new("y", &[rows, outputs], &answers.concat())])
    };
    let answer = harness.run_with(&Setup { model: Some(lent), ..Setup::default() }, inputs);
    (answer, count.get())
}

pub fn ask(harness: &Harness, model: &Model, inputs: &[Input]) -> Answer {
    asked(harness, model, inputs).0.unwrap()
}

/// A model with interactions, two outputs and a threshold.
pub fn crooked(row: &[f64]) -> Vec<f64> {
    let at = |feature: usize| row.get(feature).copied().unwrap_or(0.0);
    let pairs: f64 = row.windows(2).enumerate().map(|(at, pair)| pair[0] * pair[1] / (at + 1) as f64).sum();
    let line: f64 = row.iter().enumerate().map(|(at, value)| value * ((at % 5) as f64 - 1.5)).sum();
    vec![line + pairs + if at(0) > 0.2 { 1.0 } else { 0.0 } * at(3), 1.0 / (1.0 + (-line + 0.3 * pairs).exp())]
}

/// The worth of a set of players: the mean over the background.
fn worth(model: &Model, x: &[f64], background: &Rows, weights: &[f64], groups: &[usize], set: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut mean: Vec<f64> = Vec::new();
    for (row, weight) in background.iter().zip(weights) {
        let made: Vec<f64> = (0..x.len()).map(|at| if set >> groups[at] & 1 == 1 { x[at] } else { row[at] }).collect();
        let answer = model(&made);
        mean.resize(answer.len(), 0.0);
        mean.iter_mut().zip(answer).for_each(|(mean, answer)| *mean += answer * weight / total);
    }
    mean
}

/// Shapley values by their definition: players × outputs.
pub fn brute(model: &Model, x: &[f64], background: &Rows, weights: &[f64], groups: &[usize]) -> Vec<f64> {
    let players = groups.iter().max().unwrap() + 1;
    let worths: Vec<Vec<f64>> =
        (0..1_usize << players).map(|set| worth(model, x, background, weights, groups, set)).collect();
    let factorial = |n: usize| (1..=n).map(|n| n as f64).product::<f64>();
    let mut values = Vec::new();
    for player in 0..players {
        let mut own = vec![0.0; worths[0].len()];
        for set in (0..1_usize << players).filter(|set| set >> player & 1 == 0) {
            let size = set.count_ones() as usize;
            let share = factorial(size) * factorial(players - size - 1) / factorial(players);
            for (output, own) in own.iter_mut().enumerate() {
                *own += share * (worths[set | 1 << player][output] - worths[set][output]);
            }
        }
        values.extend(own);
    }
    values
}

pub fn close(got: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |most, one| most.max(one.abs())).max(1e-300);
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= bound * scale, "{got} and {expected}, of at most {scale}");
    }
}
