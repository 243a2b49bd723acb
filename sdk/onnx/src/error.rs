//! What can be wrong with an ONNX file: what, where, what was expected, what came.
//!
//! Free of the server's errors on purpose: engines and plugins map it to their own.

use std::fmt;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bytes are not an ONNX file, or are cut short.
    NotOnnx,
    /// Larger, deeper or more than the limits allow.
    Limit,
    /// Against the specification.
    Invalid,
    /// Within the specification, but more than this reader knows.
    Unsupported,
    /// Data in another file that is missing, elsewhere, or not what the graph says.
    External,
}

/// A fault of a model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    at: Option<String>,
    expected: Option<String>,
    got: Option<String>,
}

impl Error {
    /// A fault of this kind: one clause, without a full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), at: None, expected: None, got: None }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    /// Where in the graph: outermost first, such as `graph "g", node 3 "add" (Add)`. Called from the
    /// inside out, so what comes later stands in front.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.at = Some(match self.at {
            Some(inner) => format!("{place}, {inner}"),
            None => place.to_string(),
        });
        self
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What came instead.
    #[must_use]
    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.got = Some(got.into());
        self
    }

    /// What kind of fault it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What is wrong, without place and expectation.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Where, if that is known.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.at.as_deref()
    }

    /// What would have been right.
    #[must_use]
    pub fn expectation(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What came instead.
    #[must_use]
    pub fn finding(&self) -> Option<&str> {
        self.got.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(at) = &self.at {
            write!(f, " at {at}")?;
        }
        match (&self.expected, &self.got) {
            (Some(expected), Some(got)) => write!(f, ": expected {expected}, got {got}"),
            (Some(expected), None) => write!(f, ": expected {expected}"),
            (None, Some(got)) => write!(f, ": got {got}"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Text out of a file, quoted, escaped and cut so that it can stand in an error or a log line.
#[must_use]
pub fn quoted(raw: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown: String = raw.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if raw.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}
