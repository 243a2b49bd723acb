//! One closed list of error codes, and an error that says what, where, expected, got and how to fix it.
//!
//! Rooms pick a word; each door maps the words to its numbers, exhaustively, in one place. This module
//! does not know any status code.

use std::{borrow::Cow, fmt};

/// What went wrong, as a word. Doors map it without a wildcard, so a new code does not compile until
/// every door answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is wrong and will stay wrong.
    InvalidInput,
    /// A limit on size was exceeded (body, decompressed body).
    TooLarge,
    /// The body's media type or encoding is not one that this route reads.
    UnsupportedMediaType,
    /// The body did not arrive in time.
    BodyTimeout,
    /// No such model, version or route.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The caller accepts no form that the answer can have.
    NotAcceptable,
    /// Understood, and deliberately not done.
    Unsupported,
    /// No or unknown credentials.
    Unauthenticated,
    /// Known caller, not enough access.
    Forbidden,
    /// The caller used up its own quota.
    QuotaExceeded,
    /// The server or the model has no room now.
    Overloaded,
    /// The model or server exists but does not answer yet, or not any more.
    NotReady,
    /// Too many of the last calls failed or were slow, so none is made for a while.
    BreakerOpen,
    /// The inference did not end in its time.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// The model file cannot be served.
    InvalidModel,
    /// The engine failed on input that passed every check.
    EngineFailed,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 19] = [
        Self::InvalidInput,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::BodyTimeout,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Unsupported,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::QuotaExceeded,
        Self::Overloaded,
        Self::NotReady,
        Self::BreakerOpen,
        Self::DeadlineExceeded,
        Self::Cancelled,
        Self::InvalidModel,
        Self::EngineFailed,
        Self::Internal,
    ];

    /// The word as it stands in metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTimeout => "body_timeout",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotAcceptable => "not_acceptable",
            Self::Unsupported => "unsupported",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not_ready",
            Self::BreakerOpen => "breaker_open",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Cancelled => "cancelled",
            Self::InvalidModel => "invalid_model",
            Self::EngineFailed => "engine_failed",
            Self::Internal => "internal",
        }
    }
}

/// Why there is no room, where the code alone does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// As many inferences wait for a thread as may wait.
    QueueFull,
    /// More requests of the version would make each other wait too long.
    ConcurrencyLimit,
    /// As many requests hold the version as may hold it.
    InflightLimit,
    /// All bodies together take as much memory as they may.
    Memory,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::ConcurrencyLimit, Self::InflightLimit, Self::Memory];

    /// The word as it stands in answers and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ConcurrencyLimit => "concurrency_limit",
            Self::InflightLimit => "inflight_limit",
            Self::Memory => "memory",
        }
    }
}

/// An error that its reader can act on.
///
/// `Display` gives one line: `where: what; expected …, got …; hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    code: ErrorCode,
    what: Cow<'static, str>,
    at: Option<String>,
    expected: Option<String>,
    got: Option<String>,
    hint: Option<Cow<'static, str>>,
    retry_after_s: Option<u32>,
    reason: Option<Reason>,
    others: Vec<Error>,
}

/// What an error says, part by part, for doors whose format has a place for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details<'a> {
    /// The sentence.
    pub what: &'a str,
    /// Where it is.
    pub at: Option<&'a str>,
    /// What would have been right.
    pub expected: Option<&'a str>,
    /// What was there instead.
    pub got: Option<&'a str>,
    /// How to fix it.
    pub hint: Option<&'a str>,
}

