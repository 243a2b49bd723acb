//! `LinearClassifier` and `LinearRegressor`.

use super::{Labels, PostTransform, missing, not_this, same_length};
use crate::{
    error::{Error, Result},
    graph::Node,
};

/// A linear model: `scores[t] = Σ coefficients[t][f] · x[f] + intercepts[t]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `coefficients`: row by row, one row per score.
    pub coefficients: Vec<f32>,
    /// `intercepts`: one per score, zeros where the node has none.
    pub intercepts: Vec<f32>,
    /// Scores: one per class or target; one for two classes if the node is such (then the other class has
    /// what is left).
    pub scores: usize,
    /// Features of a row.
    pub features: usize,
    /// `classlabels_*`; none for a regressor.
    pub labels: Option<Labels>,
    /// `multi_class`: trained as one problem (1) and not one per class (0); scores are computed alike.
    pub is_multi_class: bool,
    /// `post_transform`.
    pub post_transform: PostTransform,
}

impl Linear {
    /// Takes the model out of a node. `width` is the number of features of the node's input, if declared.
    ///
    /// # Errors
    /// `Invalid` when lists do not fit each other, `Unsupported` when the node is another operator.
    pub fn of(node: &Node, width: Option<u64>) -> Result<Self> {
        let coefficients = node.floats("coefficients")?.filter(|list| !list.is_empty());
        let coefficients = coefficients.ok_or_else(|| missing("coefficients"))?.to_vec();
        let intercepts = node.floats("intercepts")?.unwrap_or_default();
        let (labels, scores) = match (&*node.domain, &*node.op_type) {
            ("ai.onnx.ml", "LinearClassifier") => {
                let labels = Labels::attribute(node, "classlabels_ints", "classlabels_strings")?;
                let scores = scores(&labels, intercepts.len(), coefficients.len(), width);
                (Some(labels), scores)
            }
            ("ai.onnx.ml", "LinearRegressor") => {
                let targets = node.int("targets")?.unwrap_or(1);
                let count = usize::try_from(targets).ok().filter(|count| *count > 0);
                let error = || Error::invalid("there must be a target").at("targets").got(targets.to_string());
                (None, count.ok_or_else(error)?)
            }
            _ => return Err(not_this(node)),
        };
        if let Some(labels) =
            labels.as_ref().filter(|labels| labels.len() != scores && (labels.len(), scores) != (2, 1))
        {
            let error = Error::invalid("there are not as many scores as classes");
            return Err(error.expected(format!("{} scores", labels.len())).got(scores.to_string()));
        }
        if !intercepts.is_empty() {
            same_length("intercepts", intercepts.len(), scores)?;
        }
        let features = coefficients.len() / scores;
        same_length("coefficients", coefficients.len(), features * scores)?;
        if let Some(width) = width.filter(|width| *width != features as u64) {
            let error = Error::invalid("the coefficients are not for rows of this width").at("coefficients");
            return Err(error.expected(format!("{width} a score")).got(features.to_string()));
        }
        let intercepts = if intercepts.is_empty() { vec![0.0; scores] } else { intercepts.to_vec() };
        let is_multi_class = node.int("multi_class")?.unwrap_or(0) != 0;
        let post_transform = PostTransform::of(node)?;
        Ok(Self { coefficients, intercepts, scores, features, labels, is_multi_class, post_transform })
    }
}

/// The specification does not say how many scores a classifier has: there is one per intercept; without
/// intercepts the width of a row tells, and else the classes.
fn scores(labels: &Labels, intercepts: usize, coefficients: usize, width: Option<u64>) -> usize {
    let by_width = width.and_then(|width| coefficients.checked_div(usize::try_from(width).ok()?));
    let known = Some(intercepts).filter(|count| *count > 0).or(by_width.filter(|count| *count > 0));
    known.unwrap_or(labels.len()).max(1)
}
