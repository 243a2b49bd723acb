//! Where a row may be moved to, and how far that is: ranges, steps, directions, categories, and the distance of Wachter et
//! al. 2017 ("Counterfactual explanations without opening the black box"): Σ |x'ᵢ − xᵢ| / MADᵢ, as DiCE uses it too.
//!
//! Before it come constraints and a background, after it a search. It does not know models.

use crate::{Fault, Matrix, Result};

/// What a feature's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any.
    Number,
    /// Whole ones.
    Integer,
    /// Codes: only those that were observed, all equally far from each other.
    Category,
}

/// What is asked of every feature; what is NaN or empty is free.
#[derive(Debug, Clone, Default)]
pub struct Constraints {
    /// Features that stay.
    pub immutable: Vec<usize>,
    /// Features of whole numbers.
    pub integer: Vec<usize>,
    /// Features of codes.
    pub categorical: Vec<usize>,
    /// The smallest number for each feature; NaN for the smallest observed.
    pub lower: Vec<f64>,
    /// The largest; NaN for the largest observed.
    pub upper: Vec<f64>,
    /// −1: may only fall; 1: may only rise; 0: both.
    pub direction: Vec<i64>,
    /// Numbers are multiples of this; NaN or 0 for any.
    pub step: Vec<f64>,
}

/// One feature's part of the space.
#[derive(Debug, Clone)]
pub struct Feature {
    /// What its numbers are.
    pub kind: Kind,
    immutable: bool,
    low: f64,
    high: f64,
    direction: i64,
    step: f64,
    scale: f64,
    /// Distinct observed numbers, ascending.
    observed: Vec<f64>,
}

/// Where rows may be moved to.
#[derive(Debug, Clone)]
pub struct Space {
    features: Vec<Feature>,
}

impl Space {
    /// Reads constraints for rows of `width`, with the ranges and scales of a background.
    ///
    /// # Errors
    /// `Invalid` for lists that do not fit, ranges without numbers, and features without a range.
    pub fn new(width: usize, constraints: &Constraints, background: Option<&Matrix>) -> Result<Self> {
        for (name, len) in [
            ("lower", constraints.lower.len()),
            ("upper", constraints.upper.len()),
            ("direction", constraints.direction.len()),
            ("step", constraints.step.len()),
        ] {
            if len != 0 && len != width {
                return Err(Fault::invalid(format!(
                    "`{name}` has {len} numbers, expected one for each of {width} features"
                )));
            }
        }
        let features = (0..width).map(|at| Feature::new(at, constraints, background)).collect::<Result<_>>()?;
        Ok(Self { features })
    }

    /// How many features a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.features.len()
    }

    /// The features.
    pub fn features(&self) -> impl ExactSizeIterator<Item = &Feature> {
        self.features.iter()
    }

    /// One feature.
    #[must_use]
    pub fn feature(&self, at: usize) -> Option<&Feature> {
        self.features.get(at)
    }

    /// How far two rows are from each other. What is missing in both is not far, in one of them 1.
    #[must_use]
    pub fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        self.features.iter().zip(a.iter().zip(b)).map(|(feature, (&a, &b))| feature.distance(a, b)).sum()
    }

    /// Features in which two rows differ.
    #[must_use]
    pub fn changed(a: &[f64], b: &[f64]) -> Vec<usize> {
        let differ = |(a, b): (&f64, &f64)| a != b && !(a.is_nan() && b.is_nan());
        a.iter().zip(b).enumerate().filter(|(_, pair)| differ(*pair)).map(|(at, _)| at).collect()
    }
}

