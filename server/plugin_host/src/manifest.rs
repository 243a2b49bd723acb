//! `plugin.toml`: what a plugin's folder says of it, read first and held against the library afterwards.
//!
//! ```text
//! acme-smote/plugin.toml          name, version, abi, components
//!            linux-x86_64/libacme_smote.so
//!            schema.json  README.md  LICENSE
//! ```
//! It does not open the library.

use std::{
    fs::OpenOptions,
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use candor_domain::names::quoted;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::refusal::{Reason, Refusal, Verdict};

/// The file's name.
pub const FILE: &str = "plugin.toml";
/// A manifest is a page, not a book.
const BYTES_MAX: u64 = 64 * 1024;
const COMPONENTS_MAX: usize = 64;

/// The kinds of components that there are.
pub const KINDS: [&str; 9] =
    ["predictor", "transform", "explainer", "detector", "combiner", "resampler", "selector", "trainer", "router"];

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's name, which is its folder's too.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The interface that it was built with, such as `0.1`.
    pub abi: String,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// An SPDX expression.
    #[serde(default)]
    pub license: String,
    /// Who wrote it.
    #[serde(default)]
    pub authors: Vec<String>,
    /// The library's file name; `lib<name>.so` with `_` for `-` if absent.
    #[serde(default)]
    pub library: Option<String>,
    /// What it offers.
    #[serde(default)]
    pub component: Vec<Declared>,
}

/// A component, as the manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kinds: Vec<String>,
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// `Manifest`, with the line.
    pub fn read(folder: &Path) -> Verdict<Self> {
        let path = folder.join(FILE);
        let refuse = |what: String| Refusal::new(Reason::Manifest, what).at(path.display());
        let unreadable = |error: std::io::Error| refuse(format!("cannot read it: {error}"));
        // What is opened is what is looked at: the path may lead elsewhere a moment later.
        let nofollow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(nofollow).open(&path).map_err(unreadable)?;
        let mut text = String::new();
        let is_file = file.metadata().map_err(unreadable)?.is_file();
        if is_file {
            file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        }
        if !is_file || text.len() as u64 > BYTES_MAX {
            return Err(refuse(format!("it is no file of at most {BYTES_MAX} bytes")));
        }
        let manifest = Self::parse(&text).map_err(|refusal| refusal.or_at(path.display()))?;
        if folder.file_name().and_then(|name| name.to_str()) != Some(&manifest.name) {
            return Err(refuse("the folder has another name than the plugin".to_owned())
                .expected(format!("a folder `{}`", manifest.name)));
        }
        Ok(manifest)
    }

    /// Reads a manifest's text.
    ///
    /// # Errors
    /// `Manifest`, with what is wrong.
    pub fn parse(text: &str) -> Verdict<Self> {
        let refuse = |what: String| Refusal::new(Reason::Manifest, what);
        let manifest: Self = toml::from_str(text).map_err(|error| refuse(error.to_string().trim().to_owned()))?;
        if !is_name(&manifest.name, "-_") {
            return Err(refuse("the plugin's name cannot be a folder's".to_owned())
                .expected("a letter, then letters, digits, `-` and `_`")
                .got(quoted(&manifest.name)));
        }
        if manifest.component.is_empty() || manifest.component.len() > COMPONENTS_MAX {
            return Err(refuse(format!("a plugin has 1 to {COMPONENTS_MAX} components"))
                .got(manifest.component.len().to_string()));
        }
        if let Some(library) = &manifest.library
            && (library.contains(['/', '\0']) || library.starts_with('.') || library.is_empty())
        {
            return Err(refuse("`library` is no file name".to_owned()).got(quoted(library)));
        }
        for (at, declared) in manifest.component.iter().enumerate() {
            let refuse = |what: &str| Refusal::new(Reason::Manifest, what).at(format!("component[{at}]"));
            if !is_name(&declared.id, "-_.") {
                return Err(refuse("the component's id is no name").got(quoted(&declared.id)));
            }
            if manifest.component.iter().take(at).any(|other| other.id == declared.id) {
                return Err(refuse("two components have one id").got(quoted(&declared.id)));
            }
            let unknown = declared.kinds.iter().find(|kind| !KINDS.contains(&kind.as_str()));
            if let Some(kind) = unknown {
                return Err(refuse("there is no such kind").expected(KINDS.join(", ")).got(quoted(kind)));
            }
            if declared.kinds.is_empty() {
                return Err(refuse("the component is of no kind").expected(KINDS.join(", ")));
            }
        }
        Ok(manifest)
    }

    /// Where the library for this machine lies.
    #[must_use]
    pub fn library(&self, folder: &Path) -> PathBuf {
        let name = self.library.clone().unwrap_or_else(|| format!("lib{}.so", self.name.replace('-', "_")));
        folder.join(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)).join(name)
    }
}

/// A letter, then letters, digits and some more.
pub fn is_name(name: &str, more: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= 128
        && name.chars().all(|char| char.is_ascii_alphanumeric() || more.contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = 'acme-scale'\nversion = '1.2.0'\nabi = '0.1'\n[[component]]\nid = 'acme.scale'\nkinds = ['predictor']\n";

    #[test]
    fn a_good_one_is_read() {
        let manifest = Manifest::parse(GOOD).unwrap();
        let library = manifest.library(Path::new("p"));
        assert!(library.ends_with("libacme_scale.so") && library.starts_with("p"), "{library:?}");
        assert_eq!(manifest.component[0].kinds, ["predictor"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("version = '1.2.0'", "version = 3", "invalid type"),
            ("abi = '0.1'", "abi = '0.1'\nextra = 1", "unknown field"),
            ("acme-scale", "../etc", "cannot be a folder's"),
            ("acme-scale", "-x", "cannot be a folder's"),
            ("['predictor']", "['oracle']", "no such kind"),
            ("['predictor']", "[]", "of no kind"),
            ("id = 'acme.scale'", "id = 'a b'", "no name"),
            ("abi = '0.1'", "abi = '0.1'\nlibrary = '../x.so'", "no file name"),
        ];
        for (from, to, says) in cases {
            let refusal = Manifest::parse(&GOOD.replace(from, to)).unwrap_err();
            assert_eq!(refusal.reason(), Reason::Manifest);
            assert!(refusal.to_string().contains(says), "{to}: {refusal}");
        }
        let twice = format!("{GOOD}[[component]]\nid = 'acme.scale'\nkinds = ['router']\n");
        assert!(Manifest::parse(&twice).unwrap_err().to_string().contains("two components"));
        let none = GOOD.split("[[component]]").next().unwrap();
        assert!(Manifest::parse(none).unwrap_err().to_string().contains("1 to 64 components"));
    }
}
