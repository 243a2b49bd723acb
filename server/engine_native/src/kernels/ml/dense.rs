//! Rows against weights, with the arithmetic of ONNX Runtime's matrix product: 32-bit sums in the order of the
//! features, each product added without being rounded itself.
//!
//! Sums of SVMs and of linear models cancel out: another order, though as right, would answer differently in
//! the fifth digit. (For a single row ONNX Runtime may take another order itself.)

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

/// `Σ a·b` in the same way.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| fused(*a, *b, sum))
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
            assert_eq!((dot(&a, &b), dot_wide(&a, &b)), (wanted, f64::from(wanted)), "{length}");
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
        assert_eq!(dot(&[-1.0, x], &[1.0, x]), fused(x, x, -1.0));
        assert_ne!(fused(x, x, -1.0), x * x - 1.0);
    }
}
