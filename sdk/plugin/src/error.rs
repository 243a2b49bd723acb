//! An error as the interface has it: a status and a sentence.
//!
//! Used by everything here. It does not know how a host shows it.

use std::{borrow::Cow, fmt};

use candor_plugin_abi as abi;

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The inputs or the configuration are wrong.
    Invalid,
    /// May be right, and is not done here.
    Unsupported,
    /// Not there.
    NotFound,
    /// Out of memory, or over a limit.
    Resource,
    /// Stopped because nobody waits.
    Cancelled,
    /// Too late.
    Deadline,
    /// Not now.
    Unavailable,
    /// A fault of the plugin.
    Internal,
    /// It panicked.
    Panic,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::Unsupported,
        Self::NotFound,
        Self::Resource,
        Self::Cancelled,
        Self::Deadline,
        Self::Unavailable,
        Self::Internal,
        Self::Panic,
    ];

    /// The interface's number.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Invalid => abi::INVALID,
            Self::Unsupported => abi::UNSUPPORTED,
            Self::NotFound => abi::NOT_FOUND,
            Self::Resource => abi::RESOURCE,
            Self::Cancelled => abi::CANCELLED,
            Self::Deadline => abi::DEADLINE,
            Self::Unavailable => abi::UNAVAILABLE,
            Self::Internal => abi::INTERNAL,
            Self::Panic => abi::PANIC,
        }
    }

    /// The status of a number; `None` for OK, and a number that is not known is internal.
    #[must_use]
    pub fn of(code: i32) -> Option<Self> {
        if code == abi::OK {
            return None;
        }
        Some(Self::ALL.into_iter().find(|status| status.code() == code).unwrap_or(Self::Internal))
    }
}

/// Why it did not go well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: Cow<'static, str>,
}

/// What functions of plugins return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of any kind.
    pub fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into() }
    }

    /// The inputs or the configuration are wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::Invalid, message)
    }

    /// May be right, and is not done here.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::Unsupported, message)
    }

    /// A fault of the plugin.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::Internal, message)
    }

    /// What kind it is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", abi::status_word(self.status.code()), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_number_of_its_own_and_others_are_internal() {
        for status in Status::ALL {
            assert_eq!(Status::of(status.code()), Some(status));
        }
        assert_eq!(
            (Status::of(0), Status::of(77), Status::of(-1)),
            (None, Some(Status::Internal), Some(Status::Internal))
        );
        assert_eq!(Error::invalid("no x").to_string(), "invalid: no x");
    }
}
