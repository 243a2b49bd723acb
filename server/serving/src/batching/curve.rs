//! What a run costs by its rows: t(n) = a + b·n, fitted to what was measured.
//!
//! The load measures two sizes, runs measure the rest. Old runs fade. Where all runs have about the same size, the
//! ratio of a and b cannot be told from them: it stays as it was, and only the level follows.

/// One run in so many is what a measurement still counts after as many more.
const FADING: f64 = 0.97;
/// Fewer measured runs than this do not move the ratio of a and b.
const RUNS_MIN: f64 = 6.0;
/// Sizes must differ by this share of their mean for a slope to be read from them.
const SPREAD_MIN: f64 = 0.15;
/// A run that was interrupted says little.
const OUTLIER_FACTOR: f64 = 4.0;
/// Share of the best throughput that a batch is to reach; a larger one would only make callers wait.
const ENOUGH: f64 = 0.98;

/// A fitted line, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Line {
    /// What a run costs before its first row.
    pub fixed: f64,
    /// What each row adds.
    pub per_row: f64,
}

impl Line {
    /// What a run over `rows` is expected to take.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "rows are few")]
    pub fn at(&self, rows: u64) -> f64 {
        self.fixed + self.per_row * rows as f64
    }

    /// The smallest batch that reaches almost the best throughput, at most `max`.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number, capped by f64 rules"
    )]
    pub fn rows_enough(&self, max: u64) -> u64 {
        let enough = ENOUGH / (1.0 - ENOUGH) * self.fixed / self.per_row;
        if enough.is_finite() { (enough.ceil() as u64).clamp(1, max.max(1)) } else { max.max(1) }
    }
}

#[derive(Debug, Clone, Default)]
struct Sums {
    weight: f64,
    rows: f64,
    rows_squared: f64,
    nanos: f64,
    rows_nanos: f64,
}

/// What is known of a version's runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curve {
    line: Option<Line>,
    sums: Sums,
    runs: u64,
}

impl Curve {
    /// From what the load measured: rows and nanoseconds of a small run and of a larger one.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "measurements")]
    pub(crate) fn from_points(points: &[(u64, u64)]) -> Self {
        let line = match points {
            [(few, fast), .., (many, slow)] if many > few => {
                let (few, many, fast, slow) = (*few as f64, *many as f64, *fast as f64, *slow as f64);
                // A run over more rows cannot be faster; the clock says so sometimes.
                let per_row = ((slow - fast) / (many - few)).max(slow / many / 1000.0).min(fast / few).max(1e-3);
                Some(Line { fixed: (fast - per_row * few).max(0.0), per_row })
            }
            _ => None,
        };
        Self { line, ..Self::default() }
    }

    /// The line, once there is one.
    #[must_use]
    pub(crate) fn line(&self) -> Option<Line> {
        self.line
    }

    /// Runs that were learned from.
    #[must_use]
    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// Learns from one run.
    #[allow(clippy::cast_precision_loss, reason = "measurements")]
    pub(crate) fn learn(&mut self, rows: u64, nanos: u64) {
        let (rows, mut nanos) = (rows.max(1) as f64, (nanos.max(1)) as f64);
        if let Some(line) = self.line.filter(|_| self.runs > 0) {
            nanos = nanos.min(OUTLIER_FACTOR * (line.fixed + line.per_row * rows).max(1.0));
        }
        self.runs += 1;
        let sums = &mut self.sums;
        for sum in [&mut sums.weight, &mut sums.rows, &mut sums.rows_squared, &mut sums.nanos, &mut sums.rows_nanos] {
            *sum *= FADING;
        }
        sums.weight += 1.0;
        sums.rows += rows;
        sums.rows_squared += rows * rows;
        sums.nanos += nanos;
        sums.rows_nanos += rows * nanos;
        self.line = self.fitted();
    }

    fn fitted(&self) -> Option<Line> {
        let Sums { weight, rows, rows_squared, nanos, rows_nanos } = self.sums;
        let spread = weight * rows_squared - rows * rows;
        let (mean_rows, mean_nanos) = (rows / weight, nanos / weight);
        if weight >= RUNS_MIN && spread > (SPREAD_MIN * rows) * (SPREAD_MIN * rows) {
            let slope = (weight * rows_nanos - rows * nanos) / spread;
            // Neither part is negative, however the measurements scatter.
            let per_row = slope.clamp(mean_nanos / mean_rows / 1000.0, mean_nanos / mean_rows);
            return Some(Line { fixed: (mean_nanos - per_row * mean_rows).max(0.0), per_row });
        }
        let line = self.line?;
        let ratio = line.fixed / line.per_row;
        let per_row = mean_nanos / (ratio + mean_rows);
        Some(Line { fixed: ratio * per_row, per_row })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) -> bool {
        (got - want).abs() <= want.abs() * 0.02 + 1.0
    }

    #[test]
    fn two_points_give_the_line_and_noise_gives_no_negative_part() {
        let line = Curve::from_points(&[(1, 1_100), (8, 1_800)]).line().unwrap();
        assert!(near(line.fixed, 1_000.0) && near(line.per_row, 100.0), "{line:?}");
        assert!(near(line.at(4), 1_400.0));
        let line = Curve::from_points(&[(1, 1_000), (8, 16_000)]).line().unwrap();
        assert_eq!((line.fixed, line.per_row), (0.0, 1_000.0));
        let line = Curve::from_points(&[(1, 1_000), (8, 900)]).line().unwrap();
        assert!(line.fixed > 990.0 && line.per_row > 0.0);
        assert_eq!(Curve::from_points(&[(1, 10)]).line(), None);
    }

    #[test]
    fn runs_of_different_sizes_move_the_line_and_those_of_one_size_its_level() {
        let mut curve = Curve::from_points(&[(1, 2_000), (8, 9_000)]);
        for n in 0..200 {
            curve.learn(1 + n % 5, 1_000 + 50 * (1 + n % 5));
        }
        let line = curve.line().unwrap();
        assert!(near(line.fixed, 1_000.0) && near(line.per_row, 50.0), "{line:?}");
        let mut curve = Curve::from_points(&[(1, 1_050), (8, 1_400)]);
        for _ in 0..400 {
            curve.learn(4, 2_400);
        }
        let line = curve.line().unwrap();
        assert!(near(line.fixed, 2_000.0) && near(line.per_row, 100.0), "twice the time, the same ratio: {line:?}");
    }

    #[test]
    fn one_run_that_was_interrupted_moves_little() {
        let mut curve = Curve::from_points(&[(1, 1_100), (8, 1_800)]);
        (0..50).for_each(|n| curve.learn(1 + n % 3, 1_000 + 100 * (1 + n % 3)));
        let before = curve.line().unwrap();
        curve.learn(2, 1_000_000_000);
        let after = curve.line().unwrap();
        assert!(after.at(2) < before.at(2) * 1.3, "{before:?} {after:?}");
    }

    #[test]
    fn enough_rows_are_those_that_reach_almost_the_best_throughput() {
        let rows = |fixed, per_row, max| Line { fixed, per_row }.rows_enough(max);
        assert_eq!(rows(0.0, 10.0, 64), 1, "nothing is saved");
        assert_eq!(rows(100.0, 100.0, 64), 49);
        assert_eq!(rows(1_000.0, 10.0, 64), 64);
        assert_eq!(rows(10.0, 0.0, 64), 64);
        let line = Line { fixed: 100.0, per_row: 100.0 };
        assert!(49.0 / line.at(49) >= 0.98 / 100.0 && 48.0 / line.at(48) < 0.98 / 100.0);
    }
}
