//! The search among cells: where a model is constant between known cuts, as tree ensembles are, the nearest number of each
//! cell is all that has to be tried.
//!
//! First singles and a beam, which find something soon; then all combinations in the order of their cost, which finds the
//! best there is, or proves that there is none, if the budget lasts. It does not know where cuts come from.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{Result, search::Candidate, search::Search, space::Kind};

/// A place where a model may change: between numbers that are below it and those that are above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// The largest number that counts as below.
    pub below: f64,
    /// The smallest that counts as above.
    pub above: f64,
}

/// Which numbers of each feature are tried, cheapest first.
#[derive(Debug, Clone, Default)]
pub struct Stops(Vec<(usize, Vec<f64>)>);

/// How many candidates are asked at once when all are gone through.
const STRIDE: usize = 256;
/// How many combinations wait at most.
const WAITING_MAX: usize = 1 << 18;
const BEAM: usize = 8;
/// Numbers of all rows that are tried around one: 8 MiB.
const ELEMENTS_MAX: usize = 1 << 20;

/// One stop of each of some features: places of the features and of their stops, ascending by the first.
type Picks = Vec<(usize, usize)>;

impl Stops {
    /// The nearest allowed number of every cell, for each feature of the row that may change.
    #[must_use]
    pub fn new(search: &Search<'_, '_>, cuts: &[Vec<Cut>]) -> Self {
        let features = search.space.features().zip(search.row).enumerate();
        let changeable = features.filter(|(_, (feature, from))| feature.may_change(**from));
        let stops = changeable.map(|(at, (feature, &from))| {
            let mut stops: Vec<f64> = if feature.kind == Kind::Category {
                feature.observed().iter().map(|&code| feature.allowed(code, from)).collect()
            } else {
                let cuts = cuts.get(at).map(Vec::as_slice).unwrap_or_default();
                let crossed = |cut: &Cut| {
                    let up = cut.above > from;
                    feature.beyond(if up { cut.above } else { cut.below }, up, from)
                };
                cuts.iter().filter_map(crossed).collect()
            };
            stops.retain(|stop| *stop != from);
            let cost = |stop: f64| search.cost_of(at, stop);
            stops.sort_by(|a, b| cost(*a).total_cmp(&cost(*b)).then(a.total_cmp(b)));
            stops.dedup();
            (at, stops)
        });
        Self(stops.filter(|(_, stops)| !stops.is_empty()).collect())
    }

    fn of(&self, feature: usize) -> &[f64] {
        self.0.iter().find(|(at, _)| *at == feature).map(|(_, stops)| stops.as_slice()).unwrap_or_default()
    }

    /// Some stops between a row's own number and another one, evenly by their places.
    #[must_use]
    pub fn between(&self, feature: usize, from: f64, to: f64, count: usize) -> Vec<f64> {
        let side = |stop: &f64| if to > from { *stop > from && *stop < to } else { *stop < from && *stop > to };
        let inside: Vec<f64> = self.of(feature).iter().copied().filter(side).collect();
        thinned(&inside, count)
    }
}

/// At most `count`, evenly by their places, the first among them.
fn thinned(list: &[f64], count: usize) -> Vec<f64> {
    list.iter().copied().step_by(list.len().div_ceil(count.max(1)).max(1)).collect()
}

/// Changes one feature, then further ones of those that came nearest, until the budget is down to `reserve`.
///
/// # Errors
/// What the model said.
pub fn beam(search: &mut Search<'_, '_>, stops: &Stops, reserve: u64) -> Result<()> {
    let share = usize::try_from(search.left().saturating_sub(reserve)).unwrap_or(usize::MAX);
    // A third for the first change, so that there is something left to go on with.
    let each = (share / 3 / stops.0.len().max(1)).max(4);
    let mut best: Vec<Candidate> = Vec::new();
    let mut least = f64::INFINITY;
    for depth in 0..stops.0.len() {
        if search.left() <= reserve {
            break;
        }
        let from: Vec<Vec<f64>> =
            if depth == 0 { vec![search.row.to_vec()] } else { best.iter().map(|one| one.row.clone()).collect() };
        let each = if depth == 0 { each } else { (each / BEAM).max(4) };
        let mut asked = Vec::new();
        for row in &from {
            let room = usize::try_from(search.left().saturating_sub(reserve)).unwrap_or(usize::MAX);
            asked.extend(search.ask(neighbours(search.row, row, stops, each, room))?);
        }
        asked.retain(|candidate| candidate.gap > 0.0);
        asked.sort_by(|a, b| a.gap.total_cmp(&b.gap).then(a.cost.total_cmp(&b.cost)));
        asked.truncate(BEAM);
        let nearest = asked.first().map_or(f64::INFINITY, |first| first.gap);
        if asked.is_empty() || (nearest >= least && search.best().is_some()) {
            break;
        }
        least = least.min(nearest);
        best = asked;
    }
    Ok(())
}

