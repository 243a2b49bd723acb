//! `engines.json`: which engine ran which file, kept over restarts, so that no choice changes unnoticed.
//!
//! One entry per model, version and sha256 of the file. It is a memory and no source of truth: the choice is
//! made anew at every load, and a file that cannot be read is a warning and begins anew. It is written once a round of
//! loads, when somebody says that the round is over, and not at every version.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use candor_domain::{ModelName, Version};
use serde::{Deserialize, Serialize};

use super::EngineId;
use crate::kept;

/// Most entries; those that have not been loaded for longest go first.
const ENTRIES_MAX: usize = 10_000;
/// Largest file that is read. Written ones are smaller: an entry is well below 1 KiB.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The memory.
pub struct EngineRecord {
    path: Option<PathBuf>,
    entries: Mutex<Entries>,
}

/// What is remembered, and whether the file does not know it yet.
#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    unsaved: bool,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    engines: Vec<Entry>,
}

/// Who runs a file, and who did before that. Behind the others stands what was loaded last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    model: String,
    version: String,
    sha256: String,
    engine: EngineId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was: Option<EngineId>,
}

/// What a choice is beside the ones before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Another engine, or version of it, that ran the same file before.
    pub was: Option<EngineId>,
    /// Whether that is news.
    pub changed: bool,
}

impl EngineRecord {
    /// Reads what `path` holds; without a path it forgets when the server ends.
    #[must_use]
    pub fn open(path: Option<PathBuf>) -> Self {
        let all = path.as_deref().map_or_else(Vec::new, |path| {
            read(path).unwrap_or_else(|error| {
                tracing::warn!("{} is not read and will be written anew: {error}", path.display());
                Vec::new()
            })
        });
        Self { path, entries: Mutex::new(Entries { all, unsaved: false }) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers who runs a file, and says who did before.
    pub fn remember(&self, model: &ModelName, version: &Version, sha256: &str, engine: EngineId) -> Remembered {
        let mut guard = self.entries();
        let Entries { all: entries, unsaved } = &mut *guard;
        let known = entries.iter().position(|entry| {
            entry.model == model.as_str() && entry.version == version.as_str() && entry.sha256 == sha256
        });
        let before = known.map(|place| entries.remove(place));
        let changed = before.as_ref().is_some_and(|before| before.engine != engine);
        let was =
            before.as_ref().and_then(|before| if changed { Some(before.engine.clone()) } else { before.was.clone() });
        entries.push(Entry {
            model: model.to_string(),
            version: version.to_string(),
            sha256: sha256.to_owned(),
            engine,
            was: was.clone(),
        });
        let surplus = entries.len().saturating_sub(ENTRIES_MAX);
        entries.drain(..surplus);
        *unsaved |= changed || before.is_none();
        Remembered { was, changed }
    }

    /// Writes what is new; a round of loads is over.
    pub fn save(&self) {
        let mut entries = self.entries();
        let Some(path) = self.path.as_deref().filter(|_| entries.unsaved) else { return };
        entries.unsaved = false;
        if let Err(error) = write(path, &entries.all) {
            tracing::warn!("{} cannot be written: {error}", path.display());
        }
    }
}

impl Drop for EngineRecord {
    /// The server may end before its first round is over.
    fn drop(&mut self) {
        self.save();
    }
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let Some(text) = kept::read(path, FILE_BYTES_MAX)? else { return Ok(Vec::new()) };
    let Kept { mut engines } = serde_json::from_str(&text)?;
    // The newest stand last.
    engines.drain(..engines.len().saturating_sub(ENTRIES_MAX));
    Ok(engines)
}

fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    kept::write(path, &serde_json::to_string_pretty(&serde_json::json!({ "engines": entries }))?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn engine(version: &str) -> EngineId {
        EngineId { name: "ort".to_owned(), version: version.to_owned() }
    }

    fn remember(record: &EngineRecord, sha256: &str, version: &str) -> Remembered {
        record.remember(&ModelName::parse("iris").unwrap(), &Version::first(), sha256, engine(version))
    }

    #[test]
    fn a_change_is_news_once_and_stays_known_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engines.json");
        let open = || EngineRecord::open(Some(path.clone()));
        assert_eq!(remember(&open(), "a", "1"), Remembered { was: None, changed: false });
        assert_eq!(remember(&open(), "a", "1"), Remembered { was: None, changed: false });
        let news = Remembered { was: Some(engine("1")), changed: true };
        assert_eq!(remember(&open(), "a", "2"), news);
        assert_eq!(remember(&open(), "a", "2"), Remembered { changed: false, ..news });
        assert_eq!(remember(&open(), "b", "3"), Remembered { was: None, changed: false }, "another file");
        assert!(!path.with_extension("tmp").exists());
    }

    #[test]
    fn what_cannot_be_read_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engines.json");
        for broken in ["", "{", "[]", "{\"engines\": [{}]}"] {
            fs::write(&path, broken).unwrap();
            remember(&EngineRecord::open(Some(path.clone())), "a", "1");
            assert_eq!(read(&path).unwrap().len(), 1, "{broken}");
        }
        fs::write(&path, vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn it_is_written_once_a_round_and_only_if_there_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engines.json");
        let record = EngineRecord::open(Some(path.clone()));
        for file in ["a", "b", "c"] {
            remember(&record, file, "1");
            assert!(!path.exists(), "the round is not over");
        }
        record.save();
        assert_eq!(read(&path).unwrap().len(), 3);
        fs::remove_file(&path).unwrap();
        remember(&record, "a", "1");
        record.save();
        assert!(!path.exists(), "nothing is new");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("engines.json"), folder.path().join("other"));
        fs::write(&other, "{\"engines\": []}").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("it is a link"));
        remember(&EngineRecord::open(Some(path.clone())), "a", "1");
        assert_eq!(fs::read_to_string(&other).unwrap(), "{\"engines\": []}");
        assert_eq!(read(&path).unwrap().len(), 1, "a file of its own stands in the link's place");
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let record = EngineRecord::open(None);
        for file in 0..ENTRIES_MAX + 5 {
            remember(&record, &file.to_string(), "1");
        }
        remember(&record, "5", "1");
        let entries = &record.entries().all;
        assert_eq!(entries.len(), ENTRIES_MAX);
        assert_eq!((entries[0].sha256.as_str(), entries[ENTRIES_MAX - 1].sha256.as_str()), ("6", "5"));
    }
}