impl Feature {
    fn new(at: usize, constraints: &Constraints, background: Option<&Matrix>) -> Result<Self> {
        let mut observed: Vec<f64> =
            background.map(|rows| rows.column(at).filter(|number| number.is_finite()).collect()).unwrap_or_default();
        observed.sort_by(f64::total_cmp);
        let kind = if constraints.categorical.contains(&at) {
            Kind::Category
        } else if constraints.integer.contains(&at) {
            Kind::Integer
        } else {
            Kind::Number
        };
        let given = |list: &[f64]| list.get(at).copied().filter(|bound| !bound.is_nan());
        let low = given(&constraints.lower).or(observed.first().copied());
        let high = given(&constraints.upper).or(observed.last().copied());
        let mut immutable = constraints.immutable.contains(&at);
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) if low.is_finite() && high.is_finite() && low <= high => (low, high),
            _ if immutable => (0.0, 0.0),
            (Some(low), Some(high)) => {
                return Err(Fault::invalid(format!(
                    "feature {at} has the range {low} to {high}; expected finite numbers, the smaller first"
                )));
            }
            // A column of nothing but missing values says nothing of a range: the feature stays.
            _ if background.is_some() => {
                immutable = true;
                (0.0, 0.0)
            }
            _ => {
                return Err(Fault::invalid(format!(
                    "feature {at} has no range; give a background, `lower` and `upper`, or make it immutable"
                )));
            }
        };
        let direction = constraints.direction.get(at).copied().unwrap_or(0);
        if !(-1..=1).contains(&direction) {
            return Err(Fault::invalid(format!("`direction` is {direction} for feature {at}, expected -1, 0 or 1")));
        }
        let step = given(&constraints.step).unwrap_or(0.0);
        if !(step >= 0.0 && step.is_finite()) {
            return Err(Fault::invalid(format!(
                "`step` is {step} for feature {at}, expected a finite number of 0 or more"
            )));
        }
        let step = if kind == Kind::Integer { step.ceil().max(1.0) } else { step };
        let scale = scale(&observed).unwrap_or(if high > low { high - low } else { 1.0 });
        observed.dedup();
        Ok(Self { kind, immutable, low, high, direction, step, scale, observed })
    }

    /// What one unit of distance is: the MAD.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Distinct observed numbers, ascending.
    #[must_use]
    pub fn observed(&self) -> &[f64] {
        &self.observed
    }

    /// How far two numbers are from each other.
    #[must_use]
    pub fn distance(&self, a: f64, b: f64) -> f64 {
        if a == b || (a.is_nan() && b.is_nan()) {
            return 0.0;
        }
        if self.kind == Kind::Category || a.is_nan() || b.is_nan() {
            return 1.0;
        }
        (a - b).abs() / self.scale
    }

    /// Whether a number may be changed at all. What is missing stays missing.
    #[must_use]
    pub fn may_change(&self, from: f64) -> bool {
        !self.immutable && from.is_finite() && self.bounds(from).is_some()
    }

    /// Between which numbers it may be moved.
    #[must_use]
    pub fn bounds(&self, from: f64) -> Option<(f64, f64)> {
        let low = if self.direction > 0 { self.low.max(from) } else { self.low };
        let high = if self.direction < 0 { self.high.min(from) } else { self.high };
        (low <= high).then_some((low, high))
    }

    /// The nearest number to `wish` that is allowed when the row has `from`; `from` itself if none is.
    #[must_use]
    pub fn allowed(&self, wish: f64, from: f64) -> f64 {
        if wish == from || !wish.is_finite() || !self.may_change(from) {
            return from;
        }
        let Some((low, high)) = self.bounds(from) else { return from };
        if self.kind == Kind::Category {
            let known = self.observed.contains(&wish) && (low..=high).contains(&wish);
            return if known { wish } else { from };
        }
        let wish = wish.clamp(low, high);
        if self.step == 0.0 {
            return wish;
        }
        let (first, last) = ((low / self.step).ceil(), (high / self.step).floor());
        if first > last {
            return from;
        }
        let stepped = (wish / self.step).round().clamp(first, last) * self.step;
        // A multiple may be rounded out of its range by the last bit.
        if (low..=high).contains(&stepped) { stepped } else { from }
    }

    /// The nearest allowed number that is not below `least` (`up`) or not above it, if there is one.
    #[must_use]
    pub fn beyond(&self, least: f64, up: bool, from: f64) -> Option<f64> {
        if !self.may_change(from) || self.kind == Kind::Category {
            return None;
        }
        let wish = if self.step == 0.0 {
            least
        } else if up {
            (least / self.step).ceil() * self.step
        } else {
            (least / self.step).floor() * self.step
        };
        let found = self.allowed(wish, from);
        (found != from && if up { found >= least } else { found <= least }).then_some(found)
    }
}

/// The median absolute deviation from the median; where it is 0 the mean absolute deviation; nothing for a constant.
fn scale(sorted: &[f64]) -> Option<f64> {
    let centre = median(sorted)?;
    let mut away: Vec<f64> = sorted.iter().map(|number| (number - centre).abs()).collect();
    away.sort_by(f64::total_cmp);
    let mad = median(&away)?;
    let mean = away.iter().sum::<f64>() / away.len() as f64;
    [mad, mean].into_iter().find(|scale| *scale > 0.0 && scale.is_finite())
}

fn median(sorted: &[f64]) -> Option<f64> {
    let high = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(high);
    }
    let low = *sorted.get(sorted.len() / 2 - 1)?;
    Some(low + (high - low) / 2.0)
}
