//! The model repository: a folder of models, each a folder of versions.
//!
//! `<model>/<version>/model.onnx` or `<model>/model.onnx` (which is version 1), optionally with a
//! `model.toml` beside the versions and a `golden.json` beside the file: the layout that Triton, TF
//! Serving and MLServer share. Links are not followed: what is served lies where it seems to lie. The
//! registry asks here what there is; this module does not know what is loaded.

mod golden;
mod manifest;

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use candor_domain::{Error, ErrorCode, ModelName, Result, Version, names::quoted};

pub use golden::{Golden, GoldenCase};
pub use manifest::{Feature, Filler, Manifest, Role, TensorNotes, VersionPolicy};

/// Name of the file that holds the graph.
pub const MODEL_FILE: &str = "model.onnx";
/// Name of the file that describes a model to people.
pub const MANIFEST_FILE: &str = "model.toml";
/// Name of the file with inputs and the outputs that they must give.
pub const GOLDEN_FILE: &str = "golden.json";

/// Largest manifest or golden file.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
    model_bytes_max: u64,
}

/// A model as it lies on disk.
#[derive(Debug, Clone)]
pub struct FoundModel {
    /// Its name.
    pub name: ModelName,
    /// What `model.toml` says, or nothing.
    pub manifest: Manifest,
    /// Its versions, lowest first.
    pub versions: Vec<FoundVersion>,
    /// Things in its folder that look like versions but do not count, and why.
    pub ignored: Vec<String>,
}

/// A version as it lies on disk.
#[derive(Debug, Clone)]
pub struct FoundVersion {
    /// Its number.
    pub version: Version,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// Changes whenever one of its files does.
    pub fingerprint: Fingerprint,
}

/// Size, time and identity of the files of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(u64, u128, u64)>);

