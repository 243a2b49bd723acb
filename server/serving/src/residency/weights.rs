//! `weights.json`: what each model file takes with each engine, measured once in a process of its own.
//!
//! Written by `candor probe`, read by the server before it loads. What was never measured is estimated from the size of
//! the file. It is a memory and no source of truth: a file that cannot be read is a warning, and estimates do.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::ledger::Need;
use crate::engines::EngineId;

/// What a session takes of which nothing is known but the size of its file, as a multiple of that.
pub const ESTIMATE: u64 = 3;
/// Most entries; those that were measured first go first.
const ENTRIES_MAX: usize = 10_000;
/// Largest file that is read. Written ones are smaller: an entry is well below 1 KiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What a version takes, as measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// sha256 of its file, in hex.
    pub sha256: String,
    /// The engine that ran it.
    pub engine: EngineId,
    /// Bytes at most while it was loaded, verified and warmed up.
    pub load_bytes: u64,
    /// Bytes when it was ready.
    pub steady_bytes: u64,
    /// Milliseconds from reading its file to being ready.
    pub load_ms: u64,
    /// Nanoseconds of a row, where it could be run.
    pub row_nanos: Option<u64>,
    /// When it was measured, in milliseconds since 1970.
    pub measured_unix_ms: u64,
}

impl Weight {
    /// What the ledger is told.
    #[must_use]
    pub fn need(&self) -> Need {
        let load_bytes = self.load_bytes.max(self.steady_bytes);
        Need { load_bytes, steady_bytes: self.steady_bytes, load_ms: self.load_ms }
    }
}

/// What a version takes that was never measured.
#[must_use]
pub fn estimate(file_bytes: u64) -> Need {
    let bytes = file_bytes.saturating_mul(ESTIMATE);
    Need { load_bytes: bytes, steady_bytes: bytes, load_ms: 0 }
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    weights: Vec<Weight>,
}

/// The weights that a server knows. It looks at the file again whenever that has changed.
pub struct Weights {
    path: Option<PathBuf>,
    read: Mutex<(Option<SystemTime>, Vec<Weight>)>,
}

impl Weights {
    /// Those of `path`; none without one.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// What a file takes with the engine that would run it, if it was measured.
    #[must_use]
    pub fn of(&self, sha256: &str, engine: &EngineId) -> Option<Weight> {
        self.find(|weight| weight.sha256 == sha256 && weight.engine == *engine)
    }

    /// The most that a file was ever seen to take, for who does not know yet which engine will run it.
    #[must_use]
    pub fn most(&self, sha256: &str) -> Option<Weight> {
        let mut all = self.current();
        all.retain(|weight| weight.sha256 == sha256);
        all.into_iter().max_by_key(|weight| weight.load_bytes)
    }

    /// Whether nothing was ever measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current().is_empty()
    }

    fn find(&self, wanted: impl Fn(&Weight) -> bool) -> Option<Weight> {
        self.current().into_iter().rev().find(wanted)
    }

    fn current(&self) -> Vec<Weight> {
        let Some(path) = &self.path else { return Vec::new() };
        let changed = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != changed {
            let weights = read_file(path).unwrap_or_else(|error| {
                tracing::warn!("{} is not read, sizes of files will do: {error}", path.display());
                Vec::new()
            });
            *read = (changed, weights);
        }
        read.1.clone()
    }
}

/// Adds measurements to the file at `path`, in the place of older ones of the same file and engine. Several processes
/// may do so at once; a reader never sees half of it.
///
/// # Errors
/// When it cannot be written, or is a link.
pub fn keep(path: &Path, fresh: Vec<Weight>) -> io::Result<()> {
    let lock = open(&path.with_extension("lock"), OFlags::RDWR | OFlags::CREATE)?;
    lock.lock()?;
    let mut weights = match read_file(path) {
        // A link is not followed, and what somebody has put there is not replaced.
        Err(error) if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) => return Err(error),
        read => read.unwrap_or_default(),
    };
    weights.retain(|old| !fresh.iter().any(|new| new.sha256 == old.sha256 && new.engine == old.engine));
    weights.extend(fresh);
    let surplus = weights.len().saturating_sub(ENTRIES_MAX);
    weights.drain(..surplus);
    let text = serde_json::to_string_pretty(&Kept { weights })?;
    let draft = path.with_extension("tmp");
    // What a crash left behind goes first: a link in its place would be followed.
    let _ = fs::remove_file(&draft);
    let mut file = File::create_new(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?.into())
}

fn read_file(path: &Path) -> io::Result<Vec<Weight>> {
    let file = match open(path, OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let Kept { weights } = serde_json::from_str(&text)?;
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn engine(version: &str) -> EngineId {
        EngineId { name: "ort".to_owned(), version: version.to_owned() }
    }

    fn weight(sha256: &str, version: &str, load_bytes: u64) -> Weight {
        let (sha256, engine) = (sha256.to_owned(), engine(version));
        Weight { sha256, engine, load_bytes, steady_bytes: 5, load_ms: 3, row_nanos: None, measured_unix_ms: 1 }
    }

    #[test]
    fn a_weight_is_of_a_file_and_an_engine_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.json");
        let weights = Weights::new(Some(path.clone()));
        assert_eq!(weights.of("a", &engine("1")), None);
        keep(&path, vec![weight("a", "1", 10), weight("a", "2", 30)]).unwrap();
        assert_eq!(weights.of("a", &engine("1")), Some(weight("a", "1", 10)), "a running server sees it");
        assert_eq!(weights.of("a", &engine("3")), None);
        assert_eq!(weights.most("a"), Some(weight("a", "2", 30)));
        keep(&path, vec![weight("a", "1", 20)]).unwrap();
        let fresh = Weights::new(Some(path.clone()));
        assert_eq!(fresh.of("a", &engine("1")), Some(weight("a", "1", 20)));
        assert_eq!(fresh.of("a", &engine("2")), Some(weight("a", "2", 30)));
        assert!(!path.with_extension("tmp").exists());
    }

    #[test]
    fn a_session_keeps_no_more_than_its_load_takes() {
        assert_eq!(Weight { steady_bytes: 50, ..weight("a", "1", 10) }.need().load_bytes, 50);
        assert_eq!(estimate(7), Need { load_bytes: 21, steady_bytes: 21, load_ms: 0 });
        assert_eq!(estimate(u64::MAX).load_bytes, u64::MAX);
    }

    #[test]
    fn nothing_is_read_or_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("weights.json"), folder.path().join("target"));
        keep(&target, vec![weight("a", "1", 10)]).unwrap();
        symlink(&target, &path).unwrap();
        assert_eq!(Weights::new(Some(path.clone())).of("a", &engine("1")), None);
        assert!(keep(&path, vec![weight("b", "1", 10)]).is_err());
        assert!(!fs::read_to_string(&target).unwrap().contains("\"b\""));
        let draft = folder.path().join("other.tmp");
        symlink(&target, &draft).unwrap();
        keep(&folder.path().join("other.json"), vec![weight("b", "1", 10)]).unwrap();
        assert!(!fs::read_to_string(&target).unwrap().contains("\"b\""));
    }

    #[test]
    fn what_cannot_be_read_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.json");
        for broken in ["", "{", "[]", "{\"weights\": [{}]}"] {
            fs::write(&path, broken).unwrap();
            keep(&path, vec![weight("a", "1", 10)]).unwrap();
            assert_eq!(read_file(&path).unwrap().len(), 1, "{broken}");
        }
    }
}
