//! How good answers are: scikit-learn's scorers, of which higher is always better.
//!
//! They get the truth and the model's answers. They do not know features.

use serde::Deserialize;

use crate::{Fault, Result};

/// A score, by scikit-learn's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scorer {
    /// `accuracy` where there are several outputs, else `r2`.
    #[default]
    Auto,
    /// The share of rows whose class is right.
    Accuracy,
    /// Minus the mean of −ln p(true class), with p clipped to \[ε, 1 − ε\].
    NegLogLoss,
    /// The area under the ROC curve; for more than two classes the mean of each against the rest.
    RocAuc,
    /// 1 − Σ(y − ŷ)² / Σ(y − ȳ)².
    R2,
    /// Minus the mean of (y − ŷ)².
    NegMeanSquaredError,
    /// Minus the mean of |y − ŷ|.
    NegMeanAbsoluteError,
}

impl Scorer {
    /// What it means for answers of so many outputs.
    #[must_use]
    pub fn for_outputs(self, outputs: usize) -> Self {
        match self {
            Self::Auto if outputs > 1 => Self::Accuracy,
            Self::Auto => Self::R2,
            Self::Accuracy
            | Self::NegLogLoss
            | Self::RocAuc
            | Self::R2
            | Self::NegMeanSquaredError
            | Self::NegMeanAbsoluteError => self,
        }
    }

    /// scikit-learn's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Accuracy => "accuracy",
            Self::NegLogLoss => "neg_log_loss",
            Self::RocAuc => "roc_auc",
            Self::R2 => "r2",
            Self::NegMeanSquaredError => "neg_mean_squared_error",
            Self::NegMeanAbsoluteError => "neg_mean_absolute_error",
        }
    }

    /// Whether it asks for classes.
    fn of_classes(self) -> bool {
        matches!(self, Self::Accuracy | Self::NegLogLoss | Self::RocAuc)
    }
}

/// What was true, in the form that a score needs.
#[derive(Debug, Clone)]
pub struct Truth {
    scorer: Scorer,
    outputs: usize,
    threshold: f64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Numbers(Vec<f64>),
    /// The class of each row, and how many classes there are.
    Classes(Vec<usize>, usize),
}

impl Truth {
    /// Reads the truth `y` for answers of `outputs` numbers. `classes` are the values of `y` in the order of the
    /// model's outputs, 0, 1, 2 … if none are given; one output is the second class's, which is meant above `threshold`.
    ///
    /// # Errors
    /// `Invalid` for a truth that is no number or no class, and where a score is not defined.
    pub fn new(scorer: Scorer, y: &[f64], outputs: usize, classes: &[f64], threshold: f64) -> Result<Self> {
        let scorer = scorer.for_outputs(outputs);
        if let Some(row) = y.iter().position(|y| !y.is_finite()) {
            return Err(Fault::invalid(format!(
                "`y` has no number in row {row}; leave out rows whose truth is not known"
            )));
        }
        let kind = if scorer.of_classes() {
            let count = outputs.max(2);
            Kind::Classes(class_of_each(y, count, classes)?, count)
        } else {
            if outputs != 1 {
                return Err(Fault::invalid(format!(
                    "`{}` is for models of one output, and this one has {outputs}; choose a scorer of classes, such as \
                     `accuracy`, or one of the outputs",
                    scorer.name()
                )));
            }
            Kind::Numbers(y.to_vec())
        };
        let truth = Self { scorer, outputs, threshold, kind };
        truth.defined()?;
        Ok(truth)
    }

    /// Which score it is.
    #[must_use]
    pub fn scorer(&self) -> Scorer {
        self.scorer
    }

    fn defined(&self) -> Result<()> {
        match (&self.kind, self.scorer) {
            (Kind::Classes(of, count), Scorer::RocAuc) => {
                let missing = (0..*count).find(|class| !of.contains(class));
                missing.map_or(Ok(()), |class| {
                    Err(Fault::invalid(format!("`roc_auc` is not defined: no row of `y` is of class {class}")))
                })
            }
            (Kind::Numbers(y), Scorer::R2) if y.len() < 2 => {
                Err(Fault::invalid("`r2` is not defined for fewer than two rows"))
            }
            _ => Ok(()),
        }
    }

