//! Makes sessions of files and of copies, each with the same options.
//!
//! Asked by `engine` for files that have been scanned, and by `copies` and `twin` for copies that have been checked.
//! Knows no folder and no digest.

use std::path::Path;

use candor_domain::ModelSource;
use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
};

/// Tells ONNX Runtime where a model that is loaded from memory keeps its external data.
const EXTERNAL_DATA_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// Keeps ONNX Runtime from guessing: its own `.ort` format is not ONNX, and has not been scanned.
const LOAD_FORMAT: &str = "session.load_model_format";

/// What decides how a copy looks, beside the library and the processor. To be raised when anything below is changed
/// that the graph of a session depends on, or the scan finds more than it did.
pub(crate) const OPTIONS: &str = "all optimisations, one stream, scan 1";

/// What all sessions have in common.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) environment: Environment,
    pub(crate) intra_op_threads: usize,
}

impl Maker {
    fn builder(&self) -> ort::Result<SessionBuilder> {
        Ok(Session::builder(&self.environment)?
            .with_intra_threads(self.intra_op_threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?)
    }

    /// A session of an ONNX file.
    pub(crate) fn of_onnx(&self, source: ModelSource<'_>) -> ort::Result<Session> {
        self.of_source(source)?.with_prepacking(true)?.commit_from_memory(source.bytes)
    }

    fn of_source(&self, source: ModelSource<'_>) -> ort::Result<SessionBuilder> {
        let folder = source.folder.to_string_lossy();
        Ok(self.builder()?.with_config_entry(EXTERNAL_DATA_FOLDER, folder)?.with_config_entry(LOAD_FORMAT, "ONNX")?)
    }

    /// Writes the graph of an ONNX file to `path`, as it is when it has been optimised, in the library's own format.
    pub(crate) fn save(&self, source: ModelSource<'_>, path: &Path) -> ort::Result<Session> {
        let builder = self.of_source(source)?.with_prepacking(false)?.with_optimized_model_path(path)?;
        builder.with_config_entry("session.save_model_format", "ORT")?.commit_from_memory(source.bytes)
    }

    /// A session that reads its graph and its weights where they lie: `bytes` must outlive it. `is_quick` leaves out
    /// what a session does with weights so that runs are faster.
    // Not `commit_from_memory_directly`: what that gives cannot be run from many threads.
    pub(crate) fn of_copy(&self, bytes: &[u8], is_quick: bool) -> ort::Result<Session> {
        self.builder()?
            .with_prepacking(!is_quick)?
            .with_config_entry(LOAD_FORMAT, "ORT")?
            .with_config_entry("session.use_ort_model_bytes_directly", "1")?
            .with_config_entry("session.use_ort_model_bytes_for_initializers", "1")?
            .commit_from_memory(bytes)
    }
}
