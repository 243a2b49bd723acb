//! What is asked of an explanation, apart from the rows.

use std::time::Duration;

use super::{Groups, Method, Space};

/// A question.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// How to find out; `auto` looks at the graph.
    pub method: Method,
    /// Which outputs; all of the main one if empty.
    pub outputs: Vec<OutputPick>,
    /// In which space; what the method is best at if absent.
    pub space: Option<Space>,
    /// Evaluations of the model per row at most, for sampled methods.
    pub budget: Option<u64>,
    /// Seed of sampled methods.
    pub seed: u64,
    /// The rows that stand for "absent".
    pub background: BackgroundChoice,
    /// Which features are explained as one.
    pub groups: Groups,
    /// Whether interactions are wanted too.
    pub interactions: bool,
    /// More choices for the method, by its own names.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The caller's own limit on time.
    pub time_max: Option<Duration>,
}

/// A way to name an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPick {
    /// A class by its label, or an output by its name.
    Name(String),
    /// A class by its number.
    Index(usize),
}

/// Which rows stand for "absent".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackgroundChoice {
    /// Its id; the version's default one if absent.
    pub id: Option<String>,
    /// So many centres in the place of its rows.
    pub summary: Option<usize>,
}
