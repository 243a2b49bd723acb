//! One row's search: candidates asked within a budget, the valid ones kept by what they change, and the nearest miss.
//!
//! Its callers propose candidates; it does not know how they come by them. The cost of a candidate is its distance and a
//! price for each changed feature, so that few changes are preferred.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use crate::{Model, Result, Space, Wanted};

/// How many different ways of changing features are kept.
const KEPT_MAX: usize = 512;

/// A row that was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The row.
    pub row: Vec<f64>,
    /// The model's answer.
    pub answer: Vec<f64>,
    /// How far the answer is from what is wanted: 0 when it is that.
    pub gap: f64,
    /// How far the row is from the one that is explained, with a price for each changed feature.
    pub cost: f64,
}

/// Features that are changed, and whether each rises.
pub type Way = Vec<(usize, bool)>;

/// The search for one row.
pub struct Search<'a, 'm> {
    model: &'a mut Model<'m>,
    /// Where the row may be moved to.
    pub space: &'a Space,
    wanted: &'a Wanted,
    /// The row that is explained.
    pub row: &'a [f64],
    price: f64,
    left: u64,
    /// Hashes of rows: of two with the same one the second is passed over, which costs a candidate and no answer.
    seen: HashSet<u64>,
    kept: BTreeMap<Way, Candidate>,
    nearest_miss: Option<Candidate>,
}

impl<'a, 'm> Search<'a, 'm> {
    /// Begins a search with a budget of evaluations; `price` is what each changed feature costs.
    pub fn new(
        model: &'a mut Model<'m>,
        space: &'a Space,
        wanted: &'a Wanted,
        row: &'a [f64],
        price: f64,
        budget: u64,
    ) -> Self {
        let seen = HashSet::from([hash(row)]);
        Self { model, space, wanted, row, price, left: budget, seen, kept: BTreeMap::new(), nearest_miss: None }
    }

    /// How many evaluations are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// What a row would cost.
    #[must_use]
    pub fn cost(&self, row: &[f64]) -> f64 {
        self.space.distance(self.row, row) + self.price * Space::changed(self.row, row).len() as f64
    }

    /// What changing one feature would cost.
    #[must_use]
    pub fn cost_of(&self, feature: usize, to: f64) -> f64 {
        let from = self.row.get(feature).copied().unwrap_or(f64::NAN);
        self.space.feature(feature).map_or(f64::INFINITY, |feature| feature.distance(from, to) + self.price)
    }

    /// The least cost of what is valid so far.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.kept.values().map(|candidate| candidate.cost).min_by(f64::total_cmp)
    }

    /// Valid candidates, one for each way of changing features.
    pub fn kept(&self) -> impl Iterator<Item = &Candidate> {
        self.kept.values()
    }

    /// What came nearest to being valid, if anything was asked.
    #[must_use]
    pub fn nearest_miss(&self) -> Option<&Candidate> {
        self.nearest_miss.as_ref()
    }

    /// Asks for rows that were not asked before, as many as the budget allows, and gives what came of each.
    ///
    /// # Errors
    /// What the model said.
    pub fn ask(&mut self, rows: impl IntoIterator<Item = Vec<f64>>) -> Result<Vec<Candidate>> {
        let mut fresh: Vec<Vec<f64>> = Vec::new();
        for row in rows {
            if fresh.len() as u64 >= self.left {
                break;
            }
            if self.seen.insert(hash(&row)) {
                fresh.push(row);
            }
        }
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.model.predict(&fresh.concat())?;
        self.left -= fresh.len() as u64;
        let outputs = self.model.outputs().max(1);
        let asked: Vec<Candidate> = fresh
            .into_iter()
            .zip(answers.chunks_exact(outputs))
            .map(|(row, answer)| {
                let (gap, cost) = (self.wanted.gap(answer), self.cost(&row));
                Candidate { row, answer: answer.to_vec(), gap, cost }
            })
            .collect();
        for candidate in &asked {
            self.keep(candidate);
        }
        Ok(asked)
    }

    fn keep(&mut self, candidate: &Candidate) {
        if candidate.gap > 0.0 {
            let nearer = |miss: &Candidate| (candidate.gap, candidate.cost) < (miss.gap, miss.cost);
            if self.nearest_miss.as_ref().is_none_or(nearer) {
                self.nearest_miss = Some(candidate.clone());
            }
            return;
        }
        let way = self.way(&candidate.row);
        if self.kept.get(&way).is_some_and(|known| known.cost <= candidate.cost) {
            return;
        }
        self.kept.insert(way, candidate.clone());
        if self.kept.len() > KEPT_MAX {
            let dearest = self.kept.iter().max_by(|a, b| a.1.cost.total_cmp(&b.1.cost)).map(|(way, _)| way.clone());
            dearest.map(|way| self.kept.remove(&way));
        }
    }

    /// Which features a row changes, and whether each rises.
    #[must_use]
    pub fn way(&self, row: &[f64]) -> Way {
        let rises = |at: &usize| row.get(*at) > self.row.get(*at);
        Space::changed(self.row, row).into_iter().map(|at| (at, rises(&at))).collect()
    }
}

/// The same everywhere: the standard hasher has fixed keys when it is made so.
fn hash(row: &[f64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.iter().for_each(|number| number.to_bits().hash(&mut hasher));
    hasher.finish()
}
