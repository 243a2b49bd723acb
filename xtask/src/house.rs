//! Where things are: the root of the repository and the target folder.
//!
//! The first thing every command asks for. The only place in xtask that reads the environment. It
//! does not know what the folders are used for.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The repository that this xtask was built from.
pub struct House {
    root: PathBuf,
    target: PathBuf,
}

impl House {
    /// Finds the root from the place of xtask's own manifest, and honours `CARGO_TARGET_DIR`.
    pub fn find() -> Result<Self> {
        let manifest =
            variable("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask/ stands in no folder")?.to_path_buf();
        let target = match variable("CARGO_TARGET_DIR") {
            Some(chosen) => std::path::absolute(chosen).context("CARGO_TARGET_DIR is not a path")?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A house for tests.
    #[cfg(test)]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), target: root.join("target") }
    }

    /// The folder that holds the workspace's Cargo.toml.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// A path below the target folder.
    pub fn target(&self, below: &str) -> PathBuf {
        self.target.join(below)
    }

    /// A path as people write it: below the root when it is there.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The cargo that runs us, so that children use the same toolchain.
pub fn cargo() -> String {
    variable("CARGO").unwrap_or_else(|| "cargo".to_owned())
}

/// Is this a CI machine?
pub fn is_ci() -> bool {
    variable("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The folders in which programs are looked for.
pub fn program_folders() -> Vec<PathBuf> {
    variable("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect())
}

#[allow(
    clippy::disallowed_methods,
    reason = "xtask has no configuration file; cargo speaks to it through the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let house = House::find().unwrap();
        assert!(house.path("Cargo.toml").is_file());
        assert!(house.path("xtask/src/house.rs").is_file());
        assert_eq!(house.shown(&house.path("xtask/Cargo.toml")), "xtask/Cargo.toml");
    }

    #[test]
    fn a_path_outside_is_shown_whole() {
        let house = House::at(Path::new("/house"));
        assert_eq!(house.shown(Path::new("/elsewhere/x")), "/elsewhere/x");
        assert_eq!(house.target("debug"), Path::new("/house").join("target/debug"));
    }
}
