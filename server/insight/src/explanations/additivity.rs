//! Whether shares add up: to what the method says of the answer, and to what the engine has answered.
//!
//! The first is arithmetic of the explainer; the second would show an explanation of something else than what is served.
//! Shares of a margin are compared with served probabilities through the link that gives those: the logistic function
//! for one score of two classes, one for each class, or softmax over all of them.

use super::target::{Space, Target, Transform};

/// Relative to |base| + Σ|share|, as the issue of this server and the docs say.
const TOLERANCE: f64 = 1e-5;

/// How far shares are from adding up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Additivity {
    /// Base and shares together, less the explained number.
    pub residual: f64,
    /// What is allowed: 10⁻⁵ · (|base| + Σ|share|).
    pub tolerance: f64,
    /// Whether it is within that.
    pub holds: bool,
}

impl Additivity {
    pub(crate) fn of(base: f64, shares: impl Iterator<Item = f64>, output: f64) -> Self {
        let (mut sum, mut size) = (base, base.abs());
        for share in shares {
            sum += share;
            size += share.abs();
        }
        let (residual, tolerance) = (sum - output, TOLERANCE * size);
        // Numbers that are all zero leave room for nothing but zero.
        Self { residual, tolerance, holds: residual.abs() <= tolerance }
    }
}

/// What was served, beside what was explained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Served {
    /// What the engine answered, as it answered it.
    pub value: f64,
    /// What the explanation comes to, in the words of the answer; nothing where it cannot be told.
    pub explained: Option<f64>,
    /// Whether the two are the same, within 10⁻⁵ of 1 or of the answer, whichever is more.
    pub agrees: Option<bool>,
}

/// Compares the explained numbers of one row with what was served: all of the output's row. `explained` stands at the
/// target's elements, or at the only number that a model of two classes adds up.
pub(crate) fn compare(target: &Target, served: &[f64], explained: &[f64]) -> Vec<Served> {
    let values = told(target, served, explained);
    let pairs = target.elements.iter().enumerate();
    let pairs = pairs.map(|(at, element)| {
        let value = served.get(*element).copied().unwrap_or(f64::NAN);
        let explained = values.as_ref().and_then(|values| values.get(at)).copied();
        let agrees = explained.map(|explained| agree(explained, value));
        Served { value, explained, agrees }
    });
    pairs.collect()
}

/// Whether what is explained is what was served.
pub(crate) fn agree(explained: f64, served: f64) -> bool {
    (explained - served).abs() <= TOLERANCE * served.abs().max(1.0)
}

/// The explained numbers in the words of the answer.
fn told(target: &Target, served: &[f64], explained: &[f64]) -> Option<Vec<f64>> {
    match target.transform {
        Transform::Same => Some(explained.to_vec()),
        Transform::Logit => Some(explained.iter().map(|margin| logistic(*margin)).collect()),
        Transform::Unknown => {
            debug_assert!(target.space == Space::Margin);
            let own: Vec<f64> = target.elements.iter().filter_map(|element| served.get(*element).copied()).collect();
            // Which link a graph has, the answer itself tells: the wrong one does not come near it.
            let links = [explained.iter().map(|margin| logistic(*margin)).collect(), softmax(target, explained)?];
            let far = |values: &Vec<f64>| {
                let pairs = values.iter().zip(&own);
                pairs.map(|(value, own)| (value - own).abs()).fold(0.0, f64::max)
            };
            links.into_iter().min_by(|one, other| far(one).total_cmp(&far(other)))
        }
    }
}

fn logistic(margin: f64) -> f64 {
    if margin >= 0.0 { 1.0 / (1.0 + (-margin).exp()) } else { margin.exp() / (1.0 + margin.exp()) }
}

/// Softmax over all classes; the logistic function where not all of them are there.
fn softmax(target: &Target, margins: &[f64]) -> Option<Vec<f64>> {
    if margins.is_empty() {
        return None;
    }
    if margins.len() != target.all {
        return Some(margins.iter().map(|margin| logistic(*margin)).collect());
    }
    let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = margins.iter().map(|margin| (margin - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    Some(weights.iter().map(|weight| weight / sum).collect())
}
