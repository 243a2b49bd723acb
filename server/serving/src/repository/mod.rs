//! The model repository: a folder of models, each a folder of versions.
//!
//! `<model>/<version>/model.onnx` or `<model>/model.onnx` (which is version 1), optionally with a
//! `model.toml` beside the versions and a `golden.json` beside the file: the layout that Triton, TF
//! Serving and MLServer share. Triton's `config.pbtxt` and MLflow's `MLmodel` are read where they lie.
//! Links are not followed: what is served lies where it seems to lie. The registry asks here what there
//! is; this module does not know what is loaded.
//!
//! | module | what it does |
//! |---|---|
//! | `manifest` | `model.toml` |
//! | `batching`, `breaker`, `overload`, `explain` | the tables of these names of `model.toml` |
//! | `parts` | `[[stage]]`, `[plugin]` and `[ensemble]` of `model.toml` |
//! | `golden` | `golden.json` |
//! | `triton`, `pbtxt` | `config.pbtxt`, and the language that it is written in |
//! | `mlflow` | `MLmodel` |
//! | `fit` | a graph against all that its folder says of it |
//! | `files` | the bytes of graphs: read, measured, hashed |
//! | `layout` | files, folders and links told apart; the graph among them |
//! | `look` | one model told from a folder of models |
//! | `foreign` | model files of other kinds, and how to get an ONNX file out of them |

mod batching;
mod breaker;
mod explain;
mod files;
mod fit;
mod foreign;
mod golden;
mod layout;
mod look;
mod manifest;
mod mlflow;
mod overload;
pub(crate) mod parts;
mod pbtxt;
mod result_cache;
mod triton;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use candor_domain::{Error, ErrorCode, ModelName, Result, Version, names::quoted};

pub use batching::BatchingNotes;
pub use breaker::BreakerNotes;
pub use explain::ExplainNotes;
pub use fit::{Fitted, Origin};
pub use golden::{Golden, GoldenCase};
pub use layout::Fingerprint;
pub use look::Look;
pub use manifest::{Feature, Filler, Manifest, ResidencyNotes, Role, TensorNotes, VersionPolicy};
pub use mlflow::MlModel;
pub use overload::OverloadNotes;
pub use parts::{At, EnsembleNotes, MemberNotes, PartLimits, PluginNotes, StageNotes};
pub use result_cache::ResultCacheNotes;
pub use triton::{Reshaped, Reshapes, TritonConfig};

use layout::{Kind, is_graph, kind_of, list};
pub(crate) use layout::{is_plain, read_text};

/// Name of the file that holds the graph.
pub const MODEL_FILE: &str = "model.onnx";
/// Name of the file that describes a model to people.
pub const MANIFEST_FILE: &str = "model.toml";
/// Name of the file with inputs and the outputs that they must give.
pub const GOLDEN_FILE: &str = "golden.json";
/// Name of the file that describes a model to Triton.
pub const CONFIG_FILE: &str = "config.pbtxt";
/// Name of the file that describes a model to MLflow.
pub const MLMODEL_FILE: &str = "MLmodel";

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
    limits: RepositoryLimits,
}

/// How much may lie in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepositoryLimits {
    /// Largest model file.
    pub model_bytes_max: u64,
    /// Of how many parts a model may be.
    pub parts: PartLimits,
}

impl From<u64> for RepositoryLimits {
    /// The largest model file, and the usual for the rest.
    fn from(model_bytes_max: u64) -> Self {
        Self { model_bytes_max, parts: PartLimits::default() }
    }
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
    /// The files beside its versions that describe it.
    pub described_by: Vec<&'static str>,
    /// What its files say but means nothing here, and why.
    pub notes: Vec<String>,
    triton: Option<TritonConfig>,
}

/// A version as it lies on disk.
#[derive(Debug, Clone)]
pub struct FoundVersion {
    /// Its number.
    pub version: Version,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// The file of its graph, relative to that folder.
    pub file: PathBuf,
    /// Changes whenever one of its files does.
    pub fingerprint: Fingerprint,
    mlflow: Option<MlModel>,
}

