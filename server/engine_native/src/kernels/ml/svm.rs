//! `SVMClassifier` and `SVMRegressor`.

use candor_domain::{Datatype, Result, Tensor, TensorData};
use candor_engine_source::told;
use candor_onnx::extract::{Labels, PostTransform, Svm, SvmKernel};

use super::{
    coupling::Coupling,
    dense::{Dense, dot, dot_wide, fused},
    numbers::{cells, floats, input, release, row_dims, rows_dim, rows_of},
    scores::{self, Chosen, First, both, datatype, largest, transform},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// The support vectors, and how a row is compared with them.
struct Comparer {
    kernel: SvmKernel,
    vectors: Dense,
}

impl Comparer {
    fn of(model: &mut Svm) -> Self {
        let vectors = std::mem::take(&mut model.support_vectors);
        Self { kernel: model.kernel, vectors: Dense::new(&vectors, model.features) }
    }

    /// Sets `alikes` to how much `row` is like each support vector, in 32 bits.
    fn compare(&self, row: &[f32], alikes: &mut Vec<f32>) {
        alikes.clear();
        match self.kernel {
            SvmKernel::Rbf { .. } => self.vectors.push_squared_distances(row, alikes),
            SvmKernel::Linear | SvmKernel::Poly { .. } | SvmKernel::Sigmoid { .. } => {
                self.vectors.push_dots(row, alikes);
            }
        }
        let power = |base: f32, degree: f32| match degree {
            2.0 => base * base,
            3.0 => base * base * base,
            _ => base.powf(degree),
        };
        match self.kernel {
            SvmKernel::Linear => {}
            SvmKernel::Poly { gamma, coef0, degree } => {
                alikes.iter_mut().for_each(|dot| *dot = power(fused(gamma, *dot, coef0), degree));
            }
            SvmKernel::Rbf { gamma } => alikes.iter_mut().for_each(|distance| *distance = (-gamma * *distance).exp()),
            SvmKernel::Sigmoid { gamma, coef0 } => {
                alikes.iter_mut().for_each(|dot| *dot = fused(gamma, *dot, coef0).tanh());
            }
        }
    }
}

/// `SVMRegressor`: one number per row; for one class its sign.
pub(super) fn regressor(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let mut model = Svm::of(build.node, build.width(0)).map_err(|error| told(&error))?;
    // ONNX Runtime reads `post_transform` here and never applies it.
    let dims = row_dims(known, 1);
    Built::one(Regressor { comparer: Comparer::of(&mut model), model }, Datatype::Fp32, dims)
}

struct Regressor {
    model: Svm,
    comparer: Comparer,
}

impl Kernel for Regressor {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let Self { model, comparer } = self;
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, model.features)?;
        let features = floats(tensor, buffers)?;
        let (mut out, mut alikes) = (buffers.take(rows)?, buffers.take(model.vectors)?);
        let rho = model.rho.first().copied().unwrap_or_default();
        for row in features.chunks_exact(model.features.max(1)) {
            args.go_on()?;
            let sum = if model.vectors == 0 {
                dot(row, &model.coefficients)
            } else {
                comparer.compare(row, &mut alikes);
                dot(&alikes, &model.coefficients)
            } + rho;
            let sign = if sum > 0.0 { 1.0 } else { -1.0 };
            out.push(if model.is_one_class { sign } else { sum });
        }
        buffers.give(alikes);
        release(features, buffers);
        made.push(scores::tensor(rows, 1, TensorData::Fp32(out))?);
        Ok(())
    }
}

/// `SVMClassifier`: a label, and as scores what pairs of classes got, probabilities, or one per class in the
/// linear form.
pub(super) fn classifier(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let mut model = Svm::of(build.node, build.width(0)).map_err(|error| told(&error))?;
    let labels = model.labels.take();
    let labels = labels.ok_or_else(|| candor_domain::Error::model("a classifier has labels"))?;
    let classes = labels.len();
    let (linear, probable) = (model.vectors == 0, !model.prob_a.is_empty());
    let columns = if linear || probable || classes == 2 { classes } else { classes * (classes - 1) / 2 };
    if !linear && !probable && classes == 2 && model.post_transform == PostTransform::Probit {
        return Err(build.unsupported("PROBIT of one score for two classes: ONNX Runtime leaves one of them open"));
    }
    let outputs =
        vec![(datatype(&labels), rows_dim(known).map(|rows| vec![rows])), (Datatype::Fp32, row_dims(known, columns))];
    let kernel: Box<dyn Kernel> = if linear {
        let is_positive = model.coefficients.iter().all(|coefficient| *coefficient >= 0.0);
        let coefficients = Dense::new(&model.coefficients, model.features);
        Box::new(LinearForm { model, coefficients, labels, is_positive, probable })
    } else {
        Box::new(Classifier { pairs: Pair::all(&model), comparer: Comparer::of(&mut model), model, labels, columns })
    };
    Ok(Built { kernel, outputs })
}

/// A classifier without support vectors.
struct LinearForm {
    model: Svm,
    coefficients: Dense,
    labels: Labels,
    /// No coefficient is below zero.
    is_positive: bool,
    /// There are parameters of probabilities, which change the choice and nothing else.
    probable: bool,
}

impl LinearForm {
    /// Which class a row is of. Of two classes the second is taken when *any* score is high enough, whosever
    /// it is: so does ONNX Runtime.
    fn choose(&self, scores: &[f32]) -> usize {
        let class = largest(scores);
        let most = scores.get(class).copied().unwrap_or_default();
        let is_high = if self.is_positive { most >= 0.5 } else { most > 0.0 };
        if scores.len() == 2 && !self.probable && is_high { 1 } else { class }
    }
}

