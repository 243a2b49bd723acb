//! Optimised copies of model files, in ONNX Runtime's own format, in a folder of this engine's.
//!
//! A copy spares a later load of the same file the reading, the scan and the optimising: it is mapped, checked against
//! its digest, and used where it lies. It stands for one file (sha256), one library (sha256), one processor and one set
//! of options; anything else is another copy. The folder is a cache: whatever is in it may be removed at any time. Knows
//! no model by name.
//!
//! | module | what it does |
//! |---|---|
//! | `file` | a copy as a file, written whole and checked before use |

mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::SystemTime,
};

use candor_domain::{Copies, EngineInfo, Error, ErrorCode, FoundCopy, LoadedModel, ModelSource, Result, Session};
use candor_engine_source::scanned;
use candor_onnx::{ContentDigest, Folder, Limits};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::{
    engine::{OrtRunSession, properties, signature},
    maker::{Maker, OPTIONS},
    processor::processor,
    raw::Runner,
    twin::Twins,
};
use file::{Checked, Note};

/// How copies are kept.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// Where they lie; made when it is not there. Nobody else may write there.
    pub folder: PathBuf,
    /// What all of them together may take on the disk.
    pub bytes_max: u64,
    /// Files that are smaller load fast enough.
    pub model_bytes_min: u64,
    /// From this size of a file on, a session answers before its weights are put in order.
    pub twin_bytes_min: u64,
    /// What a thread does that works on the side, such as to let others go first.
    pub step_back: fn(),
}

/// The ends of the names of copies, and of those that are being written.
const ENDING: &str = ".copy";
const DRAFT_ENDING: &str = ".draft";
/// From here on a copy is checked on a thread of its own.
const LARGE_BYTES: u64 = 4 << 20;

/// A copy in the folder.
struct Kept {
    bytes: u64,
    /// Larger was used later.
    used: u64,
}

#[derive(Default)]
struct Index {
    kept: BTreeMap<String, Kept>,
    uses: u64,
    /// Files that no copy could be made of; not tried again.
    without: BTreeSet<String>,
}

/// The copies.
pub(crate) struct Store {
    settings: CopySettings,
    maker: Maker,
    made_for: [u8; 32],
    index: Mutex<Index>,
    twins: Twins,
    /// Held, so that no other process writes what this one has mapped.
    _lock: File,
}

impl Store {
    pub(crate) fn open(settings: CopySettings, maker: Maker, library: &EngineInfo) -> Result<Self> {
        let unusable = |why: String| Error::new(ErrorCode::Internal, why);
        make_folder(&settings.folder).map_err(unusable)?;
        let lock = lock(&settings.folder).map_err(unusable)?;
        let of_library = library.library_sha256.as_deref().unwrap_or(&library.version);
        let made_for = Sha256::digest([of_library, &processor(), OPTIONS].join("\n")).into();
        let mut found: Vec<(SystemTime, String, Kept)> = Vec::new();
        for entry in fs::read_dir(&settings.folder).map_err(|error| unusable(error.to_string()))?.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(DRAFT_ENDING) {
                // What a crash left behind.
                let _ = fs::remove_file(entry.path());
            } else if let (true, Ok(metadata)) = (name.ends_with(ENDING), entry.metadata()) {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((used, name, Kept { bytes: metadata.len(), used: 0 }));
            }
        }
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let mut index = Index::default();
        for (_, name, kept) in found {
            index.uses += 1;
            index.kept.insert(name, Kept { used: index.uses, ..kept });
        }
        let twins = Twins::start(maker.clone(), settings.step_back)
            .map_err(|error| unusable(format!("the system gives no thread: {error}")))?;
        let store = Self { settings, maker, made_for, index: Mutex::new(index), twins, _lock: lock };
        // The bound may be lower than it was.
        store.make_room(None);
        Ok(store)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a copy for this library and processor.
    fn name(&self, sha256: &str, model_bytes: u64) -> String {
        let made_for: String = self.made_for.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{sha256}-{model_bytes}-{made_for}{ENDING}")
    }

