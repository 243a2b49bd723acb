//! What a route asks for and who a caller is.
//!
//! Access levels form a ladder: whoever may operate may also observe and infer. How a principal is
//! recognised is a door's business.

use std::{fmt, sync::Arc};

/// What a caller may do; each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Anybody, without a token: liveness and the API document.
    Public,
    /// Ask models for answers and read their metadata.
    Infer,
    /// Read statistics, metrics and the repository index.
    Observe,
    /// Load, unload, change what is served.
    Operate,
    /// Everything.
    Admin,
}

impl Access {
    /// All levels, lowest first.
    pub const ALL: [Self; 5] = [Self::Public, Self::Infer, Self::Observe, Self::Operate, Self::Admin];

    /// The level as a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Infer => "infer",
            Self::Observe => "observe",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Reads a level from its word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.word() == word)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Who is calling, as every later room sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name for logs, quotas and the audit trail.
    pub name: Arc<str>,
    /// The highest level that it holds.
    pub access: Access,
}

impl Principal {
    /// A caller without credentials who holds `access`.
    #[must_use]
    pub fn anonymous(access: Access) -> Self {
        Self { name: Arc::from("anonymous"), access }
    }

    /// Whether this caller may use something that asks for `needed`.
    #[must_use]
    pub fn may(&self, needed: Access) -> bool {
        self.access >= needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_form_a_ladder() {
        for (low, held) in Access::ALL.into_iter().enumerate() {
            for (high, needed) in Access::ALL.into_iter().enumerate() {
                assert_eq!(Principal::anonymous(held).may(needed), low >= high);
            }
            assert_eq!(Access::from_word(held.word()), Some(held));
        }
        assert_eq!(Access::from_word("root"), None);
    }
}
