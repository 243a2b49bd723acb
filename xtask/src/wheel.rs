//! Wheels: fetched with pip, whatever Python or platform they are for, and hashed.
//!
//! Before whoever takes something out of one (`runtime`, `operators`). Does not know what is in them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::run;

/// A wheel, as pip is asked for it.
pub struct Wheel<'a> {
    pub package: &'a str,
    pub version: &'a str,
    /// Version of Python and platform are given, so that the pinned wheel comes on any machine.
    pub python: &'a str,
    pub platform: &'a str,
}

impl Wheel<'_> {
    /// Leaves the wheel in the folder.
    pub fn download(&self, folder: &Path) -> Result<PathBuf> {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "download", "--quiet", "--no-input", "--no-deps"])
            .args(["--disable-pip-version-check", "--only-binary", ":all:"])
            .args(["--python-version", self.python, "--platform", self.platform, "--dest"])
            .arg(folder)
            .arg(format!("{}=={}", self.package, self.version));
        run::quiet(&mut command)?;
        only_file(folder, "whl")
    }
}

/// The one file with this extension.
pub fn only_file(folder: &Path, extension: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .with_context(|| format!("the client said nothing, and left no .{extension} file"))
}

/// An empty folder in place of whatever was there.
pub fn empty_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The sha256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_a_known_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        assert_eq!(sha256(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        sha256(&folder.path().join("none")).unwrap_err();
    }

    #[test]
    fn an_emptied_folder_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        empty_folder(&inner).unwrap();
        fs::write(inner.join("x.tgz"), "x").unwrap();
        assert_eq!(only_file(&inner, "tgz").unwrap(), inner.join("x.tgz"));
        only_file(&inner, "whl").unwrap_err();
        empty_folder(&inner).unwrap();
        only_file(&inner, "tgz").unwrap_err();
    }
}
