//! A whole model: what it imports, what it says of itself, its graph and its functions.

use std::collections::BTreeMap;

use prost::{Message as _, bytes::Bytes};

use crate::{
    error::{Error, ErrorKind, Result},
    graph::{Attribute, Graph},
    limits::{Census, Limits},
    proto::{MODEL, ModelProto},
    survey::survey,
};

/// Versions of operator sets by domain; ONNX's own is the empty one.
pub type Opsets = BTreeMap<String, i64>;

/// A model, read and checked for what a reader must rely on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Version of the file format.
    pub ir_version: i64,
    /// Operator sets that it is written for.
    pub opsets: Opsets,
    /// What wrote it.
    pub producer_name: String,
    /// Which version of that.
    pub producer_version: String,
    /// Whose model it is.
    pub domain: String,
    /// The author's own version number.
    pub model_version: i64,
    /// What its author says of it.
    pub doc: String,
    /// Custom metadata; of a key that is written twice the last counts.
    pub metadata: BTreeMap<String, String>,
    /// What is computed.
    pub graph: Graph,
    /// Functions that nodes may use like operators.
    pub functions: Vec<Function>,
    /// Graphs for training, which no engine of ours runs: initializations and algorithms.
    pub training: Vec<Graph>,
    /// What was counted before it was read.
    pub census: Census,
}

/// An operator that the model itself defines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Function {
    /// Its name; nodes call it by this and its domain.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// Which of several of that name.
    pub overload: String,
    /// Operator sets that its body is written for.
    pub opsets: Opsets,
    /// Names of attributes that a caller gives.
    pub attributes: Vec<String>,
    /// Attributes with a default.
    pub defaults: BTreeMap<String, Attribute>,
    /// Inputs and outputs (whose types are not declared) and nodes.
    pub body: Graph,
}

impl Model {
    /// Reads a file. Weights stay slices of it.
    ///
    /// # Errors
    /// The first fault that is found: not ONNX, over a limit, or against the specification.
    pub fn read(file: Bytes, limits: &Limits) -> Result<Self> {
        let census = survey(MODEL, &file, limits)?;
        let decoded = ModelProto::decode(file)
            .map_err(|error| Error::new(ErrorKind::NotOnnx, "the file is not an ONNX model").got(format!("{error}")))?;
        crate::read::model(decoded, census)
    }

    /// Reads a file whose bytes are somebody else's: copies them first.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn from_slice(file: &[u8], limits: &Limits) -> Result<Self> {
        // Before the copy, so that a large file costs nothing.
        survey(MODEL, file, limits)?;
        Self::read(Bytes::copy_from_slice(file), limits)
    }

    /// The function that a node calls, if it calls one.
    #[must_use]
    pub fn function(&self, domain: &str, name: &str, overload: &str) -> Option<&Function> {
        let found = self.functions.binary_search_by(|function| function.key().cmp(&(domain, name, overload)));
        self.functions.get(found.ok()?)
    }
}

impl Function {
    /// What it is found by, and sorted by within the model.
    #[must_use]
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.domain, &self.name, &self.overload)
    }
}
