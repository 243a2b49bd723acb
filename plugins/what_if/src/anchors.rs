//! Anchors: Ribeiro, Singh & Guestrin 2018, "Anchors: high-precision model-agnostic explanations". Few predicates which hold
//! a row's answer: where they hold, the answer is the same with at least a wanted precision.
//!
//! A beam grows anchors by one predicate at a time; which of them are the most precise is found by KL-LUCB, so that no more
//! samples are asked than are needed. Of those that are precise enough the one that covers most is taken. It does not know
//! how rows are drawn.

use std::collections::BTreeMap;

use crate::{
    Model, Random, Result,
    bounds::{Count, level},
    predicates::{Predicate, Sampler},
};

/// How it is searched; the defaults are those of the authors' program, but for the beam.
#[derive(Debug, Clone, Copy)]
pub struct AnchorOptions {
    /// The share of equal answers that an anchor must have.
    pub precision: f64,
    /// The chance that the bounds are wrong.
    pub delta: f64,
    /// How far the best may be taken wrongly for the best.
    pub tolerance: f64,
    /// How far the lower bound of an anchor may be below the wanted precision.
    pub slack: f64,
    /// How many anchors of one size are grown further.
    pub beam: usize,
    /// How many predicates an anchor may have.
    pub length_max: usize,
    /// Samples of one draw.
    pub batch: usize,
    /// Evaluations of the model, at most.
    pub budget: u64,
    /// For the samples.
    pub seed: u64,
}

/// What was found for a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// What has to hold, by feature.
    pub predicates: Vec<Predicate>,
    /// The share of equal answers among the samples.
    pub precision: f64,
    /// Between which it lies, by δ.
    pub bounds: (f64, f64),
    /// The share of the background for which it holds.
    pub coverage: f64,
    /// Whether it is precise enough.
    pub found: bool,
    /// How often the model was asked.
    pub evaluations: u64,
}

/// Numbers of all rows that are drawn before the model is asked: 8 MiB.
const ELEMENTS_MAX: usize = 1 << 20;

/// Which predicates, by their places, ascending.
type Set = Vec<usize>;

/// Looks for the anchor of a row. `same` tells whether an answer counts as the row's own.
///
/// # Errors
/// What the model said.
pub fn anchor(
    model: &mut Model<'_>,
    sampler: &Sampler<'_>,
    predicates: &[Predicate],
    same: &dyn Fn(&[f64]) -> bool,
    options: &AnchorOptions,
) -> Result<Anchor> {
    let mut beam = Beam {
        model,
        sampler,
        predicates,
        same,
        options,
        random: Random::new(options.seed),
        counts: BTreeMap::new(),
        asked: 0,
    };
    let best = beam.search()?;
    let (set, found) = match best {
        Some(set) => (set, true),
        // None is precise enough: the most precise of all, and of equal ones the shortest.
        None => (beam.most_precise(), false),
    };
    let count = beam.count(&set);
    let level = beam.final_level();
    let chosen = beam.predicates_of(&set);
    Ok(Anchor {
        precision: count.mean(),
        bounds: (count.low(level), count.high(level)),
        coverage: sampler.coverage(&chosen),
        predicates: chosen,
        found,
        evaluations: beam.asked,
    })
}

struct Beam<'a, 'm> {
    model: &'a mut Model<'m>,
    sampler: &'a Sampler<'a>,
    predicates: &'a [Predicate],
    same: &'a dyn Fn(&[f64]) -> bool,
    options: &'a AnchorOptions,
    random: Random,
    counts: BTreeMap<Set, Count>,
    asked: u64,
}

impl Beam<'_, '_> {
    fn count(&self, set: &Set) -> Count {
        self.counts.get(set).copied().unwrap_or_default()
    }

    fn predicates_of(&self, set: &Set) -> Vec<Predicate> {
        set.iter().filter_map(|at| self.predicates.get(*at)).copied().collect()
    }

    /// Draws for some anchors at once. Whether there was budget left for all of it.
    fn draw(&mut self, sets: &[Set], each: usize) -> Result<bool> {
        let wanted = sets.len().saturating_mul(each);
        if wanted as u64 > self.options.budget.saturating_sub(self.asked) {
            return Ok(false);
        }
        let width = self.sampler.width().saturating_mul(each).max(1);
        for sets in sets.chunks((ELEMENTS_MAX / width).max(1)) {
            self.draw_some(sets, each)?;
        }
        Ok(true)
    }

    fn draw_some(&mut self, sets: &[Set], each: usize) -> Result<()> {
        let mut rows = Vec::new();
        for set in sets {
            let holding = self.sampler.holding(&self.predicates_of(set));
            for _ in 0..each {
                holding.draw(&mut self.random, &mut rows);
            }
        }
        let answers = self.model.predict(&rows)?;
        self.asked += (sets.len() * each) as u64;
        let each_answers = answers.chunks_exact(self.model.outputs().max(1) * each.max(1));
        for (set, answers) in sets.iter().zip(each_answers) {
            let right = answers.chunks_exact(self.model.outputs().max(1)).filter(|answer| (self.same)(answer)).count();
            let count = self.counts.entry(set.clone()).or_default();
            count.samples += each as u64;
            count.right += right as u64;
        }
        Ok(())
    }