    /// The copy that it must be, if there is one for a file of this size; nothing inside where several may be.
    fn only_one(&self, file_bytes: u64, sha256: Option<&str>) -> Option<Option<String>> {
        let index = self.index();
        if let Some(sha256) = sha256 {
            let own = self.name(sha256, file_bytes);
            return index.kept.contains_key(&own).then_some(Some(own));
        }
        let of_size = self.name("", file_bytes);
        let mut names = index.kept.keys().filter(|name| name.ends_with(&of_size));
        let first = names.next()?;
        Some(names.next().is_none().then(|| first.clone()))
    }

    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.settings.folder.join(name));
        self.index().kept.remove(name);
    }

    /// Removes those that have not been used for longest until the rest is within the bound; never `spared`.
    fn make_room(&self, spared: Option<&str>) {
        loop {
            let mut index = self.index();
            if index.kept.values().map(|kept| kept.bytes).sum::<u64>() <= self.settings.bytes_max {
                break;
            }
            let oldest = index.kept.iter().filter(|(name, _)| Some(name.as_str()) != spared);
            let Some(name) = oldest.min_by_key(|(_, kept)| kept.used).map(|(name, _)| name.clone()) else { break };
            index.kept.remove(&name);
            drop(index);
            // Who has it mapped keeps what there is in it.
            let _ = fs::remove_file(self.settings.folder.join(name));
        }
    }

    /// A session of a copy that was checked.
    fn session(&self, checked: &Checked) -> std::result::Result<LoadedModel, String> {
        let graph = checked.weights.bytes().get(..checked.graph_bytes).unwrap_or_default();
        let has_twin = checked.note.model_bytes >= self.settings.twin_bytes_min;
        let made = self.maker.of_copy(graph, has_twin).map_err(|error| error.to_string())?;
        let signature = signature(&made).map_err(|error| error.to_string())?;
        let weights = Arc::clone(&checked.weights);
        let runner = Runner::new(made, &signature, Some(Arc::clone(&weights))).map_err(|error| error.to_string())?;
        let session: Box<dyn Session> = if has_twin {
            Box::new(self.twins.session(runner, (&weights, checked.graph_bytes), &signature))
        } else {
            Box::new(OrtRunSession(runner))
        };
        let Note { cost_depends_on_values, properties, .. } = checked.note.clone();
        // No copy is kept of a graph whose answers are random.
        Ok(LoadedModel { session, signature, properties, cost_depends_on_values, random: None })
    }

    fn make(&self, source: ModelSource<'_>, sha256: &str, draft: &Path) -> std::result::Result<u64, String> {
        let told = |error: Error| error.to_string();
        let scanned = scanned(source).map_err(told)?;
        let limits = Limits::default();
        let digest = ContentDigest::of(source.bytes, &scanned.model, &Folder::new(source.folder), &limits)
            .map_err(|error| error.to_string())?;
        if hex(&digest.file) != sha256 {
            return Err("the file is not the one that was loaded".to_owned());
        }
        // Its digest says nothing of them.
        if !digest.external.is_empty() {
            return Err("its weights lie in other files".to_owned());
        }
        // A copy's note does not say it, and caches of answers must know.
        if scanned.random.is_some() {
            return Err("its answers are random".to_owned());
        }
        let cost_depends_on_values = scanned.cost_depends_on_values;
        drop(scanned);
        let of_file = self.maker.save(source, draft).map_err(|error| error.to_string())?;
        let wanted = signature(&of_file).map_err(told)?;
        // The library's own format does not keep all of them.
        let properties = properties(&of_file);
        drop(of_file);
        let model_bytes = source.bytes.len() as u64;
        let note =
            Note { model: digest.file, made_for: self.made_for, model_bytes, cost_depends_on_values, properties };
        let bytes = file::seal(draft, &note).map_err(|error| error.to_string())?;
        if bytes > self.settings.bytes_max {
            return Err(format!("it takes {bytes} bytes, more than all copies may"));
        }
        let checked = file::open(draft, &self.made_for)?;
        let graph = checked.weights.bytes().get(..checked.graph_bytes).unwrap_or_default();
        let of_copy = self.maker.of_copy(graph, true).map_err(|error| error.to_string())?;
        if wanted != signature(&of_copy).map_err(told)? {
            return Err("it does not take and give what the file does".to_owned());
        }
        Ok(bytes)
    }
}

