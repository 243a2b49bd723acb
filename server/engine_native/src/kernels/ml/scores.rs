//! What classifiers and regressors do with the scores of a row at the end: transforms, the choice of a class, and
//! its label. Formulas are those of ONNX Runtime, in 32 bits as there.
//!
//! Trees, linear models and SVMs share this. It does not know where scores come from.

use candor_domain::{Datatype, Error, ErrorCode, Result, Shape, Tensor, TensorData};
use candor_onnx::extract::{Labels, PostTransform};

use crate::{kernels::standard::moves::Strings, workspace::Buffers};

/// Applies `post_transform` to all scores of one row, in place.
pub(crate) fn transform(post: PostTransform, row: &mut [f32]) {
    match post {
        PostTransform::None => {}
        PostTransform::Softmax => softmax(row),
        PostTransform::Logistic => row.iter_mut().for_each(|score| *score = logistic(*score)),
        PostTransform::SoftmaxZero => softmax_zero(row),
        PostTransform::Probit => row.iter_mut().for_each(|score| *score = probit(*score)),
    }
}

/// `1 / (1 + exp(-x))`, without overflow.
pub(crate) fn logistic(score: f32) -> f32 {
    let positive = 1.0 / (1.0 + (-score.abs()).exp());
    if score < 0.0 { 1.0 - positive } else { positive }
}

/// `√2 · erf⁻¹(2x - 1)`, with the approximation of the inverse error function by S. Winitzki (a = 0.147).
pub(crate) fn probit(score: f32) -> f32 {
    const A: f32 = 0.147;
    let x = 2.0 * score - 1.0;
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let half = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    let rest = 1.0 / A * log;
    std::f32::consts::SQRT_2 * (sign * (-half + (half * half - rest).sqrt()).sqrt())
}

/// What the first of two classes gets when a classifier has one score, which is the second class's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// What is left of 1: scores are probabilities.
    Rest,
    /// The same with the other sign: scores are margins.
    Opposite,
}

/// Both scores of a classifier of two classes out of its one. Logistic is the only transform that ONNX Runtime
/// applies then. In 64 bits, so that the score is rounded once whatever the model's precision.
pub(crate) fn both(score: f64, first: First, post: PostTransform) -> [f32; 2] {
    if post == PostTransform::Logistic {
        return [logistic(-score as f32), logistic(score as f32)];
    }
    let other = match first {
        First::Rest => 1.0 - score,
        First::Opposite => -score,
    };
    [other as f32, score as f32]
}

fn softmax(row: &mut [f32]) {
    let most = most(row);
    let mut sum = 0.0;
    for score in &mut *row {
        *score = (*score - most).exp();
        sum += *score;
    }
    row.iter_mut().for_each(|score| *score /= sum);
}

/// Softmax over the scores that are not zero (beyond ±10⁻⁷); the others stay zero.
fn softmax_zero(row: &mut [f32]) {
    let most = most(row);
    let of_zero = (-most).exp();
    let mut sum = 0.0;
    for score in &mut *row {
        if score.abs() > 1e-7 {
            *score = (*score - most).exp();
            sum += *score;
        } else {
            *score *= of_zero;
        }
    }
    row.iter_mut().for_each(|score| *score /= sum);
}

fn most(row: &[f32]) -> f32 {
    row.iter().fold(f32::MIN, |most, score| if *score > most { *score } else { most })
}

/// Position of the largest score: the first of equals; a NaN is never larger.
pub(crate) fn largest<T: PartialOrd + Copy>(row: &[T]) -> usize {
    let mut scores = row.iter().copied().enumerate();
    let Some(first) = scores.next() else { return 0 };
    scores.fold(first, |most, next| if next.1 > most.1 { next } else { most }).0
}

/// Datatype of the labels of a model.
pub(crate) fn datatype(labels: &Labels) -> Datatype {
    match labels {
        Labels::Ints(_) => Datatype::Int64,
        Labels::Strings(_) => Datatype::Bytes,
    }
}

