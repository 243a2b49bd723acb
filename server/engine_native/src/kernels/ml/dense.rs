//! Rows against weights, with the arithmetic of ONNX Runtime's matrix product: 32-bit sums in the order of the
//! features, each product added without being rounded itself.
//!
//! Sums of SVMs and of linear models cancel out: another order, though as right, would answer differently in
//! the fifth digit. (For a single row ONNX Runtime may take another order itself.)

use candor_domain::Result;

use crate::workspace::Buffers;

/// Rows whose sums grow side by side.
const TOGETHER: usize = 16;

/// From so many sums on, a row has enough of its own.
const WIDE: usize = 8;

/// Rows of weights, kept feature by feature so that the sums of all rows grow side by side.
pub(super) struct Dense {
    /// `[features][rows]`.
    weights: Vec<f32>,
    rows: usize,
}

impl Dense {
    /// Of weights that stand row by row, `features` each.
    pub(super) fn new(weights: &[f32], features: usize) -> Self {
        let features = features.max(1);
        let columns = (0..features).flat_map(|at| weights.iter().skip(at).step_by(features).copied());
        Self { weights: columns.collect(), rows: weights.len() / features }
    }

    /// Appends `Σ weight · x` of each row.
    pub(super) fn push_dots(&self, features: &[f32], sums: &mut Vec<f32>) {
        self.push(features, sums, fused);
    }

    /// The same for many rows of `features`, in the same order: the sums of some rows grow side by side where
    /// a single row has too few. What it answers does not depend on how many rows there are.
    ///
    /// # Errors
    /// As [`Buffers::take`].
    pub(super) fn push_all(
        &self,
        rows: &[f32],
        features: usize,
        sums: &mut Vec<f32>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        let features = features.max(1);
        let together = if self.rows < WIDE { rows.len() / features / TOGETHER * TOGETHER * features } else { 0 };
        let (blocks, rest) = rows.split_at_checked(together).unwrap_or((&[], rows));
        if !blocks.is_empty() {
            let mut turned = buffers.take(features.saturating_mul(TOGETHER))?;
            for block in blocks.chunks_exact(features.saturating_mul(TOGETHER)) {
                turn(block, features, &mut turned);
                self.push_together(turned.as_chunks().0, sums);
            }
            buffers.give(turned);
        }
        rest.chunks_exact(features).for_each(|row| self.push_dots(row, sums));
        Ok(())
    }

    /// `turned` has a feature of all rows, then the next feature.
    fn push_together(&self, turned: &[[f32; TOGETHER]], sums: &mut Vec<f32>) {
        let start = sums.len();
        sums.resize(start + self.rows * TOGETHER, 0.0);
        let sums = sums.get_mut(start..).unwrap_or_default();
        for at in 0..self.rows {
            let mut grown = [0.0; TOGETHER];
            for (row, weight) in turned.iter().zip(self.weights.iter().skip(at).step_by(self.rows)) {
                grown.iter_mut().zip(row).for_each(|(sum, x)| *sum = fused(*x, *weight, *sum));
            }
            sums.iter_mut().skip(at).step_by(self.rows).zip(grown).for_each(|(slot, sum)| *slot = sum);
        }
    }

    /// Appends `Σ (x - weight)²` of each row; here every step is rounded.
    pub(super) fn push_squared_distances(&self, features: &[f32], sums: &mut Vec<f32>) {
        self.push(features, sums, |x, weight, sum| sum + (x - weight) * (x - weight));
    }

    fn push(&self, features: &[f32], sums: &mut Vec<f32>, add: impl Fn(f32, f32, f32) -> f32) {
        let start = sums.len();
        sums.resize(start + self.rows, 0.0);
        let Some(sums) = sums.get_mut(start..) else { return };
        for (x, weights) in features.iter().zip(self.weights.chunks_exact(self.rows.max(1))) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum = add(*x, *weight, *sum));
        }
    }
}

/// Puts the features of a block of rows next to each other.
fn turn(block: &[f32], features: usize, turned: &mut Vec<f32>) {
    turned.clear();
    turned.resize(block.len(), 0.0);
    for (at, row) in block.chunks_exact(features).enumerate() {
        turned.iter_mut().skip(at).step_by(TOGETHER).zip(row).for_each(|(slot, x)| *slot = *x);
    }
}

/// `a·b + c`, rounded once: the product of two 32-bit floats is exact in 64 bits. (The sum is rounded to 64
/// bits before; that it makes a difference is one in 2²⁹.)
#[allow(clippy::cast_possible_truncation, reason = "that is the rounding")]
pub(super) fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

/// `Σ a·b` of 32-bit products, added up in 64 bits.
pub(super) fn dot_wide(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 4;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += f64::from(a * b));
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(a * b)).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_textbook_whatever_is_left_over() {
        for length in [0_u8, 1, 3, 4, 5, 19] {
            let a: Vec<f32> = (0..length).map(f32::from).collect();
            let b: Vec<f32> = a.iter().map(|a| a * 0.5 - 3.0).collect();
            let wanted: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let mut sums = Vec::new();
            Dense::new(&b, b.len()).push_dots(&a, &mut sums);
            assert_eq!((sums.iter().sum::<f32>(), dot_wide(&a, &b)), (wanted, f64::from(wanted)), "{length}");
        }
    }

    #[test]
    fn every_row_of_weights_has_its_sum() {
        let dense = Dense::new(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2);
        let mut sums = vec![7.0];
        dense.push_dots(&[1.0, -1.0], &mut sums);
        dense.push_squared_distances(&[1.0, -1.0], &mut sums);
        assert_eq!(sums, [7.0, -1.0, -1.0, -1.0, 9.0, 29.0, 65.0]);
    }

    #[test]
    fn products_are_not_rounded_before_they_are_added() {
        let x: f32 = 1.0 + 1.0 / 4096.0;
        let mut sums = Vec::new();
        Dense::new(&[1.0, x], 2).push_dots(&[-1.0, x], &mut sums);
        assert_eq!(sums, [fused(x, x, -1.0)]);
        assert_ne!(fused(x, x, -1.0), x * x - 1.0);
    }

    #[test]
    fn a_row_is_answered_the_same_among_others_as_alone() {
        let fill = |count: usize| -> Vec<f32> { (0..count).map(|at| ((at * 37 % 101) as f32 - 50.0) / 7.0).collect() };
        for (count, features, scores) in [(1, 3, 1), (16, 5, 1), (37, 9, 1), (50, 4, 3), (33, 6, 9)] {
            let (rows, weights) = (fill(count * features), fill(features * scores));
            let dense = Dense::new(&weights, features);
            let (mut alone, mut together) = (Vec::new(), Vec::new());
            rows.chunks_exact(features).for_each(|row| dense.push_dots(row, &mut alone));
            dense.push_all(&rows, features, &mut together, &mut Buffers::default()).unwrap();
            assert_eq!(alone, together, "{count} rows of {features} to {scores}");
        }
    }
}
