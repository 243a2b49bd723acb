//! Reads a library once, from a file that nobody else can change, and keeps a private copy under its digest.
//!
//! What is hashed, inspected and loaded are the same bytes: they are read once, and the copy is what the loader sees.
//! Its name is its digest, because a loader that is given a known path gives back the library that it knows. It does
//! not know what the bytes mean.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::refusal::{Reason, Refusal, Verdict};

/// No plugin is as large.
pub const LIBRARY_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A library's bytes and their digest.
#[derive(Debug)]
pub struct Library {
    /// All of them.
    pub bytes: Vec<u8>,
    /// Their sha256 in hex.
    pub sha256: String,
}

/// The sha256 of bytes, in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Reads a library. Unless `lax`, only its owner, who is we or root, may be able to write it.
///
/// # Errors
/// `File` when it cannot be read, `Writable` when others may change it.
pub fn read(path: &Path, lax: bool) -> Verdict<Library> {
    let refuse = |reason, what: String| Refusal::new(reason, what).at(path.display());
    let nofollow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let mut file = OpenOptions::new().read(true).custom_flags(nofollow).open(path).map_err(|error| {
        let link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        let what = if link { "the library is a link".to_owned() } else { format!("cannot open the library: {error}") };
        refuse(Reason::File, what)
    })?;
    let meta = file.metadata().map_err(|error| refuse(Reason::File, error.to_string()))?;
    if !meta.is_file() {
        return Err(refuse(Reason::File, "the library is no file".to_owned()));
    }
    if meta.len() > LIBRARY_BYTES_MAX {
        return Err(refuse(Reason::File, format!("the library has more than {LIBRARY_BYTES_MAX} bytes")));
    }
    if !lax {
        let us = rustix::process::geteuid().as_raw();
        if meta.uid() != us && meta.uid() != 0 {
            let what = format!("the library belongs to user {}, who may change it", meta.uid());
            return Err(refuse(Reason::Writable, what).expected(format!("user {us} or root")));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(refuse(Reason::Writable, "others may write the library".to_owned())
                .got(format!("mode {:o}", meta.mode() & 0o7777))
                .hint("chmod go-w"));
        }
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    let mut limited = (&mut file).take(LIBRARY_BYTES_MAX);
    limited.read_to_end(&mut bytes).map_err(|error| refuse(Reason::File, error.to_string()))?;
    Ok(Library { sha256: sha256(&bytes), bytes })
}

/// A private folder of libraries, each named by its digest.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder, or makes it. It must be ours alone.
    ///
    /// # Errors
    /// `Store` when it cannot be made, or others may look into it.
    pub fn open(folder: &Path) -> Verdict<Self> {
        let refuse = |what: String| Refusal::new(Reason::Store, what).at(folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| refuse(error.to_string()))?;
        let meta = fs::symlink_metadata(folder).map_err(|error| refuse(error.to_string()))?;
        let ours = meta.uid() == rustix::process::geteuid().as_raw();
        if !meta.is_dir() || !ours || meta.mode() & 0o077 != 0 {
            return Err(refuse("the folder for plugins is not ours alone".to_owned())
                .expected("a folder of this user with mode 700")
                .got(format!("user {}, mode {:o}", meta.uid(), meta.mode() & 0o7777)));
        }
        let folder = folder.canonicalize().map_err(|error| refuse(error.to_string()))?;
        Ok(Self { folder })
    }

    /// The path of a copy of these bytes, made if it is not there, and compared if it is.
    ///
    /// # Errors
    /// `Store` when it cannot be written, or is there and is another.
    pub fn keep(&self, library: &Library) -> Verdict<PathBuf> {
        let path = self.folder.join(format!("{}.so", library.sha256));
        let refuse = |what: String| Refusal::new(Reason::Store, what).at(path.display());
        if let Ok(mut known) = File::open(&path) {
            let mut bytes = Vec::with_capacity(library.bytes.len());
            known.read_to_end(&mut bytes).map_err(|error| refuse(error.to_string()))?;
            return if bytes == library.bytes {
                Ok(path)
            } else {
                Err(refuse("the copy is another file than its name says".to_owned()).hint("remove it"))
            };
        }
        // Renamed when it is whole: another process may look for it at the same moment.
        static PARTS: AtomicU64 = AtomicU64::new(0);
        let number = PARTS.fetch_add(1, Ordering::Relaxed);
        let part = self.folder.join(format!("{}.{}.{number}.part", library.sha256, std::process::id()));
        // A process of the same number may have left one when it was killed, and nobody may write what has this mode.
        let _ = fs::remove_file(&part);
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(&part)?;
            file.write_all(&library.bytes)?;
            file.sync_all()?;
            fs::rename(&part, &path)
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&part);
            refuse(format!("cannot write the copy: {error}"))
        })?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_file_that_others_cannot_change_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.so");
        fs::write(&path, "abc").unwrap();
        mode(&path, 0o644);
        let library = read(&path, false).unwrap();
        assert_eq!(library.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        for bad in [0o664, 0o646] {
            mode(&path, bad);
            assert_eq!(read(&path, false).unwrap_err().reason(), Reason::Writable);
            assert!(read(&path, true).is_ok());
        }
        let link = folder.path().join("link.so");
        symlink(&path, &link).unwrap();
        let refusal = read(&link, true).unwrap_err();
        assert!(refusal.reason() == Reason::File && refusal.to_string().contains("is a link"), "{refusal}");
        assert_eq!(read(folder.path(), true).unwrap_err().reason(), Reason::File);
        assert_eq!(read(&folder.path().join("none"), true).unwrap_err().reason(), Reason::File);
    }

    /// What a crash has left behind, and several who want the same copy at once.
    #[test]
    fn a_copy_is_made_whatever_others_have_left_or_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("plugins")).unwrap();
        let bytes: Vec<u8> = (0..1_u32 << 22).map(|at| at.to_le_bytes()[1]).collect();
        let library = Library { sha256: sha256(&bytes), bytes };
        // As one that nobody may open for writing is for its owner, and this is for root too.
        let left = format!("{}.{}.part", library.sha256, std::process::id());
        fs::create_dir(folder.path().join("plugins").join(left)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.keep(&library).unwrap());
            }
        });
        let found = read(&store.keep(&library).unwrap(), false).unwrap();
        assert_eq!(found.sha256, library.sha256);
        let parts = fs::read_dir(folder.path().join("plugins")).unwrap().flatten();
        assert_eq!(parts.filter(|entry| entry.path().is_file()).count(), 1, "no part is left");
    }

    #[test]
    fn copies_are_private_named_by_their_digest_and_compared() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("deep/plugins")).unwrap();
        let library = Library { bytes: b"abc".to_vec(), sha256: sha256(b"abc") };
        let path = store.keep(&library).unwrap();
        assert_eq!(store.keep(&library).unwrap(), path);
        assert!(path.to_str().unwrap().ends_with(&format!("{}.so", library.sha256)));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o500);
        mode(&path, 0o700);
        fs::write(&path, "other").unwrap();
        assert_eq!(store.keep(&library).unwrap_err().reason(), Reason::Store);

        mode(path.parent().unwrap(), 0o755);
        assert_eq!(Store::open(path.parent().unwrap()).unwrap_err().reason(), Reason::Store);
    }
}
