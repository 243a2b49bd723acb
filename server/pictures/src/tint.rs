//! The colour of a value among the values of its feature: small ones blue, large ones orange.
//!
//! Before the pictures made of points. It knows classes of the style sheet, not colours.

use crate::{data::Cell, number, scale::bounded, style::STEPS};

/// A class of the style sheet for points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tint {
    /// From 0 for small to [`STEPS`] − 1 for large.
    Step(usize),
    /// A text, or a sum of features: nothing that could be small or large.
    Plain,
    /// No value.
    Missing,
}

/// From where to where the colours run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ramp {
    low: f64,
    high: f64,
}

impl Ramp {
    /// From the 5 % to the 95 % quantile, so that one far value does not make all others look alike (as shap does).
    pub fn of(values: &[Cell]) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers(values).collect();
        numbers.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = (number::real(numbers.len().saturating_sub(1)) * share).round();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the list")]
            numbers.get(place as usize).copied()
        };
        let (mut low, mut high) = (quantile(0.05)?, quantile(0.95)?);
        if low >= high {
            (low, high) = (quantile(0.0)?, quantile(1.0)?);
        }
        Some(Self { low, high })
    }

    /// The colour of a value.
    pub fn tint(ramp: Option<&Self>, value: Option<&Cell>) -> Tint {
        match (value, ramp) {
            (Some(Cell::Missing(())), _) => Tint::Missing,
            (Some(Cell::Number(number)), _) if number.is_nan() => Tint::Missing,
            (Some(Cell::Number(number)), Some(ramp)) => ramp.step(*number),
            (Some(Cell::Number(_) | Cell::Text(_)) | None, _) => Tint::Plain,
        }
    }

    fn step(&self, value: f64) -> Tint {
        let span = self.high - self.low;
        let share = if span > 0.0 { ((bounded(value) - self.low) / span).clamp(0.0, 1.0) } else { 0.5 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and STEPS − 1")]
        Tint::Step((share * number::real(STEPS - 1)).round() as usize)
    }
}

/// The numbers among values.
pub(crate) fn numbers(values: &[Cell]) -> impl Iterator<Item = f64> {
    values.iter().filter_map(|value| match value {
        Cell::Number(number) if number.is_finite() => Some(bounded(*number)),
        Cell::Number(_) | Cell::Text(_) | Cell::Missing(()) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_are_the_ends_and_odd_values_have_their_own() {
        let values: Vec<Cell> = (0..=100).map(|value| Cell::Number(f64::from(value))).collect();
        let ramp = Ramp::of(&values).unwrap();
        assert_eq!((ramp.low, ramp.high), (5.0, 95.0));
        let tint = |value: Cell| Ramp::tint(Some(&ramp), Some(&value));
        assert_eq!(tint(Cell::Number(-1e9)), Tint::Step(0));
        assert_eq!(tint(Cell::Number(50.0)), Tint::Step(4));
        assert_eq!(tint(Cell::Number(99.0)), Tint::Step(8));
        assert_eq!(tint(Cell::Text("a".into())), Tint::Plain);
        assert_eq!((tint(Cell::MISSING), tint(Cell::Number(f64::NAN))), (Tint::Missing, Tint::Missing));
        assert_eq!(Ramp::of(&[Cell::MISSING]), None);
        let same = Ramp::of(&[Cell::Number(3.0), Cell::Number(3.0)]).unwrap();
        assert_eq!(same.step(3.0), Tint::Step(4));
    }
}
