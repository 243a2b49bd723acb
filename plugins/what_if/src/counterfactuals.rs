//! Counterfactuals of one row: the smallest changes that give the answer that is wanted, several that differ.
//!
//! Wachter et al. 2017 for the distance, Mothilal et al. 2020 (DiCE) for diversity. Before it come a space, what is wanted
//! and perhaps cuts of the model; after it whoever tells them. It does not know how a model is asked.

use crate::{
    Matrix, Model, Random, Result, Space, Wanted,
    genetic::genetic,
    lattice::{Cut, Stops, beam, exhaust},
    polish::{shrink, wander},
    search::{Candidate, Search},
};

/// How many that change one feature are polished before others.
const SINGLE_MAX: usize = 32;

/// How it is searched.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many are wanted.
    pub count: usize,
    /// Evaluations of the model, at most.
    pub budget: u64,
    /// What each changed feature costs, in units of distance.
    pub price: f64,
    /// What being different from the chosen ones is worth.
    pub diversity: f64,
    /// For the genetic search.
    pub seed: u64,
}

/// What was found for a row.
#[derive(Debug, Clone)]
pub struct Found {
    /// The model's answer for the row itself.
    pub answer: Vec<f64>,
    /// Whether that is what is wanted already; then nothing was searched.
    pub already: bool,
    /// Valid ones, the cheapest first.
    pub chosen: Vec<Candidate>,
    /// What came nearest, if none is valid.
    pub nearest_miss: Option<Candidate>,
    /// Whether no cheaper one than the first exists in the model's cells, or none at all.
    pub proven: bool,
    /// How often the model was asked.
    pub evaluations: u64,
}

/// Searches.
///
/// # Errors
/// `Invalid` when what is wanted does not fit the model, and what the model said.
pub fn counterfactuals(
    model: &mut Model<'_>,
    space: &Space,
    wanted: impl FnOnce(&[f64]) -> Result<Wanted>,
    row: &[f64],
    background: Option<&Matrix>,
    cuts: Option<&[Vec<Cut>]>,
    options: &Options,
) -> Result<Found> {
    let before = model.evaluations();
    let answer = model.predict(row)?;
    let wanted = wanted(&answer)?;
    let mut found = Found {
        already: wanted.gap(&answer) == 0.0,
        answer,
        chosen: Vec::new(),
        nearest_miss: None,
        proven: false,
        evaluations: 1,
    };
    if found.already {
        return Ok(found);
    }
    let mut search = Search::new(model, space, &wanted, row, options.price, options.budget.saturating_sub(1));
    let mut random = Random::new(options.seed);
    let half = search.left() / 2;
    let stops = cuts.map(|cuts| Stops::new(&search, cuts));
    if let Some(stops) = &stops {
        beam(&mut search, stops, half)?;
    }
    if search.best().is_none() {
        let reserve = search.left() / 4;
        genetic(&mut search, &mut random, background, reserve)?;
    }
    polish(&mut search, &mut random, stops.as_ref(), options)?;
    if let Some(stops) = &stops {
        found.proven = exhaust(&mut search, stops)?;
    }
    found.chosen = chosen(&search, options);
    if found.chosen.is_empty() {
        found.nearest_miss = search.nearest_miss().cloned();
    }
    found.evaluations = model.evaluations() - before;
    Ok(found)
}

/// Polishes the cheapest of different ways; all that comes of it is kept by the search.
fn polish(search: &mut Search<'_, '_>, random: &mut Random, stops: Option<&Stops>, options: &Options) -> Result<()> {
    let mut cheap: Vec<Candidate> = search.kept().cloned().collect();
    cheap.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    // Whatever changes one feature only may become cheap, however far it goes now.
    let changes = |one: &Candidate| Space::changed(search.row, &one.row).len();
    let single = cheap.iter().filter(|one| changes(one) == 1).take(SINGLE_MAX);
    let first: Vec<Candidate> =
        single.chain(cheap.iter().take(options.count.saturating_mul(3).max(4))).cloned().collect();
    let reserve = if stops.is_some() { 0 } else { search.left() / 2 };
    for candidate in first {
        shrink(search, candidate, stops, reserve)?;
    }
    if stops.is_some() {
        return Ok(());
    }
    let mut cheap: Vec<Candidate> = search.kept().cloned().collect();
    cheap.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    cheap.truncate(options.count.saturating_mul(2).max(4));
    for (at, candidate) in cheap.iter().enumerate() {
        let share = search.left() / (cheap.len() - at) as u64;
        let reserve = search.left() - share;
        let better = wander(search, random, candidate.clone(), reserve)?;
        shrink(search, better, None, reserve)?;
    }
    Ok(())
}

/// The cheapest, then those that are cheap and far from the chosen ones. One that changes all that a chosen one changes,
/// and no less, is no alternative.
fn chosen(search: &Search<'_, '_>, options: &Options) -> Vec<Candidate> {
    let mut rest: Vec<&Candidate> = search.kept().collect();
    rest.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let unit = rest.first().map_or(1.0, |first| first.cost.max(f64::MIN_POSITIVE));
    let mut chosen: Vec<Candidate> = Vec::new();
    while chosen.len() < options.count {
        rest.retain(|one| !chosen.iter().any(|known| covers(search.row, &one.row, &known.row)));
        let worth = |one: &Candidate| {
            let apart = |known: &Candidate| search.space.distance(&one.row, &known.row) / unit;
            let nearest = chosen.iter().map(apart).fold(f64::INFINITY, f64::min);
            // Distance counts less the larger it is: a far counterfactual is no good one because it is far.
            let different = if nearest.is_finite() { nearest / (1.0 + nearest) } else { 0.0 };
            one.cost / unit - options.diversity * different
        };
        let Some(next) = rest.iter().min_by(|a, b| worth(a).total_cmp(&worth(b))) else { break };
        chosen.push((*next).clone());
    }
    chosen
}

/// Whether `row` makes every change that `known` makes, in the same direction and at least as far.
fn covers(own: &[f64], row: &[f64], known: &[f64]) -> bool {
    own.iter().zip(row.iter().zip(known)).all(|(own, (row, known))| {
        let (far, less) = (row - own, known - own);
        known == own || known.is_nan() || (far.signum() == less.signum() && far.abs() >= less.abs())
    })
}