impl Kernel for LinearForm {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (model, classes) = (&self.model, self.labels.len());
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, model.features)?;
        let features = floats(tensor, buffers)?;
        let mut out = buffers.take(cells(rows, classes))?;
        let mut chosen = Chosen::of(&self.labels, rows, buffers)?;
        let rho = model.rho.first().copied().unwrap_or_default();
        for row in features.chunks_exact(model.features.max(1)) {
            args.go_on()?;
            let start = out.len();
            self.coefficients.push_dots(row, &mut out);
            let found = out.get_mut(start..).unwrap_or_default();
            found.iter_mut().for_each(|score| *score += rho);
            chosen.push(self.choose(found));
            // Of a single class ONNX Runtime transforms the score by PROBIT and by nothing else.
            if classes > 1 || model.post_transform == PostTransform::Probit {
                transform(model.post_transform, found);
            }
        }
        release(features, buffers);
        made.push(chosen.tensor()?);
        made.push(scores::tensor(rows, classes, TensorData::Fp32(out))?);
        Ok(())
    }
}

/// Two classes that are compared, and where what they need lies.
struct Pair {
    first: usize,
    second: usize,
    rho: f32,
    /// The first class's vectors, and where their coefficients begin.
    of_first: (std::ops::Range<usize>, usize),
    /// The second class's.
    of_second: (std::ops::Range<usize>, usize),
}

impl Pair {
    fn all(model: &Svm) -> Vec<Self> {
        let ranges: Vec<_> = model
            .vectors_per_class
            .iter()
            .scan(0, |start, count| {
                let range = *start..*start + count;
                *start = range.end;
                Some(range)
            })
            .collect();
        let mut pairs = Vec::new();
        for (first, one) in ranges.iter().enumerate() {
            for (second, other) in ranges.iter().enumerate().skip(first + 1) {
                let rho = model.rho.get(pairs.len()).copied().unwrap_or_default();
                pairs.push(Self {
                    first,
                    second,
                    rho,
                    of_first: (one.clone(), (second - 1) * model.vectors + one.start),
                    of_second: (other.clone(), first * model.vectors + other.start),
                });
            }
        }
        pairs
    }

    /// Above zero for the first, else for the second class; added up in 64 bits, as ONNX Runtime does.
    fn score(&self, model: &Svm, alikes: &[f32]) -> f64 {
        let part = |(range, start): &(std::ops::Range<usize>, usize)| {
            let coefficients = model.coefficients.get(*start..).unwrap_or_default();
            dot_wide(coefficients.get(..range.len()).unwrap_or_default(), alikes.get(range.clone()).unwrap_or_default())
        };
        part(&self.of_first) + part(&self.of_second) + f64::from(self.rho)
    }
}

/// A classifier that compares pairs of classes: the label is the class of most votes, whatever the scores.
struct Classifier {
    model: Svm,
    comparer: Comparer,
    labels: Labels,
    pairs: Vec<Pair>,
    columns: usize,
}

impl Classifier {
    /// Appends what the pairs got, or the probabilities out of it.
    fn push_scores(&self, of_pairs: &[f32], coupling: &mut Coupling, out: &mut Vec<f32>) {
        let post = self.model.post_transform;
        let start = out.len();
        if !self.model.prob_a.is_empty() {
            let parameters = self.model.prob_a.iter().zip(&self.model.prob_b).map(|(a, b)| (*a, *b));
            out.extend(coupling.probabilities(of_pairs, parameters));
        } else if let [score] = of_pairs {
            // ONNX Runtime takes the score for a margin if nothing is done to it, and else for a probability.
            let first = if post == PostTransform::None { First::Opposite } else { First::Rest };
            out.extend(both(f64::from(*score), first, post));
            return;
        } else {
            out.extend(of_pairs);
        }
        if let Some(found) = out.get_mut(start..) {
            transform(post, found);
        }
    }
}

impl Kernel for Classifier {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (model, classes) = (&self.model, self.labels.len());
        let tensor = args.get(0)?;
        let rows = rows_of(tensor, model.features)?;
        let features = floats(tensor, buffers)?;
        let mut out = buffers.take(cells(rows, self.columns))?;
        let (mut alikes, mut of_pairs) = (buffers.take(model.vectors)?, buffers.take(self.pairs.len())?);
        let mut votes = buffers.take::<i32>(classes)?;
        let mut coupling = Coupling::new(if model.prob_a.is_empty() { 0 } else { classes }, buffers)?;
        let mut chosen = Chosen::of(&self.labels, rows, buffers)?;
        for row in features.chunks_exact(model.features.max(1)) {
            args.go_on()?;
            self.comparer.compare(row, &mut alikes);
            of_pairs.clear();
            votes.clear();
            votes.resize(classes, 0);
            for pair in &self.pairs {
                let score = pair.score(model, &alikes);
                let winner = if score > 0.0 { pair.first } else { pair.second };
                votes.get_mut(winner).into_iter().for_each(|votes| *votes += 1);
                #[allow(clippy::cast_possible_truncation, reason = "scores have 32 bits")]
                of_pairs.push(score as f32);
            }
            chosen.push(largest(&votes));
            self.push_scores(&of_pairs, &mut coupling, &mut out);
        }
        coupling.release(buffers);
        buffers.give(votes);
        buffers.give(of_pairs);
        buffers.give(alikes);
        release(features, buffers);
        made.push(chosen.tensor()?);
        made.push(scores::tensor(rows, self.columns, TensorData::Fp32(out))?);
        Ok(())
    }
}