    /// The level at which an anchor is told to be precise: for all that may have been candidates.
    fn final_level(&self) -> f64 {
        let candidates = 1.0 + (self.options.beam.max(1) - 1) as f64 * self.predicates.len() as f64;
        (candidates / self.options.delta).ln()
    }

    fn search(&mut self) -> Result<Option<Set>> {
        let none: Set = Vec::new();
        if self.is_precise(&none)? == Some(true) {
            return Ok(Some(none));
        }
        let mut grown = vec![none];
        let mut best: Option<(f64, Set)> = None;
        for _ in 0..self.options.length_max.min(self.predicates.len()) {
            let covers = best.as_ref().map_or(0.0, |(coverage, _)| *coverage);
            let candidates = self.longer(&grown, covers);
            if candidates.is_empty() {
                break;
            }
            let Some(chosen) = self.most_promising(&candidates)? else { break };
            for set in &chosen {
                let coverage = self.sampler.coverage(&self.predicates_of(set));
                let covers = best.as_ref().map_or(0.0, |(coverage, _)| *coverage);
                if coverage > covers && self.is_precise(set)? == Some(true) {
                    best = Some((coverage, set.clone()));
                }
            }
            grown = chosen;
        }
        Ok(best.map(|(_, set)| set))
    }

    /// Sets with one further predicate, that cover more than what is known to be precise enough.
    fn longer(&self, grown: &[Set], covers: f64) -> Vec<Set> {
        let mut candidates: Vec<Set> = Vec::new();
        for set in grown {
            for at in (0..self.predicates.len()).filter(|at| !set.contains(at)) {
                let mut longer = set.clone();
                longer.push(at);
                longer.sort_unstable();
                candidates.push(longer);
            }
        }
        candidates.sort();
        candidates.dedup();
        candidates.retain(|set| self.sampler.coverage(&self.predicates_of(set)) > covers);
        candidates
    }

    /// KL-LUCB: the most precise ones, but for the tolerance. Nothing when the budget is spent.
    fn most_promising(&mut self, candidates: &[Set]) -> Result<Option<Vec<Set>>> {
        let fresh: Vec<Set> = candidates.iter().filter(|set| self.count(set).samples == 0).cloned().collect();
        if !self.draw(&fresh, self.options.batch.min(10))? {
            return Ok(None);
        }
        let keep = self.options.beam.max(1).min(candidates.len());
        for round in 1.. {
            let mut order: Vec<(Count, &Set)> = candidates.iter().map(|set| (self.count(set), set)).collect();
            // Of equal ones the first: the order does not depend on anything but the counts.
            order.sort_by(|a, b| b.0.mean().total_cmp(&a.0.mean()));
            let chosen = || order.iter().take(keep).map(|(_, set)| (*set).clone()).collect();
            let level = level(candidates.len(), round, self.options.delta);
            let (inside, outside) = order.split_at(keep);
            let low = inside.iter().map(|(count, set)| (count.low(level), *set)).min_by(|a, b| a.0.total_cmp(&b.0));
            let high = outside.iter().map(|(count, set)| (count.high(level), *set)).max_by(|a, b| a.0.total_cmp(&b.0));
            let (Some((low, weakest)), Some((high, strongest))) = (low, high) else { return Ok(Some(chosen())) };
            if high - low <= self.options.tolerance {
                return Ok(Some(chosen()));
            }
            let pair = [weakest.clone(), strongest.clone()];
            let chosen: Vec<Set> = chosen();
            if !self.draw(&pair, self.options.batch)? {
                return Ok(Some(chosen));
            }
        }
        Ok(None)
    }

    /// Whether an anchor is precise enough, asked until that is sure; nothing when the budget is spent before.
    fn is_precise(&mut self, set: &Set) -> Result<Option<bool>> {
        let AnchorOptions { precision, slack, batch, .. } = *self.options;
        let level = self.final_level();
        // No bound falls below 1 soon if it may lie above all that can be: half of what is left is asked for.
        let above = slack.min((1.0 - precision) / 2.0);
        loop {
            let count = self.count(set);
            let (mean, low, high) = (count.mean(), count.low(level), count.high(level));
            if count.samples > 0 {
                if mean >= precision && low > precision - slack {
                    return Ok(Some(true));
                }
                if mean < precision && high < precision + above {
                    return Ok(Some(false));
                }
            }
            if !self.draw(std::slice::from_ref(set), batch)? {
                return Ok(None);
            }
        }
    }

    fn most_precise(&self) -> Set {
        let level = self.final_level();
        let key = |count: &Count| count.low(level);
        let better = |a: &(&Set, &Count), b: &(&Set, &Count)| {
            key(a.1).total_cmp(&key(b.1)).then(b.0.len().cmp(&a.0.len())).then(b.0.cmp(a.0))
        };
        self.counts.iter().max_by(better).map(|(set, _)| set.clone()).unwrap_or_default()
    }
}
