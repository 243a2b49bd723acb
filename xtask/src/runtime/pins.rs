//! `xtask/runtime.toml`, read: the ways to get the library, and the sums that are accepted.
//!
//! Before [`super::fetch`]. It does not know how a package is fetched.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// All ways, in the order in which they are tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    #[serde(default)]
    way: Vec<Way>,
}

/// One package that holds the library.
#[derive(Debug, Deserialize)]
pub struct Way {
    arch: String,
    /// Which client fetches the package.
    #[serde(flatten)]
    pub kind: Kind,
    /// The package's name in its registry.
    pub package: String,
    /// The package's version, which is the library's.
    pub version: String,
    /// The library's path inside the package.
    pub inside: String,
    /// Accepted sums of the library.
    pub sha256: Vec<String>,
}

/// The clients that can fetch a package.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// `pip download`, for a Python version and platform that need not be this machine's.
    Wheel { python: String, platform: String },
    /// `npm pack`.
    Npm,
}

impl Pins {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
    }

    /// The ways for this processor.
    pub fn here(&self) -> impl Iterator<Item = &Way> {
        self.way.iter().filter(|way| way.arch == std::env::consts::ARCH)
    }
}

impl Way {
    /// The library's name beside the binary.
    pub fn file_name(&self) -> String {
        format!("libonnxruntime.so.{}", self.version)
    }

    /// The way, in words.
    pub fn title(&self) -> String {
        match &self.kind {
            Kind::Wheel { platform, .. } => {
                format!("pip, {} {} for {platform}", self.package, self.version)
            }
            Kind::Npm => format!("npm, {} {}", self.package, self.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pins_are_whole() {
        let pins = Pins::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/runtime.toml"))).unwrap();
        assert!(!pins.way.is_empty());
        for way in &pins.way {
            assert!(!way.sha256.is_empty(), "{}", way.title());
            for sum in &way.sha256 {
                assert_eq!(sum.len(), 64);
                assert!(sum.bytes().all(|byte| byte.is_ascii_hexdigit()));
            }
            match &way.kind {
                Kind::Wheel { platform, .. } => assert!(platform.ends_with(&way.arch)),
                Kind::Npm => assert!(way.inside.starts_with("package/")),
            }
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Pins::read(Path::new("/no/runtime.toml")).unwrap_err();
        assert!(error.to_string().contains("/no/runtime.toml"));
    }
}
