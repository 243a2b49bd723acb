//! `LinearClassifier` and `LinearRegressor`.

use candor_domain::{Datatype, Error, Result, Tensor, TensorData};
use candor_engine_source::told;
use candor_onnx::extract::{Labels, Linear, PostTransform};

use super::{
    dense::Dense,
    numbers::{cells, floats, input, release, row_dims, rows_dim, rows_of},
    scores::{self, Chosen, First, both, datatype, largest, transform},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// `LinearClassifier`: a label and one score per class. The label is chosen before the scores are
/// transformed.
pub(super) fn classifier(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let mut model = Linear::of(build.node, build.width(0)).map_err(|error| told(&error))?;
    let labels = model.labels.take().filter(|labels| labels.len() > 1);
    let labels = labels.ok_or_else(|| Error::model("a classifier has two classes or more").got("1"))?;
    if model.scores == 1 && model.post_transform == PostTransform::Probit {
        return Err(build.unsupported("PROBIT of one score for two classes: ONNX Runtime leaves one of them open"));
    }
    let columns = labels.len();
    let label_dims = rows_dim(known).map(|rows| vec![rows]);
    let outputs = vec![(datatype(&labels), label_dims), (Datatype::Fp32, row_dims(known, columns))];
    Ok(Built { kernel: Box::new(Classifier { scorer: Scorer::new(model), labels }), outputs })
}

struct Classifier {
    scorer: Scorer,
    labels: Labels,
}

/// What both operators share.
struct Scorer {
    coefficients: Dense,
    intercepts: Vec<f32>,
    features: usize,
    post: PostTransform,
}

impl Scorer {
    fn new(model: Linear) -> Self {
        let Linear { coefficients, intercepts, features, post_transform: post, .. } = model;
        Self { coefficients: Dense::new(&coefficients, features), intercepts, features, post }
    }

    /// Appends the scores of one row.
    fn push_scores<'s>(&self, row: &[f32], out: &'s mut Vec<f32>) -> &'s mut [f32] {
        let start = out.len();
        self.coefficients.push_dots(row, out);
        let found = out.get_mut(start..).unwrap_or_default();
        found.iter_mut().zip(&self.intercepts).for_each(|(score, intercept)| *score += intercept);
        found
    }
}

impl Kernel for Classifier {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (scorer, columns) = (&self.scorer, self.labels.len());
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, scorer.features)?;
        let features = floats(tensor, buffers)?;
        let mut out = buffers.take(cells(rows, columns))?;
        let mut chosen = Chosen::of(&self.labels, rows, buffers)?;
        for row in features.chunks_exact(scorer.features.max(1)) {
            args.go_on()?;
            let found = scorer.push_scores(row, &mut out);
            if let [score] = *found {
                // One score of two classes: the first has what is left of 1.
                chosen.push(usize::from(score > 0.0));
                out.pop();
                out.extend(both(f64::from(score), First::Rest, scorer.post));
            } else {
                chosen.push(largest(found));
                transform(scorer.post, found);
            }
        }
        release(features, buffers);
        made.push(chosen.tensor()?);
        made.push(scores::tensor(rows, columns, TensorData::Fp32(out))?);
        Ok(())
    }
}

/// `LinearRegressor`: one number per target.
pub(super) fn regressor(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let mut model = Linear::of(build.node, build.width(0)).map_err(|error| told(&error))?;
    // ONNX Runtime transforms a single target by PROBIT and by nothing else.
    if model.scores == 1 && model.post_transform != PostTransform::Probit {
        model.post_transform = PostTransform::None;
    }
    let dims = row_dims(known, model.scores);
    Built::one(Regressor { targets: model.scores, scorer: Scorer::new(model) }, Datatype::Fp32, dims)
}

struct Regressor {
    scorer: Scorer,
    targets: usize,
}

impl Kernel for Regressor {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let Self { scorer, targets } = self;
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, scorer.features)?;
        let features = floats(tensor, buffers)?;
        let mut out = buffers.take(cells(rows, *targets))?;
        for row in features.chunks_exact(scorer.features.max(1)) {
            args.go_on()?;
            transform(scorer.post, scorer.push_scores(row, &mut out));
        }
        release(features, buffers);
        made.push(scores::tensor(rows, *targets, TensorData::Fp32(out))?);
        Ok(())
    }
}
