//! From the counted votes of a row to its scores and its label: base values, transforms, and ONNX Runtime's
//! reading of classifiers with one score.

use candor_domain::{Error, ErrorCode, Result, Tensor, TensorData};
use candor_onnx::extract::{Aggregate, Labels, PostTransform, TreeEnsemble};

use super::number::Number;
use crate::{
    kernels::ml::scores::{self, Chosen, First},
    workspace::Buffers,
};

/// What is done with the votes of a row.
pub(super) struct Finish<T> {
    /// By what sums are divided, for averages.
    divisor: Option<T>,
    /// One per score, zeros if the model has none.
    base: Vec<T>,
    post: PostTransform,
    class: Option<Class>,
}

/// How a classifier chooses.
struct Class {
    labels: Labels,
    /// None: the largest score wins.
    one: Option<OneScore>,
}

/// Two classes, and votes for one of them only. The specification is silent; this is what ONNX Runtime does.
struct OneScore {
    /// Beyond it, the second class is chosen.
    boundary: f64,
    /// What the first class gets; none if votes name the second class, and the first stays at zero.
    first: Option<First>,
}

impl<T: Number> Finish<T> {
    /// For an ensemble.
    ///
    /// # Errors
    /// `Unsupported` for classifiers whose meaning nobody has written down.
    pub(super) fn of(ensemble: &TreeEnsemble) -> Result<Self> {
        let one = one_score(ensemble)?;
        let scores = if one.is_some() { 1 } else { ensemble.targets };
        let base = (0..scores).map(|at| ensemble.base_values.get(at).map_or_else(T::default, T::of)).collect();
        let is_average = ensemble.aggregate == Aggregate::Average;
        let labels = ensemble.labels.clone();
        Ok(Self {
            divisor: is_average.then(|| T::of(ensemble.roots.len() as f64)),
            base,
            post: ensemble.post_transform,
            class: labels.map(|labels| Class { labels, one }),
        })
    }

    /// Scores that are counted for a row.
    pub(super) fn targets(&self) -> usize {
        self.base.len()
    }

    /// Scores of a row in the output.
    pub(super) fn width(&self) -> usize {
        if self.is_one_score() { 2 } else { self.base.len() }
    }

    /// What classes are called, if there are any.
    pub(super) fn labels(&self) -> Option<&Labels> {
        self.class.as_ref().map(|class| &class.labels)
    }

    fn is_one_score(&self) -> bool {
        self.class.as_ref().is_some_and(|class| class.one.is_some())
    }

    /// Empty outputs with room for `rows` rows.
    ///
    /// # Errors
    /// As [`Buffers::take`].
    pub(super) fn begin(&self, rows: usize, is_wide: bool, buffers: &mut Buffers) -> Result<Outputs<'_>> {
        let labels = self.class.as_ref().map(|class| Chosen::of(&class.labels, rows, buffers)).transpose()?;
        let elements = rows.saturating_mul(self.width());
        let wide = if is_wide { Some(buffers.take(elements)?) } else { None };
        let scores = buffers.take(if is_wide { self.width() } else { elements })?;
        Ok(Outputs { labels, scores, wide })
    }

    /// Writes what the counted votes of some rows come to.
    pub(super) fn rows(&self, counted: &mut [T], outputs: &mut Outputs<'_>) {
        for row in counted.chunks_exact_mut(self.targets()) {
            for (score, base) in row.iter_mut().zip(&self.base) {
                let sum = self.divisor.map_or(*score, |divisor| *score / divisor);
                *score = sum + *base;
            }
            self.row(row, outputs);
        }
    }

    fn row(&self, counted: &[T], outputs: &mut Outputs<'_>) {
        if let Some(wide) = outputs.wide.as_mut().filter(|_| self.post == PostTransform::None) {
            wide.extend(counted.iter().map(|score| score.widened()));
            return;
        }
        let from = outputs.scores.len();
        match &self.class {
            Some(Class { one: Some(one), .. }) => {
                let score = counted.first().map_or(0.0, |score| score.widened());
                if let Some(first) = one.first {
                    outputs.scores.extend(scores::both(score, first, self.post));
                } else {
                    outputs.scores.extend([0.0, score as f32]);
                    scores::transform(self.post, outputs.scores.get_mut(from..).unwrap_or_default());
                }
                outputs.choose(usize::from(score > one.boundary));
            }
            class => {
                outputs.scores.extend(counted.iter().map(|score| score.widened() as f32));
                scores::transform(self.post, outputs.scores.get_mut(from..).unwrap_or_default());
                if class.is_some() {
                    outputs.choose(scores::largest(counted));
                }
            }
        }
        if let Some(wide) = &mut outputs.wide {
            wide.extend(outputs.scores.drain(..).map(f64::from));
        }
    }
}

fn one_score(ensemble: &TreeEnsemble) -> Result<Option<OneScore>> {
    if ensemble.labels.is_some() && ensemble.targets == 1 {
        return Err(refusal("a tree ensemble that classifies into one class").hint("a classifier needs two classes"));
    }
    // With a base value for each class, votes and scores are as the specification says.
    if !ensemble.one_score || ensemble.base_values.len() == 2 {
        return Ok(None);
    }
    let is_second = ensemble.vote_targets.first() == Some(&1);
    if is_second && !ensemble.base_values.is_empty() {
        return Err(refusal("one base value, while all votes are for the second of two classes"));
    }
    if !is_second && ensemble.post_transform == PostTransform::Probit {
        return Err(refusal("PROBIT of a classifier whose votes are all for one class"));
    }
    let (boundary, first) = if ensemble.votes_are_positive { (0.5, First::Rest) } else { (0.0, First::Opposite) };
    Ok(Some(OneScore { boundary, first: (!is_second).then_some(first) }))
}

fn refusal(what: &'static str) -> Error {
    Error::new(ErrorCode::Unsupported, what)
}

/// Outputs in the making.
pub(super) struct Outputs<'a> {
    labels: Option<Chosen<'a>>,
    /// Of all rows, or of one if `wide` is there.
    scores: Vec<f32>,
    /// For operators that answer in 64 bits.
    wide: Option<Vec<f64>>,
}

impl Outputs<'_> {
    fn choose(&mut self, class: usize) {
        if let Some(labels) = &mut self.labels {
            labels.push(class);
        }
    }

    /// The tensors: labels if there are any, and scores.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn end(self, rows: usize, width: usize, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        if let Some(labels) = self.labels {
            made.push(labels.tensor()?);
        }
        made.push(match self.wide {
            Some(wide) => {
                buffers.give(self.scores);
                scores::tensor(rows, width, TensorData::Fp64(wide))?
            }
            None => scores::scores(rows, width, self.scores)?,
        });
        Ok(())
    }
}