impl FoundModel {
    /// The versions that `policy` chooses, and the one that stands in for others while their breakers are open.
    ///
    /// # Errors
    /// `InvalidModel` when one that is named is not there.
    pub fn served(&self, policy: &VersionPolicy) -> Result<BTreeSet<Version>> {
        let available: Vec<Version> = self.versions.iter().map(|found| found.version.clone()).collect();
        let mut served = policy.select(&available)?;
        if let Some(fallback) = &self.manifest.breaker.fallback_version {
            if !available.contains(fallback) {
                return Err(Error::model(format!("version {fallback} is not in the repository"))
                    .at("model.toml breaker.fallback_version")
                    .expected(available.iter().map(Version::as_str).collect::<Vec<_>>().join(", ")));
            }
            served.insert(fallback.clone());
        }
        Ok(served)
    }
}

impl FoundVersion {
    /// Whether an `MLmodel` describes it.
    #[must_use]
    pub fn has_mlmodel(&self) -> bool {
        self.mlflow.is_some()
    }

    /// Whether it has a graph: not if its model is made of a component or of other models.
    #[must_use]
    pub fn has_graph(&self) -> bool {
        !self.file.as_os_str().is_empty()
    }

    /// The folder of its model, if that is another one.
    pub(crate) fn model_folder(&self, model: &ModelName) -> Option<&Path> {
        let above = self.folder.parent()?;
        let is = |folder: &Path, name: &str| folder.file_name().is_some_and(|last| *last == *name);
        (is(&self.folder, self.version.as_str()) && is(above, model.as_str())).then_some(above)
    }

    /// The folder that the graph may refer to.
    #[must_use]
    pub fn graph_folder(&self) -> PathBuf {
        if !self.has_graph() {
            return self.folder.clone();
        }
        self.folder.join(&self.file).parent().map_or_else(|| self.folder.clone(), Path::to_path_buf)
    }
}

