//! Medians, ranges and percentiles of small series. It does not know what the numbers mean.

/// A series in three numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The middle value; the mean of the two middle ones of an even count.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of a series that is not empty and holds no NaN.
    pub fn of(series: &[f64]) -> Option<Self> {
        let mut sorted = series.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }
}

/// The smallest value that at least the share `q` of a sorted series does not exceed (nearest rank).
pub fn percentile(sorted: &[u64], q: f64) -> Option<u64> {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks of series that fit in memory, q from 0 to 1"
    )]
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// `combine` over values of the same round, so that what slowed a whole round cancels out.
pub fn paired(a: &[f64], b: &[f64], combine: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| combine(a, b)).collect()
}

/// Rounds down to two significant digits: `12_847` to `12_000`. Zero stays zero.
pub fn round_down(value: f64) -> f64 {
    if value < 1.0 {
        return 0.0;
    }
    let unit = 10_f64.powf((value.log10().floor() - 1.0).max(0.0));
    (value / unit).floor() * unit
}

/// Three significant digits, and no more decimals than two.
pub fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 99.95 => 0,
        middle if middle >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 9.0]), Some(Summary { median: 3.0, min: 1.0, max: 9.0 }));
        assert_eq!(Summary::of(&[5.0]), Some(Summary { median: 5.0, min: 5.0, max: 5.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&sorted, 0.50), Some(100));
        assert_eq!(percentile(&sorted, 0.99), Some(198));
        assert_eq!(percentile(&sorted, 1.0), Some(200));
        assert_eq!(percentile(&sorted, 0.0), Some(1));
        assert_eq!(percentile(&[7], 0.99), Some(7));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn pairs_are_of_the_same_round() {
        assert_eq!(paired(&[10.0, 30.0], &[5.0, 10.0], |a, b| a / b), [2.0, 3.0]);
        assert_eq!(paired(&[10.0], &[5.0, 10.0], |a, b| a - b), [5.0]);
    }

    #[test]
    fn figures_have_three_digits_and_rates_two() {
        for (value, text) in
            [(0.123, "0.12"), (1.0, "1.00"), (9.994, "9.99"), (9.996, "10.0"), (56.78, "56.8"), (1234.4, "1234")]
        {
            assert_eq!(figure(value), text);
        }
        for (value, rate) in [(12_847.0, 12_000.0), (999.0, 990.0), (57.0, 57.0), (5.7, 5.0), (0.3, 0.0)] {
            assert!((round_down(value) - rate).abs() < 1e-9, "{value}");
        }
    }
}
