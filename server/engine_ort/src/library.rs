//! Where the ONNX Runtime library is looked for, and what was found.
//!
//! Order: the configured path; the given folders (wiring passes the binary's own folder and `../lib`);
//! the system's folders. Never inside whatever Python happens to be installed. Knows nothing of sessions.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

/// The oldest ONNX Runtime that this crate's bindings can use.
pub const VERSION_MIN: [u32; 2] = [1, 24];

/// Folders of the system that are searched last.
pub const SYSTEM_FOLDERS: [&str; 6] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/onnxruntime/lib",
];

#[cfg(target_os = "macos")]
const FILE_STEM: &str = "libonnxruntime";
#[cfg(target_os = "macos")]
const IS_LIBRARY: fn(&str) -> bool = |name| name.starts_with(FILE_STEM) && name.ends_with(".dylib");
#[cfg(not(target_os = "macos"))]
const FILE_STEM: &str = "libonnxruntime.so";
#[cfg(not(target_os = "macos"))]
const IS_LIBRARY: fn(&str) -> bool =
    |name| name.strip_prefix(FILE_STEM).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));

/// Libraries in the order in which they are to be tried. Within a folder the highest version comes first.
#[must_use]
pub fn candidates(configured: Option<&Path>, folders: &[PathBuf]) -> Vec<PathBuf> {
    if let Some(path) = configured {
        return vec![path.to_path_buf()];
    }
    let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
    folders.iter().cloned().chain(system).flat_map(|folder| in_folder(&folder)).collect()
}

fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(IS_LIBRARY))
        .map(|entry| (version_in_name(&entry.path()), entry.path()))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The numbers after `.so.`, as in `libonnxruntime.so.1.31.1`.
#[must_use]
pub fn version_in_name(path: &Path) -> Vec<u32> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let rest = name.strip_prefix(FILE_STEM).unwrap_or_default();
    rest.split('.').filter_map(|piece| piece.parse().ok()).collect()
}

/// sha256 of a file, in hex.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    const CHUNK_BYTES: usize = 1 << 16;
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hash.update(chunk.get(..read).unwrap_or_default()),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_path_is_the_only_candidate_when_given() {
        let only = candidates(Some(Path::new("/x/lib.so")), &[PathBuf::from("/y")]);
        assert_eq!(only, [PathBuf::from("/x/lib.so")]);
    }

    #[test]
    fn the_highest_version_of_the_first_folder_comes_first() {
        let near = tempfile::tempdir().unwrap();
        let far = tempfile::tempdir().unwrap();
        for name in
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so", "other.so"]
        {
            std::fs::write(near.path().join(name), b"x").unwrap();
        }
        std::fs::write(far.path().join("libonnxruntime.so.2.0.0"), b"x").unwrap();
        let found = candidates(None, &[near.path().into(), far.path().into()]);
        let names: Vec<_> = found.iter().take(3).map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["libonnxruntime.so.1.31.1", "libonnxruntime.so.1.9.0", "libonnxruntime.so.2.0.0"]);
    }

    #[test]
    fn digests_match_the_published_vector() {
        // FIPS 180-2, appendix B.1.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        assert_eq!(sha256_of(file.path()).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
