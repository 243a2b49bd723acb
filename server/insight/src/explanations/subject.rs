//! A version as it is seen here: its features, its outputs, its files, and a way to run it.
//!
//! Doors make one of a version that they hold; it stays in memory as long as this does. What an explanation says of
//! features it says in the words of [`FeatureNote`].

use std::sync::{Arc, Weak};

use candor_domain::{Datatype, ModelFiles, Result, Signature, Tensor};

use super::Turn;

/// A version that is held for an explanation.
pub trait Subject: Send + Sync {
    /// What is known of it.
    fn about(&self) -> &About;

    /// Runs it: all inputs in the signature's order, the outputs at `wanted` in that order.
    ///
    /// # Errors
    /// The engine's.
    fn run(&self, inputs: Vec<Tensor>, wanted: &[usize], turn: &Turn<'_>) -> Result<Vec<Tensor>>;

    /// The files of its folder.
    fn files(&self) -> Arc<dyn ModelFiles>;

    /// A sign of life: gone when the version has left memory.
    fn life(&self) -> Weak<()>;

    /// Reads a table of rows in the form that its name tells.
    ///
    /// # Errors
    /// `InvalidInput` with the place in the table.
    fn read_table(&self, name: &str, bytes: &[u8]) -> Result<Vec<Tensor>>;

    /// Rows that its owner has put beside it to prove it, if there are any: each entry is one set of inputs.
    ///
    /// # Errors
    /// When they cannot be read.
    fn golden(&self) -> Result<Vec<Vec<Tensor>>>;
}

/// What is known of a version.
#[derive(Debug, Clone)]
pub struct About {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// sha256 of its file, or of all that it is made of, in hex.
    pub sha256: String,
    /// What runs it.
    pub engine: EngineNote,
    /// What it takes and gives.
    pub signature: Signature,
    /// Its features, input by input and column by column.
    pub features: Vec<FeatureNote>,
    /// Its outputs, in the signature's order.
    pub outputs: Vec<OutputNote>,
    /// How many rows it takes.
    pub rows_at_once: RowsAtOnce,
    /// The file of its graph, where the graph alone makes its answers.
    pub graph: Option<String>,
    /// The file with its background.
    pub background: Option<String>,
}

/// What runs a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineNote {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// sha256 of its library, in hex; nothing for one that is compiled in.
    pub sha256: Option<String>,
}

/// How many rows a version takes in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsAtOnce {
    /// Any number; at most so many, if its owner says so.
    Any(Option<usize>),
    /// So many, no more and no fewer.
    Exactly(usize),
    /// Its inputs do not fall apart into rows.
    None,
}

/// A feature.
#[derive(Debug, Clone)]
pub struct FeatureNote {
    /// Its name.
    pub name: Arc<str>,
    /// Position of its input.
    pub input: usize,
    /// Where in that input's rows.
    pub place: Placed,
    /// Type of its elements.
    pub datatype: Datatype,
    /// The texts that it may have; any if empty.
    pub categories: Vec<String>,
    /// The group that its owner puts it into.
    pub group: Option<String>,
    /// Whether no advice may change it.
    pub immutable: bool,
    /// Smallest sensible value.
    pub min: Option<f64>,
    /// Largest sensible value.
    pub max: Option<f64>,
}

impl FeatureNote {
    /// What its elements are.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::of(self.datatype)
    }
}

/// Where a feature is in the rows of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// A column.
    Column(usize),
    /// All of it, such as an image.
    Whole,
}

/// What elements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Whole numbers.
    Whole,
    /// True or false.
    Truth,
    /// Texts.
    Text,
}

impl Kind {
    /// The kind of elements of a datatype.
    #[must_use]
    pub const fn of(datatype: Datatype) -> Self {
        match datatype {
            Datatype::Bool => Self::Truth,
            Datatype::Uint8
            | Datatype::Uint16
            | Datatype::Uint32
            | Datatype::Uint64
            | Datatype::Int8
            | Datatype::Int16
            | Datatype::Int32
            | Datatype::Int64 => Self::Whole,
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => Self::Number,
            Datatype::Bytes => Self::Text,
        }
    }
}

/// An output.
#[derive(Debug, Clone)]
pub struct OutputNote {
    /// Its name.
    pub name: Arc<str>,
    /// Type of its elements.
    pub datatype: Datatype,
    /// What it is to people.
    pub role: Role,
    /// Class labels.
    pub labels: Vec<String>,
}

/// What an output is to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The class that was chosen.
    Label,
    /// The probability of each class.
    Probabilities,
    /// A score of each class.
    Scores,
    /// The number that was predicted.
    Value,
    /// Nothing of these.
    Other,
}