/// The labels of a batch in the making: `[rows]`, `INT64` or `BYTES` as [`datatype`] says.
pub(crate) enum Chosen<'a> {
    Ints(&'a [i64], Vec<i64>),
    /// With what was in the way, once there is too much.
    Strings(&'a [String], Result<Strings>),
}

impl<'a> Chosen<'a> {
    /// None yet, with room for those of `rows` rows.
    ///
    /// # Errors
    /// As [`Buffers::take`].
    pub(crate) fn of(labels: &'a Labels, rows: usize, buffers: &mut Buffers) -> Result<Self> {
        match labels {
            Labels::Ints(labels) => Ok(Self::Ints(labels, buffers.take(rows)?)),
            Labels::Strings(labels) => Ok(Self::Strings(labels, Ok(Strings::of(rows)?))),
        }
    }

    /// The next row is of this class, by its position among the labels.
    pub(crate) fn push(&mut self, class: usize) {
        match self {
            Self::Ints(labels, chosen) => chosen.push(labels.get(class).copied().unwrap_or_default()),
            Self::Strings(labels, chosen) => {
                let label = labels.get(class).map_or(&[][..], |label| label.as_bytes());
                if let Ok(strings) = chosen
                    && let Err(error) = strings.push(label)
                {
                    *chosen = Err(error);
                }
            }
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// `InvalidInput` when strings of all rows together are too long.
    pub(crate) fn tensor(self) -> Result<Tensor> {
        let data = match self {
            Self::Ints(_, chosen) => TensorData::Int64(chosen),
            Self::Strings(_, chosen) => TensorData::Bytes(chosen?.done()),
        };
        Tensor::new(Shape::new(&[length(data.len())])?, data)
    }
}

/// The scores of a batch: `[rows, scores of a row]`, `FP32`.
///
/// # Errors
/// `EngineFailed` when there are not as many.
pub(crate) fn scores(rows: usize, of_row: usize, scores: Vec<f32>) -> Result<Tensor> {
    tensor(rows, of_row, TensorData::Fp32(scores))
}

/// As [`scores`], of any datatype.
///
/// # Errors
/// As [`scores`].
pub(crate) fn tensor(rows: usize, of_row: usize, scores: TensorData) -> Result<Tensor> {
    let shape = Shape::new(&[length(rows), length(of_row)])?;
    Tensor::new(shape, scores).map_err(|error| Error::new(ErrorCode::EngineFailed, error.to_string()))
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transformed(post: PostTransform, row: &[f32]) -> Vec<f32> {
        let mut row = row.to_vec();
        transform(post, &mut row);
        row
    }

    /// Expectations are what ONNX Runtime 1.31.1 answers to these scores.
    #[test]
    fn transforms_are_those_of_onnx_runtime() {
        assert_eq!(transformed(PostTransform::None, &[0.3, -2.0]), [0.3, -2.0]);
        assert_eq!(transformed(PostTransform::Softmax, &[0.0, 0.8, -0.3]), [0.252_120_4, 0.561_104_24, 0.186_775_39]);
        assert_eq!(transformed(PostTransform::Logistic, &[0.0, 0.8, -0.3]), [0.5, 0.689_974_5, 0.425_557_5]);
        assert_eq!(transformed(PostTransform::SoftmaxZero, &[0.0, 0.8, -0.3]), [0.0, 0.750_260_1, 0.249_739_89]);
        let probits = transformed(PostTransform::Probit, &[0.3, 0.8, 0.0, 1.0, 0.5, -0.3]);
        assert_eq!(probits[..2], [-0.524_445_9, 0.841_756_1]);
        assert_eq!(probits[2..5], [f32::NEG_INFINITY, f32::INFINITY, 0.0]);
        assert!(probits[5].is_nan());
    }

    #[test]
    fn one_score_becomes_two() {
        let score = f64::from(0.3_f32);
        assert_eq!(both(score, First::Rest, PostTransform::None), [0.7, 0.3]);
        assert_eq!(both(score, First::Opposite, PostTransform::Softmax), [-0.3, 0.3]);
        assert_eq!(both(score, First::Rest, PostTransform::Logistic), [0.425_557_5, 0.574_442_5]);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        assert_eq!(transformed(PostTransform::Softmax, &[1e30, -1e30]), [1.0, 0.0]);
        assert_eq!(transformed(PostTransform::Logistic, &[1e30, -1e30]), [1.0, 0.0]);
    }

    #[test]
    fn the_first_of_equals_is_largest_and_a_nan_never() {
        assert_eq!(largest(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(largest(&[1.0, f64::NAN, 0.5]), 0);
        assert_eq!(largest::<f32>(&[]), 0);
    }

    #[test]
    fn labels_are_written_as_they_are() {
        let labels = Labels::Strings(vec!["no".into(), "yes".into()]);
        let mut chosen = Chosen::of(&labels, 2, &mut Buffers::default()).unwrap();
        [1, 0].into_iter().for_each(|class| chosen.push(class));
        let tensor = chosen.tensor().unwrap();
        assert_eq!(tensor.data(), &TensorData::Bytes(["yes", "no"].into_iter().collect()));
        assert_eq!(datatype(&labels), Datatype::Bytes);
        let labels = Labels::Ints(vec![10, -20]);
        let mut chosen = Chosen::of(&labels, 3, &mut Buffers::default()).unwrap();
        [1, 0, 1].into_iter().for_each(|class| chosen.push(class));
        assert_eq!(chosen.tensor().unwrap().data(), &TensorData::Int64(vec![-20, 10, -20]));
    }
}
