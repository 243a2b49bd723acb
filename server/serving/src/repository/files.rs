//! The bytes of graphs: read, measured, hashed. No link is followed and nothing is read beyond the limit.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Read as _},
    path::Path,
};

use candor_domain::{Error, Result};
use sha2::{Digest as _, Sha256};

use super::FoundVersion;
use crate::opened::{self, Unopened};

/// The file of a version's graph, and its size.
pub(super) fn open_model(found: &FoundVersion, bytes_max: u64) -> Result<(File, u64)> {
    let (file, bytes) = opened::open(&found.folder.join(&found.file)).map_err(|why| match why {
        Unopened::Missing => unreadable(found, &io::ErrorKind::NotFound.into()),
        Unopened::Failed(error) => unreadable(found, &error),
        // It was a file when it was found.
        Unopened::Link | Unopened::NoFile => {
            let shown = found.file.to_string_lossy();
            Error::model(format!("{shown} has become a link or something else; it is not followed"))
        }
    })?;
    if bytes > bytes_max {
        return Err(too_large(found, bytes, bytes_max));
    }
    Ok((file, bytes))
}

pub(super) fn read_model(found: &FoundVersion, bytes_max: u64) -> Result<Vec<u8>> {
    let (file, expected) = open_model(found, bytes_max)?;
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    // A file that grows while it is read ends at the limit too.
    let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(found, &error))?;
    sized(found, bytes.len() as u64, bytes_max)?;
    Ok(bytes)
}

pub(super) fn model_sha256(found: &FoundVersion, bytes_max: u64) -> Result<String> {
    // Little enough to stay in the processor's cache.
    const CHUNK_BYTES: usize = 256 << 10;
    let (file, _) = open_model(found, bytes_max)?;
    let mut file = file.take(bytes_max.saturating_add(1));
    let (mut hash, mut chunk, mut bytes) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        let read = match file.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| unreadable(found, &error))?,
        };
        if read == 0 {
            break;
        }
        hash.update(chunk.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
    sized(found, bytes, bytes_max)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn sized(found: &FoundVersion, bytes: u64, bytes_max: u64) -> Result<()> {
    match bytes {
        0 => Err(Error::model(format!("{} is empty", found.file.to_string_lossy()))),
        read if read > bytes_max => Err(too_large(found, read, bytes_max)),
        _ => Ok(()),
    }
}

fn unreadable(found: &FoundVersion, error: &io::Error) -> Error {
    Error::model(format!("cannot read {}: {error}", found.file.to_string_lossy()))
}

fn too_large(found: &FoundVersion, bytes: u64, bytes_max: u64) -> Error {
    Error::model(format!("{} is too large", found.file.to_string_lossy()))
        .expected(format!("at most {bytes_max} bytes (limits.model_bytes_max)"))
        .got(format!("{bytes} bytes"))
}

/// What the files take that lie in the folders of this folder.
pub(super) fn bytes_in(folder: &Path) -> u64 {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: DirEntry| entry.metadata().ok().filter(fs::Metadata::is_file).map_or(0, |file| file.len());
    let folders = entries(folder).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.flat_map(|version| entries(&version.path())).map(size).fold(0, u64::saturating_add)
}
