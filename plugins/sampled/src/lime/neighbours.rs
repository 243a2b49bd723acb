//! Neighbours: rows drawn from the space around a row, and the model's answers for them.
//!
//! Bins, names and plain numbers are drawn independently of each other, as `lime.lime_tabular` draws them. Unless
//! plain numbers are drawn around the row, neighbours do not depend on it, so that all rows of a question share them.
//! It does not know how they are weighed.

use super::space::{Column, Space};
use crate::{
    lime::normal::quantile,
    model::{Asker, Failure},
    random::Random,
};

/// Rows that were drawn.
pub struct Neighbours {
    /// For each row and feature the number of its bin or value; 0 for plain numbers.
    pub codes: Vec<u32>,
    /// For each row and feature its distance from the mean in standard deviations; 0 for bins and names. Empty if
    /// there are no plain numbers.
    pub scaled: Vec<f64>,
    /// The model's answers.
    pub answers: Vec<f64>,
}

/// Draws so many rows. Plain numbers are drawn around `around`, if it is there, or around their mean.
///
/// # Errors
/// What the model said.
pub fn draw(
    space: &Space,
    count: usize,
    seed: u64,
    around: Option<&[f64]>,
    asker: &mut Asker<'_>,
) -> Result<Neighbours, Failure> {
    let (mut random, features) = (Random::new(seed, 0), space.0.len());
    let plain = space.0.iter().any(|column| matches!(column, Column::Plain { .. }));
    let mut drawn = Neighbours {
        codes: Vec::with_capacity(count * features),
        scaled: Vec::with_capacity(if plain { count * features } else { 0 }),
        answers: Vec::with_capacity(count * asker.outputs()),
    };
    let totals: Vec<f64> = space.0.iter().map(Column::total).collect();
    for _ in 0..count {
        let Neighbours { codes, scaled, answers } = &mut drawn;
        asker.push(answers, |row| {
            for (feature, ((value, column), total)) in row.iter_mut().zip(&space.0).zip(&totals).enumerate() {
                let own = around.and_then(|around| around.get(feature)).copied();
                let (code, number, place) = column.draw(&mut random, *total, own);
                *value = number;
                codes.push(code);
                if plain {
                    scaled.push(place);
                }
            }
        })?;
    }
    asker.finish(&mut drawn.answers)?;
    Ok(drawn)
}

impl Column {
    /// Of all shares.
    fn total(&self) -> f64 {
        match self {
            Self::Binned { shares, .. } | Self::Named { shares, .. } => shares.iter().sum(),
            Self::Plain { .. } => 0.0,
        }
    }

    /// The number of a bin or value, a number, and its distance from the mean.
    fn draw(&self, random: &mut Random, total: f64, around: Option<f64>) -> (u32, f64, f64) {
        match self {
            Self::Binned { bins, shares, .. } => {
                let (at, within) = pick(shares, random.open() * total);
                let value = bins.get(at).and_then(Option::as_ref).map_or(f64::NAN, |bin| bin.at(within));
                (u32::try_from(at).unwrap_or(u32::MAX), value, 0.0)
            }
            Self::Named { values, shares } => {
                let (at, _) = pick(shares, random.uniform() * total);
                (u32::try_from(at).unwrap_or(u32::MAX), values.get(at).copied().unwrap_or(f64::NAN), 0.0)
            }
            Self::Plain { mean, scale } => {
                let value = around.unwrap_or(*mean) + scale * quantile(random.open());
                (0, value, (value - mean) / scale)
            }
        }
    }
}

/// Which share a point lies in, and how far within, above 0 and below 1: one draw serves for both.
fn pick(shares: &[f64], point: f64) -> (usize, f64) {
    let (mut rest, mut last) = (point, 0);
    for (at, &share) in shares.iter().enumerate() {
        if rest < share {
            return (at, (rest / share).clamp(1e-16, 1.0 - 1e-16));
        }
        if share > 0.0 {
            last = at;
        }
        rest -= share;
    }
    (last, 0.5)
}
