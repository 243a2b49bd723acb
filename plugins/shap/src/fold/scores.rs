//! What a model has said, and what the graph does with it: outputs as sums of scores, and one transform at the end.
//!
//! It does not know how scores come about.

use candor_onnx::{Node, extract::PostTransform};

use super::{
    standard::{cast_to, fixed, input, positions, reshaped},
    value::{Fixed, Value, told},
};
use crate::refusal::Refusal;

/// An output of a model, before its transform: `offset + Σ factor · score`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    /// Scores and factors.
    pub terms: Vec<(usize, f64)>,
    /// What is added.
    pub offset: f64,
}

/// What is done with outputs at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Post {
    /// Nothing.
    None,
    /// `1 / (1 + exp(-x))`, each by itself.
    Logistic,
    /// Anything else, by name: of use for margins only.
    Other(String),
}

/// Scores of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Which model of the graph.
    pub core: usize,
    /// One for each column.
    pub outputs: Vec<Output>,
    /// The transform.
    pub post: Post,
    /// Whether outputs without a transform are probabilities already.
    pub are_probabilities: bool,
}

impl Output {
    /// A score as it is.
    #[must_use]
    pub fn score(at: usize) -> Self {
        Self { terms: vec![(at, 1.0)], offset: 0.0 }
    }

    /// A score with another sign, and something added.
    #[must_use]
    pub fn less(at: usize, offset: f64) -> Self {
        Self { terms: vec![(at, -1.0)], offset }
    }

    /// What it is, of scores.
    #[must_use]
    pub fn of(&self, scores: &[f64]) -> f64 {
        self.offset + self.weighed(|at| scores.get(at).copied().unwrap_or_default())
    }

    /// The same of shares, which know no offset.
    pub fn weighed(&self, share: impl Fn(usize) -> f64) -> f64 {
        self.terms.iter().map(|(at, factor)| factor * share(*at)).sum()
    }

    fn scaled(&self, factor: f64, offset: f64) -> Self {
        let terms = self.terms.iter().map(|(at, own)| (*at, own * factor)).collect();
        Self { terms, offset: self.offset * factor + offset }
    }
}

impl Post {
    /// Of a node's attribute.
    #[must_use]
    pub fn of(post: PostTransform) -> Self {
        match post {
            PostTransform::None => Self::None,
            PostTransform::Logistic => Self::Logistic,
            PostTransform::Softmax => Self::Other("SOFTMAX".to_owned()),
            PostTransform::SoftmaxZero => Self::Other("SOFTMAX_ZERO".to_owned()),
            PostTransform::Probit => Self::Other("PROBIT".to_owned()),
        }
    }

    /// What it makes of a margin, if that depends on no other.
    #[must_use]
    pub fn done(&self, margin: f64) -> Option<f64> {
        match self {
            Self::None => Some(margin),
            Self::Logistic => Some(1.0 / (1.0 + (-margin).exp())),
            Self::Other(_) => None,
        }
    }
}

/// What a node makes of scores; none if there are no scores among its inputs.
pub fn made(node: &Node, inputs: &[Option<&Value>]) -> Option<Result<Value, Refusal>> {
    let place = inputs.iter().position(|value| matches!(value, Some(Value::Scores(_))))?;
    let Some(Some(Value::Scores(scores))) = inputs.get(place) else { return None };
    let other = |at: usize| fixed(inputs, at);
    Some(match &*node.op_type {
        "Identity" | "ZipMap" | "Flatten" | "Squeeze" | "Unsqueeze" => Ok(Value::Scores(scores.clone())),
        "Cast" => cast_to(node).map(|_| Value::Scores(scores.clone())),
        "Reshape" => fixed(inputs, 1).and_then(|wanted| {
            let count = scores.outputs.len();
            reshaped(&wanted.integers(), &[count], count).map(|_| Value::Scores(scores.clone()))
        }),
        "Add" | "Sub" | "Mul" | "Div" if inputs.len() == 2 => {
            other(1 - place).and_then(|by| affine(scores, &node.op_type, place == 0, by).map(Value::Scores))
        }
        "Sigmoid" if scores.post == Post::None => Ok(with(scores, Post::Logistic)),
        "Softmax" | "Exp" | "Sigmoid" => Ok(with(scores, Post::Other(node.op_type.clone()))),
        "Normalizer" => Ok(normalized(scores)),
        "ArrayFeatureExtractor" | "Gather" if place == 0 => picked(node, scores, other(1)),
        "Concat" => concat(inputs),
        "ArgMax" | "ArgMin" | "TopK" => Ok(Value::Label),
        _ => Err(Refusal::new("it does with a model's answer what is not folded")),
    })
}

