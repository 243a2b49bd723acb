//! Integrated gradients: Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks", with Gauss–Legendre nodes
//! as captum has them and derivatives by central differences, because a served model has no gradient to give.
//!
//! A player's share is ∫₀¹ ∂f(x' + α(x − x') + t·d)/∂t dα at t = 0, where d is x − x' on its features and 0 elsewhere: the
//! sum of its features' integrated gradients. Before it come rows and a baseline. It does not know how that is chosen.

use crate::{Fault, Matrix, Model, Players, Result};

/// The shares of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Players, outputs.
    pub attributions: Vec<f64>,
    /// The answer for the baseline.
    pub base: Vec<f64>,
    /// The answer for the row.
    pub output: Vec<f64>,
    /// What the shares sum to, less output − base: 0 if the integral is exact.
    pub delta: Vec<f64>,
    /// How often the model was asked.
    pub evaluations: u64,
}

/// Nodes and weights of the Gauss–Legendre rule on 0 to 1: roots of the Legendre polynomial by Newton's method.
#[must_use]
pub fn legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let node = |at: usize| {
        let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            // Bonnet's recursion for the polynomial and, from the last two, its derivative.
            let (mut before, mut now) = (1.0, x);
            for degree in 2..=count {
                let degree = degree as f64;
                (before, now) = (now, ((2.0 * degree - 1.0) * x * now - (degree - 1.0) * before) / degree);
            }
            slope = n * (x * now - before) / (x * x - 1.0);
            let step = now / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (f64::midpoint(1.0, -x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).map(node).collect()
}

/// Integrates from `baseline` to the row. `step` is that of the differences, in shares of the way.
///
/// # Errors
/// `Invalid` where a number is missing, and what the model said.
pub fn integrated_gradients(
    model: &mut Model<'_>,
    row: &[f64],
    baseline: &[f64],
    players: &Players,
    nodes: &[(f64, f64)],
    step: f64,
) -> Result<Shares> {
    let before = model.evaluations();
    if let Some(feature) = row.iter().chain(baseline).position(|number| !number.is_finite()) {
        let feature = feature % row.len().max(1);
        return Err(Fault::invalid(format!(
            "feature {feature} has no number, in the row or in the baseline; there is no way between"
        )));
    }
    // Players that do not move have no share; the model need not be asked.
    let moves = |features: &&[usize]| features.iter().any(|&at| row.get(at) != baseline.get(at));
    let moving: Vec<(usize, &[usize])> = players.iter().enumerate().filter(|(_, features)| moves(features)).collect();
    let ends = Matrix::new(row.len(), [baseline, row].concat())?;
    let ends = model.all(2, |at, out| out.copy_from_slice(ends.row(at)))?;
    let outputs = model.outputs();
    let (base, output) = ends.split_at(outputs);
    let mut attributions = vec![0.0; players.len() * outputs];
    let pairs = nodes.len() * 2;
    model.each(
        moving.len() * pairs,
        |at, out| {
            let (Some((_, features)), Some((alpha, _))) = (moving.get(at / pairs), nodes.get(at % pairs / 2)) else {
                return;
            };
            for (out, (x, from)) in out.iter_mut().zip(row.iter().zip(baseline)) {
                *out = from + alpha * (x - from);
            }
            let side = if at % 2 == 0 { -step } else { step };
            for &feature in *features {
                if let (Some(out), Some(x), Some(from)) =
                    (out.get_mut(feature), row.get(feature), baseline.get(feature))
                {
                    *out = from + (alpha + side) * (x - from);
                }
            }
        },
        |at, answer| {
            let (Some((player, _)), Some((_, weight))) = (moving.get(at / pairs), nodes.get(at % pairs / 2)) else {
                return Ok(());
            };
            let factor = if at % 2 == 0 { -weight } else { *weight } / (2.0 * step);
            let shares = attributions.get_mut(player * outputs..).unwrap_or_default();
            shares.iter_mut().zip(answer).for_each(|(share, number)| *share += factor * number);
            Ok(())
        },
    )?;
    let mut delta: Vec<f64> = output.iter().zip(base).map(|(output, base)| base - output).collect();
    for shares in attributions.chunks_exact(outputs.max(1)) {
        delta.iter_mut().zip(shares).for_each(|(delta, share)| *delta += share);
    }
    let evaluations = model.evaluations() - before;
    Ok(Shares { attributions, base: base.to_vec(), output: output.to_vec(), delta, evaluations })
}

#[cfg(test)]
mod tests {
    use super::legendre;

    #[test]
    fn nodes_integrate_polynomials_exactly() {
        for count in [1, 2, 3, 7, 50, 200] {
            let nodes = legendre(count);
            assert!(nodes.iter().all(|(at, weight)| *at > 0.0 && *at < 1.0 && *weight > 0.0));
            for degree in [0, 1, 2 * count - 1] {
                let power = i32::try_from(degree).unwrap();
                let sum: f64 = nodes.iter().map(|(at, weight)| weight * at.powi(power)).sum();
                let exact = 1.0 / (f64::from(power) + 1.0);
                assert!((sum - exact).abs() < 1e-14, "{count} nodes, degree {degree}: {sum}");
            }
        }
        // The rule of two nodes, by hand.
        let (low, high) = (legendre(2)[0], legendre(2)[1]);
        assert!((low.0.min(high.0) - (0.5 - 0.5 / 3.0_f64.sqrt())).abs() < 1e-15 && (low.1 - 0.5).abs() < 1e-15);
    }
}
