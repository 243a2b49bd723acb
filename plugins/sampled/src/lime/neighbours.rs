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
    let (mut row_codes, mut points) = (vec![0; features], vec![0.0; features]);
    for _ in 0..count {
        // Where in which bin first, and the numbers after that: nothing waits for anything in either loop.
        for ((column, code), point) in space.0.iter().zip(&mut row_codes).zip(&mut points) {
            (*code, *point) = column.place(random.open());
        }
        drawn.codes.extend_from_slice(&row_codes);
        let Neighbours { scaled, answers, .. } = &mut drawn;
        asker.push(answers, |row| {
            let places = row_codes.iter().zip(&points).enumerate();
            for ((value, column), (feature, (&code, &point))) in row.iter_mut().zip(&space.0).zip(places) {
                let own = around.and_then(|around| around.get(feature)).copied();
                let place;
                (*value, place) = column.number(code, point, own);
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
    /// The number of the bin or value that a draw from 0 to 1 hits, and how far within it the draw lies, from 0 to 1.
    /// One draw serves for both.
    fn place(&self, draw: f64) -> (u32, f64) {
        match self {
            Self::Binned { shares, ends, .. } | Self::Named { shares, ends, .. } => {
                let point = draw * ends.last().copied().unwrap_or(0.0);
                // Counted without a branch; the last end cannot be passed, but by rounding.
                let at = ends.iter().map(|end| usize::from(*end <= point)).sum::<usize>();
                let at = if at < ends.len() { at } else { shares.iter().rposition(|share| *share > 0.0).unwrap_or(0) };
                let (end, share) = (ends.get(at).copied().unwrap_or(0.0), shares.get(at).copied().unwrap_or(1.0));
                (u32::try_from(at).unwrap_or(u32::MAX), 1.0 - (end - point) / share)
            }
            Self::Plain { .. } => (0, draw),
        }
    }

    /// The number at a place of a bin or of the whole, and its distance from the mean.
    fn number(&self, code: u32, point: f64, around: Option<f64>) -> (f64, f64) {
        match self {
            Self::Binned { bins, .. } => {
                (bins.get(code as usize).and_then(Option::as_ref).map_or(f64::NAN, |bin| bin.at(point)), 0.0)
            }
            Self::Named { values, .. } => (values.get(code as usize).copied().unwrap_or(f64::NAN), 0.0),
            Self::Plain { mean, scale } => {
                let value = around.unwrap_or(*mean) + scale * quantile(point);
                (value, (value - mean) / scale)
            }
        }
    }
}
