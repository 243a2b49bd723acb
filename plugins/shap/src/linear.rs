//! Exact shares of linear models: what each column adds beyond the mean of the background.
//!
//! `share = coefficient · (x - mean)`, which is Shapley's value where features are taken from background rows,
//! whatever their correlation (S. Lundberg and S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
//! 2017, corollary 1). It does not know graphs.

use crate::{
    matrix::{Background, Matrix},
    refusal::Refusal,
};

/// Coefficients, row by row: one row for each score.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Columns of a row.
    pub width: usize,
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
}

/// A linear model with a background.
#[derive(Debug, Clone, PartialEq)]
pub struct Centered {
    means: Vec<f64>,
    /// What each score is with nothing known.
    pub base: Vec<f64>,
}

impl Linear {
    /// Of lists that fit each other.
    ///
    /// # Errors
    /// When they do not, or hold what is no finite number.
    pub fn new(width: usize, coefficients: Vec<f64>, intercepts: Vec<f64>) -> Result<Self, Refusal> {
        if coefficients.len() != width.saturating_mul(intercepts.len()) || width == 0 {
            return Err(Refusal::new("coefficients and intercepts do not fit each other"));
        }
        if !coefficients.iter().chain(&intercepts).all(|number| number.is_finite()) {
            return Err(Refusal::new("a coefficient is no finite number"));
        }
        Ok(Self { width, coefficients, intercepts })
    }

    /// How many scores there are.
    #[must_use]
    pub const fn targets(&self) -> usize {
        self.intercepts.len()
    }

    /// The scores of a row.
    #[must_use]
    pub fn scores(&self, row: &[f64]) -> Vec<f64> {
        let rows = self.coefficients.chunks_exact(self.width.max(1)).zip(&self.intercepts);
        rows.map(|(own, intercept)| intercept + own.iter().zip(row).map(|(own, x)| own * x).sum::<f64>()).collect()
    }

    /// With a background.
    #[must_use]
    pub fn centered(&self, background: &Background) -> Centered {
        let mut means = vec![0.0; self.width];
        for (at, weight) in background.weights.iter().enumerate() {
            means.iter_mut().zip(background.rows.row(at)).for_each(|(mean, x)| *mean += weight * x);
        }
        let base = self.scores(&means);
        Centered { means, base }
    }

    /// The shares of rows: for each row, for each score, one for each player. `owner` says whose each column is.
    #[must_use]
    pub fn shares(&self, centered: &Centered, rows: &Matrix, owner: &[u32], players: usize) -> Vec<f64> {
        let mut shares = vec![0.0; rows.rows.saturating_mul(self.targets()).saturating_mul(players)];
        let of_rows = shares.chunks_exact_mut((self.targets() * players).max(1));
        for (at, of_row) in of_rows.enumerate() {
            let scores = of_row.chunks_exact_mut(players.max(1)).zip(self.coefficients.chunks_exact(self.width.max(1)));
            for (shares, own) in scores {
                let columns = own.iter().zip(rows.row(at)).zip(&centered.means).zip(owner);
                for (((own, x), mean), owner) in columns {
                    if let Some(share) = shares.get_mut(*owner as usize) {
                        *share += own * (x - mean);
                    }
                }
            }
        }
        shares
    }
}
