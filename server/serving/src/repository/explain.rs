//! `[explain]` in `model.toml`: what the explanations of a model start from.
//!
//! Only names. Who explains reads the file, and says what is wrong with what is in it.

use candor_domain::{Error, names::quoted};
use serde::Deserialize;

use super::is_plain;

/// What a manifest says of explanations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [explain]")]
pub struct ExplainNotes {
    /// The file with the rows that stand for "absent": in the version's folder, or in the model's for all versions.
    pub background: Option<String>,
}

impl ExplainNotes {
    /// What is wrong, with its key.
    #[must_use]
    pub fn faults(&self) -> Option<Error> {
        let name = self.background.as_deref().filter(|name| !is_plain(name))?;
        let error = Error::model("not the name of a file").at("model.toml explain.background").got(quoted(name));
        Some(error.expected("a plain name: of a file in the model's folder, without a path"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    #[test]
    fn a_background_is_a_file_of_the_model_and_nothing_else() {
        let fault = |name: &str| {
            let manifest = Manifest::parse(&format!("[explain]\nbackground = \"{name}\"\n")).unwrap();
            manifest.explain.faults().map(|error| error.place().unwrap().to_owned())
        };
        assert_eq!(fault("background.csv"), None);
        for bad in ["../rows.csv", "/etc/passwd", "", ".hidden"] {
            assert_eq!(fault(bad).as_deref(), Some("model.toml explain.background"), "{bad:?}");
        }
        assert!(Manifest::parse("[explain]\nbackgrond = \"a.csv\"\n").is_err());
    }
}
