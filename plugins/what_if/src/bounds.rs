//! Bounds of a share that was counted in samples, by the Kullback–Leibler divergence: Kaufmann & Kalyanakrishnan 2013,
//! "Information complexity in bandit subset selection". It does not know what is counted.

/// How far the bounds are bisected: beyond that no digit changes.
const ROUNDS: usize = 48;

/// How many of some samples were right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Count {
    /// How many there were.
    pub samples: u64,
    /// How many were right.
    pub right: u64,
}

impl Count {
    /// The share; 0 of none.
    #[must_use]
    pub fn mean(self) -> f64 {
        if self.samples == 0 { 0.0 } else { self.right as f64 / self.samples as f64 }
    }

    /// The smallest share whose divergence is within `level` / samples.
    #[must_use]
    pub fn low(self, level: f64) -> f64 {
        self.bound(level, 0.0)
    }

    /// The largest.
    #[must_use]
    pub fn high(self, level: f64) -> f64 {
        self.bound(level, 1.0)
    }

    fn bound(self, level: f64, end: f64) -> f64 {
        if self.samples == 0 {
            return end;
        }
        let (mean, level) = (self.mean(), level / self.samples as f64);
        let (mut inside, mut outside) = (mean, end);
        for _ in 0..ROUNDS {
            let middle = f64::midpoint(inside, outside);
            if divergence(mean, middle) > level {
                outside = middle;
            } else {
                inside = middle;
            }
        }
        inside
    }
}

/// Of two Bernoulli distributions.
fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p == 0.0 { 0.0 } else { p * (p / q).ln() };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

/// The level of KL-LUCB for the best of `arms` in round `round`: log(k n t^α / δ) and its logarithm, with the authors' k and
/// α.
#[must_use]
pub fn level(arms: usize, round: u64, delta: f64) -> f64 {
    let log = (405.5 * arms.max(1) as f64 * (round.max(1) as f64).powf(1.1) / delta).ln();
    log + log.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_where_the_divergence_is_the_level() {
        for (samples, right) in [(10, 3), (100, 95), (1000, 1), (7, 0), (7, 7)] {
            let count = Count { samples, right };
            let (low, high) = (count.low(2.0), count.high(2.0));
            assert!(low <= count.mean() && count.mean() <= high);
            for bound in [low, high] {
                let at_end = (right == 0 && bound == low) || (right == samples && bound == high);
                let level = divergence(count.mean(), bound) * samples as f64;
                assert!(at_end || (level - 2.0).abs() < 1e-6, "{count:?}: {bound} {level}");
            }
        }
        // All of seven were right: q^7 = e^-2.
        let all = Count { samples: 7, right: 7 };
        assert!((all.low(2.0) - (-2.0_f64 / 7.0).exp()).abs() < 1e-12);
        assert_eq!((Count::default().low(1.0), Count::default().high(1.0)), (0.0, 1.0));
    }
}