/// The result of everything that can go wrong in Candor.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its code and one sentence.
    pub fn new(code: ErrorCode, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            code,
            what: what.into(),
            at: None,
            expected: None,
            got: None,
            hint: None,
            retry_after_s: None,
            reason: None,
            others: Vec::new(),
        }))
    }

    /// Shorthand for [`ErrorCode::InvalidInput`].
    pub fn invalid(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidInput, what)
    }

    /// Shorthand for [`ErrorCode::InvalidModel`].
    pub fn model(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidModel, what)
    }

    /// Where it is: a JSON pointer into the request, a header, a configuration key.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Self {
        self.0.at = Some(at.into());
        self
    }

    /// The same without a place: it was one that its reader cannot look at.
    #[must_use]
    pub fn nowhere(mut self) -> Self {
        self.0.at = None;
        self
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    /// What was there instead.
    #[must_use]
    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.0.got = Some(got.into());
        self
    }

    /// How to fix it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// When to come back, in seconds.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// There is no room, and why.
    pub fn no_room(reason: Reason, what: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(ErrorCode::Overloaded, what);
        error.0.reason = Some(reason);
        error
    }

    /// The same by another word.
    #[must_use]
    pub fn with_code(mut self, code: ErrorCode) -> Self {
        self.0.code = code;
        self
    }

    /// The same with more behind its sentence.
    #[must_use]
    pub fn with_suffix(mut self, suffix: &str) -> Self {
        self.0.what.to_mut().push_str(suffix);
        self
    }

    /// The same with something before its sentence, such as where in a chain it happened.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.0.what.to_mut().insert_str(0, prefix);
        self
    }

    /// What else is wrong, apart from this.
    #[must_use]
    pub fn with_others(mut self, others: Vec<Self>) -> Self {
        self.0.others = others;
        self
    }

    /// The first of `errors` with the rest as its others; nothing when there is none.
    ///
    /// # Errors
    /// When there is one.
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Result<()> {
        let mut errors = errors.into_iter();
        errors.next().map_or(Ok(()), |first| Err(first.with_others(errors.collect())))
    }

    /// What else is wrong.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.0.others
    }

    /// What it says, part by part.
    #[must_use]
    pub fn details(&self) -> Details<'_> {
        let parts = &*self.0;
        Details {
            what: &parts.what,
            at: parts.at.as_deref(),
            expected: parts.expected.as_deref(),
            got: parts.got.as_deref(),
            hint: parts.hint.as_deref(),
        }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Why there is no room, if that is what is wrong.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// What is wrong, as one word for machines: the reason if there is one, else the code.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.0.reason.map_or(self.0.code.word(), Reason::word)
    }

    /// The sentence alone.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// Where, if known.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.0.at.as_deref()
    }

    /// When to come back, if it makes sense to.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.0.retry_after_s
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        if let Some(at) = &parts.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&parts.what)?;
        match (&parts.expected, &parts.got) {
            (Some(expected), Some(got)) => write!(f, "; expected {expected}, got {got}")?,
            (Some(expected), None) => write!(f, "; expected {expected}")?,
            (None, Some(got)) => write!(f, "; got {got}")?,
            (None, None) => {}
        }
        if let Some(hint) = &parts.hint {
            write!(f, "; {hint}")?;
        }
        match parts.others.len() {
            0 => Ok(()),
            1 => f.write_str(" (and one more problem)"),
            more => write!(f, " (and {more} more problems)"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_one_line_with_place_expectation_and_hint() {
        let error = Error::invalid("wrong datatype")
            .at("/inputs/0/datatype")
            .expected("FP32")
            .got("FP64")
            .hint("convert the array before sending it");
        assert_eq!(
            error.to_string(),
            "/inputs/0/datatype: wrong datatype; expected FP32, got FP64; convert the array before sending it"
        );
        assert_eq!(error.code(), ErrorCode::InvalidInput);
    }

    #[test]
    fn says_for_machines_why_there_is_no_room_and_its_code_otherwise() {
        let words = Reason::ALL.map(|reason| Error::no_room(reason, "x").word());
        assert_eq!(words, ["queue_full", "concurrency_limit", "inflight_limit", "memory"]);
        assert!(Reason::ALL.into_iter().all(|reason| Error::no_room(reason, "x").code() == ErrorCode::Overloaded));
        assert_eq!(Error::new(ErrorCode::NotReady, "x").word(), "not_ready");
    }

    #[test]
    fn is_small_enough_to_return_everywhere() {
        assert_eq!(std::mem::size_of::<Error>(), std::mem::size_of::<usize>());
    }
}
