//! What a version is, as one sha256: its graph, and every component with its configuration, the files that it read and
//! the library that it came from.
//!
//! A version that is a graph and nothing else keeps the sha256 of its file.

use candor_domain::ComponentOrigin;

use crate::registry::sha256_of;

/// The parts of a version, written down in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    text: String,
    origins: String,
}

impl Digest {
    /// Another part: what it is, and all that was said of it.
    pub(crate) fn part(&mut self, what: &str, said: &str, origin: Option<&ComponentOrigin>) {
        // Lengths keep two texts from being read as another two.
        self.text.push_str(&format!("{}:{what}{}:{said}", what.len(), said.len()));
        let origin = origin.map(|origin| (&origin.plugin, &origin.version, &origin.sha256));
        self.origins.push_str(&format!("{origin:?}"));
    }

    /// Files that were read.
    pub(crate) fn files(&mut self, files: &[(String, String)]) {
        self.text.push_str(&format!("{files:?}"));
    }

    /// The sha256 of everything, the graph's own being `graph`; and the same without the libraries, which may be loaded
    /// anew while the version stays what it is.
    pub(crate) fn of(&self, graph: &str) -> (String, String) {
        if self.text.is_empty() {
            return (graph.to_owned(), graph.to_owned());
        }
        let files = sha256_of(format!("{graph}{}", self.text).as_bytes());
        (sha256_of(format!("{files}{}", self.origins).as_bytes()), files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(sha256: &str) -> ComponentOrigin {
        ComponentOrigin { plugin: "acme".into(), version: "1.0.0".into(), sha256: Some(sha256.into()) }
    }

    #[test]
    fn everything_that_a_version_is_made_of_changes_what_it_is_and_a_library_only_the_whole() {
        let of = |said: &str, library: &str, file: &str| {
            let mut digest = Digest::default();
            digest.part("stage", said, Some(&origin(library)));
            digest.files(&[("vocab.txt".into(), file.into())]);
            digest.of("graph")
        };
        let (all, files) = of("{}", "a", "x");
        assert_eq!(of("{}", "a", "x"), (all.clone(), files.clone()));
        assert!(of("{1}", "a", "x").0 != all && of("{}", "a", "y").0 != all);
        let (other, same) = of("{}", "b", "x");
        assert!(other != all && same == files);
        assert_eq!(Digest::default().of("graph"), ("graph".to_owned(), "graph".to_owned()));
    }
}
