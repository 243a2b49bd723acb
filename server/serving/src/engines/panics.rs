//! Panics of engines, which are answers like any other: caught, and kept off the terminal.
//!
//! Engines are other people's code, and some give up on a file by a panic that they, or we, catch. Rust prints every
//! panic before anybody can catch it; the hook of this room leaves out those that happen inside an engine.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
};

use candor_domain::{Error, ErrorCode, Result};

thread_local! {
    /// Whether this thread is inside an engine whose panics nobody needs to see.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// From now on panics inside `caught` go to the log at level debug, all others where they went before.
pub fn keep_panics_off_the_terminal() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        if INSIDE.get() {
            tracing::debug!("an engine panicked: {info}");
        } else {
            before(info);
        }
    }));
}

/// The error by `code` that stands for a panic of an engine.
pub(crate) fn caught<T>(code: ErrorCode, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outer);
    result.unwrap_or_else(|_| Err(Error::new(code, "the engine panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_ends_the_silence() {
        let error = caught(ErrorCode::EngineFailed, || -> Result<()> {
            let inner = caught(ErrorCode::Unsupported, || -> Result<()> { panic!("inner") });
            assert_eq!(inner.unwrap_err().code(), ErrorCode::Unsupported);
            assert!(INSIDE.get(), "still inside the outer one");
            panic!("outer")
        });
        assert_eq!(error.unwrap_err().code(), ErrorCode::EngineFailed);
        assert!(!INSIDE.get());
        assert_eq!(caught(ErrorCode::EngineFailed, || Ok(1)), Ok(1));
    }
}
