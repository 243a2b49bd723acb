//! What is answered: shares with everything that one needs to check them, and nothing that differs from one asking to
//! the next (no times, no random names).

use std::sync::Arc;

use candor_domain::ComponentOrigin;

use super::{Additivity, EngineNote, Method, Served, Space};

/// An explanation of some rows.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// Its sha256, in hex.
    pub sha256: String,
    /// What ran it.
    pub engine: EngineNote,
    /// How it was found out.
    pub method: MethodNote,
    /// What the numbers are.
    pub space: Space,
    /// The outputs that are explained.
    pub outputs: Vec<String>,
    /// The features, or groups of them, that have shares.
    pub features: Vec<String>,
    /// The rows that stood for "absent".
    pub background: Option<BackgroundNote>,
    /// Evaluations of the model per row that were asked for.
    pub budget: Option<u64>,
    /// The seed.
    pub seed: u64,
    /// Row by row.
    pub rows: Vec<RowExplanation>,
    /// Rows that the model evaluated for all of it.
    pub evaluations: u64,
}

/// How an explanation was found out.
#[derive(Debug, Clone)]
pub struct MethodNote {
    /// The method.
    pub method: Method,
    /// The component that knows it.
    pub component: String,
    /// Where that comes from.
    pub origin: ComponentOrigin,
    /// Why it was chosen, where the caller left that open.
    pub reason: Option<String>,
    /// Whether its shares are meant to add up.
    pub is_additive: bool,
    /// Whether it draws by chance.
    pub is_sampled: bool,
    /// The component's configuration.
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// The rows that stood for "absent".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackgroundNote {
    /// What they are called.
    pub id: String,
    /// Digest of their values.
    pub sha256: String,
    /// Where they come from.
    pub source: super::Source,
    /// How many there are.
    pub rows: usize,
    /// How many centres stood in their place.
    pub summary: Option<usize>,
}

/// One row.
#[derive(Debug, Clone)]
pub struct RowExplanation {
    /// The value of each feature.
    pub values: Vec<Shown>,
    /// The value with nothing known, by output.
    pub base: Vec<f64>,
    /// The explained value, by output.
    pub output: Vec<f64>,
    /// Shares: features × outputs.
    pub shares: Vec<f64>,
    /// Standard errors of the shares, for methods that draw.
    pub standard_errors: Option<Vec<f64>>,
    /// Interactions: features × features × outputs.
    pub interactions: Option<Vec<f64>>,
    /// Top, left, height and width of each part, where features are parts of an image.
    pub areas: Option<Vec<[i64; 4]>>,
    /// The share of each pixel, where features are parts of an image and the method tells it.
    pub heat: Option<Arc<Heat>>,
    /// Whether shares add up, by output.
    pub additivity: Vec<Additivity>,
    /// What was served, by output.
    pub served: Vec<Served>,
    /// Rows that the model evaluated for it, where the method tells.
    pub evaluations: Option<u64>,
}

/// The share of each pixel of an image: of the parts that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Explained outputs.
    pub outputs: usize,
    /// Height × width × outputs.
    pub shares: Vec<f64>,
}

/// The value of a feature, or of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// One element.
    One(ShownCell),
    /// Several features.
    Group(Vec<(String, ShownCell)>),
    /// A whole tensor, which is not repeated.
    Whole,
}

/// An element.
#[derive(Debug, Clone, PartialEq)]
pub enum ShownCell {
    /// Not there.
    Gap,
    /// A number of double precision.
    Double(f64),
    /// A number of single precision, or less.
    Single(f32),
    /// A whole number.
    Whole(i64),
    /// True or false.
    Truth(bool),
    /// A text.
    Text(String),
    /// A whole tensor.
    Tensor,
}

impl Explanation {
    /// Explained outputs of rows whose shares do not add up, or not to what was served.
    pub(crate) fn outputs_apart(&self) -> u64 {
        let apart = |row: &RowExplanation| {
            let pairs = row.additivity.iter().zip(&row.served);
            pairs.filter(|(additivity, served)| !additivity.holds || served.agrees == Some(false)).count() as u64
        };
        self.rows.iter().map(apart).sum()
    }
}
