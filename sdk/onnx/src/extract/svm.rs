//! `SVMClassifier` and `SVMRegressor`.

use super::{Labels, PostTransform, missing, named, not_this, same_length};
use crate::{
    error::{Error, Result},
    graph::Node,
};

/// How much two rows are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SvmKernel {
    /// `a·b`.
    Linear,
    /// `(gamma · a·b + coef0) ^ degree`.
    Poly {
        /// `kernel_params[0]`.
        gamma: f32,
        /// `kernel_params[1]`.
        coef0: f32,
        /// `kernel_params[2]`.
        degree: f32,
    },
    /// `exp(-gamma · |a - b|²)`.
    Rbf {
        /// `kernel_params[0]`.
        gamma: f32,
    },
    /// `tanh(gamma · a·b + coef0)`.
    Sigmoid {
        /// `kernel_params[0]`.
        gamma: f32,
        /// `kernel_params[1]`.
        coef0: f32,
    },
}

/// A support vector machine, in one of two forms.
///
/// With support vectors, a regressor gives `Σ coefficients[v] · kernel(x, v) + rho[0]`, and a classifier
/// compares each pair of classes `i < j`: `Σ coefficients[j - 1][v] · kernel(x, v)` over the vectors of `i`,
/// plus `Σ coefficients[i][v] · kernel(x, v)` over those of `j`, plus the pair's `rho`; above zero it is a
/// vote for `i`. Without support vectors it is linear: `coefficients[class] · x + rho[0]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Svm {
    /// `kernel_type` and `kernel_params`; linear when there are no support vectors.
    pub kernel: SvmKernel,
    /// `support_vectors`: row by row, [`Svm::features`] each; those of a class stand together.
    pub support_vectors: Vec<f32>,
    /// How many support vectors there are.
    pub vectors: usize,
    /// `vectors_per_class`: as many as labels; none for a regressor and for the linear form.
    pub vectors_per_class: Vec<usize>,
    /// `coefficients`: row by row. With support vectors one row of a regressor and one less than classes of a
    /// classifier, one column per vector; in the linear form one row per class, one column per feature.
    pub coefficients: Vec<f32>,
    /// `rho`: at least one; at least one per pair of classes for a classifier with support vectors.
    pub rho: Vec<f32>,
    /// `prob_a`: first parameter of each pair's probability `1 / (1 + exp(a · score + b))`; empty if the model
    /// has none.
    pub prob_a: Vec<f32>,
    /// `prob_b`: the second; as many.
    pub prob_b: Vec<f32>,
    /// Features of a row.
    pub features: usize,
    /// `classlabels_*`; none for a regressor.
    pub labels: Option<Labels>,
    /// `one_class` of a regressor: only the sign of the result counts.
    pub is_one_class: bool,
    /// `post_transform`.
    pub post_transform: PostTransform,
}

impl Svm {
    /// Takes the model out of a node. `width` is the number of features of the node's input, if declared.
    ///
    /// # Errors
    /// `Invalid` when lists do not fit each other, `Unsupported` when the node is another operator.
    pub fn of(node: &Node, width: Option<u64>) -> Result<Self> {
        let floats = |name: &str| Ok(node.floats(name)?.unwrap_or_default().to_vec());
        let (coefficients, rho, support_vectors) =
            (floats("coefficients")?, floats("rho")?, floats("support_vectors")?);
        if coefficients.is_empty() || rho.is_empty() {
            return Err(missing(if rho.is_empty() { "rho" } else { "coefficients" }));
        }
        let (prob_a, prob_b) = (floats("prob_a")?, floats("prob_b")?);
        same_length("prob_b", prob_b.len(), prob_a.len())?;
        let (labels, vectors_per_class) = match (&*node.domain, &*node.op_type) {
            ("ai.onnx.ml", "SVMClassifier") => {
                let labels = Labels::attribute(node, "classlabels_ints", "classlabels_strings")?;
                (Some(labels), per_class(node)?)
            }
            ("ai.onnx.ml", "SVMRegressor") => (None, Vec::new()),
            _ => return Err(not_this(node)),
        };
        let vectors = match labels {
            Some(_) => total(&vectors_per_class)?,
            None => count("n_supports", node.int("n_supports")?.unwrap_or(0))?,
        };
        let classes = labels.as_ref().map_or(1, Labels::len);
        let kernel = if vectors == 0 { SvmKernel::Linear } else { kernel(node)? };
        let mut model = Self {
            kernel,
            support_vectors,
            vectors,
            vectors_per_class,
            coefficients,
            rho,
            prob_a,
            prob_b,
            features: 0,
            labels,
            is_one_class: node.int("one_class")?.unwrap_or(0) != 0,
            post_transform: PostTransform::of(node)?,
        };
        if vectors == 0 {
            model.vectors_per_class.clear();
            model.features = divided("coefficients", model.coefficients.len(), classes)?;
        } else {
            model.features = divided("support_vectors", model.support_vectors.len(), vectors)?;
            model.check_vectors(classes)?;
        }
        if let Some(width) = width.filter(|width| *width != model.features as u64) {
            let error = Error::invalid("the model is not for rows of this width");
            return Err(error.expected(width.to_string()).got(model.features.to_string()));
        }
        Ok(model)
    }

