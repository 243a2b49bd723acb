//! What a search has found made cheaper: features put back, changes made smaller, and small steps sideways.
//!
//! It does not know how the search went.

use crate::{
    Random, Result,
    genetic::set,
    lattice::Stops,
    search::{Candidate, Search},
    space::Space,
};

/// Numbers that are tried at once between what a feature was and what it is.
const PROBES: usize = 8;
const ROUNDS: usize = 6;
const STEPS: usize = 24;

/// Puts features back and makes changes smaller, as long as the row stays valid. `stops` are the numbers to try if the
/// model is known to be constant between them.
///
/// # Errors
/// What the model said.
pub fn shrink(
    search: &mut Search<'_, '_>,
    mut best: Candidate,
    stops: Option<&Stops>,
    reserve: u64,
) -> Result<Candidate> {
    loop {
        let before = best.cost;
        let changed = by_cost(search, &best.row);
        let back = changed.iter().map(|&feature| with(search, &best.row, feature, own(search, feature)));
        let asked = {
            let rows: Vec<_> = back.collect();
            search.ask(rows)?
        };
        best = cheapest(best, asked);
        for feature in by_cost(search, &best.row) {
            if search.left() <= reserve {
                return Ok(best);
            }
            best = nearer(search, best, feature, stops)?;
        }
        if best.cost >= before || search.left() <= reserve {
            return Ok(best);
        }
    }
}

/// Makes one change smaller: several numbers on the way back at once, then several before the nearest that was valid.
fn nearer(
    search: &mut Search<'_, '_>,
    mut best: Candidate,
    feature: usize,
    stops: Option<&Stops>,
) -> Result<Candidate> {
    let mut from = own(search, feature);
    for _ in 0..ROUNDS {
        let to = best.row.get(feature).copied().unwrap_or(from);
        let values = match stops {
            Some(stops) => stops.between(feature, from, to, PROBES),
            None => (1..PROBES).map(|part| from + (to - from) * part as f64 / PROBES as f64).collect(),
        };
        let rows: Vec<Vec<f64>> = values.iter().map(|&value| with(search, &best.row, feature, value)).collect();
        let asked = search.ask(rows)?;
        if asked.is_empty() {
            break;
        }
        let cost = best.cost;
        // What failed nearest to the valid one is where to begin next time.
        let failed: Vec<f64> =
            asked.iter().filter(|one| one.gap > 0.0).filter_map(|one| one.row.get(feature).copied()).collect();
        best = cheapest(best, asked);
        let now = best.row.get(feature).copied().unwrap_or(to);
        let inside =
            |value: &f64| if now > from { *value > from && *value < now } else { *value < from && *value > now };
        let next = failed.into_iter().filter(inside).min_by(|a, b| (a - now).abs().total_cmp(&(b - now).abs()));
        if best.cost >= cost && next.is_none() {
            break;
        }
        from = next.unwrap_or(from);
    }
    Ok(best)
}

/// Small steps of all changed features at once, ever smaller, to trade one change against another.
///
/// # Errors
/// What the model said.
pub fn wander(
    search: &mut Search<'_, '_>,
    random: &mut Random,
    mut best: Candidate,
    reserve: u64,
) -> Result<Candidate> {
    let mut size = 0.5;
    while size > 1e-3 && search.left() > reserve.saturating_add(STEPS as u64) {
        let changed = Space::changed(search.row, &best.row);
        if changed.len() < 2 {
            break;
        }
        let rows: Vec<Vec<f64>> = (0..STEPS)
            .map(|_| {
                let mut row = best.row.clone();
                for &feature in &changed {
                    let scale = search.space.feature(feature).map_or(1.0, crate::space::Feature::scale);
                    let now = row.get(feature).copied().unwrap_or(f64::NAN);
                    set(search, &mut row, feature, now + size * scale * random.normal());
                }
                row
            })
            .collect();
        let before = best.cost;
        let asked = search.ask(rows)?;
        best = cheapest(best, asked);
        if best.cost >= before * 0.999 {
            size *= 0.6;
        }
    }
    Ok(best)
}

fn own(search: &Search<'_, '_>, feature: usize) -> f64 {
    search.row.get(feature).copied().unwrap_or(f64::NAN)
}

fn with(search: &Search<'_, '_>, row: &[f64], feature: usize, value: f64) -> Vec<f64> {
    let mut row = row.to_vec();
    set(search, &mut row, feature, value);
    row
}

fn by_cost(search: &Search<'_, '_>, row: &[f64]) -> Vec<usize> {
    let mut changed = Space::changed(search.row, row);
    let cost = |feature: usize| search.cost_of(feature, row.get(feature).copied().unwrap_or(f64::NAN));
    changed.sort_by(|a, b| cost(*b).total_cmp(&cost(*a)).then(a.cmp(b)));
    changed
}

fn cheapest(best: Candidate, asked: Vec<Candidate>) -> Candidate {
    asked.into_iter().filter(|one| one.gap == 0.0).fold(best, |best, one| if one.cost < best.cost { one } else { best })
}
