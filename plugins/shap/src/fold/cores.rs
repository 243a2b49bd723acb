//! The node that is the model: a tree ensemble, a linear model, or a product with a matrix of constants.
//!
//! It does not know what stands before it, and what comes after.

use std::sync::Arc;

use candor_onnx::{
    Node,
    extract::{self, Numbers, TreeEnsemble},
};

use super::{
    expr::{Expr, Kind, One},
    scores::{Output, Post, Scores},
    standard::{columns, fixed},
    value::{Columns, Value, told},
};
use crate::{linear::Linear, refusal::Refusal, trees::Forest};

/// A model within a graph.
#[derive(Debug, Clone)]
pub struct Core {
    /// Where it stands.
    pub place: String,
    /// The columns that it reads.
    pub columns: Vec<Arc<Expr>>,
    /// What it does with them.
    pub model: Model,
}

/// What is explained.
#[derive(Debug, Clone)]
pub enum Model {
    /// Trees.
    Trees(Box<Forest>),
    /// Sums of coefficients.
    Linear(Linear),
}

type Made = Option<Result<(Core, Scores), Refusal>>;

/// The model that a node is, and its scores; none if it is none. `number` is that of the model.
pub fn made(node: &Node, place: &str, inputs: &[Option<&Value>], number: usize) -> Made {
    let reads_columns = matches!(inputs.first(), Some(Some(Value::Columns(_))));
    let made = match (&*node.domain, &*node.op_type) {
        ("ai.onnx.ml", "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "TreeEnsemble") => trees(node, inputs),
        ("ai.onnx.ml", "LinearClassifier" | "LinearRegressor") => linear(node, inputs),
        ("", "MatMul") if reads_columns => product(node, inputs),
        ("", "Gemm") if reads_columns => gemm(node, inputs),
        _ => return None,
    };
    Some(made.map(|(columns, model, mut scores)| {
        scores.core = number;
        (Core { place: place.to_owned(), columns, model }, scores)
    }))
}

/// Whether a node has scores as its second output, behind labels.
pub fn is_classifier(node: &Node) -> bool {
    matches!(&*node.op_type, "TreeEnsembleClassifier" | "LinearClassifier")
}

type Parts = Result<(Vec<Arc<Expr>>, Model, Scores), Refusal>;

/// Columns of rows of features, in 32 bits unless they are wider.
fn read(columns: &Columns, keeps_wide: bool) -> Result<Vec<Arc<Expr>>, Refusal> {
    if columns.kind == Kind::Text {
        return Err(Refusal::new("it reads text"));
    }
    if columns.dims.len() != 1 {
        return Err(Refusal::new("it reads rows of more than one dimension"));
    }
    if columns.kind == Kind::F32 || (keeps_wide && columns.kind == Kind::F64) {
        return Ok(columns.cells.clone());
    }
    columns.cells.iter().map(|cell| Expr::one(One::As(Kind::F32), cell)).collect()
}

fn trees(node: &Node, inputs: &[Option<&Value>]) -> Parts {
    let input = columns(inputs, 0)?;
    let ensemble = TreeEnsemble::of(node, Some(input.cells.len() as u64)).map_err(|error| told(&error))?;
    let one_score = ensemble.one_score && ensemble.base_values.len() != 2;
    let forest = Forest::of(&ensemble, one_score)?;
    let is_classifier = ensemble.labels.is_some();
    if is_classifier && ensemble.targets == 1 {
        return Err(Refusal::new("it classifies into one class"));
    }
    let post = Post::of(ensemble.post_transform);
    let outputs = if one_score {
        // ONNX Runtime's reading, where the specification is silent: votes for the second class leave the first at
        // zero; otherwise the first has what is left of 1, or the same with another sign.
        let is_second = ensemble.vote_targets.first() == Some(&1);
        if is_second && !ensemble.base_values.is_empty() {
            return Err(Refusal::new("one base value, while all votes are for the second of two classes"));
        }
        let first = if is_second {
            Output::default()
        } else if ensemble.votes_are_positive && post != Post::Logistic {
            Output::less(0, 1.0)
        } else {
            Output::less(0, 0.0)
        };
        vec![first, Output::score(0)]
    } else {
        (0..ensemble.targets).map(Output::score).collect()
    };
    let are_probabilities = is_classifier && ensemble.votes_are_positive && post == Post::None;
    let is_wide = [&ensemble.thresholds, &ensemble.members, &ensemble.vote_weights, &ensemble.base_values]
        .into_iter()
        .any(|list| matches!(list, Numbers::F64(_)));
    let cells = read(input, true)?;
    debug_assert!(input.kind == Kind::F64 || is_wide || cells.len() == input.cells.len());
    Ok((cells, Model::Trees(Box::new(forest)), Scores { core: 0, outputs, post, are_probabilities }))
}

fn linear(node: &Node, inputs: &[Option<&Value>]) -> Parts {
    let input = columns(inputs, 0)?;
    let found = extract::Linear::of(node, Some(input.cells.len() as u64)).map_err(|error| told(&error))?;
    let is_pair = found.labels.as_ref().is_some_and(|labels| labels.len() == 2) && found.scores == 1;
    let mut post = Post::of(found.post_transform);
    if found.labels.is_none() && found.scores == 1 && post != Post::of(extract::PostTransform::Probit) {
        // ONNX Runtime transforms a single target by PROBIT and by nothing else.
        post = Post::None;
    }
    let outputs = if is_pair {
        let rest = if post == Post::Logistic { 0.0 } else { 1.0 };
        vec![Output::less(0, rest), Output::score(0)]
    } else {
        (0..found.scores).map(Output::score).collect()
    };
    let coefficients = found.coefficients.iter().copied().map(f64::from).collect();
    let intercepts = found.intercepts.iter().copied().map(f64::from).collect();
    let model = Linear::new(found.features, coefficients, intercepts)?;
    Ok((read(input, false)?, Model::Linear(model), Scores { core: 0, outputs, post, are_probabilities: false }))
}

/// `x · W`, W of `[features, targets]` or `[features]`.
fn product(_node: &Node, inputs: &[Option<&Value>]) -> Parts {
    let (input, weights) = (columns(inputs, 0)?, fixed(inputs, 1)?);
    let (features, targets) = match weights.dims[..] {
        [features] => (features, 1),
        [features, targets] => (features, targets),
        _ => return Err(Refusal::new("its constant is no matrix")),
    };
    if features != input.cells.len() || targets == 0 {
        return Err(Refusal::new("its constant is not for rows of this width"));
    }
    let at = |at: usize| weights.numbers.get(at).copied().unwrap_or_default();
    let coefficients =
        (0..targets).flat_map(|target| (0..features).map(move |feature| feature * targets + target)).map(at).collect();
    let model = Linear::new(features, coefficients, vec![0.0; targets])?;
    Ok((read(input, true)?, Model::Linear(model), plain(targets)))
}

fn plain(targets: usize) -> Scores {
    let outputs = (0..targets).map(Output::score).collect();
    Scores { core: 0, outputs, post: Post::None, are_probabilities: false }
}

/// `alpha · x · W + beta · b`.
fn gemm(node: &Node, inputs: &[Option<&Value>]) -> Parts {
    let of = |error: candor_onnx::Error| told(&error);
    let (input, weights) = (columns(inputs, 0)?, fixed(inputs, 1)?);
    let flag = |name: &str| Ok::<_, Refusal>(node.int(name).map_err(of)?.unwrap_or(0) != 0);
    let number = |name: &str| Ok::<_, Refusal>(f64::from(node.float(name).map_err(of)?.unwrap_or(1.0)));
    let (is_turned, alpha, beta) = (flag("transB")?, number("alpha")?, number("beta")?);
    let [rows, width] = weights.dims[..] else { return Err(Refusal::new("its constant is no matrix")) };
    let (features, targets) = if is_turned { (width, rows) } else { (rows, width) };
    if flag("transA")? || features != input.cells.len() || targets == 0 {
        return Err(Refusal::new("its constant is not for rows of this width"));
    }
    let place =
        |target: usize, feature: usize| if is_turned { target * width + feature } else { feature * width + target };
    let at = |at: usize| alpha * weights.numbers.get(at).copied().unwrap_or_default();
    let coefficients =
        (0..targets).flat_map(|target| (0..features).map(move |feature| place(target, feature))).map(at).collect();
    let mut intercepts = vec![0.0; targets];
    if inputs.get(2).is_some_and(Option::is_some) {
        let added = &fixed(inputs, 2)?.numbers;
        if added.len() != 1 && added.len() != targets {
            return Err(Refusal::new("what it adds is not one number for each score"));
        }
        for (at, intercept) in intercepts.iter_mut().enumerate() {
            *intercept = beta * added.get(if added.len() == 1 { 0 } else { at }).copied().unwrap_or_default();
        }
    }
    let model = Linear::new(features, coefficients, intercepts)?;
    Ok((read(input, true)?, Model::Linear(model), plain(targets)))
}