impl Repository {
    /// A repository in `root`.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder.
    pub fn open(root: &Path, limits: impl Into<RepositoryLimits>) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| {
            Error::new(ErrorCode::NotFound, format!("cannot open the model repository {}: {error}", root.display()))
                .hint("name a folder that holds <model>/<version>/model.onnx")
        })?;
        if !root.is_dir() {
            return Err(Error::new(ErrorCode::NotFound, format!("{} is not a folder", root.display()))
                .hint("name the folder that holds the models, not a model file"));
        }
        Ok(Self { root, limits: limits.into() })
    }

    /// One file as a model of one version that nothing else is said of.
    ///
    /// # Errors
    /// `InvalidInput` when it is not called like an ONNX file.
    pub fn of_file(path: &Path, limits: impl Into<RepositoryLimits>) -> Result<(Self, FoundModel)> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (Some(folder), true) = (path.parent(), is_graph(&name)) else {
            return Err(Error::invalid(format!("{} is neither a folder nor an ONNX file", path.display()))
                .hint("name a model's folder, a version's, the model repository, or a file that ends with .onnx"));
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let found = FoundVersion {
            version: Version::first(),
            folder: folder.to_path_buf(),
            file: name.as_ref().into(),
            fingerprint: Fingerprint::default(),
            mlflow: None,
        };
        let model = FoundModel {
            name: ModelName::parse(&stem).or_else(|_| ModelName::parse("model"))?,
            manifest: Manifest::default(),
            versions: vec![found],
            ignored: Vec::new(),
            described_by: Vec::new(),
            notes: Vec::new(),
            triton: None,
        };
        Ok((Self::open(folder, limits)?, model))
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What to tell its owner when it looks like one model instead of a folder of models.
    #[must_use]
    pub fn advice(&self) -> Option<Error> {
        look::advice(&self.root)
    }

    /// Names of all models, and of folders that cannot be models with the reason.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn models(&self) -> Result<(Vec<ModelName>, Vec<String>)> {
        let (mut names, mut ignored) = (Vec::new(), Vec::new());
        for (raw, kind) in list(&self.root)? {
            if raw.starts_with('.') || (kind == Kind::File && !is_graph(&raw)) {
                continue;
            }
            match (kind, ModelName::parse(&raw)) {
                (Kind::File, _) => {
                    ignored.push(format!("{} lies beside the models; put it at <model>/1/{MODEL_FILE}", quoted(&raw)));
                }
                (Kind::Link, _) => ignored.push(format!("{} is a link; links are not followed", quoted(&raw))),
                (_, Ok(name)) => match self.why_no_model(&name) {
                    None => names.push(name),
                    Some(reason) => ignored.push(reason),
                },
                (_, Err(error)) => ignored.push(error.to_string()),
            }
        }
        names.sort();
        Ok((names, ignored))
    }

    /// Why a folder is passed over, if it is.
    #[must_use]
    pub fn why_no_model(&self, name: &ModelName) -> Option<String> {
        // What cannot be looked into is tried, so that somebody hears why it does not work.
        let entries = list(&self.root.join(name.as_str())).ok()?;
        let counts = |(raw, kind): &(String, Kind)| match kind {
            Kind::Folder => Version::parse(raw).is_ok(),
            Kind::Link => Version::parse(raw).is_ok() || is_graph(raw),
            Kind::File => is_graph(raw) || [MANIFEST_FILE, CONFIG_FILE, MLMODEL_FILE].contains(&&**raw),
        };
        if entries.iter().any(counts) {
            return None;
        }
        let nothing = || format!("{name} holds neither {MODEL_FILE} nor a version folder");
        Some(foreign::reason(&entries, name.as_str()).map_or_else(nothing, |error| error.to_string()))
    }

    /// Whether there is a folder of this name.
    #[must_use]
    pub fn has(&self, name: &ModelName) -> bool {
        kind_of(&self.root.join(name.as_str())) == Some(Kind::Folder)
    }

    /// Whether a model has a folder for this version.
    #[must_use]
    pub fn has_version(&self, name: &ModelName, version: &Version) -> bool {
        kind_of(&self.root.join(name.as_str()).join(version.as_str())) == Some(Kind::Folder)
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
        // Looked at before they are read: what changes in between is read again at the next look.
        let mut shared = Fingerprint::default();
        shared.add(&folder.join(MANIFEST_FILE));
        shared.add(&folder.join(CONFIG_FILE));
        let mut described_by = Vec::new();
        let mut manifest = match read_text(&folder.join(MANIFEST_FILE))? {
            Some(text) => Manifest::parse_within(&text, self.limits.parts)
                .map_err(|error| {
                    let key = error.place().map_or_else(String::new, |key| format!(" {key}"));
                    error.at(format!("{name}/{MANIFEST_FILE}{key}"))
                })
                .inspect(|_| described_by.push(MANIFEST_FILE))?,
            None => Manifest::default(),
        };
        let triton = match read_text(&folder.join(CONFIG_FILE))? {
            Some(text) => {
                let mut triton = TritonConfig::parse(&text, name)?;
                triton.label_files().for_each(|(_, file)| shared.add(&folder.join(file)));
                triton.read_labels(&folder)?;
                triton.merge_into(&mut manifest)?;
                described_by.push(CONFIG_FILE);
                Some(triton)
            }
            None => None,
        };
        if manifest.is_graphless() || !manifest.stages.is_empty() {
            // Its components may read files that all versions share.
            shared.add_files_of(&folder)?;
        }
        let wanted = match triton.as_ref().and_then(|triton| triton.default_model_filename.as_deref()) {
            Some(_) | None if manifest.is_graphless() => Graph::None,
            Some(name) => Graph::Called(name),
            None => Graph::Any,
        };
        let Versions { versions, ignored, is_explained } = find_versions(name, &folder, &shared, wanted)?;
        if versions.is_empty() {
            let why = if ignored.is_empty() { String::new() } else { format!(" ({})", ignored.join("; ")) };
            let error = Error::model(format!("model '{name}' has no version to serve{why}"));
            return Err(if is_explained { error } else { error.hint("put the file at <model>/1/model.onnx") });
        }
        let notes = triton.as_ref().map(|triton| triton.notes.clone()).unwrap_or_default();
        Ok(FoundModel { name: name.clone(), manifest, versions, ignored, described_by, notes, triton })
    }

    /// Reads the graph's bytes; none where there is no graph.
    ///
    /// # Errors
    /// `InvalidModel` when the file is too large, empty or unreadable.
    pub fn read_model(&self, found: &FoundVersion) -> Result<Vec<u8>> {
        if !found.has_graph() {
            return Ok(Vec::new());
        }
        files::read_model(found, self.limits.model_bytes_max)
    }

    /// The size of the graph's file now.
    ///
    /// # Errors
    /// As [`Self::read_model`].
    pub fn model_bytes(&self, found: &FoundVersion) -> Result<u64> {
        if !found.has_graph() {
            return Ok(0);
        }
        files::open_model(found, self.limits.model_bytes_max).map(|(_, bytes)| bytes)
    }

    /// sha256 of the graph's bytes, in hex; they are read and not kept.
    ///
    /// # Errors
    /// As [`Self::read_model`].
    pub fn model_sha256(&self, found: &FoundVersion) -> Result<String> {
        files::model_sha256(found, self.limits.model_bytes_max)
    }

    /// How much lies in the folder of a model, roughly: what stands directly in its versions' folders.
    pub(crate) fn bytes_in(&self, name: &ModelName) -> u64 {
        files::bytes_in(&self.root.join(name.as_str()))
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

/// What a model's folder holds.
#[derive(Default)]
struct Versions {
    /// Lowest first.
    versions: Vec<FoundVersion>,
    /// What looks like a version but does not count.
    ignored: Vec<String>,
    /// Whether a reason why something does not count says what to do about it.
    is_explained: bool,
}

impl Versions {
    fn ignore(&mut self, why: &Error) {
        self.is_explained |= why.details().hint.is_some();
        self.ignored.push(why.to_string());
    }
}

/// What the file of a version's graph is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Graph<'a> {
    /// `model.onnx`, or as it likes if it is the only one.
    Any,
    /// Like this.
    Called(&'a str),
    /// There is none.
    None,
}

/// The versions of a model. `shared` are the files that all of them depend on.
fn find_versions(name: &ModelName, folder: &Path, shared: &Fingerprint, wanted: Graph<'_>) -> Result<Versions> {
    let entries = list(folder)?;
    let mut found = Versions::default();
    // The folder of an MLflow model has folders of its own.
    let is_mlflow = entries.iter().any(|(raw, _)| raw == MLMODEL_FILE);
    for (raw, kind) in &entries {
        match (kind, Version::parse(raw)) {
            (Kind::Folder, Ok(version)) => match find_version(&folder.join(raw), raw, shared, version, wanted) {
                Ok(version) => found.versions.push(version),
                Err(error) => found.ignore(&error),
            },
            (Kind::Link, Ok(_)) => found.ignore(&layout::link(&format!("{name}/{raw}"))),
            (Kind::Folder, Err(_)) if !is_mlflow => {
                found.ignore(&Error::model(format!("{name}/{raw} is not a version number")));
            }
            (Kind::Folder | Kind::File | Kind::Link, _) => {}
        }
    }
    let is_flat = |(raw, _): &(String, Kind)| {
        wanted == Graph::None || is_graph(raw) || raw == MLMODEL_FILE || Graph::Called(raw) == wanted
    };
    if found.versions.is_empty() && entries.iter().any(is_flat) {
        found.versions.push(find_version(folder, "", shared, Version::first(), wanted)?);
    } else if found.versions.is_empty()
        && let Some(reason) = foreign::reason(&entries, name.as_str())
    {
        found.ignore(&reason);
    }
    found.versions.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(found)
}

/// Looks at one version; `raw` is the name of its folder, empty when that is the model's.
fn find_version(
    folder: &Path,
    raw: &str,
    shared: &Fingerprint,
    version: Version,
    wanted: Graph<'_>,
) -> Result<FoundVersion> {
    let mut fingerprint = shared.clone();
    fingerprint.add_files_of(folder)?;
    let mlflow = read_text(&folder.join(MLMODEL_FILE))?.map(|text| MlModel::parse(&text));
    let mlflow = mlflow.transpose().map_err(|error| match error.place() {
        Some(place) if !raw.is_empty() => {
            let place = format!("{raw}/{place}");
            error.at(place)
        }
        _ => error,
    })?;
    let wanted = match (wanted, &mlflow) {
        (Graph::None, _) => {
            let (folder, file) = (folder.to_path_buf(), PathBuf::new());
            return Ok(FoundVersion { version, folder, file, fingerprint, mlflow: None });
        }
        (Graph::Any | Graph::Called(_), Some(mlflow)) => Some(&*mlflow.data),
        (Graph::Called(name), None) => Some(name),
        (Graph::Any, None) => None,
    };
    let shown = if raw.is_empty() { folder.file_name().unwrap_or_default().to_string_lossy() } else { raw.into() };
    let file = layout::graph_in(folder, &shown, wanted)?;
    if let Some(inner) = file.parent().filter(|inner| !inner.as_os_str().is_empty()) {
        fingerprint.add_files_of(&folder.join(inner))?;
    }
    Ok(FoundVersion { version, folder: folder.to_path_buf(), file, fingerprint, mlflow })
}

#[cfg(test)]
mod tests;
