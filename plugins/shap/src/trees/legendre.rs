//! Points and weights of Gauss and Legendre between 0 and 1: sums that equal the integrals of polynomials.
//!
//! It knows nothing of trees.

/// `count` points and their weights. Their sum is the integral from 0 to 1 for polynomials up to degree 2·count - 1
/// (Abramowitz and Stegun, 25.4.29 and 25.4.30, moved from [-1, 1]).
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
pub fn points(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let at = |k: usize| {
        // Newton's steps from the usual first guess come to the root within a few.
        let mut x = (std::f64::consts::PI * (k as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, derivative) = legendre(count, x);
            let step = value / derivative;
            (x, slope) = (x - step, derivative);
            if step.abs() <= 1e-16 {
                break;
            }
        }
        let weight = 1.0 / ((1.0 - x * x) * slope * slope);
        ((1.0 - x) / 2.0, weight)
    };
    (0..count).map(at).collect()
}

/// The Legendre polynomial of a degree and its derivative, by the recurrence of three terms.
#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut here) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (before, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k);
    }
    (here, degree as f64 * (x * here - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::points;

    #[test]
    fn sums_are_integrals_of_polynomials() {
        for count in 1..=64_usize {
            for degree in 0..2 * count {
                let sum: f64 = points(count).iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                let integral = 1.0 / (degree as f64 + 1.0);
                assert!((sum - integral).abs() < 1e-14, "{count} points, degree {degree}: {sum} and {integral}");
            }
        }
    }
}
