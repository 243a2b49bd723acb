//! What an anchor may say of a row: that a feature lies above or not above a quartile, is a category, or is missing; which
//! rows it covers, and rows drawn so that it holds.
//!
//! Drawing is that of the authors' program: a background row, in which features that break a predicate take the number of
//! another background row that keeps it. It does not know models.

use crate::{Matrix, Random};

/// What is said of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Says {
    /// It is larger than this.
    Above(f64),
    /// It is this or smaller.
    UpTo(f64),
    /// It is this code.
    Is(f64),
    /// There is nothing.
    Missing,
}

/// One thing that is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicate {
    /// Of which feature.
    pub feature: usize,
    /// What.
    pub says: Says,
}

impl Says {
    fn holds(self, number: f64) -> bool {
        match self {
            Self::Above(bound) => number > bound,
            Self::UpTo(bound) => number <= bound,
            Self::Is(code) => number == code,
            Self::Missing => number.is_nan(),
        }
    }
}

impl Predicate {
    /// Whether it holds for a row.
    #[must_use]
    pub fn holds(&self, row: &[f64]) -> bool {
        row.get(self.feature).is_some_and(|number| self.says.holds(*number))
    }
}

/// All that can be said of a row and does not hold for every row of the background.
#[must_use]
pub fn predicates(row: &[f64], background: &Matrix, categorical: &[usize]) -> Vec<Predicate> {
    let mut found = Vec::new();
    for (feature, &number) in row.iter().enumerate() {
        let mut say = |says| found.push(Predicate { feature, says });
        if number.is_nan() {
            say(Says::Missing);
        } else if categorical.contains(&feature) {
            say(Says::Is(number));
        } else {
            let quartiles = quartiles(background.column(feature));
            let below = quartiles.iter().rfind(|bound| **bound < number).map(|bound| Says::Above(*bound));
            let above = quartiles.iter().find(|bound| number <= **bound).map(|bound| Says::UpTo(*bound));
            below.into_iter().chain(above).for_each(say);
        }
    }
    found.retain(|predicate| !background.rows().all(|row| predicate.holds(row)));
    found
}

/// NumPy's `percentile` at 25, 50 and 75.
fn quartiles(column: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = column.filter(|number| number.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let quartile = |share: f64| {
        let place = share * (sorted.len().checked_sub(1)? as f64);
        // Not beyond the last: the share is below 1.
        let (low, share) = (place.floor() as usize, place.fract());
        let (low, high) = (*sorted.get(low)?, *sorted.get(low + 1).or(sorted.last())?);
        Some(low + (high - low) * share)
    };
    let mut quartiles: Vec<f64> = [0.25, 0.5, 0.75].into_iter().filter_map(quartile).collect();
    quartiles.dedup();
    quartiles
}

/// Draws rows so that predicates hold.
pub struct Sampler<'a> {
    row: &'a [f64],
    background: &'a Matrix,
    /// Sums of the weights up to each row, to draw by.
    sums: Vec<f64>,
}

impl<'a> Sampler<'a> {
    /// From a background; empty `weights` are 1 each.
    #[must_use]
    pub fn new(row: &'a [f64], background: &'a Matrix, weights: &[f64]) -> Self {
        let mut sum = 0.0;
        let next = |at: usize| {
            sum += weights.get(at).copied().unwrap_or(1.0);
            sum
        };
        let sums = (0..background.len()).map(next).collect();
        Self { row, background, sums }
    }

    /// How many features a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.background.width()
    }

    /// The share of the background for which all hold.
    #[must_use]
    pub fn coverage(&self, predicates: &[Predicate]) -> f64 {
        let mut before = 0.0;
        let mut covered = 0.0;
        for (row, &sum) in self.background.rows().zip(&self.sums) {
            if predicates.iter().all(|predicate| predicate.holds(row)) {
                covered += sum - before;
            }
            before = sum;
        }
        covered / before.max(f64::MIN_POSITIVE)
    }

    fn drawn(&self, random: &mut Random) -> usize {
        let total = self.sums.last().copied().unwrap_or(0.0);
        let mark = random.share() * total;
        self.sums.partition_point(|sum| *sum <= mark).min(self.background.len() - 1)
    }

    /// Draws rows for which all of these hold.
    #[must_use]
    pub fn holding(&self, predicates: &[Predicate]) -> Holding<'_> {
        let mut bound: Vec<Bound> = Vec::new();
        for predicate in predicates {
            match bound.iter_mut().find(|bound| bound.feature == predicate.feature) {
                Some(bound) => bound.says.push(predicate.says),
                None => bound.push(Bound { feature: predicate.feature, says: vec![predicate.says], right: Vec::new() }),
            }
        }
        for bound in &mut bound {
            bound.right = self.background.column(bound.feature).filter(|number| bound.holds(*number)).collect();
        }
        Holding { sampler: self, bound }
    }
}

/// Draws rows for which some predicates hold.
pub struct Holding<'a> {
    sampler: &'a Sampler<'a>,
    bound: Vec<Bound>,
}

/// What is said of one feature, and the background's numbers that keep it.
struct Bound {
    feature: usize,
    says: Vec<Says>,
    right: Vec<f64>,
}

impl Bound {
    fn holds(&self, number: f64) -> bool {
        self.says.iter().all(|says| says.holds(number))
    }
}

impl Holding<'_> {
    /// Appends a row.
    pub fn draw(&self, random: &mut Random, rows: &mut Vec<f64>) {
        let from = rows.len();
        rows.extend_from_slice(self.sampler.background.row(self.sampler.drawn(random)));
        let row = rows.get_mut(from..).unwrap_or_default();
        for bound in &self.bound {
            let Some(number) = row.get_mut(bound.feature) else { continue };
            if !bound.holds(*number) {
                // Where no background row keeps it, the row that is explained does.
                let own = self.sampler.row.get(bound.feature);
                *number = bound.right.get(random.below(bound.right.len())).or(own).copied().unwrap_or(*number);
            }
        }
    }
}