fn with(scores: &Scores, post: Post) -> Value {
    Value::Scores(Scores { post, ..scores.clone() })
}

/// Each output by a constant. Of what was transformed, only `1 - p` of a logistic curve can be said again.
fn affine(scores: &Scores, op: &str, is_first: bool, by: &Fixed) -> Result<Scores, Refusal> {
    let numbers = &by.numbers;
    if numbers.len() != 1 && numbers.len() != scores.outputs.len() {
        return Err(Refusal::new("a constant has not one number for each score"));
    }
    let number = |at: usize| numbers.get(if numbers.len() == 1 { 0 } else { at }).copied().unwrap_or_default();
    let mut made = scores.clone();
    for (at, output) in made.outputs.iter_mut().enumerate() {
        let by = number(at);
        let (factor, offset) = match (op, is_first) {
            ("Add", _) => (1.0, by),
            ("Sub", true) => (1.0, -by),
            ("Sub", false) => (-1.0, by),
            ("Mul", _) => (by, 0.0),
            ("Div", true) if by != 0.0 => (1.0 / by, 0.0),
            _ => return Err(Refusal::new("it divides by a model's answer")),
        };
        if !factor.is_finite() || !offset.is_finite() {
            return Err(Refusal::new("a constant is no finite number"));
        }
        *output = match (&scores.post, factor, offset) {
            (Post::None, ..) => output.scaled(factor, offset),
            (_, 1.0, 0.0) => output.clone(),
            // 1 - 1 / (1 + exp(-x)) = 1 / (1 + exp(x)).
            (Post::Logistic, -1.0, 1.0) => output.scaled(-1.0, 0.0),
            _ => return Err(Refusal::new("it moves or stretches what was transformed before")),
        };
    }
    Ok(made)
}

/// Divides by the sum of all: nothing where that is 1 already.
fn normalized(scores: &Scores) -> Value {
    let is_soft = matches!(&scores.post, Post::Other(name) if name.eq_ignore_ascii_case("softmax"));
    let is_pair = scores.post == Post::Logistic
        && matches!(&scores.outputs[..], [one, other] if one.scaled(-1.0, 0.0).terms == other.terms
            && one.offset == -other.offset);
    let sums_to_one = scores.post == Post::None && scores.are_probabilities;
    if is_soft || is_pair || sums_to_one {
        return Value::Scores(scores.clone());
    }
    with(scores, Post::Other("Normalizer".to_owned()))
}

fn picked(node: &Node, scores: &Scores, picks: Result<&Fixed, Refusal>) -> Result<Value, Refusal> {
    let axis = node.int("axis").map_err(|error| told(&error))?.unwrap_or(0);
    if node.op_type == "Gather" && axis != 1 && axis != -1 {
        return Err(Refusal::new("it works across rows"));
    }
    let places = positions(&picks?.integers(), scores.outputs.len())?;
    let outputs = places
        .iter()
        .map(|at| scores.outputs.get(*at).cloned().ok_or_else(|| Refusal::new("it picks a score that is not there")));
    let outputs = outputs.collect::<Result<_, _>>()?;
    Ok(Value::Scores(Scores { outputs, ..scores.clone() }))
}

/// Scores of one model beside each other.
fn concat(inputs: &[Option<&Value>]) -> Result<Value, Refusal> {
    let mut made: Option<Scores> = None;
    for at in 0..inputs.len() {
        let Value::Scores(scores) = input(inputs, at)? else {
            return Err(Refusal::new("it puts a model's answer beside features"));
        };
        match &mut made {
            None => made = Some(scores.clone()),
            Some(made) if made.core == scores.core && made.post == scores.post => {
                made.outputs.extend(scores.outputs.iter().cloned());
            }
            Some(_) => return Err(Refusal::new("it puts answers of several models together")),
        }
    }
    made.map(Value::Scores).ok_or_else(|| Refusal::new("it has no inputs"))
}
