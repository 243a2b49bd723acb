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
    /// To whom a person can turn who does not accept a decision; shown in reports, a paragraph a line.
    pub contact: Option<String>,
}

/// Longest text for people.
const CONTACT_CHARS_MAX: usize = 4000;

impl ExplainNotes {
    /// What is wrong, with its key.
    #[must_use]
    pub fn faults(&self) -> Option<Error> {
        if let Some(name) = self.background.as_deref().filter(|name| !is_plain(name)) {
            let error = Error::model("not the name of a file").at("model.toml explain.background").got(quoted(name));
            return Some(error.expected("a plain name: of a file in the model's folder, without a path"));
        }
        let chars = self.contact.as_deref().map_or(0, |contact| contact.chars().count());
        (chars > CONTACT_CHARS_MAX).then(|| {
            let error = Error::model("the text is too long").at("model.toml explain.contact");
            error.expected(format!("at most {CONTACT_CHARS_MAX} characters")).got(chars.to_string())
        })
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
        let long = Manifest::parse(&format!("[explain]\ncontact = \"{}\"\n", "x".repeat(4001))).unwrap();
        assert_eq!(long.explain.faults().unwrap().place(), Some("model.toml explain.contact"));
        assert!(Manifest::parse("[explain]\nbackgrond = \"a.csv\"\n").is_err());
    }
}
