//! `xtask/tidy.toml`, read: limits, exceptions, fences and words.
//!
//! Before every rule. Unknown keys are refused, so that a misspelt rule is not a silent one. It does
//! not know how a rule is checked.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Everything in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub limits: Limits,
    #[serde(default)]
    pub long_file: Vec<LongFile>,
    #[serde(default)]
    pub long_function: Vec<LongFunction>,
    #[serde(default)]
    pub fence: Vec<Fence>,
    #[serde(default)]
    pub room_word: Vec<RoomWord>,
    #[serde(default)]
    pub words: Words,
    #[serde(default)]
    pub word: Vec<Word>,
}

/// How long things may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub file_lines_max: usize,
    pub function_lines_max: usize,
}

/// A file that is longer, for a reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongFile {
    pub file: String,
    pub lines: usize,
    #[serde(rename = "why")]
    _why: String,
}

/// A function that is longer, for a reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongFunction {
    pub file: String,
    pub name: String,
    pub lines: usize,
    #[serde(rename = "why")]
    _why: String,
}

/// What the packages at a place may depend on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fence {
    pub at: String,
    pub ours: Vec<String>,
    pub only: Option<Vec<String>>,
    #[serde(default)]
    pub never: Vec<String>,
    pub why: String,
}

/// Words of code that belong to, or stay out of, some folders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomWord {
    pub words: Vec<String>,
    pub only_in: Option<Vec<String>>,
    #[serde(default)]
    pub not_in: Vec<String>,
    pub instead: String,
}

/// Where the synonyms are not looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub except: Vec<String>,
}

/// Synonyms, and the word to use.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    pub not: Vec<String>,
    pub say: String,
}

impl Rules {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not as expected", path.display()))
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("not TOML of the known shape")
    }
}

/// Rules for the tests of the rules.
#[cfg(test)]
pub fn for_tests(more: &str) -> Rules {
    let limits = "[limits]\nfile_lines_max = 10\nfunction_lines_max = 4\n";
    Rules::parse(&format!("{limits}{more}")).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_rules_are_whole() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tidy.toml"));
        let rules = Rules::read(path).unwrap();
        assert_eq!(rules.limits.file_lines_max, 500);
        assert!(rules.fence.iter().any(|fence| fence.at == "server/domain"));
        assert!(rules.fence.iter().all(|fence| !fence.why.is_empty()));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = "[limits]\nfile_lines_max = 1\nfunction_lines_max = 1\n[[fense]]\nat = 'x'\n";
        Rules::parse(text).unwrap_err();
    }
}
