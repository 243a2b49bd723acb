//! What answer is wanted, and how far an answer is from it. It does not know features.

use crate::{Fault, Result};

/// What answer is wanted. What is not asked for is free.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The class: of several outputs the largest; of one output 1 above the threshold, 0 otherwise.
    class: Class,
    /// The smallest number of each output; NaN for any.
    low: Vec<f64>,
    /// The largest.
    high: Vec<f64>,
    threshold: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Any,
    One(usize),
    /// Every class but this one.
    Not(usize),
}

/// The least that an answer is away from what it does not reach.
const LEAST: f64 = 1e-12;

impl Wanted {
    /// Reads what is wanted of answers of as many outputs as `now` has, the answer of the row as it is. Where nothing is
    /// wanted, any other class is.
    ///
    /// # Errors
    /// `Invalid` for a class that is not there, ranges of another length or without numbers, and an answer of NaN.
    pub fn new(class: Option<i64>, low: &[f64], high: &[f64], threshold: f64, now: &[f64]) -> Result<Self> {
        if let Some(output) = now.iter().position(|number| number.is_nan()) {
            return Err(Fault::invalid(format!("output {output} of the model is NaN for the row itself")));
        }
        for (name, list) in [("wanted_low", low), ("wanted_high", high)] {
            if !list.is_empty() && list.len() != now.len() {
                let (given, outputs) = (list.len(), now.len());
                return Err(Fault::invalid(format!(
                    "`{name}` has {given} numbers, expected one for each of {outputs} outputs"
                )));
            }
        }
        for (output, (low, high)) in low.iter().zip(high).enumerate() {
            if low > high {
                return Err(Fault::invalid(format!(
                    "output {output} is wanted from {low} to {high}, which is no range"
                )));
            }
        }
        let nothing = low.iter().chain(high).all(|bound| bound.is_nan());
        let mut wanted = Self { class: Class::Any, low: low.to_vec(), high: high.to_vec(), threshold };
        let classes = now.len().max(2);
        wanted.class = match class {
            Some(class) => {
                let found = usize::try_from(class).ok().filter(|class| *class < classes);
                Class::One(found.ok_or_else(|| {
                    Fault::invalid(format!("`wanted_class` is {class}, expected 0 to {}", classes - 1))
                })?)
            }
            None if nothing => Class::Not(wanted.class_of(now)),
            None => Class::Any,
        };
        Ok(wanted)
    }

    /// The class that an answer says.
    #[must_use]
    pub fn class_of(&self, answer: &[f64]) -> usize {
        if let [one] = answer {
            return usize::from(*one > self.threshold);
        }
        let mut best = (0, f64::NEG_INFINITY);
        for (at, &number) in answer.iter().enumerate() {
            if number > best.1 {
                best = (at, number);
            }
        }
        best.0
    }

    /// How far an answer is from what is wanted: 0 when it is that; infinite for NaN.
    #[must_use]
    pub fn gap(&self, answer: &[f64]) -> f64 {
        if answer.iter().any(|number| number.is_nan()) {
            return f64::INFINITY;
        }
        let short = |bounds: &[f64], of: fn(f64, f64) -> f64| -> f64 {
            let each = bounds.iter().zip(answer).map(|(&bound, &number)| of(bound, number));
            each.filter(|short| *short > 0.0).sum()
        };
        let below = short(&self.low, |bound, number| bound - number);
        let above = short(&self.high, |bound, number| number - bound);
        below + above + self.class_gap(answer)
    }

    fn class_gap(&self, answer: &[f64]) -> f64 {
        let said = self.class_of(answer);
        let (reached, gap) = match (self.class, answer) {
            (Class::Any, _) => return 0.0,
            (Class::One(class), [one]) => (said == class, (one - self.threshold).abs()),
            (Class::Not(class), [one]) => (said != class, (one - self.threshold).abs()),
            (Class::One(class), several) => {
                let own = several.get(class).copied().unwrap_or(f64::NEG_INFINITY);
                (said == class, several.iter().fold(f64::NEG_INFINITY, |most, number| number.max(most)) - own)
            }
            (Class::Not(class), several) => {
                let own = several.get(class).copied().unwrap_or(f64::NEG_INFINITY);
                let others = several.iter().enumerate().filter(|(at, _)| *at != class);
                (said != class, own - others.fold(f64::NEG_INFINITY, |most, (_, number)| number.max(most)))
            }
        };
        if reached { 0.0 } else { gap.max(LEAST) }
    }
}
