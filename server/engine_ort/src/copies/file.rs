//! A copy as a file: the optimised graph, and behind it what it is a copy of and a digest over all of it.
//!
//! ```text
//! graph in ONNX Runtime's own format │ what the model says of itself │ mark │ sha256 of the model
//!     │ sha256 of what it was made for │ bytes of the model │ bytes of the graph │ whether cost depends on values
//!     │ sha256 of all before
//! ```
//!
//! Written by `copies` and read by it. A file that is not ours, not whole or not what it says is never used.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::raw::Map;

/// Begins what stands behind the graph; to be changed with its form.
const MARK: &[u8; 16] = b"candor copy v1\0\n";
const SHA256_BYTES: usize = 32;
/// All behind the graph but the last digest.
const NOTE_BYTES: usize = MARK.len() + 2 * SHA256_BYTES + 3 * size_of::<u64>();
const TAIL_BYTES: usize = NOTE_BYTES + SHA256_BYTES;

/// What a copy is of and for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    /// sha256 of the model file.
    pub(super) model: [u8; SHA256_BYTES],
    /// sha256 of library, processor and options.
    pub(super) made_for: [u8; SHA256_BYTES],
    /// Size of the model file.
    pub(super) model_bytes: u64,
    /// What a run's time depends on, as the scan has found.
    pub(super) cost_depends_on_values: bool,
    /// What the model says of itself.
    pub(super) properties: BTreeMap<String, String>,
}

/// A copy that was found whole.
pub(super) struct Checked {
    pub(super) note: Note,
    pub(super) weights: Arc<Map>,
    /// So many of the first bytes are the graph.
    pub(super) graph_bytes: usize,
}

fn encode(note: &Note, graph_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(TAIL_BYTES);
    for text in note.properties.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(&note.model);
    bytes.extend_from_slice(&note.made_for);
    for number in [note.model_bytes, graph_bytes, u64::from(note.cost_depends_on_values)] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<(Note, u64)> {
    let (mark, bytes) = bytes.split_at_checked(MARK.len())?;
    let (model, bytes) = bytes.split_first_chunk::<SHA256_BYTES>()?;
    let (made_for, bytes) = bytes.split_first_chunk::<SHA256_BYTES>()?;
    let mut numbers =
        bytes.chunks_exact(size_of::<u64>()).filter_map(|number| Some(u64::from_le_bytes(number.try_into().ok()?)));
    let (model_bytes, graph_bytes, cost) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let (cost_depends_on_values, properties) = (cost != 0, BTreeMap::new());
    let note = Note { model: *model, made_for: *made_for, model_bytes, cost_depends_on_values, properties };
    (mark == MARK && cost < 2).then_some((note, graph_bytes))
}

fn decode_properties(mut bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let mut text = || -> Option<String> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        bytes = rest;
        String::from_utf8(text.to_vec()).ok()
    };
    let properties = std::iter::from_fn(|| Some((text()?, text()?))).collect();
    bytes.is_empty().then_some(properties)
}

/// Makes a copy of a file that holds a graph: private, whole, and on the disk.
pub(super) fn seal(path: &Path, note: &Note) -> std::io::Result<u64> {
    let mut file: File =
        rustix::fs::open(path, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?.into();
    file.set_permissions(Permissions::from_mode(0o600))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    let mut graph_bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hash.update(chunk.get(..read).unwrap_or_default());
        graph_bytes += read as u64;
    }
    let tail = encode(note, graph_bytes);
    hash.update(&tail);
    file.seek(SeekFrom::End(0))?;
    file.write_all(&tail)?;
    file.write_all(&hash.finalize())?;
    file.sync_all()?;
    Ok(graph_bytes + tail.len() as u64 + SHA256_BYTES as u64)
}

/// Opens a copy and reads every byte of it, or says why it is none.
pub(super) fn open(path: &Path, made_for: &[u8; SHA256_BYTES]) -> Result<Checked, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| error.to_string())?.into();
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    // Who may write a copy may have this process run what they like.
    if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
        return Err("it belongs to somebody else, or others may use it".to_owned());
    }
    let bytes = usize::try_from(metadata.len()).map_err(|_| "it is too large".to_owned())?;
    if bytes <= TAIL_BYTES {
        return Err("it is cut short".to_owned());
    }
    let weights = Map::of(&file, bytes).map_err(|error| error.to_string())?;
    let all = weights.bytes();
    let (content, digest) = all.split_at_checked(bytes - SHA256_BYTES).unwrap_or_default();
    if Sha256::digest(content).as_slice() != digest {
        return Err("it is damaged".to_owned());
    }
    let (mut note, graph_bytes) = content.get(bytes - TAIL_BYTES..).and_then(decode).ok_or("it is no copy")?;
    if note.made_for != *made_for {
        return Err("it was made for another library or processor".to_owned());
    }
    let graph_bytes = usize::try_from(graph_bytes).map_err(|_| "it is no copy")?;
    let said = content.get(graph_bytes..bytes - TAIL_BYTES).and_then(decode_properties);
    note.properties = said.ok_or("it is no copy")?;
    Ok(Checked { note, weights: Arc::new(weights), graph_bytes })
}

/// A copy is used now: those that are used least go first.
pub(super) fn used(path: &Path) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let now = rustix::fs::Timestamps { last_access: now, last_modification: now };
    let _ = rustix::fs::utimensat(rustix::fs::CWD, path, &now, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn note() -> Note {
        let properties = [("graph", "g"), ("empty", ""), ("", "odd")];
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Note { model: [1; 32], made_for: FOR, model_bytes: 7, cost_depends_on_values: true, properties }
    }

    const FOR: [u8; 32] = [2; 32];

    fn copy(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("one");
        fs::write(&path, b"a graph, let us say").unwrap();
        assert_eq!(seal(&path, &note()).unwrap(), fs::metadata(&path).unwrap().len());
        path
    }

    #[test]
    fn what_was_sealed_is_found_again_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = copy(folder.path());
        let checked = open(&path, &FOR).unwrap();
        assert_eq!((checked.note.clone(), checked.graph_bytes), (note(), 19));
        assert_eq!(checked.weights.bytes().get(..19).unwrap(), b"a graph, let us say");
        checked.weights.rest();
        assert_eq!(checked.weights.bytes().get(..7).unwrap(), b"a graph", "the file still has it");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_byte_that_was_changed_anywhere_or_is_missing_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = copy(folder.path());
        let good = fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(open(&path, &FOR).is_err(), "byte {place}");
            fs::write(&path, &good[..place]).unwrap();
            assert!(open(&path, &FOR).is_err(), "cut at {place}");
        }
        fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
        assert!(open(&path, &FOR).is_err());
        fs::write(&path, &good).unwrap();
        assert!(open(&path, &FOR).is_ok());
    }

    #[test]
    fn a_copy_for_another_machine_of_somebody_else_or_behind_a_link_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = copy(folder.path());
        assert!(open(&path, &[3; 32]).err().unwrap().contains("another library"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link, &FOR).is_err());
        fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        assert!(open(&path, &FOR).err().unwrap().contains("others may use it"));
        assert!(open(folder.path(), &FOR).err().unwrap().contains("no file"));
    }
}
