//! Which features are shown one by one and which are summed: the largest first, the rest as "N others".
//!
//! Before the pictures, the tables and the words, so that all three tell the same. It draws nothing.

use crate::{
    data::{Decision, Share},
    number::Format,
    scale::bounded,
    text,
};

/// What a picture of one decision shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    pub base: f64,
    /// What it is.
    pub base_is: String,
    /// As the model gave it.
    pub output: f64,
    /// The largest shares, and where there are more the sum of the rest as the last.
    pub rows: Vec<Row>,
    /// `output − (base + Σ shares)`.
    pub residual: f64,
    pub format: Format,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub name: String,
    pub value: Option<String>,
    pub share: f64,
    pub standard_error: Option<f64>,
    /// Features in it: more than one for the rest.
    pub features: usize,
}

impl Ranked {
    /// The `most` largest shares by size, in the given order where they are equal.
    pub fn of(decision: &Decision, most: usize) -> Self {
        let format = Format::of(&decision.quantity, decision.shares.iter().map(|share| share.share));
        let mut order: Vec<&Share> = decision.shares.iter().collect();
        order.sort_by(|one, other| size(other.share).total_cmp(&size(one.share)));
        // "1 other" would take the place of the feature that it hides.
        let shown = if order.len() <= most.saturating_add(1) { order.len() } else { most };
        let (largest, rest) = order.split_at_checked(shown).unwrap_or((&[], &[]));
        let mut rows: Vec<Row> = largest.iter().map(|share| Row::of(share)).collect();
        if !rest.is_empty() {
            rows.push(Row {
                name: others(rest.len()),
                value: None,
                share: rest.iter().map(|share| bounded(share.share)).sum(),
                standard_error: None,
                features: rest.len(),
            });
        }
        let sum: f64 = decision.shares.iter().map(|share| bounded(share.share)).sum();
        let residual = decision.output - (decision.base + sum);
        let base_is =
            decision.base_is.as_deref().map_or_else(|| "the average over the background".to_owned(), text::clean);
        Self { base: decision.base, base_is, output: decision.output, rows, residual, format }
    }

    /// Is the part that the shares do not explain seen in the picture's own digits?
    pub fn shows_residual(&self) -> bool {
        self.residual.is_finite() && self.residual.abs() > self.format.half_digit() && self.residual.abs() > 1e-12
    }
}

impl Row {
    fn of(share: &Share) -> Self {
        Self {
            name: text::clean(&share.name),
            value: share.value.as_deref().map(text::clean),
            share: share.share,
            standard_error: share.standard_error.filter(|error| error.is_finite() && *error > 0.0),
            features: 1,
        }
    }
}

/// The name of a sum.
pub(crate) fn others(count: usize) -> String {
    crate::number::counted(count, "other", "others")
}

/// How large a share is; one that is no number comes last.
pub(crate) const fn size(share: f64) -> f64 {
    if share.is_nan() { -1.0 } else { share.abs() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Quantity;

    fn decision(shares: &[f64]) -> Decision {
        let shares: Vec<Share> = shares
            .iter()
            .enumerate()
            .map(|(at, share)| Share { name: format!("f{at}"), share: *share, ..Share::default() })
            .collect();
        let output = 1.0 + shares.iter().map(|share| share.share).sum::<f64>();
        Decision { quantity: Quantity::default(), base: 1.0, output, shares, ..Decision::default() }
    }

    #[test]
    fn the_rest_is_summed_and_nothing_is_lost() {
        let ranked = Ranked::of(&decision(&[0.1, -3.0, 2.0, 0.2, -0.4]), 2);
        let rows: Vec<(&str, usize)> = ranked.rows.iter().map(|row| (row.name.as_str(), row.features)).collect();
        assert_eq!(rows, [("f1", 1), ("f2", 1), ("3 others", 3)]);
        let sum: f64 = ranked.rows.iter().map(|row| row.share).sum();
        assert!((ranked.base + sum - ranked.output).abs() < 1e-12 && !ranked.shows_residual());
    }

    #[test]
    fn one_left_over_is_shown_itself() {
        let ranked = Ranked::of(&decision(&[1.0, 2.0, 3.0]), 2);
        assert_eq!(ranked.rows.len(), 3);
        assert_eq!(ranked.rows[2].name, "f0");
    }

    #[test]
    fn a_gap_is_seen() {
        let mut decision = decision(&[1.0, 2.0]);
        decision.output += 0.5;
        assert!(Ranked::of(&decision, 9).shows_residual());
        decision.shares[0].share = f64::NAN;
        let ranked = Ranked::of(&decision, 9);
        assert!(ranked.rows[1].share.is_nan());
    }
}
