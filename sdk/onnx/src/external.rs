//! External data: where a model's weights may lie, and how they are read.
//!
//! Only in plain files of the model's folder, by a relative path, without links. [`SafePath`] is the one
//! way from text of a file to a path; [`Folder`] the one way to bytes.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use prost::bytes::Bytes;

use crate::error::{Error, ErrorKind, Result, quoted};

/// A relative path that cannot leave the folder that it starts from: names and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(String);

impl SafePath {
    /// Parses a location. `.` and doubled slashes are dropped, as every file system does.
    ///
    /// # Errors
    /// `External` when it is empty, absolute, climbs with `..`, or holds what another system takes for a
    /// path: backslashes, drive letters, zero bytes.
    pub fn parse(raw: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Err(Error::new(ErrorKind::External, format!("the model's external data at {} {why}", quoted(raw)))
                .expected("a file in the folder of the model, by its relative path, without links"))
        };
        let drive = raw.starts_with(|letter: char| letter.is_ascii_alphabetic()) && raw.get(1..2) == Some(":");
        if raw.starts_with('/') || raw.contains('\\') || drive {
            return refuse("lie outside the model's folder");
        }
        if raw.contains('\0') {
            return refuse("have a path that no file can have");
        }
        let names: Vec<&str> = raw.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.contains(&"..") {
            return refuse("lie outside the model's folder");
        }
        if names.is_empty() {
            return refuse("are not a file");
        }
        Ok(Self(names.join("/")))
    }

    /// The path, with `/` between names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a tensor says that its data lie. The location is as written and checked when it is followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct External {
    /// Path of the file, as written.
    pub location: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes; without it what the tensor needs.
    pub length: Option<u64>,
    /// Digest of the file, if the writer gave one.
    pub checksum: Option<String>,
}

/// The folder that holds a model, and its external data.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// A file of the folder, open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    /// Whether other names lead to the same file.
    pub(crate) hard_linked: bool,
}

impl Folder {
    /// The folder of a model.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Reads a range of a file: `wanted` bytes, which is what the tensor's dimensions ask for.
    ///
    /// # Errors
    /// `External` when the location leaves the folder, the file is no plain file, or the range is not the
    /// tensor's size or ends beyond the file.
    pub fn read(&self, external: &External, wanted: u64) -> Result<Bytes> {
        let path = SafePath::parse(&external.location)?;
        let mut opened = self.open(&path)?;
        check_range(external, wanted, opened.bytes)?;
        let mut bytes = Vec::new();
        let read = |error: io::Error| unreadable(&path, &error);
        opened.file.seek(SeekFrom::Start(external.offset)).map_err(read)?;
        // Allocates as bytes come: the size was checked against the file, which may shrink.
        (&mut opened.file).take(wanted).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 != wanted {
            return Err(refuse(&path, "became shorter while they were read"));
        }
        Ok(bytes.into())
    }

    /// Opens a plain file, having looked at every step on the way, and looks again at what was opened.
    pub(crate) fn open(&self, path: &SafePath) -> Result<Opened> {
        let mut full = self.0.clone();
        let mut found = None;
        for name in path.as_str().split('/') {
            full.push(name);
            let metadata =
                fs::symlink_metadata(&full).map_err(|error| refuse(path, &format!("cannot be found: {error}")))?;
            if metadata.is_symlink() {
                return Err(refuse(path, "are reached through a link; links are not followed"));
            }
            found = Some(metadata);
        }
        // Not a folder, a device, or a pipe on which a load would wait for ever.
        let Some(found) = found.filter(fs::Metadata::is_file) else { return Err(refuse(path, "are not a file")) };
        let file = File::open(&full).map_err(|error| unreadable(path, &error))?;
        let opened = file.metadata().map_err(|error| unreadable(path, &error))?;
        if !same_file(&found, &opened) {
            return Err(refuse(path, "were exchanged while they were opened"));
        }
        Ok(Opened { file, bytes: opened.len(), hard_linked: has_other_names(&opened) })
    }

    /// The path itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Whether the range is what the tensor needs, and within the file.
pub(crate) fn check_range(external: &External, wanted: u64, file_bytes: u64) -> Result<()> {
    let fault = |what: &str| {
        Error::new(ErrorKind::External, format!("the external data at {} {what}", quoted(&external.location)))
    };
    if let Some(length) = external.length.filter(|length| *length != wanted) {
        let error = fault("are not as long as the tensor");
        return Err(error.expected(format!("{wanted} bytes")).got(format!("{length} bytes")));
    }
    if external.offset.checked_add(wanted).is_none_or(|end| end > file_bytes) {
        let got = format!("{wanted} bytes from {} on", external.offset);
        return Err(fault("end beyond the file").expected(format!("within {file_bytes} bytes")).got(got));
    }
    Ok(())
}

fn refuse(path: &SafePath, why: &str) -> Error {
    Error::new(ErrorKind::External, format!("the model's external data at {} {why}", quoted(path.as_str())))
        .expected("a file in the folder of the model, by its relative path, without links")
}

fn unreadable(path: &SafePath, error: &io::Error) -> Error {
    refuse(path, &format!("cannot be read: {error}"))
}

#[cfg(unix)]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    one.len() == other.len() && other.is_file()
}

#[cfg(unix)]
fn has_other_names(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 1
}

#[cfg(not(unix))]
const fn has_other_names(_: &fs::Metadata) -> bool {
    false
}
