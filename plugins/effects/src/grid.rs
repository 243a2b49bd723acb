//! The values at which an effect is asked, as scikit-learn's `partial_dependence` chooses them.
//!
//! Before it comes a column of observed values, after it the axis of a curve. It does not know models.

use crate::{Fault, Result};

/// How an axis is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Between which quantiles it lies.
    pub percentiles: (f64, f64),
    /// How many values it has, where a column has as many.
    pub resolution: usize,
}

impl Grid {
    /// Checks the choices.
    ///
    /// # Errors
    /// `Invalid` for percentiles that are not two growing numbers within 0 and 1, and for less than two values.
    pub fn new(percentiles: (f64, f64), resolution: usize) -> Result<Self> {
        let (low, high) = percentiles;
        if !(0.0 <= low && low < high && high <= 1.0) {
            return Err(Fault::invalid(format!(
                "`percentiles` are {low} and {high}, expected two growing numbers within 0 and 1"
            )));
        }
        if resolution < 2 {
            return Err(Fault::invalid("`grid_resolution` must be 2 or more"));
        }
        Ok(Self { percentiles, resolution })
    }

    /// The values of an axis, ascending: those of the column if it is of categories or has fewer than the resolution,
    /// else evenly spaced between two of its quantiles. Where these fall together, for which scikit-learn has an error,
    /// they are evenly spaced between the smallest and the largest.
    ///
    /// # Errors
    /// `Invalid` when the column has no number at all, or more categories than `resolution_max`.
    pub fn axis(
        &self,
        column: impl Iterator<Item = f64>,
        is_category: bool,
        resolution_max: usize,
    ) -> Result<Vec<f64>> {
        let mut sorted: Vec<f64> = column.filter(|number| number.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else {
            return Err(Fault::invalid("no row has a number for this feature; give the values to ask for"));
        };
        let mut distinct = sorted.clone();
        distinct.dedup();
        if is_category && distinct.len() > resolution_max {
            let count = distinct.len();
            return Err(Fault::limit(format!(
                "the feature has {count} categories, and an axis has at most {resolution_max}; give the values to ask for"
            )));
        }
        if is_category || distinct.len() < self.resolution {
            return Ok(distinct);
        }
        let (mut low, mut high) = (quantile(&sorted, self.percentiles.0), quantile(&sorted, self.percentiles.1));
        // NumPy's `allclose`, by which scikit-learn decides.
        if (low - high).abs() <= 1e-8 + 1e-5 * high.abs() {
            (low, high) = (first, last);
        }
        Ok(evenly(low, high, self.resolution))
    }
}

/// SciPy's `mstats.mquantiles` with its defaults, α = β = 0.4 (Cunnane 1978). `sorted` is not empty.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let n = sorted.len() as f64;
    let place = n * p + 0.4 + 0.2 * p;
    let below = place.floor().clamp(1.0, (n - 1.0).max(1.0));
    let share = (place - below).clamp(0.0, 1.0);
    // Exact: not more than the number of rows.
    let at = below as usize;
    let number = |at: usize| sorted.get(at.min(sorted.len() - 1)).copied().unwrap_or(f64::NAN);
    (1.0 - share) * number(at - 1) + share * number(at)
}

/// NumPy's `linspace`.
fn evenly(low: f64, high: f64, count: usize) -> Vec<f64> {
    let step = (high - low) / (count - 1) as f64;
    (0..count).map(|at| if at + 1 == count { high } else { at as f64 * step + low }).collect()
}
