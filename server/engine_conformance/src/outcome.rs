//! What becomes of a test on an engine: passed, refused, inexpressible, failed or wrong.

use std::{
    collections::BTreeMap,
    fmt,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use candor_domain::{Error, ErrorCode};

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every output is right.
    Passed,
    /// The engine would not load the model: the reason it gave.
    Refused(String),
    /// The test is about values that are no tensors, or of a datatype that the protocol does not have.
    Inexpressible(String),
    /// The engine loaded the model and then gave no answer: an error, a panic or too much time.
    Failed(String),
    /// The engine gave an answer that is not right.
    Wrong(String),
}

impl Outcome {
    /// Of a model that an engine would not load: refused if it says that it cannot, failed otherwise.
    #[must_use]
    pub fn of_load(error: &Error) -> Self {
        if matches!(error.code(), ErrorCode::InvalidModel | ErrorCode::Unsupported) {
            return Self::Refused(error.to_string());
        }
        Self::Failed(error.to_string())
    }

    /// The outcome in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused(_) => "refused",
            Self::Inexpressible(_) => "inexpressible",
            Self::Failed(_) => "failed",
            Self::Wrong(_) => "wrong",
        }
    }

    /// Why it did not pass.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Refused(why) | Self::Inexpressible(why) | Self::Failed(why) | Self::Wrong(why) => why,
        }
    }
}

/// The operators that a test's model uses, and what became of the test.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Names with their domain, such as `Abs` and `ai.onnx.ml.Scaler`; none when the model cannot be read.
    pub operators: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of all tests, by name.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of their names.
    pub findings: BTreeMap<String, Finding>,
}

impl Report {
    /// Names of the tests with this outcome.
    pub fn names<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.findings.iter().filter(move |(_, found)| found.outcome.word() == word).map(|(name, _)| &**name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = ["passed", "refused", "inexpressible", "failed", "wrong"];
        let counts = words.map(|word| format!("{} {word}", self.names(word).count()));
        f.write_str(&counts.join(", "))
    }
}

/// Longer than any test takes, on a machine that does much else.
const TEST_TIME_MAX: Duration = Duration::from_secs(120);

/// Runs a test in a thread of its own, so that neither a panic nor an endless loop ends the others.
pub(crate) fn guarded(name: &str, work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let (tell, told) = channel();
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _ = tell.send(work());
    });
    if let Err(error) = started {
        return Outcome::Failed(format!("it has no thread: {error}"));
    }
    told.recv_timeout(TEST_TIME_MAX).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => Outcome::Failed(format!("it was not done in {} s", TEST_TIME_MAX.as_secs())),
        RecvTimeoutError::Disconnected => Outcome::Failed("it panicked".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_of_one_test() {
        assert_eq!(guarded("loud", || panic!("on purpose")), Outcome::Failed("it panicked".to_owned()));
        assert_eq!(guarded("good", || Outcome::Passed), Outcome::Passed);
    }
}
