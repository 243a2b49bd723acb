//! `LinearClassifier` and `LinearRegressor`.

use candor_domain::{Datatype, Error, Result, Tensor};
use candor_engine_source::told;
use candor_onnx::extract::{Labels, Linear, PostTransform};

use super::{
    dense::dot,
    numbers::{cells, floats, input, release, row_dims, rows_dim, rows_of},
    scores::{Chosen, First, both, datatype, largest, scores, transform},
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
    Ok(Built { kernel: Box::new(Classifier { model, labels }), outputs })
}

struct Classifier {
    model: Linear,
    labels: Labels,
}

/// Appends the scores of one row.
fn push_scores(model: &Linear, row: &[f32], out: &mut Vec<f32>) {
    let coefficients = model.coefficients.chunks_exact(model.features.max(1));
    out.extend(coefficients.zip(&model.intercepts).map(|(coefficients, intercept)| dot(coefficients, row) + intercept));
}

impl Kernel for Classifier {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (model, columns) = (&self.model, self.labels.len());
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, model.features)?;
        let features = floats(tensor, buffers)?;
        let mut out = buffers.take(cells(rows, columns))?;
        let mut chosen = Chosen::of(&self.labels, rows, buffers)?;
        for row in features.chunks_exact(model.features.max(1)) {
            args.go_on()?;
            let start = out.len();
            push_scores(model, row, &mut out);
            let Some(found) = out.get_mut(start..) else { continue };
            if let [score] = *found {
                // One score of two classes: the first has what is left of 1.
                chosen.push(usize::from(score > 0.0));
                out.truncate(start);
                out.extend(both(f64::from(score), First::Rest, model.post_transform));
            } else {
                chosen.push(largest(found));
                transform(model.post_transform, found);
            }
        }
        release(features, buffers);
        made.push(chosen.tensor()?);
        made.push(scores(rows, columns, out)?);
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
    Built::one(Regressor(model), Datatype::Fp32, dims)
}

struct Regressor(Linear);

impl Kernel for Regressor {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let model = &self.0;
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, model.features)?;
        let features = floats(tensor, buffers)?;
        let mut out = buffers.take(cells(rows, model.scores))?;
        for row in features.chunks_exact(model.features.max(1)) {
            args.go_on()?;
            let start = out.len();
            push_scores(model, row, &mut out);
            if let Some(found) = out.get_mut(start..) {
                transform(model.post_transform, found);
            }
        }
        release(features, buffers);
        made.push(scores(rows, model.scores, out)?);
        Ok(())
    }
}
