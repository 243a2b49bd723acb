//! What LIME perturbs: each feature's bins, values or spread, as the background has them.
//!
//! The statistics are those of `lime.lime_tabular`. Before it comes the background; after it the neighbours. It does
//! not know the model.

use super::normal::Bounded;
use crate::model::Failure;

/// How numbers are cut into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// At quartiles.
    #[default]
    Quartile,
    /// At deciles.
    Decile,
    /// Not at all.
    None,
}

/// One feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Numbers in bins; the last one may be "missing".
    Binned {
        /// Upper bounds, which belong to their bins; the last bin has none.
        bounds: Vec<f64>,
        /// What is drawn in each bin; nothing for "missing".
        bins: Vec<Option<Bounded>>,
        /// Shares of the bins.
        shares: Vec<f64>,
        /// Where each share ends, if they lie one after another.
        ends: Vec<f64>,
    },
    /// Values that are equal or not.
    Named {
        /// In rising order, NaN last.
        values: Vec<f64>,
        /// Their shares.
        shares: Vec<f64>,
        /// Where each share ends, if they lie one after another.
        ends: Vec<f64>,
    },
    /// Numbers as they are.
    Plain {
        /// Their mean.
        mean: f64,
        /// Their standard deviation; 1 if they are all the same.
        scale: f64,
    },
}

/// Every feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Space(pub Vec<Column>);

impl Space {
    /// Of rows, their weights, and which features hold names.
    ///
    /// # Errors
    /// `Wrong` without rows, for weights that cannot be, and for a feature that is nowhere there and not cut.
    pub fn new(rows: &[f64], weights: Option<&[f64]>, named: &[bool], cut: Cut) -> Result<Self, Failure> {
        let count = rows.len() / named.len().max(1);
        let weights = shares(weights, count)?;
        let mut columns = Vec::new();
        for (feature, &named_here) in named.iter().enumerate() {
            let values = rows.iter().skip(feature).step_by(named.len()).copied();
            let mut sorted: Vec<(f64, f64)> = values.zip(weights.iter().copied()).filter(|(_, w)| *w > 0.0).collect();
            sorted.sort_by(|one, other| order(one.0).total_cmp(&order(other.0)));
            columns.push(match cut {
                _ if named_here => Column::named(&sorted),
                Cut::None => Column::plain(&sorted).ok_or_else(|| {
                    Failure::wrong(format!(
                        "feature {feature} is missing in every row of `background`; cut it into bins"
                    ))
                })?,
                Cut::Quartile => Column::binned(&sorted, 4),
                Cut::Decile => Column::binned(&sorted, 10),
            });
        }
        Ok(Self(columns))
    }
}

/// Sorts every NaN last.
fn order(number: f64) -> f64 {
    if number.is_nan() { f64::NAN.abs() } else { number }
}

fn shares(weights: Option<&[f64]>, count: usize) -> Result<Vec<f64>, Failure> {
    let weights = weights.map_or_else(|| vec![1.0; count], <[f64]>::to_vec);
    if weights.len() != count {
        let came = weights.len();
        return Err(Failure::wrong(format!(
            "`weights` has {came} numbers, expected {count}: one for each row of `background`"
        )));
    }
    let total: f64 = weights.iter().sum();
    if !(weights.iter().all(|weight| *weight >= 0.0) && total > 0.0 && total.is_finite()) {
        return Err(Failure::wrong(
            "`background` has no row that counts, or `weights` has a number below 0; expected at least one row and finite \
             weights of at least 0",
        ));
    }
    Ok(weights.into_iter().map(|weight| weight / total).collect())
}

impl Column {
    fn named(sorted: &[(f64, f64)]) -> Self {
        let (mut values, mut shares) = (Vec::<f64>::new(), Vec::<f64>::new());
        for &(value, weight) in sorted {
            match (values.last(), shares.last_mut()) {
                (Some(&last), Some(share)) if last == value || (last.is_nan() && value.is_nan()) => *share += weight,
                _ => {
                    values.push(value);
                    shares.push(weight);
                }
            }
        }
        let ends = ends(&shares);
        Self::Named { values, shares, ends }
    }

