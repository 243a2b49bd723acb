//! What lies in a folder: files, folders and links told apart, and the graph among them.
//!
//! Links are not followed at any level, and pipes, sockets and devices are nothing.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use candor_domain::{Error, Result, names::quoted};

use super::{MODEL_FILE, foreign};
use crate::opened::{self, Unopened};

/// Largest text file that is read.
pub(super) const TEXT_BYTES_MAX: u64 = 16 << 20;

/// How a file that holds a graph ends.
const GRAPH_SUFFIX: &str = ".onnx";

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
}

/// Size, time and identity of files: changes whenever one of them does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(u64, u128, u64)>);

impl Fingerprint {
    /// Adds one file, or its absence.
    pub(super) fn add(&mut self, path: &Path) {
        self.0.push(stamp(path));
    }

    /// Adds all files of a folder, because a graph may keep its weights in files of any name.
    pub(super) fn add_files_of(&mut self, folder: &Path) -> Result<()> {
        let files = list(folder)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
        self.0.extend(files.map(|(name, _)| stamp(&folder.join(name))));
        Ok(())
    }
}

/// What lies at `path`, without following links. Pipes, sockets and devices are nothing: opening one can
/// wait for ever.
pub(super) fn kind_of(path: &Path) -> Option<Kind> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    Some(if kind.is_symlink() {
        Kind::Link
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_file() {
        Kind::File
    } else {
        return None;
    })
}

/// What lies in `folder`, by name.
pub(super) fn list(folder: &Path) -> Result<Vec<(String, Kind)>> {
    // Callers read this, so it names the folder alone; where it lies stands in the log.
    let unreadable = |error: io::Error| {
        tracing::warn!("cannot read {}: {error}", folder.display());
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        Error::model(format!("cannot read the folder {name}: {error}"))
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if let Some(kind) = kind_of(&entry.path()) {
            entries.push((entry.file_name().to_string_lossy().into_owned(), kind));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

fn stamp(path: &Path) -> (u64, u128, u64) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return (0, 0, 0) };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let identity = 0;
    (metadata.len(), modified.map_or(0, |time| time.as_nanos()), identity)
}

/// Why a link does not count.
pub(super) fn link(shown: &str) -> Error {
    Error::model(format!("{shown} is a link; links are not followed")).hint("put what it leads to in its place")
}

/// A small text file: `None` when it is not there.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>> {
    let shown = path.file_name().unwrap_or_default().to_string_lossy();
    let unreadable = |error: io::Error| Error::model(format!("cannot read {shown}: {error}"));
    let file = match opened::open(path) {
        Ok((file, _)) => file,
        Err(Unopened::Missing) => return Ok(None),
        Err(Unopened::Link) => return Err(link(&shown)),
        Err(Unopened::NoFile) => return Err(Error::model(format!("{shown} is not a file"))),
        Err(Unopened::Failed(error)) => return Err(unreadable(error)),
    };
    let mut text = Vec::new();
    file.take(TEXT_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(Error::model(format!("{shown} is too large")).expected(format!("at most {TEXT_BYTES_MAX} bytes")));
    }
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8");
    String::from_utf8(text).map(Some).map_err(not_text).map_err(unreadable)
}

/// Whether a name is that of a graph's file.
pub(super) fn is_graph(name: &str) -> bool {
    name.ends_with(GRAPH_SUFFIX) && name.len() > GRAPH_SUFFIX.len()
}

/// Whether a name that a configuration gives can be no way out of its folder.
pub(crate) fn is_plain(name: &str) -> bool {
    let odd = |next: char| matches!(next, '/' | '\\' | ':') || next.is_control();
    !name.is_empty() && !name.starts_with('.') && !name.contains(odd)
}

/// The file of a version's graph, relative to its folder: the one called `wanted`, or `model.onnx`, or the
/// only one that there is. A folder of that name may hold it together with its weights. `shown` is what the
/// folder is called in messages.
pub(super) fn graph_in(folder: &Path, shown: &str, wanted: Option<&str>) -> Result<PathBuf> {
    let name = wanted.unwrap_or(MODEL_FILE);
    let inner = folder.join(name);
    let found = match kind_of(&inner) {
        Some(Kind::File) => return Ok(name.into()),
        Some(Kind::Link) => return Err(link(&format!("{shown}/{name}"))),
        Some(Kind::Folder) if kind_of(&inner.join(MODEL_FILE)) == Some(Kind::File) => Some(MODEL_FILE.to_owned()),
        Some(Kind::Folder) => only_graph(&inner, &format!("{shown}/{name}"))?,
        None if wanted.is_some() => None,
        None => match only_graph(folder, shown)? {
            Some(only) => return Ok(only.into()),
            None => None,
        },
    };
    if let Some(file) = found {
        return Ok(Path::new(name).join(file));
    }
    let nothing = || Error::model(format!("{shown} holds no file {name}"));
    Err(foreign::reason(&list(folder)?, shown).unwrap_or_else(nothing))
}

fn only_graph(folder: &Path, shown: &str) -> Result<Option<String>> {
    const NAMED_MAX: usize = 5;
    let mut graphs = Vec::new();
    for (name, kind) in list(folder)?.into_iter().filter(|(name, _)| is_graph(name)) {
        match kind {
            Kind::File => graphs.push(name),
            Kind::Link => {
                return Err(link(&format!("{shown}/{name}")));
            }
            Kind::Folder => {}
        }
    }
    if graphs.len() > 1 {
        let names: Vec<_> = graphs.iter().take(NAMED_MAX).map(|name| quoted(name)).collect();
        return Err(Error::model(format!("{shown} holds {} ONNX files: {}", graphs.len(), names.join(", ")))
            .hint(format!("keep one, or call the one to serve {MODEL_FILE}")));
    }
    Ok(graphs.pop())
}
