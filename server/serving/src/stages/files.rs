//! The files of a version's folder, for the components that the version is made of.
//!
//! A name is a plain one: no way leads out of the folder, and links are followed nowhere. What was read is remembered by
//! its digest, because it belongs to what the version is. It does not know what a file is for.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use candor_domain::{Error, ErrorCode, ModelFiles, Result, names::quoted};

use crate::{
    opened::{self, Unopened},
    registry::sha256_of,
    repository,
};

/// Largest file that a component may read.
pub(crate) const FILE_BYTES_MAX: u64 = 256 << 20;

/// A version's folder, and the one of its model, whose files all versions share.
pub(crate) struct Folder {
    folders: Vec<PathBuf>,
    read: Mutex<BTreeMap<String, String>>,
}

impl Folder {
    /// Files are looked for in `version` first.
    pub(crate) fn new(version: &Path, model: Option<&Path>) -> Self {
        let mut folders = vec![version.to_path_buf()];
        folders.extend(model.filter(|model| *model != version).map(Path::to_path_buf));
        Self { folders, read: Mutex::default() }
    }

    /// Names and digests of what was read so far.
    pub(crate) fn was_read(&self) -> Vec<(String, String)> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.iter().map(|(name, digest)| (name.clone(), digest.clone())).collect()
    }
}

impl ModelFiles for Folder {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        if !repository::is_plain(name) {
            return Err(Error::invalid(format!("{} cannot be a file of the model", quoted(name)))
                .expected("a plain name: of a file in the model's folder, without a path"));
        }
        let unreadable = |error: std::io::Error| Error::model(format!("cannot read {}: {error}", quoted(name)));
        let opened = self.folders.iter().map(|folder| opened::open(&folder.join(name)));
        let file = match opened.into_iter().find(|opened| !matches!(opened, Err(Unopened::Missing))) {
            Some(Ok((file, _))) => file,
            Some(Err(Unopened::Failed(error))) => return Err(unreadable(error)),
            Some(Err(Unopened::Link | Unopened::NoFile)) => {
                return Err(Error::model(format!("{} is a link or no file; links are not followed", quoted(name))));
            }
            Some(Err(Unopened::Missing)) | None => {
                let what = format!("the model's folder has no file {}", quoted(name));
                return Err(Error::new(ErrorCode::NotFound, what));
            }
        };
        let mut bytes = Vec::new();
        // A file that grows while it is read ends at the limit too.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::new(ErrorCode::TooLarge, format!("{} is too large for a component", quoted(name)))
                .expected(format!("at most {FILE_BYTES_MAX} bytes")));
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(name.to_owned(), sha256_of(&bytes));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_plain_names_of_files_are_read_and_what_was_read_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        let version = root.path().join("1");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("own.txt"), "own").unwrap();
        fs::write(root.path().join("own.txt"), "shadowed").unwrap();
        fs::write(root.path().join("shared.txt"), "shared").unwrap();
        std::os::unix::fs::symlink(root.path().join("shared.txt"), version.join("link.txt")).unwrap();
        let folder = Folder::new(&version, Some(root.path()));
        assert_eq!(folder.read("own.txt").unwrap(), b"own");
        assert_eq!(folder.read("shared.txt").unwrap(), b"shared");
        for bad in ["../own.txt", "/etc/passwd", ".hidden", "1/own.txt", "", "a\\b"] {
            assert_eq!(folder.read(bad).unwrap_err().code(), ErrorCode::InvalidInput, "{bad:?}");
        }
        assert_eq!(folder.read("nothing.txt").unwrap_err().code(), ErrorCode::NotFound);
        assert!(folder.read("link.txt").unwrap_err().to_string().contains("links are not followed"));
        let names: Vec<String> = folder.was_read().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["own.txt", "shared.txt"]);
    }
}