    /// Pairs of classes, each compared with each: `(0, 1)`, `(0, 2)`, … `(1, 2)`, ….
    #[must_use]
    pub fn pairs(&self) -> usize {
        let classes = self.labels.as_ref().map_or(0, Labels::len);
        classes * classes.saturating_sub(1) / 2
    }

    /// What a model with support vectors must fulfil.
    fn check_vectors(&self, classes: usize) -> Result<()> {
        if self.labels.is_none() {
            return same_length("coefficients", self.coefficients.len(), self.vectors);
        }
        if classes < 2 {
            return Err(Error::invalid("classes are compared in pairs, and there is one").expected("2 or more labels"));
        }
        same_length("vectors_per_class", self.vectors_per_class.len(), classes)?;
        let wanted = (classes - 1).saturating_mul(self.vectors);
        same_length("coefficients", self.coefficients.len(), wanted)?;
        let pairs = self.pairs();
        for (name, length) in [("rho", self.rho.len()), ("prob_a", self.prob_a.len())] {
            // ONNX Runtime allows more than there are pairs.
            if length < pairs && (name == "rho" || length > 0) {
                let error = Error::invalid(format!("{name} has less numbers than there are pairs of classes"));
                return Err(error.expected(pairs.to_string()).got(length.to_string()));
            }
        }
        Ok(())
    }
}

fn per_class(node: &Node) -> Result<Vec<usize>> {
    let list = node.ints("vectors_per_class")?.unwrap_or_default();
    list.iter().map(|raw| count("vectors_per_class", *raw)).collect()
}

fn total(list: &[usize]) -> Result<usize> {
    let sum = list.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count));
    sum.ok_or_else(|| Error::invalid("vectors_per_class is more than there can be"))
}

fn count(name: &str, raw: i64) -> Result<usize> {
    usize::try_from(raw).map_err(|_| Error::invalid(format!("{name} is negative")).got(raw.to_string()))
}

/// How many elements each of `parts` gets: the same, and at least one.
fn divided(name: &str, length: usize, parts: usize) -> Result<usize> {
    let each = length.checked_div(parts).filter(|each| *each > 0 && *each * parts == length);
    each.ok_or_else(|| {
        let error = Error::invalid(format!("{name} does not divide into rows"));
        error.expected(format!("a multiple of {parts}")).got(length.to_string())
    })
}

/// `kernel_type` and `kernel_params`, which the linear kernel does without.
fn kernel(node: &Node) -> Result<SvmKernel> {
    #[derive(Clone, Copy, Default)]
    enum Kind {
        #[default]
        Linear,
        Poly,
        Rbf,
        Sigmoid,
    }
    let names = [("LINEAR", Kind::Linear), ("POLY", Kind::Poly), ("RBF", Kind::Rbf), ("SIGMOID", Kind::Sigmoid)];
    let (kind, params) = (named(node, "kernel_type", &names)?, node.floats("kernel_params")?.unwrap_or_default());
    match (kind, params) {
        (Kind::Linear, _) => Ok(SvmKernel::Linear),
        (Kind::Poly, [gamma, coef0, degree]) => Ok(SvmKernel::Poly { gamma: *gamma, coef0: *coef0, degree: *degree }),
        (Kind::Rbf, [gamma, _, _]) => Ok(SvmKernel::Rbf { gamma: *gamma }),
        (Kind::Sigmoid, [gamma, coef0, _]) => Ok(SvmKernel::Sigmoid { gamma: *gamma, coef0: *coef0 }),
        (Kind::Poly | Kind::Rbf | Kind::Sigmoid, _) => Err(Error::invalid("kernel_params is not what a kernel needs")
            .expected("gamma, coef0 and degree")
            .got(format!("{} numbers", params.len()))),
    }
}
