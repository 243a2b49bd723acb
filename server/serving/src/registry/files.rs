//! The files of a ready version, for who explains it: its graph as it was loaded, and what lies beside it.
//!
//! A graph that has changed on disk since is refused: an explanation is of the very bytes that answer. It does not know
//! what the files are for.

use candor_domain::{Error, ErrorCode, ModelFiles, Result};

use super::{
    load::{Opened, sha256_of},
    version::ReadyVersion,
};
use crate::{
    repository::{FoundModel, FoundVersion, GOLDEN_FILE, Golden},
    stages::Folder,
};

/// What a version's folder holds.
pub(super) struct VersionFiles {
    folder: Folder,
    /// The file of its graph and that file's sha256, where the version is its graph alone.
    graph: Option<(String, String)>,
}

impl VersionFiles {
    /// The files of a version that has been opened.
    pub(super) fn of(model: &FoundModel, found: &FoundVersion, opened: &Opened) -> Self {
        let folder = Folder::new(&found.folder, found.model_folder(&model.name));
        let is_graph = opened.sha256 == opened.files_sha256 && opened.parts.is_empty();
        // A component reads plain names: a graph in a folder of its own is out of its reach.
        let name = found.file.to_str().filter(|name| is_graph && !name.contains('/'));
        Self { folder, graph: name.map(|name| (name.to_owned(), opened.sha256.clone())) }
    }
}

impl ModelFiles for VersionFiles {
    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.folder.read(name)?;
        match &self.graph {
            Some((graph, sha256)) if graph == name && sha256_of(&bytes) != *sha256 => {
                let what = format!("{name} has changed since this version was loaded from it");
                Err(Error::new(ErrorCode::NotReady, what).hint("load the model anew"))
            }
            Some(_) | None => Ok(bytes),
        }
    }
}

impl ReadyVersion {
    /// Its files: of its own folder, and of its model's.
    #[must_use]
    pub fn files(&self) -> std::sync::Arc<dyn ModelFiles> {
        std::sync::Arc::clone(&self.files) as _
    }

    /// The file of its graph, where the version is its graph alone and a component can read it.
    #[must_use]
    pub fn graph_file(&self) -> Option<&str> {
        self.files.graph.as_ref().map(|(name, _)| name.as_str())
    }

    /// Its golden pairs as they lie there now, if there are any.
    ///
    /// # Errors
    /// `InvalidModel` when the file is there but wrong.
    pub fn read_golden(&self) -> Result<Option<Golden>> {
        let bytes = match self.files.folder.read(GOLDEN_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::model("not UTF-8").at(GOLDEN_FILE))?;
        Golden::parse(text).map(Some).map_err(|error| error.at(GOLDEN_FILE))
    }

    /// A sign of life: gone when the version is.
    #[must_use]
    pub fn life(&self) -> std::sync::Weak<()> {
        std::sync::Arc::downgrade(&self.life)
    }
}