impl Repository {
    /// A repository in `root`.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder.
    pub fn open(root: &Path, model_bytes_max: u64) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| {
            Error::new(ErrorCode::NotFound, format!("cannot open the model repository {}: {error}", root.display()))
                .hint("name a folder that holds <model>/<version>/model.onnx")
        })?;
        if !root.is_dir() {
            return Err(Error::new(ErrorCode::NotFound, format!("{} is not a folder", root.display()))
                .hint("name the folder that holds the models, not a model file"));
        }
        Ok(Self { root, model_bytes_max })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all models, and of folders that cannot be models with the reason.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn models(&self) -> Result<(Vec<ModelName>, Vec<String>)> {
        let (mut names, mut ignored) = (Vec::new(), Vec::new());
        for (raw, kind) in list(&self.root)? {
            if raw.starts_with('.') || kind == Kind::File {
                continue;
            }
            match (kind, ModelName::parse(&raw)) {
                (Kind::Link, _) => ignored.push(format!("{} is a link; links are not followed", quoted(&raw))),
                (_, Ok(name)) => {
                    if self.looks_like_a_model(&name) {
                        names.push(name);
                    } else {
                        ignored.push(format!("{name} holds neither {MODEL_FILE} nor a version folder"));
                    }
                }
                (_, Err(error)) => ignored.push(error.to_string()),
            }
        }
        names.sort();
        Ok((names, ignored))
    }

    fn looks_like_a_model(&self, name: &ModelName) -> bool {
        let Ok(entries) = list(&self.root.join(name.as_str())) else { return true };
        entries.iter().any(|(raw, kind)| match kind {
            Kind::Folder | Kind::Link => Version::parse(raw).is_ok(),
            Kind::File => raw == MODEL_FILE || raw == MANIFEST_FILE,
        }) || entries.iter().any(|(raw, kind)| *kind == Kind::Link && raw == MODEL_FILE)
    }

    /// Whether there is a folder of this name.
    #[must_use]
    pub fn has(&self, name: &ModelName) -> bool {
        kind_of(&self.root.join(name.as_str())) == Some(Kind::Folder)
    }

    /// Looks at one model.
    ///
    /// # Errors
    /// `NotFound` when it is not there, `InvalidModel` when its manifest is wrong or it has no version.
    pub fn find(&self, name: &ModelName) -> Result<FoundModel> {
        if !self.has(name) {
            return Err(Error::new(ErrorCode::NotFound, format!("model '{name}' is not in the repository")));
        }
        let folder = self.root.join(name.as_str());
        let manifest_path = folder.join(MANIFEST_FILE);
        let manifest = match read_text(&manifest_path)? {
            Some(text) => Manifest::parse(&text).map_err(|error| error.at(format!("{name}/{MANIFEST_FILE}")))?,
            None => Manifest::default(),
        };
        let (mut versions, mut ignored) = (Vec::new(), Vec::new());
        for (raw, kind) in list(&folder)? {
            match (kind, Version::parse(&raw)) {
                (Kind::Folder, Ok(version)) => match self.version(&folder.join(&raw), &manifest_path, version) {
                    Ok(found) => versions.push(found),
                    Err(error) => ignored.push(error.to_string()),
                },
                (Kind::Link, Ok(_)) => ignored.push(format!("{name}/{raw} is a link; links are not followed")),
                (Kind::Folder, Err(_)) => ignored.push(format!("{name}/{raw} is not a version number")),
                (Kind::File | Kind::Link, _) => {}
            }
        }
        if versions.is_empty() && kind_of(&folder.join(MODEL_FILE)).is_some() {
            versions.push(self.version(&folder, &manifest_path, Version::first())?);
        }
        versions.sort_by(|a, b| a.version.cmp(&b.version));
        if versions.is_empty() {
            let why = if ignored.is_empty() { String::new() } else { format!(" ({})", ignored.join("; ")) };
            return Err(Error::model(format!("model '{name}' has no version to serve{why}"))
                .hint("put the file at <model>/1/model.onnx"));
        }
        Ok(FoundModel { name: name.clone(), manifest, versions, ignored })
    }

    fn version(&self, folder: &Path, manifest: &Path, version: Version) -> Result<FoundVersion> {
        match kind_of(&folder.join(MODEL_FILE)) {
            Some(Kind::File) => {}
            Some(Kind::Link) => {
                return Err(Error::model(format!("{version}/{MODEL_FILE} is a link; links are not followed")));
            }
            Some(Kind::Folder) | None => return Err(Error::model(format!("{version} holds no file {MODEL_FILE}"))),
        }
        // All files of the folder, because a graph may keep its weights in files of any name.
        let files = list(folder)?.into_iter().filter(|(_, kind)| *kind == Kind::File);
        let stamps = files.map(|(name, _)| stamp(&folder.join(name))).chain([stamp(manifest)]);
        Ok(FoundVersion { version, folder: folder.to_path_buf(), fingerprint: Fingerprint(stamps.collect()) })
    }

    /// Reads the graph's bytes.
    ///
    /// # Errors
    /// `InvalidModel` when the file is too large, empty or unreadable.
    pub fn read_model(&self, found: &FoundVersion) -> Result<Vec<u8>> {
        let path = found.folder.join(MODEL_FILE);
        let unreadable = |error: io::Error| Error::model(format!("cannot read {MODEL_FILE}: {error}"));
        let metadata = fs::symlink_metadata(&path).map_err(unreadable)?;
        // It was a file when it was found.
        if !metadata.is_file() {
            return Err(Error::model(format!("{MODEL_FILE} has become a link or something else; it is not followed")));
        }
        let too_large = |bytes: u64| {
            Error::model(format!("{MODEL_FILE} is too large"))
                .expected(format!("at most {} bytes (limits.model_bytes_max)", self.model_bytes_max))
                .got(format!("{bytes} bytes"))
        };
        if metadata.len() > self.model_bytes_max {
            return Err(too_large(metadata.len()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // A file that grows while it is read ends at the limit too.
        let file = fs::File::open(&path).map_err(unreadable)?;
        file.take(self.model_bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        match bytes.len() as u64 {
            0 => Err(Error::model(format!("{MODEL_FILE} is empty"))),
            read if read > self.model_bytes_max => Err(too_large(read)),
            _ => Ok(bytes),
        }
    }

    /// Reads the golden pairs of a version, if it has any.
    ///
    /// # Errors
    /// `InvalidModel` when the file is there but wrong.
    pub fn read_golden(&self, found: &FoundVersion) -> Result<Option<Golden>> {
        let Some(text) = read_text(&found.folder.join(GOLDEN_FILE))? else { return Ok(None) };
        Golden::parse(&text).map(Some).map_err(|error| error.at(GOLDEN_FILE))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
}

/// What lies at `path`, without following links. Pipes, sockets and devices are nothing: opening one can
/// wait for ever.
fn kind_of(path: &Path) -> Option<Kind> {
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

fn list(folder: &Path) -> Result<Vec<(String, Kind)>> {
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

/// A small text file: `None` when it is not there.
fn read_text(path: &Path) -> Result<Option<String>> {
    let shown = path.file_name().unwrap_or_default().to_string_lossy();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::model(format!("cannot read {shown}: {error}"))),
        Ok(metadata) if metadata.is_symlink() => {
            return Err(Error::model(format!("{shown} is a link; links are not followed")));
        }
        Ok(metadata) if !metadata.is_file() => return Err(Error::model(format!("{shown} is not a file"))),
        Ok(metadata) if metadata.len() > TEXT_BYTES_MAX => {
            return Err(
                Error::model(format!("{shown} is too large")).expected(format!("at most {TEXT_BYTES_MAX} bytes"))
            );
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(|error| Error::model(format!("cannot read {shown}: {error}")))
}

#[cfg(test)]
mod tests;
