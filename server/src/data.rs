//! The data folder: locked by one server at a time; `serving.json` says where that server is.

use std::{
    fs::{self, File, TryLockError},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use candor_domain::{Error, ErrorCode, Result};
use serde::Serialize;

/// A data folder that this process holds.
pub(crate) struct DataFolder {
    serving: PathBuf,
    _lock: File,
}

#[derive(Serialize)]
struct Serving {
    pid: u32,
    http: String,
}

impl DataFolder {
    /// Makes the folder if need be and locks it.
    ///
    /// # Errors
    /// When it cannot be made, or another server holds it.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorCode::Internal, format!("the data folder {} cannot be used: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { serving: folder.join("serving.json"), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                ErrorCode::Internal,
                format!("another server uses the data folder {}", folder.display()),
            )
            .hint("give each server its own --data folder")),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Says where this server is, for whoever started it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn announce(&self, http: SocketAddr) -> Result<()> {
        let text = serde_json::json!(Serving { pid: std::process::id(), http: http.to_string() }).to_string();
        // Renamed into place, so that nobody reads half of it.
        let draft = self.serving.with_extension("tmp");
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, &self.serving)).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("cannot write {}: {error}", self.serving.display()))
        })
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // A stale announcement would only mislead; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&self.serving);
    }
}
