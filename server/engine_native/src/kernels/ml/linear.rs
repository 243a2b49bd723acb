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

/// Rows between which a run may be cancelled.
const BLOCK_ROWS: usize = 256;

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

    /// The scores of each row of an input, before they are transformed.
    fn scores(&self, args: &Args<'_>, rows: usize, buffers: &mut Buffers) -> Result<Vec<f32>> {
        let count = self.intercepts.len();
        let features = floats(args.get(0)?, buffers)?;
        let mut found = buffers.take(cells(rows, count))?;
        for block in features.chunks(cells(self.features.max(1), BLOCK_ROWS)) {
            args.go_on()?;
            self.coefficients.push_all(block, self.features, &mut found, buffers)?;
        }
        release(features, buffers);
        for row in found.chunks_exact_mut(count.max(1)) {
            row.iter_mut().zip(&self.intercepts).for_each(|(score, intercept)| *score += intercept);
        }
        Ok(found)
    }
}

impl Kernel for Classifier {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (scorer, columns) = (&self.scorer, self.labels.len());
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, scorer.features)?;
        let mut found = scorer.scores(args, rows, buffers)?;
        let mut chosen = Chosen::of(&self.labels, rows, buffers)?;
        let out = if scorer.intercepts.len() == 1 {
            // One score of two classes: the first has what is left of 1.
            let mut out = buffers.take(cells(rows, columns))?;
            for score in &found {
                chosen.push(usize::from(*score > 0.0));
                out.extend(both(f64::from(*score), First::Rest, scorer.post));
            }
            buffers.give(found);
            out
        } else {
            for row in found.chunks_exact_mut(scorer.intercepts.len().max(1)) {
                chosen.push(largest(row));
                transform(scorer.post, row);
            }
            found
        };
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
        let mut out = scorer.scores(args, rows, buffers)?;
        out.chunks_exact_mut((*targets).max(1)).for_each(|row| transform(scorer.post, row));
        made.push(scores::tensor(rows, *targets, TensorData::Fp32(out))?);
        Ok(())
    }
}
