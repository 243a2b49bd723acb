//! Panics and errors of tract as errors of ours.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use candor_domain::{Error, ErrorCode};
use tract_onnx::prelude::{TractError, TractResult};

/// Characters of a message of tract that are passed on: some print whole graphs.
const SHOWN_CHARS_MAX: usize = 300;

/// What tract said when it failed, in one short line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    said: String,
    /// Whether it panicked instead of giving an error.
    pub(crate) panicked: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.panicked { "panicked: " } else { "" })?;
        f.write_str(&self.said)
    }
}

/// Runs code of tract. What it works on must not be used again after a panic.
///
/// # Errors
/// When it gives an error or panics.
pub(crate) fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Fault { said: line(&told(&error)), panicked: false }),
        Err(panic) => Err(Fault { said: line(panic_text(&*panic)), panicked: true }),
    }
}

/// A refusal of a file that another engine may take.
pub(crate) fn unsupported(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::Unsupported, what.into())
}

/// What went wrong in the middle, and why: the outermost context and the root.
fn told(error: &TractError) -> String {
    let (outer, root) = (error.to_string(), error.root_cause().to_string());
    if outer == root { outer } else { format!("{outer}: {root}") }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

fn line(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(SHOWN_CHARS_MAX) {
        words.truncate(end);
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::tract_core::internal::anyhow;

    #[test]
    fn a_panic_and_a_chain_of_errors_become_one_short_line() {
        let panicked: Result<(), _> = guarded(|| panic!("on\npurpose {}", 1));
        assert_eq!(panicked.unwrap_err().to_string(), "panicked: on purpose 1");
        let failed: Result<(), _> = guarded(|| Err(anyhow!("root").context("middle").context("outer")));
        assert_eq!(failed.unwrap_err().to_string(), "outer: root");
        let long: Result<(), _> = guarded(|| Err(anyhow!("é".repeat(1000))));
        assert_eq!(long.unwrap_err().to_string().chars().count(), SHOWN_CHARS_MAX + 1);
        assert_eq!(guarded(|| Ok(7)), Ok(7));
    }
}
