//! Names that are parsed once and valid ever after.
//!
//! A [`ModelName`] can be a folder name and a metric label; a [`Version`] orders numerically by
//! component. Whoever holds one need not check again.

use std::{borrow::Borrow, fmt, sync::Arc};

use crate::error::{Error, Result};

/// Longest model name in bytes: the longest file name that common file systems take.
pub const MODEL_NAME_BYTES_MAX: usize = 255;

/// Name of a model: letters, digits, `_`, `-`, `.`, beginning with a letter, digit or `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// Parses a name.
    ///
    /// # Errors
    /// `InvalidInput` when the name is empty, too long, or holds anything that could mean a path.
    pub fn parse(raw: &str) -> Result<Self> {
        check_name(raw)?;
        Ok(Self(Arc::from(raw)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_name(raw: &str) -> Result<()> {
    let refuse = |what: &'static str| {
        Err(Error::invalid(what)
            .at("model name")
            .expected("1 to 255 of A-Z a-z 0-9 _ - . beginning with a letter, digit or _")
            .got(quoted(raw)))
    };
    if raw.is_empty() {
        return refuse("the model name is empty");
    }
    if raw.len() > MODEL_NAME_BYTES_MAX {
        return refuse("the model name is too long");
    }
    if !raw.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        return refuse("the model name has a character that names may not have");
    }
    if raw.starts_with(['.', '-']) {
        return refuse("the model name may not begin with a dot or a dash");
    }
    Ok(())
}

/// Text from outside, quoted, escaped and cut so that it can stand in an error or a log line.
#[must_use]
pub fn quoted(raw: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown: String = raw.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if raw.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Version of a model: `1`, `2`, … or `1.4.0`; up to four numbers without leading zeros.
///
/// Ordering is numeric by component; a missing component counts as lower than any present one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(VersionParts, Arc<str>);

type VersionParts = [Option<u64>; VERSION_COMPONENTS_MAX];
const VERSION_COMPONENTS_MAX: usize = 4;

impl Version {
    /// Parses a version.
    ///
    /// # Errors
    /// `InvalidInput` for anything but one to four dot-separated positive numbers (the first ≥ 1)
    /// without leading zeros.
    pub fn parse(raw: &str) -> Result<Self> {
        let refuse = || {
            Error::invalid("not a version")
                .at("model version")
                .expected("a number such as 3, or 1.4.0, without leading zeros")
                .got(quoted(raw))
        };
        let mut parts: VersionParts = [None; VERSION_COMPONENTS_MAX];
        let mut slots = parts.iter_mut();
        for (position, piece) in raw.split('.').enumerate() {
            let digits = !piece.is_empty() && piece.bytes().all(|b| b.is_ascii_digit());
            let zero_led = piece.starts_with('0') && (piece.len() > 1 || position == 0);
            let (true, false, Some(slot)) = (digits, zero_led, slots.next()) else {
                return Err(refuse());
            };
            *slot = Some(piece.parse().map_err(|_| refuse())?);
        }
        Ok(Self(parts, Arc::from(raw)))
    }

    /// The version that a model folder without version folders has.
    #[must_use]
    pub fn first() -> Self {
        let mut parts: VersionParts = [None; VERSION_COMPONENTS_MAX];
        parts[0] = Some(1);
        Self(parts, Arc::from("1"))
    }

    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_could_mean_a_path_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "%2e%2e",
            "a%2fb",
            "a;b",
            "a\0b",
            " a",
            "a ",
            "-a",
            ".hidden",
            "ａ",
            "a\u{2024}b",
        ] {
            assert!(ModelName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(ModelName::parse(&"x".repeat(256)).is_err());
        for good in ["a", "iris", "resnet50-v1.5", "_m", "9", &"x".repeat(255)] {
            assert!(ModelName::parse(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn versions_order_numerically_by_component() {
        let parse = |raw: &str| Version::parse(raw).unwrap();
        let mut versions: Vec<_> = ["10", "2", "1.4.0", "1", "1.10", "1.9.9"].map(parse).to_vec();
        versions.sort();
        let ordered: Vec<_> = versions.iter().map(Version::as_str).collect();
        assert_eq!(ordered, ["1", "1.4.0", "1.9.9", "1.10", "2", "10"]);
        assert_eq!(Version::first(), parse("1"));
    }

    #[test]
    fn odd_versions_are_refused() {
        for bad in
            ["", "0", "01", "1.", ".1", "1..2", "v1", "-1", "1.2.3.4.5", "99999999999999999999999", "1 ", "1.01", "١"]
        {
            assert!(Version::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(Version::parse("1.0").is_ok());
    }

    proptest! {
        #[test]
        fn a_parsed_name_is_one_path_component(raw in "\\PC{0,40}") {
            if let Ok(name) = ModelName::parse(&raw) {
                let path = std::path::Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
            }
        }
    }
}
