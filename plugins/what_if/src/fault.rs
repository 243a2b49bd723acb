//! What goes wrong in the numeric rooms. They do not know how a caller hears of it.

use std::{error::Error, fmt};

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// The question is wrong.
    Invalid(String),
    /// The model did not answer, or nobody waits any more: the error of whoever asked it.
    Model(Box<dyn Error + Send + Sync>),
}

/// What the numeric rooms return.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// The question is wrong.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => f.write_str(what),
            Self::Model(error) => write!(f, "{error}"),
        }
    }
}

impl Error for Fault {}