/// A row with one further feature changed, at most so often as there is room.
fn neighbours(own: &[f64], row: &[f64], stops: &Stops, each: usize, room: usize) -> Vec<Vec<f64>> {
    let room = room.min(ELEMENTS_MAX / row.len().max(1));
    // So that the last features have their turn as the first have.
    let each = each.min(room / stops.0.len().max(1)).max(1);
    let mut rows = Vec::new();
    for (at, stops) in &stops.0 {
        if own.get(*at) != row.get(*at) {
            continue;
        }
        for stop in thinned(stops, each).into_iter().take(room - rows.len()) {
            let mut row = row.to_vec();
            if let Some(number) = row.get_mut(*at) {
                *number = stop;
            }
            rows.push(row);
        }
    }
    rows
}

/// Goes through all combinations of stops in the order of their cost, until one is valid and none is cheaper. Whether it
/// came so far: then what is kept is the best there is, or there is nothing.
///
/// # Errors
/// What the model said.
pub fn exhaust(search: &mut Search<'_, '_>, stops: &Stops) -> Result<bool> {
    // Costs are not negative: their bits are in their order.
    let ranked = |search: &Search<'_, '_>, picks: Picks| Reverse((cost(search, stops, &picks).to_bits(), picks));
    let mut waiting: BinaryHeap<Reverse<(u64, Picks)>> =
        (0..stops.0.len()).map(|list| ranked(search, vec![(list, 0)])).collect();
    loop {
        let best = search.best().unwrap_or(f64::INFINITY);
        let mut rows = Vec::new();
        while rows.len() < STRIDE {
            let Some(Reverse((bits, picks))) = waiting.pop() else { break };
            if f64::from_bits(bits) >= best {
                waiting.clear();
                break;
            }
            rows.push(placed(search.row, stops, &picks));
            waiting.extend(after(stops, &picks).into_iter().map(|next| ranked(search, next)));
        }
        if rows.is_empty() {
            return Ok(true);
        }
        if search.left() < rows.len() as u64 || waiting.len() > WAITING_MAX {
            search.ask(rows)?;
            return Ok(false);
        }
        search.ask(rows)?;
    }
}

fn cost(search: &Search<'_, '_>, stops: &Stops, picks: &[(usize, usize)]) -> f64 {
    let one = |(list, stop): &(usize, usize)| {
        let (feature, stops) = stops.0.get(*list)?;
        Some(search.cost_of(*feature, *stops.get(*stop)?))
    };
    picks.iter().filter_map(one).sum()
}

fn placed(own: &[f64], stops: &Stops, picks: &[(usize, usize)]) -> Vec<f64> {
    let mut row = own.to_vec();
    for (list, stop) in picks {
        let Some((feature, stops)) = stops.0.get(*list) else { continue };
        if let (Some(number), Some(stop)) = (row.get_mut(*feature), stops.get(*stop)) {
            *number = *stop;
        }
    }
    row
}

/// Combinations that are made of another and cost no less. Each is made once.
fn after(stops: &Stops, picks: &[(usize, usize)]) -> Vec<Picks> {
    let Some(&(last, stop)) = picks.last() else { return Vec::new() };
    let mut next = Vec::new();
    if stops.0.get(last).is_some_and(|(_, stops)| stop + 1 < stops.len()) {
        let mut further = picks.to_vec();
        further.pop();
        further.push((last, stop + 1));
        next.push(further);
    }
    for list in last + 1..stops.0.len() {
        let mut more = picks.to_vec();
        more.push((list, 0));
        next.push(more);
    }
    next
}
