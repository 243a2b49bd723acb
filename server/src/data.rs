//! The data folder: locked by one server at a time; `serving.json` says where that server is, `engines.json` which
//! engine ran which file, `weights.json` what each takes, `findings.json` what loads found out; `copies` holds copies of
//! model files.

use std::{
    fs::{self, File, TryLockError},
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use candor_domain::{Error, ErrorCode, Result};
use rustix::{
    fs::{Access, Mode, OFlags, access},
    io::Errno,
};
use serde::Serialize;

/// Those who look at the lock let go of it at once; this many in a row do not come.
const LOOKS_MAX: usize = 1000;

/// A data folder that this process holds.
pub(crate) struct DataFolder {
    serving: PathBuf,
    _lock: File,
}

/// Where a server is: what stands in `serving.json`.
#[derive(Serialize)]
pub(crate) struct Serving {
    pid: u32,
    http: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<SocketAddr>,
}

impl Serving {
    /// This process, at these addresses.
    pub(crate) fn new(http: SocketAddr, grpc: Option<&SocketAddr>, health: Option<&SocketAddr>) -> Self {
        Self { pid: std::process::id(), http, grpc: grpc.copied(), health: health.copied() }
    }
}

impl DataFolder {
    /// Makes the folder if need be and locks it.
    ///
    /// # Errors
    /// When it cannot be made, or another server holds it.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
        let lock = open_lock(folder, OFlags::CREATE).map_err(|error| unusable(folder, &error))?;
        for _ in 0..LOOKS_MAX {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { serving: folder.join("serving.json"), _lock: lock }),
                Err(TryLockError::Error(error)) => return Err(unusable(folder, &error)),
                // A lock that can be shared is no server's, but that of someone who looks: see `probe`.
                Err(TryLockError::WouldBlock) if lock.try_lock_shared().is_ok() => {
                    lock.unlock().map_err(|error| unusable(folder, &error))?;
                    std::thread::yield_now();
                }
                Err(TryLockError::WouldBlock) => break,
            }
        }
        Err(taken(folder))
    }

    /// The file of `folder` that the registry keeps its choices of engines in.
    #[must_use]
    pub(crate) fn engine_record(folder: &Path) -> PathBuf {
        folder.join("engines.json")
    }

    /// The file of `folder` that says what models take, which `candor probe` writes.
    #[must_use]
    pub(crate) fn weights(folder: &Path) -> PathBuf {
        folder.join("weights.json")
    }

    /// The file of `folder` that keeps what loads found out.
    #[must_use]
    pub(crate) fn findings(folder: &Path) -> PathBuf {
        folder.join("findings.json")
    }

    /// The folder in `folder` for copies of model files.
    #[must_use]
    pub(crate) fn copies(folder: &Path) -> PathBuf {
        folder.join("copies")
    }

    /// The folder below `folder` for private copies of plugins.
    #[must_use]
    pub(crate) fn plugins(folder: &Path) -> PathBuf {
        folder.join("plugins")
    }

    /// Whether [`open`](Self::open) would succeed in a folder that is there. Makes, changes and holds nothing.
    ///
    /// # Errors
    /// When it would not.
    pub(crate) fn probe(folder: &Path) -> Result<()> {
        access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| unusable(folder, &error.into()))?;
        if !folder.is_dir() {
            return Err(unusable(folder, &Errno::NOTDIR.into()));
        }
        let lock = match open_lock(folder, OFlags::empty()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(|error| unusable(folder, &error))?,
        };
        // Shared, so that a server that starts right now can tell it from another server's.
        match lock.try_lock_shared() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(taken(folder)),
            Err(TryLockError::Error(error)) => Err(unusable(folder, &error)),
        }
    }

    /// Says where this server is, for whoever started it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn announce(&self, serving: &Serving) -> Result<()> {
        let text = serde_json::json!(serving).to_string();
        // Renamed into place, so that nobody reads half of it.
        let draft = self.serving.with_extension("tmp");
        // What a crash left behind goes first: a link in its place would be followed.
        let _ = fs::remove_file(&draft);
        let written = File::create_new(&draft).and_then(|mut file| file.write_all(text.as_bytes()));
        written.and_then(|()| fs::rename(&draft, &self.serving)).map_err(|error| {
            Error::new(ErrorCode::Internal, format!("cannot write {}: {error}", self.serving.display()))
        })
    }
}

/// The lock's file as it is: never emptied, and never what a link points to.
fn open_lock(folder: &Path, flags: OFlags) -> std::io::Result<File> {
    let flags = flags | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder.join("lock"), flags, Mode::from_raw_mode(0o644))?.into())
}

fn unusable(folder: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::Internal, format!("the data folder {} cannot be used: {error}", folder.display()))
        .hint("name a folder that can be written, and whose file \"lock\" is no link, with --data")
}

fn taken(folder: &Path) -> Error {
    let text = format!("another server uses the data folder {}", folder.display());
    Error::new(ErrorCode::Internal, text).hint("give each server its own --data folder")
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // A stale announcement would only mislead; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&self.serving);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_lock_is_never_emptied_and_never_followed_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        fs::write(&lock, "precious").unwrap();
        drop(DataFolder::open(folder.path()).unwrap());
        assert_eq!(fs::read_to_string(&lock).unwrap(), "precious");

        let target = folder.path().join("target");
        fs::rename(&lock, &target).unwrap();
        symlink(&target, &lock).unwrap();
        assert!(DataFolder::open(folder.path()).is_err());
        assert!(DataFolder::probe(folder.path()).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn an_announcement_is_never_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "precious").unwrap();
        symlink(&target, folder.path().join("serving.tmp")).unwrap();
        let held = DataFolder::open(folder.path()).unwrap();
        held.announce(&Serving::new(([127, 0, 0, 1], 80).into(), None, None)).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(fs::read_to_string(folder.path().join("serving.json")).unwrap().contains("127.0.0.1:80"));
    }

    #[test]
    fn a_probe_makes_nothing_and_tells_a_server_from_another_probe() {
        let folder = tempfile::tempdir().unwrap();
        DataFolder::probe(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let held = DataFolder::open(folder.path()).unwrap();
        assert!(DataFolder::probe(folder.path()).unwrap_err().to_string().contains("another server"));
        assert!(DataFolder::open(folder.path()).is_err());
        drop(held);

        let looking = open_lock(folder.path(), OFlags::empty()).unwrap();
        looking.lock_shared().unwrap();
        DataFolder::probe(folder.path()).unwrap();
        let opening = std::thread::scope(|scope| {
            let opening = scope.spawn(|| DataFolder::open(folder.path()));
            looking.unlock().unwrap();
            opening.join().unwrap()
        });
        assert!(opening.is_ok());
    }
}