    fn plain(sorted: &[(f64, f64)]) -> Option<Self> {
        let there = known(sorted);
        let total: f64 = there.iter().map(|(_, weight)| weight).sum();
        let (mean, deviation) = moments(there)?;
        let scale = if deviation > f64::EPSILON * (1.0 + mean.abs()) && total > 0.0 { deviation } else { 1.0 };
        Some(Self::Plain { mean, scale })
    }

    fn binned(sorted: &[(f64, f64)], bins: u32) -> Self {
        let there = known(sorted);
        let mut bounds: Vec<f64> =
            (1..bins).filter_map(|at| percentile(there, f64::from(at) / f64::from(bins))).collect();
        bounds.dedup();
        let (mut made, mut shares) = (Vec::new(), Vec::new());
        if let (Some(&(least, _)), Some(&(most, _))) = (there.first(), there.last()) {
            let (mut rest, mut low) = (there, least);
            for &high in bounds.iter().chain([&f64::INFINITY]) {
                let (own, others) = rest.split_at(rest.partition_point(|(value, _)| *value <= high));
                let (mean, deviation) = moments(own).unwrap_or((0.0, 0.0));
                made.push(Some(Bounded::new(mean, deviation + 1e-11, low, high.min(most))));
                shares.push(own.iter().map(|(_, weight)| weight).sum());
                (rest, low) = (others, high);
            }
        }
        let missing: f64 = sorted.iter().skip(there.len()).map(|(_, weight)| weight).sum();
        made.push(None);
        shares.push(missing);
        let ends = ends(&shares);
        Self::Binned { bounds, bins: made, shares, ends }
    }

    /// The number of the bin or value; none for a name that the background does not have.
    #[must_use]
    pub fn code(&self, value: f64) -> Option<u32> {
        let at = match self {
            Self::Binned { bins, .. } if value.is_nan() => Some(bins.len().saturating_sub(1)),
            Self::Binned { bounds, bins, .. } => {
                // Not the last one, which is "missing".
                Some(bounds.partition_point(|bound| *bound < value)).filter(|at| at + 1 < bins.len())
            }
            Self::Named { values, .. } => {
                values.iter().position(|own| *own == value || (own.is_nan() && value.is_nan()))
            }
            Self::Plain { .. } => None,
        };
        at.and_then(|at| u32::try_from(at).ok())
    }
}

/// Sums of the shares up to each.
fn ends(shares: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let end = |share: &f64| {
        sum += share;
        sum
    };
    shares.iter().map(end).collect()
}

/// The numbers that are there, of those sorted with NaN last.
fn known(sorted: &[(f64, f64)]) -> &[(f64, f64)] {
    sorted.split_at(sorted.partition_point(|(value, _)| !value.is_nan())).0
}

/// Mean and standard deviation, with weights, and n in the denominator as in NumPy.
fn moments(of: &[(f64, f64)]) -> Option<(f64, f64)> {
    let total: f64 = of.iter().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let mean = of.iter().map(|(value, weight)| value * weight).sum::<f64>() / total;
    let square = of.iter().map(|(value, weight)| weight * (value - mean) * (value - mean)).sum::<f64>() / total;
    Some((mean, square.sqrt()))
}

/// As `numpy.percentile` interpolates, if all weights are the same; otherwise the least value with at least this share
/// of the weight at or below it.
fn percentile(sorted: &[(f64, f64)], share: f64) -> Option<f64> {
    let first = sorted.first()?.1;
    if sorted.iter().all(|(_, weight)| *weight == first) {
        let place = share * crate::exact::to_float(sorted.len() - 1);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        let at = place.floor() as usize;
        let (low, high) = (sorted.get(at)?.0, sorted.get(at + 1).or(sorted.last())?.0);
        let part = place - place.floor();
        return Some(if part < 0.5 { low + (high - low) * part } else { high - (high - low) * (1.0 - part) });
    }
    let total: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    let mut sum = 0.0;
    let found = sorted.iter().find(|(_, weight)| {
        sum += weight;
        sum >= share * total * (1.0 - 1e-12)
    });
    found.or(sorted.last()).map(|(value, _)| *value)
}
