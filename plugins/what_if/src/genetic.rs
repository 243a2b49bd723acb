//! The search for any model: rows are crossed and changed, and those that are valid and cheap live on.
//!
//! A genetic algorithm as in Holland 1975 and, for counterfactuals, CERTIFAI (Sharma et al. 2020) and DiCE's `genetic`. It
//! begins with background rows near the one that is explained. It does not know what the features mean.

use std::collections::BTreeMap;

use crate::{
    Matrix, Random, Result,
    search::{Candidate, Search},
    space::Kind,
};

const POPULATION: usize = 48;
/// Rows that change the same features in the same way, at most: so that different ways stay.
const ALIKE_MAX: usize = 4;
/// Generations without anything better, after which it ends.
const PATIENCE: usize = 12;

/// Searches until the budget is down to `reserve` or nothing better comes.
///
/// # Errors
/// What the model said.
pub fn genetic(
    search: &mut Search<'_, '_>,
    random: &mut Random,
    background: Option<&Matrix>,
    reserve: u64,
) -> Result<()> {
    let changeable: Vec<usize> = search
        .space
        .features()
        .zip(search.row)
        .enumerate()
        .filter(|(_, (feature, from))| feature.may_change(**from))
        .map(|(at, _)| at)
        .collect();
    if changeable.is_empty() {
        return Ok(());
    }
    let room = |search: &Search<'_, '_>| usize::try_from(search.left().saturating_sub(reserve)).unwrap_or(usize::MAX);
    let first = beginning(search, random, background, &changeable);
    let take = room(search);
    let asked = search.ask(first.into_iter().take(take))?;
    let mut population = survivors(search, asked);
    let (mut best, mut patience) = (rank(population.first()), PATIENCE);
    while room(search) > 0 && patience > 0 && !population.is_empty() {
        let children: Vec<Vec<f64>> =
            (0..POPULATION).map(|_| child(search, random, &population, &changeable)).collect();
        let take = room(search);
        let born = search.ask(children.into_iter().take(take))?;
        population.extend(born);
        population = survivors(search, population);
        let now = rank(population.first());
        patience = if now < best { PATIENCE } else { patience - 1 };
        best = now;
    }
    Ok(())
}

/// Valid ones before the others, by cost; the others by how near they come.
fn rank(candidate: Option<&Candidate>) -> (f64, f64) {
    candidate.map_or((f64::INFINITY, f64::INFINITY), |candidate| (candidate.gap, candidate.cost))
}

/// Background rows near the row, as far as they are allowed, and rows with one feature changed.
fn beginning(
    search: &Search<'_, '_>,
    random: &mut Random,
    background: Option<&Matrix>,
    changeable: &[usize],
) -> Vec<Vec<f64>> {
    let mut rows = Vec::new();
    if let Some(background) = background {
        let mut near: Vec<(f64, usize)> =
            background.rows().enumerate().map(|(at, row)| (search.space.distance(search.row, row), at)).collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        // Near ones and, because all of those may be of the same answer, some from farther away.
        let spread = near.iter().step_by((near.len() / POPULATION).max(1));
        for (_, at) in near.iter().take(POPULATION / 2).chain(spread) {
            let mut row = search.row.to_vec();
            for &feature in changeable {
                set(search, &mut row, feature, background.at(*at, feature));
            }
            rows.push(row);
        }
    }
    // Each feature by itself, as far as it may go and half way: changes of one feature are what is looked for first.
    let room = usize::try_from(search.left() / 5).unwrap_or(usize::MAX);
    let mut ends = Vec::new();
    for &feature in changeable {
        let from = search.row.get(feature).copied().unwrap_or(f64::NAN);
        let bounds = search.space.feature(feature).and_then(|feature| feature.bounds(from));
        let (low, high) = bounds.unwrap_or((from, from));
        for wish in [low, high, f64::midpoint(low, from), f64::midpoint(high, from)] {
            let mut row = search.row.to_vec();
            set(search, &mut row, feature, wish);
            ends.push(row);
        }
    }
    rows.extend(ends.into_iter().take(room));
    for _ in 0..POPULATION {
        let mut row = search.row.to_vec();
        let feature = changeable.get(random.below(changeable.len())).copied().unwrap_or(0);
        let value = drawn(search, random, feature);
        set(search, &mut row, feature, value);
        rows.push(row);
    }
    rows
}

/// Puts the nearest allowed number into a row.
pub(crate) fn set(search: &Search<'_, '_>, row: &mut [f64], feature: usize, wish: f64) {
    let from = search.row.get(feature).copied().unwrap_or(f64::NAN);
    if let (Some(number), Some(feature)) = (row.get_mut(feature), search.space.feature(feature)) {
        *number = feature.allowed(wish, from);
    }
}

/// A number of a feature: an observed one, or any of its range.
fn drawn(search: &Search<'_, '_>, random: &mut Random, feature: usize) -> f64 {
    let from = search.row.get(feature).copied().unwrap_or(f64::NAN);
    let Some(feature) = search.space.feature(feature) else { return from };
    let observed = feature.observed();
    // Categories have no ends: none but an observed number is allowed there.
    if feature.kind != Kind::Category && random.share() < 0.25 {
        let (low, high) = feature.bounds(from).unwrap_or((from, from));
        return if random.share() < 0.5 { low } else { high };
    }
    if !observed.is_empty() {
        return observed.get(random.below(observed.len())).copied().unwrap_or(from);
    }
    feature.bounds(from).map_or(from, |(low, high)| low + (high - low) * random.share())
}

/// The better of two of the population.
fn parent<'p>(random: &mut Random, population: &'p [Candidate]) -> Option<&'p Candidate> {
    // The population is in order: the lower place is the better one.
    let at = random.below(population.len()).min(random.below(population.len()));
    population.get(at)
}

fn child(search: &Search<'_, '_>, random: &mut Random, population: &[Candidate], changeable: &[usize]) -> Vec<f64> {
    let (Some(one), Some(other)) = (parent(random, population), parent(random, population)) else {
        return search.row.to_vec();
    };
    let mut row = one.row.clone();
    let rate = 1.0 / changeable.len() as f64;
    for &feature in changeable {
        let own = search.row.get(feature).copied().unwrap_or(f64::NAN);
        if random.share() < 0.5 {
            set(search, &mut row, feature, other.row.get(feature).copied().unwrap_or(own));
        }
        let now = row.get(feature).copied().unwrap_or(own);
        // Back to what it was, a step of the feature's own size, part of the way back, or another number.
        let chance = random.share();
        if now != own && chance < 0.15 {
            set(search, &mut row, feature, own);
        } else if chance < 0.15 + rate * 0.8 {
            let scale = search.space.feature(feature).map_or(1.0, crate::space::Feature::scale);
            let wish = match random.below(3) {
                0 => drawn(search, random, feature),
                1 => own + (now - own) * random.share(),
                _ => now + scale * random.normal(),
            };
            set(search, &mut row, feature, wish);
        }
    }
    row
}

/// The best, of which not too many are alike.
fn survivors(search: &Search<'_, '_>, mut population: Vec<Candidate>) -> Vec<Candidate> {
    population.sort_by(|a, b| a.gap.total_cmp(&b.gap).then(a.cost.total_cmp(&b.cost)));
    let mut alike = BTreeMap::new();
    population.retain(|candidate| {
        let count = alike.entry(search.way(&candidate.row)).or_insert(0);
        *count += 1;
        *count <= ALIKE_MAX
    });
    population.truncate(POPULATION);
    population
}