impl Copies for Store {
    fn look(&self, file_bytes: u64, sha256: Option<&str>) -> Option<Box<dyn FoundCopy + '_>> {
        let checking = match self.only_one(file_bytes, sha256)? {
            None => Checking::Later(file_bytes),
            Some(name) => {
                let (folder, made_for) = (self.settings.folder.clone(), self.made_for);
                let check = move || {
                    let checked = file::open(&folder.join(&name), &made_for);
                    (name, checked)
                };
                if file_bytes < LARGE_BYTES {
                    Checking::Done(Box::new(check()))
                } else {
                    Checking::Aside(Builder::new().name("candor-copy".into()).spawn(check).ok()?)
                }
            }
        };
        Some(Box::new(Look { store: self, checking }))
    }

    fn wants(&self, sha256: &str, file_bytes: u64) -> bool {
        let fits = (self.settings.model_bytes_min..=self.settings.bytes_max).contains(&file_bytes);
        let index = self.index();
        fits && !index.kept.contains_key(&self.name(sha256, file_bytes)) && !index.without.contains(sha256)
    }

    fn keep(&self, source: ModelSource<'_>, sha256: &str) -> Result<()> {
        let model_bytes = source.bytes.len() as u64;
        let name = self.name(sha256, model_bytes);
        let draft = self.settings.folder.join(format!("{sha256}{DRAFT_ENDING}"));
        let _ = fs::remove_file(&draft);
        let made = self.make(source, sha256, &draft);
        let made = made.and_then(|bytes| {
            fs::rename(&draft, self.settings.folder.join(&name)).map_err(|error| error.to_string())?;
            Ok(bytes)
        });
        match made {
            Ok(bytes) => {
                let mut index = self.index();
                index.uses += 1;
                let used = index.uses;
                index.kept.insert(name.clone(), Kept { bytes, used });
                drop(index);
                self.make_room(Some(&name));
                Ok(())
            }
            Err(why) => {
                let _ = fs::remove_file(&draft);
                self.index().without.insert(sha256.to_owned());
                Err(Error::new(ErrorCode::Unsupported, format!("no copy is kept of it: {why}")))
            }
        }
    }

    fn beside_bytes(&self, file_bytes: u64) -> u64 {
        // The copy itself, which a session has mapped for as long as there is one, and reads its weights from.
        if file_bytes < self.settings.model_bytes_min { 0 } else { file_bytes }
    }
}

type Found = (String, std::result::Result<Checked, String>);

enum Checking {
    Done(Box<Found>),
    Aside(JoinHandle<Found>),
    /// Several are of files of this size, as models of one architecture are: to read all of them for one would take
    /// longer than to wait for the digest.
    Later(u64),
}

/// A copy of a file of one size, or which of several it is remains to be seen.
struct Look<'a> {
    store: &'a Store,
    checking: Checking,
}

impl FoundCopy for Look<'_> {
    fn load(self: Box<Self>, sha256: &str) -> Option<LoadedModel> {
        let (name, checked) = match self.checking {
            Checking::Done(found) => *found,
            Checking::Aside(thread) => thread.join().ok()?,
            Checking::Later(file_bytes) => {
                let name = self.store.name(sha256, file_bytes);
                let is_there = self.store.index().kept.contains_key(&name);
                let checked =
                    is_there.then(|| file::open(&self.store.settings.folder.join(&name), &self.store.made_for));
                (name, checked?)
            }
        };
        let is_wanted = |checked: &Checked| hex(&checked.note.model) == sha256;
        let loaded = match checked {
            Ok(checked) if !is_wanted(&checked) && !name.starts_with(sha256) => return None,
            Ok(checked) if !is_wanted(&checked) => Err("it is a copy of another file".to_owned()),
            Ok(checked) => self.store.session(&checked),
            Err(why) => Err(why),
        };
        match loaded {
            Ok(loaded) => {
                file::used(&self.store.settings.folder.join(&name));
                let mut index = self.store.index();
                index.uses += 1;
                let used = index.uses;
                index.kept.entry(name).and_modify(|kept| kept.used = used);
                Some(loaded)
            }
            Err(why) => {
                tracing::warn!("a copy of a model file is not used and removed, the file is loaded: {name}: {why}");
                self.store.remove(&name);
                None
            }
        }
    }
}

/// Makes the folder if need be; refuses one that others could put copies into.
fn make_folder(folder: &Path) -> std::result::Result<(), String> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.to_string()),
        Ok(()) | Err(_) => {}
    }
    let metadata = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !metadata.is_dir() {
        return Err("it is no folder".to_owned());
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err("it belongs to somebody else, or others may write into it".to_owned());
    }
    Ok(())
}

/// The right to use the folder, which one process has.
fn lock(folder: &Path) -> std::result::Result<File, String> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = rustix::fs::open(folder.join("lock"), flags, Mode::from_raw_mode(0o600));
    let lock: File = lock.map_err(|error| error.to_string())?.into();
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err("another server uses it".to_owned()),
        Err(TryLockError::Error(error)) => Err(error.to_string()),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
