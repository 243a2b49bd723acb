//! Names of classes, and which outputs of a graph speak of them.

use crate::{
    error::{Error, Result},
    graph::{Graph, Node},
};

/// Names of classes (`classlabels_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// `classlabels_int64s`, `classlabels_ints`.
    Ints(Vec<i64>),
    /// `classlabels_strings`.
    Strings(Vec<String>),
}

impl Labels {
    /// How many classes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Ints(list) => list.len(),
            Self::Strings(list) => list.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of a node. One and only one of the two attributes must be defined.
    ///
    /// # Errors
    /// `Invalid` when both are or none is, or a label is not UTF-8.
    pub fn attribute(node: &Node, ints: &str, strings: &str) -> Result<Self> {
        let numbers = node.ints(ints)?.filter(|list| !list.is_empty());
        let texts = node.strings(strings)?.filter(|list| !list.is_empty());
        match (numbers, texts) {
            (Some(numbers), None) => Ok(Self::Ints(numbers.to_vec())),
            (None, Some(texts)) => {
                let texts = texts.iter().map(|text| String::from_utf8(text.to_vec()));
                let texts = texts.collect::<std::result::Result<_, _>>();
                texts.map(Self::Strings).map_err(|_| Error::invalid(format!("{strings} are not UTF-8")))
            }
            (numbers, _) => Err(Error::invalid("the classes have no labels, or two lists of them")
                .expected(format!("one of {ints} and {strings}"))
                .got(if numbers.is_some() { "both" } else { "none" })),
        }
    }
}

/// What an output of a graph has to do with classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classes {
    /// Its elements are labels: each is one of these.
    Elements(Labels),
    /// Its last dimension has one column per class, in this order.
    Columns(Labels),
}

impl Classes {
    /// Of the output `name`, if the operator that makes it says so: a classifier or `ZipMap` of `ai.onnx.ml`,
    /// also where operators follow that leave classes where they are. Nothing where attributes are wrong.
    #[must_use]
    pub fn of(graph: &Graph, name: &str) -> Option<Self> {
        let mut name = name;
        // As many steps as there are nodes: a graph that has not been ordered may have a circle.
        for _ in 0..=graph.nodes.len() {
            let (_, node, output) = graph.producer(name)?;
            match (&*node.domain, &*node.op_type) {
                ("", "Identity" | "Cast") | ("ai.onnx.ml", "Normalizer") => name = node.inputs.first()?,
                ("ai.onnx.ml", _) => return Self::made_by(node, output),
                _ => return None,
            }
        }
        None
    }

    fn made_by(node: &Node, output: usize) -> Option<Self> {
        let ints = if matches!(&*node.op_type, "LinearClassifier" | "SVMClassifier") { "ints" } else { "int64s" };
        let labels = || Labels::attribute(node, &format!("classlabels_{ints}"), "classlabels_strings").ok();
        match (&*node.op_type, output) {
            ("LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier", 0) => labels().map(Self::Elements),
            ("LinearClassifier" | "TreeEnsembleClassifier", 1) | ("ZipMap", 0) => labels().map(Self::Columns),
            // Scores of a machine without probabilities are those of pairs of classes.
            ("SVMClassifier", 1) => {
                let has = |name: &str| node.floats(name).is_ok_and(|list| list.is_some_and(|list| !list.is_empty()));
                let labels = labels()?;
                let by_class = has("prob_a") || !has("support_vectors") || labels.len() == 2;
                by_class.then_some(Self::Columns(labels))
            }
            _ => None,
        }
    }
}
