//! Shares from the worths of a plan's coalitions, and how far another draw would move them.
//!
//! With z the members of a coalition, s their number, and Δ what everyone earns above nobody, the shares are
//! φ = Δ/m + γ, where γ minimises Σ w (y − s Δ/m − z·γ)² under Σ γ = 0: Kernel SHAP's fit, with both ends as
//! constraints, written so that no player is singled out. z enters as z − s/m, and the normal matrix N is made regular
//! by adding a multiple of 11ᵀ, which changes nothing where Σ γ = 0. It does not know how coalitions were chosen.

use super::Plan;
use crate::{
    coalition::members,
    exact::to_float,
    linear::{Cholesky, Symmetric, dot, shortest},
};

/// What is the same for every row with the same plan.
pub struct Fit {
    normal: Symmetric,
    factor: Option<Cholesky>,
    /// The pseudo-inverse of the normal matrix, where it is regular but for 1; only for plans with draws.
    inverse: Option<Symmetric>,
    /// The leverage of one draw of each drawn pair.
    leverages: Vec<f64>,
    sets: Vec<Vec<usize>>,
}

/// Shares of the players, a row of outputs for each, and their standard errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Players × outputs.
    pub values: Vec<f64>,
    /// Players × outputs; NaN where the plan is too small to tell.
    pub errors: Vec<f64>,
}

