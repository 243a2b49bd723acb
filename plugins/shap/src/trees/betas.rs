//! What a coalition weighs: `a! · b! / (a + b + 1)!`, the integral of `t^a · (1 - t)^b` from 0 to 1.
//!
//! Shapley's own weight of a coalition of `s` among `n` players is that of `s` and `n - s - 1`. It knows no trees.

/// A table of weights.
#[derive(Debug, Clone, Default)]
pub struct Betas {
    size: usize,
    table: Vec<f64>,
}

impl Betas {
    /// For numbers up to `most`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "numbers of players on a path")]
    pub fn new(most: usize) -> Self {
        let size = most + 1;
        let mut table = Vec::with_capacity(size.saturating_mul(size));
        for a in 0..size {
            let mut weight = 1.0 / (a as f64 + 1.0);
            for b in 0..size {
                if b > 0 {
                    weight *= b as f64 / (a + b + 1) as f64;
                }
                table.push(weight);
            }
        }
        Self { size, table }
    }

    /// The weight; 0 beyond the table.
    #[must_use]
    pub fn of(&self, a: usize, b: usize) -> f64 {
        self.table.get(a.wrapping_mul(self.size).wrapping_add(b)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Betas;

    #[test]
    fn weights_of_all_coalitions_sum_to_one() {
        let betas = Betas::new(60);
        assert_eq!((betas.of(0, 0), betas.of(1, 0), betas.of(1, 1)), (1.0, 0.5, 1.0 / 6.0));
        for n in 1..=60_usize {
            let mut choose = 1.0;
            let mut sum = 0.0;
            for s in 0..n {
                sum += choose * betas.of(s, n - s - 1);
                choose *= (n - 1 - s) as f64 / (s + 1) as f64;
            }
            assert!((sum - 1.0).abs() < 1e-13, "{n}: {sum}");
        }
    }
}
