//! Why a graph, or a question, is not for exact shares. It knows no graph.

use std::fmt;

/// A sentence that says what is not done here, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// A refusal.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// With where it is, put before it.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}
