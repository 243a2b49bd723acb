//! A weighted ridge regression on neighbours: coefficients, intercept, fit, and which features take part.
//!
//! The formulas are scikit-learn's `Ridge` with weights and an intercept, and `lime.lime_base`'s ways to choose
//! features. All of it is computed from weighted sums, so that no fit goes over the neighbours again. It does not know
//! where neighbours come from.

use crate::linear::{Cholesky, Symmetric, dot, shortest};

/// How features are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selection {
    /// One after another up to 6, by weight above: as `lime` does.
    #[default]
    Auto,
    /// All of them.
    None,
    /// Those of the largest |coefficient · value of the row|, in a ridge with α = 0.01 of all.
    HighestWeights,
    /// One after another, each time the one with which R² is highest.
    Forward,
}

/// Weighted sums over neighbours, for one output.
#[derive(Debug, Clone)]
pub struct Sums {
    /// Σ w.
    pub weight: f64,
    /// Means of the features.
    pub means: Vec<f64>,
    /// Σ w (z − z̄)(z − z̄)ᵀ.
    pub gram: Symmetric,
    /// The mean of the output.
    pub mean: f64,
    /// Σ w (z − z̄)(y − ȳ).
    pub cross: Vec<f64>,
    /// Σ w (y − ȳ)².
    pub total: f64,
}

/// A fitted line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The features that take part, in the order in which they were chosen.
    pub chosen: Vec<usize>,
    /// Their coefficients.
    pub coefficients: Vec<f64>,
    /// The intercept.
    pub intercept: f64,
    /// The weighted R².
    pub r2: f64,
}

impl Sums {
    /// The coefficients of a ridge of some features.
    fn ridge(&self, of: &[usize], alpha: f64) -> Vec<f64> {
        let mut matrix = self.gram.part(of);
        matrix.add_diagonal(alpha);
        let mut right: Vec<f64> = of.iter().map(|&feature| self.cross.get(feature).copied().unwrap_or(0.0)).collect();
        match Cholesky::of(&matrix) {
            Some(factor) => {
                factor.solve(&mut right);
                right
            }
            None => shortest(&matrix, &right),
        }
    }

    /// R² of coefficients of some features; 1 for an output that does not vary, as scikit-learn says.
    fn r2(&self, of: &[usize], coefficients: &[f64]) -> f64 {
        if self.total <= 0.0 {
            return 1.0;
        }
        let part = self.gram.part(of);
        let cross: f64 = of.iter().zip(coefficients).map(|(&at, own)| own * self.cross.get(at).unwrap_or(&0.0)).sum();
        let left = self.total - 2.0 * cross + dot(coefficients, &part.times(coefficients));
        1.0 - left / self.total
    }

    /// The features that take part. `row` has the values of the row that is explained.
    #[must_use]
    pub fn choose(&self, how: Selection, most: usize, row: &[f64]) -> Vec<usize> {
        let all: Vec<usize> = (0..self.means.len()).collect();
        match how {
            Selection::Auto if most <= 6 => self.choose(Selection::Forward, most, row),
            Selection::Auto => self.choose(Selection::HighestWeights, most, row),
            Selection::None => all,
            Selection::HighestWeights => {
                let coefficients = self.ridge(&all, 0.01);
                let mut sized: Vec<(usize, f64)> =
                    coefficients.iter().zip(row).map(|(own, value)| (own * value).abs()).enumerate().collect();
                sized.sort_by(|one, other| other.1.total_cmp(&one.1));
                sized.into_iter().take(most).map(|(feature, _)| feature).collect()
            }
            Selection::Forward => {
                let mut chosen = Vec::new();
                for _ in 0..most.min(all.len()) {
                    let mut best: Option<(f64, usize)> = None;
                    for &feature in all.iter().filter(|feature| !chosen.contains(*feature)) {
                        let mut tried = chosen.clone();
                        tried.push(feature);
                        let r2 = self.r2(&tried, &self.ridge(&tried, 0.0));
                        if best.is_none_or(|(highest, _)| r2 > highest) {
                            best = Some((r2, feature));
                        }
                    }
                    chosen.extend(best.map(|(_, feature)| feature));
                }
                chosen
            }
        }
    }

    /// A ridge of the chosen features.
    #[must_use]
    pub fn line(&self, chosen: Vec<usize>, alpha: f64) -> Line {
        let coefficients = self.ridge(&chosen, alpha);
        let r2 = self.r2(&chosen, &coefficients);
        let shift: f64 =
            chosen.iter().zip(&coefficients).map(|(&at, own)| own * self.means.get(at).unwrap_or(&0.0)).sum();
        Line { chosen, coefficients, intercept: self.mean - shift, r2 }
    }

    /// The covariance of a line's coefficients over other draws of neighbours: H⁻¹ Σ w²e²(z − z̄)(z − z̄)ᵀ H⁻¹ with
    /// H = Σ w (z − z̄)(z − z̄)ᵀ + αI, the sandwich of White (1980). `spread` is the sum in the middle.
    #[must_use]
    pub fn covariance(&self, line: &Line, alpha: f64, spread: &Symmetric) -> Option<Symmetric> {
        let mut matrix = self.gram.part(&line.chosen);
        matrix.add_diagonal(alpha);
        let inverse = Cholesky::of(&matrix)?.inverse();
        let halves: Vec<Vec<f64>> = inverse.rows().map(|own| spread.times(own)).collect();
        let mut covariance = Symmetric::zeros(line.chosen.len());
        for (at, half) in halves.iter().enumerate() {
            let row = inverse.times(half);
            covariance.row_mut(at).copy_from_slice(&row);
        }
        Some(covariance)
    }
}