    /// The score of answers, `outputs` numbers for each row.
    #[must_use]
    pub fn score(&self, answers: &[f64]) -> f64 {
        match (&self.kind, self.scorer) {
            (Kind::Classes(of, _), Scorer::NegLogLoss) => -self.log_loss(of, answers),
            (Kind::Classes(of, count), Scorer::RocAuc) => self.roc_auc(of, *count, answers),
            (Kind::Classes(of, _), _) => self.accuracy(of, answers),
            (Kind::Numbers(y), Scorer::NegMeanSquaredError) => -mean(y, answers, |error| error * error),
            (Kind::Numbers(y), Scorer::NegMeanAbsoluteError) => -mean(y, answers, f64::abs),
            (Kind::Numbers(y), _) => r2(y, answers),
        }
    }

    fn accuracy(&self, of: &[usize], answers: &[f64]) -> f64 {
        let said = answers.chunks_exact(self.outputs).map(|answer| match answer {
            [one] => usize::from(*one > self.threshold),
            several => first_largest(several),
        });
        let right = said.zip(of).filter(|(said, class)| said == *class).count();
        right as f64 / of.len() as f64
    }

    /// scikit-learn's `log_loss`: ε is that of double precision; rows are not brought to the sum 1.
    fn log_loss(&self, of: &[usize], answers: &[f64]) -> f64 {
        let losses = answers.chunks_exact(self.outputs).zip(of).map(|(answer, &class)| {
            let p = match answer {
                [one] if class == 0 => 1.0 - one,
                [one] => *one,
                several => several.get(class).copied().unwrap_or(0.0),
            };
            -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
        });
        losses.sum::<f64>() / of.len() as f64
    }

    fn roc_auc(&self, of: &[usize], count: usize, answers: &[f64]) -> f64 {
        let column = |at: usize| -> Vec<f64> {
            answers.chunks_exact(self.outputs).filter_map(|answer| answer.get(at).copied()).collect()
        };
        if count == 2 {
            return area(&column(self.outputs - 1), of, 1);
        }
        (0..count).map(|class| area(&column(class), of, class)).sum::<f64>() / count as f64
    }
}

fn class_of_each(y: &[f64], count: usize, classes: &[f64]) -> Result<Vec<usize>> {
    if !classes.is_empty() && classes.len() != count {
        return Err(Fault::invalid(format!("`classes` has {} values, expected {count}", classes.len())));
    }
    let class = |(row, y): (usize, &f64)| {
        let plain = || (0..count).find(|class| *class as f64 == *y);
        let found = if classes.is_empty() { plain() } else { classes.iter().position(|class| class == y) };
        found.ok_or_else(|| {
            Fault::invalid(format!(
                "`y` is {y} in row {row}, which is no class; expected one of 0 to {}, or give `classes`",
                count - 1
            ))
        })
    };
    y.iter().enumerate().map(class).collect()
}

/// NumPy's `argmax`: of equal ones the first.
fn first_largest(answer: &[f64]) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (at, &number) in answer.iter().enumerate() {
        if number > best.1 {
            best = (at, number);
        }
    }
    best.0
}

/// Hanley & McNeil 1982: the chance that a row of the class is above one of the rest; equal ones count half. It is what
/// the trapezoids of the curve sum to.
fn area(scores: &[f64], of: &[usize], class: usize) -> f64 {
    let mut sorted: Vec<(f64, bool)> = scores.iter().zip(of).map(|(&score, of)| (score, *of == class)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut area, mut inside) = (0.0, 0.0, 0.0);
    // `total_cmp` puts −0 before 0, and they are equal scores.
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let own = tied.iter().filter(|(_, own)| *own).count() as f64;
        let rest = tied.len() as f64 - own;
        area += own * (below + rest / 2.0);
        below += rest;
        inside += own;
    }
    area / (inside * below)
}

fn mean(y: &[f64], answers: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    y.iter().zip(answers).map(|(y, answer)| of(y - answer)).sum::<f64>() / y.len() as f64
}

/// scikit-learn's `r2_score`: of a constant truth 1 if all answers are it, else 0.
fn r2(y: &[f64], answers: &[f64]) -> f64 {
    let centre = y.iter().sum::<f64>() / y.len() as f64;
    let residual: f64 = y.iter().zip(answers).map(|(y, answer)| (y - answer) * (y - answer)).sum();
    let total: f64 = y.iter().map(|y| (y - centre) * (y - centre)).sum();
    if total == 0.0 {
        return if residual == 0.0 { 1.0 } else { 0.0 };
    }
    1.0 - residual / total
}