impl Fit {
    /// Of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let players = plan.coalitions.players();
        let sets: Vec<Vec<usize>> = plan.coalitions.iter().map(|set| members(set).collect()).collect();
        let mut normal = Symmetric::zeros(players);
        sets.iter().zip(&plan.weights).for_each(|(set, &weight)| normal.add_ones(set, weight));
        center(&mut normal);
        let scale = normal.diagonal().sum::<f64>() / to_float(players * players);
        let mut regular = normal.clone();
        shift(&mut regular, scale);
        let factor = Cholesky::of(&regular);
        let inverse = factor.as_ref().filter(|_| !plan.draws.is_empty()).map(|factor| {
            let mut inverse = factor.inverse();
            // 1 has the eigenvalue `scale` · m in N + scale · 11ᵀ.
            shift(&mut inverse, -1.0 / (scale * to_float(players * players)));
            inverse
        });
        let pairs = sets.iter().skip(plan.enumerated).step_by(2);
        let draws: f64 = plan.draws.iter().map(|&draws| f64::from(draws)).sum();
        let each = plan.drawn_weight() / draws.max(1.0);
        let leverages = inverse.as_ref().map_or_else(Vec::new, |inverse| {
            let lean = |set: &[usize]| -> f64 {
                set.iter()
                    .map(|&row| {
                        let row = inverse.row(row);
                        set.iter().filter_map(|&column| row.get(column)).sum::<f64>()
                    })
                    .sum()
            };
            pairs.map(|set| each * lean(set)).collect()
        });
        Self { normal, factor, inverse, leverages, sets }
    }

    /// Shares of what everyone earns above nobody. `worths` has a row of outputs for each coalition of the plan.
    #[must_use]
    pub fn shares(&self, plan: &Plan, worths: &[f64], nobody: &[f64], everyone: &[f64]) -> Shares {
        let (players, outputs) = (plan.coalitions.players(), nobody.len());
        let mut shares = Shares { values: vec![0.0; players * outputs], errors: vec![0.0; players * outputs] };
        let mut rest = vec![0.0; plan.coalitions.len()];
        for (output, (nobody, everyone)) in nobody.iter().zip(everyone).enumerate() {
            let even = (everyone - nobody) / to_float(players);
            let worth = worths.iter().skip(output).step_by(outputs.max(1));
            let mut right = vec![0.0; players];
            for (((rest, worth), set), weight) in rest.iter_mut().zip(worth).zip(&self.sets).zip(&plan.weights) {
                *rest = worth - nobody - to_float(set.len()) * even;
                spread(&mut right, set, weight * *rest);
            }
            let values = self.solve(right);
            let errors = self.errors(plan, &rest, &values);
            let place = |player| player * outputs + output;
            for (player, (value, error)) in values.into_iter().zip(errors).enumerate() {
                if let (Some(share), Some(own)) =
                    (shares.values.get_mut(place(player)), shares.errors.get_mut(place(player)))
                {
                    (*share, *own) = (even + value, error);
                }
            }
        }
        shares
    }

    /// γ of N γ = right, with a sum of 0 to the last bits.
    fn solve(&self, mut right: Vec<f64>) -> Vec<f64> {
        remove_mean(&mut right);
        let mut solved = match &self.factor {
            Some(factor) => {
                factor.solve(&mut right);
                right
            }
            None => shortest(&self.normal, &right),
        };
        remove_mean(&mut solved);
        solved
    }

    /// Standard errors over the draws of pairs, by the sandwich of White (1980) with pairs as clusters (Liang and
    /// Zeger, 1986) and the residuals of MacKinnon and White (1985, HC3): N⁺ B N⁺ with B = W²/D · Cov(u), where W is
    /// what drawn sets weigh, D the number of draws and u = ½ Σ z r over a pair. Enumerated sets add nothing to it.
    fn errors(&self, plan: &Plan, rest: &[f64], values: &[f64]) -> Vec<f64> {
        let players = values.len();
        if plan.draws.is_empty() {
            return vec![0.0; players];
        }
        let draws: f64 = plan.draws.iter().map(|&draws| f64::from(draws)).sum();
        let Some(inverse) = self.inverse.as_ref().filter(|_| draws >= 2.0) else { return vec![f64::NAN; players] };
        let (mut spreads, mut mean) = (Symmetric::zeros(players), vec![0.0; players]);
        let pairs = self.sets.iter().zip(rest).skip(plan.enumerated).step_by(2);
        let others = rest.iter().skip(plan.enumerated + 1).step_by(2);
        for ((((set, one), other), &count), leverage) in pairs.zip(others).zip(&plan.draws).zip(&self.leverages) {
            // z of the complement is −z, so that r_S − r_rest = y_S − y_rest − 2 z·γ.
            let fitted: f64 = set.iter().filter_map(|&player| values.get(player)).sum();
            let score = 0.5 * (one - other - 2.0 * fitted) / (1.0 - leverage.min(0.999));
            let count = f64::from(count);
            spreads.add_ones(set, count * score * score);
            spread(&mut mean, set, count * score / draws);
        }
        center(&mut spreads);
        remove_mean(&mut mean);
        let weight = plan.drawn_weight();
        let factor = weight * weight / (draws * (draws - 1.0));
        let meat: Vec<Vec<f64>> = spreads
            .rows()
            .zip(&mean)
            .map(|(row, one)| {
                row.iter().zip(&mean).map(|(cell, other)| factor * (cell - draws * one * other)).collect()
            })
            .collect();
        inverse
            .rows()
            .map(|own| {
                let sum: f64 = meat.iter().zip(own).map(|(row, factor)| factor * dot(row, own)).sum();
                sum.max(0.0).sqrt()
            })
            .collect()
    }
}

/// Adds `weight` z; [`remove_mean`] makes z − s/m of it.
fn spread(into: &mut [f64], set: &[usize], weight: f64) {
    for &player in set {
        if let Some(into) = into.get_mut(player) {
            *into += weight;
        }
    }
}

fn remove_mean(of: &mut [f64]) {
    let mean = of.iter().sum::<f64>() / to_float(of.len().max(1));
    of.iter_mut().for_each(|one| *one -= mean);
}

/// Σ w z zᵀ to Σ w (z − s/m)(z − s/m)ᵀ: takes the means of rows and columns away, from a lower triangle.
fn center(matrix: &mut Symmetric) {
    matrix.mirror();
    let size = to_float(matrix.size().max(1));
    let means: Vec<f64> = matrix.rows().map(|row| row.iter().sum::<f64>() / size).collect();
    let mean = means.iter().sum::<f64>() / size;
    for (row, own) in means.iter().enumerate() {
        for (cell, other) in matrix.row_mut(row).iter_mut().zip(&means) {
            *cell -= own + other - mean;
        }
    }
}

/// Adds to every cell.
fn shift(matrix: &mut Symmetric, what: f64) {
    for row in 0..matrix.size() {
        matrix.row_mut(row).iter_mut().for_each(|cell| *cell += what);
    }
}
