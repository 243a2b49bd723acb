//! Why a plugin is not loaded: a word that machines compare, and a sentence with place, expectation and help.
//!
//! A refusal is final: nothing is tried again with less. It does not know who asked.

use std::fmt;

use candor_domain::error::{Error, ErrorCode};

/// Why a plugin is not loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// `plugin.toml` cannot be read, or says what cannot be.
    Manifest,
    /// The list of allowed plugins does not have it.
    NotAllowed,
    /// It is not the file that was pinned.
    WrongDigest,
    /// The file is not there, a link, or not a file.
    File,
    /// Others may write the file.
    Writable,
    /// It is no shared library for this machine, or a broken one.
    NotALibrary,
    /// It is a library, and no plugin.
    NotAPlugin,
    /// It speaks another version of the interface.
    Abi,
    /// It would have to run in a process of its own.
    NeedsIsolation,
    /// It fits or routes, which is done in the server's process alone.
    NotIsolated,
    /// It asks for what no plugin gets: an executable stack, search paths of its own, unknown libraries.
    Hardening,
    /// The system's loader refused it.
    Loader,
    /// Its tables and its manifest do not agree, or its tables cannot be.
    Tables,
    /// Its own `init` or `create` failed.
    Failed,
    /// Too many versions of it were loaded into this process.
    Generations,
    /// The private folder cannot be used.
    Store,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Manifest,
        Self::NotAllowed,
        Self::WrongDigest,
        Self::File,
        Self::Writable,
        Self::NotALibrary,
        Self::NotAPlugin,
        Self::Abi,
        Self::NeedsIsolation,
        Self::NotIsolated,
        Self::Hardening,
        Self::Loader,
        Self::Tables,
        Self::Failed,
        Self::Generations,
        Self::Store,
    ];

    /// The reason of a word; a word that is not known is a failure.
    #[must_use]
    pub fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.word() == word).unwrap_or(Self::Failed)
    }

    /// Whether code of the plugin has run when this is said.
    #[must_use]
    pub const fn has_run(self) -> bool {
        matches!(self, Self::Loader | Self::Tables | Self::Failed)
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::NotAllowed => "not_allowed",
            Self::WrongDigest => "wrong_digest",
            Self::File => "file",
            Self::Writable => "writable",
            Self::NotALibrary => "not_a_library",
            Self::NotAPlugin => "not_a_plugin",
            Self::Abi => "abi",
            Self::NeedsIsolation => "needs_isolation",
            Self::NotIsolated => "not_isolated",
            Self::Hardening => "hardening",
            Self::Loader => "loader",
            Self::Tables => "tables",
            Self::Failed => "failed",
            Self::Generations => "generations",
            Self::Store => "store",
        }
    }
}

/// A plugin is not loaded.
#[derive(Debug, Clone)]
pub struct Refusal {
    reason: Reason,
    error: Error,
}

/// What everything that loads returns.
pub type Verdict<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, error: Error::new(ErrorCode::Unsupported, what.into()) }
    }

    /// Where.
    #[must_use]
    pub fn at(mut self, at: impl fmt::Display) -> Self {
        self.error = self.error.at(at.to_string());
        self
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.error = self.error.expected(expected);
        self
    }

    /// What was there instead.
    #[must_use]
    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.error = self.error.got(got);
        self
    }

    /// How to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error = self.error.hint(hint.into());
        self
    }

    /// Where, unless it is known.
    #[must_use]
    pub fn or_at(self, at: impl fmt::Display) -> Self {
        if self.error.place().is_some() { self } else { self.at(at) }
    }

    /// Why, as a word.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The whole sentence, for doors.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin refused ({}): {}", self.reason.word(), self.error)
    }
}

impl std::error::Error for Refusal {}
