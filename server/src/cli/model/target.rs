//! What a path that `model check` is given names, and what `serve` would make of it.

use std::path::{Path, PathBuf};

use candor_domain::{Error, ErrorCode, ModelName, Result, Version, names::quoted};
use candor_serving::{
    Repository, RepositoryLimits,
    repository::{FoundModel, Look, MODEL_FILE},
};

use crate::cli::report::Check;

/// What is to be checked.
pub(in crate::cli) struct Target {
    pub(in crate::cli) repository: Repository,
    pub(in crate::cli) models: Vec<Named>,
    /// Things in the folder that are no models.
    pub(in crate::cli) ignored: Vec<String>,
    /// The version to check; all of them if none.
    pub(in crate::cli) only: Option<Version>,
}

/// A model as it was found, or why it was not.
pub(in crate::cli) struct Named {
    pub(in crate::cli) name: String,
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) found: Result<FoundModel>,
}

/// What a folder is taken for.
enum Kind {
    /// A model that `serve` finds in the folder above.
    Model(Repository, ModelName),
    /// A model that `serve` does not find in the folder above, and why.
    NoModel(Repository, Error),
    /// A folder of models.
    Models,
}

/// A file, a version, a model, or a repository: the first that the path can be.
pub(in crate::cli) fn target(path: &Path, limits: RepositoryLimits) -> Result<Target> {
    let shown = path.display();
    let full = path.canonicalize().map_err(|error| {
        Error::new(ErrorCode::NotFound, format!("cannot open {shown}: {error}")).hint("name the folder of a model")
    })?;
    if !full.is_dir() {
        return file(&full, limits);
    }
    let mut target = folder(path, &full, limits)?;
    if path.is_symlink() {
        target.ignored.push(format!("{shown} is a link, which `candor serve` does not follow"));
    }
    Ok(target)
}

/// One file as a model without a manifest.
fn file(full: &Path, limits: RepositoryLimits) -> Result<Target> {
    let (repository, found) = Repository::of_file(full, limits)?;
    let models = vec![Named { name: found.name.to_string(), path: full.to_path_buf(), found: Ok(found) }];
    Ok(Target { repository, models, ignored: Vec::new(), only: None })
}

fn folder(path: &Path, full: &Path, limits: RepositoryLimits) -> Result<Target> {
    let shown = path.display();
    let one = |repository: Repository, name: String, found, only| Target {
        models: vec![Named { path: repository.root().join(&name), name, found }],
        repository,
        ignored: Vec::new(),
        only,
    };
    let version = Version::parse(&name_of(full));
    let looks_like_one = Look::at(full)?.is_one_model();
    // The folder above need not be one that can be read.
    let above = full.parent().filter(|_| version.is_ok() || looks_like_one);
    match (version, above.and_then(|above| kind(above, limits).ok())) {
        (Ok(version), Some(Kind::Model(repository, name))) => {
            let found = repository.find(&name);
            return Ok(one(repository, name.to_string(), found, Some(version)));
        }
        (Ok(version), Some(Kind::NoModel(repository, why))) => {
            let name = full.parent().map(name_of).unwrap_or_default();
            return Ok(one(repository, name, Err(why), Some(version)));
        }
        (Err(_), Some(Kind::NoModel(repository, why))) => return Ok(one(repository, name_of(full), Err(why), None)),
        (Err(error), Some(Kind::Model(repository, model))) => {
            let why = Error::model(format!("`candor serve` passes it over in the model {model}: {}", error.what()))
                .expected("a number such as 3, or 1.4.0, without leading zeros")
                .got(quoted(&name_of(full)))
                .hint("call the folder by its number");
            return Ok(one(repository, format!("{model}/{}", name_of(full)), Err(why), None));
        }
        (Ok(_) | Err(_), _) => {}
    }
    match kind(full, limits)? {
        Kind::Model(repository, name) => {
            let found = repository.find(&name);
            Ok(one(repository, name.to_string(), found, None))
        }
        Kind::NoModel(repository, why) => Ok(one(repository, name_of(full), Err(why), None)),
        Kind::Models => {
            let repository = Repository::open(full, limits)?;
            let (names, ignored) = repository.models()?;
            if names.is_empty() {
                let why = if ignored.is_empty() { String::new() } else { format!(" ({})", ignored.join("; ")) };
                return Err(Error::new(ErrorCode::NotFound, format!("{shown} holds no model{why}"))
                    .expected(format!("a folder with {MODEL_FILE}, with version folders, or with models")));
            }
            let find = |name: &ModelName| {
                let path = repository.root().join(name.as_str());
                Named { name: name.to_string(), path, found: repository.find(name) }
            };
            let models = names.iter().map(find).collect();
            Ok(Target { repository, models, ignored, only: None })
        }
    }
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn kind(folder: &Path, limits: RepositoryLimits) -> Result<Kind> {
    let look = Look::at(folder)?;
    let Some(above) = folder.parent().filter(|_| !look.is_of_models()) else { return Ok(Kind::Models) };
    let repository = Repository::open(above, limits)?;
    let refused = |why: String| {
        let error = Error::model(format!("`candor serve {}` would pass it over: {why}", above.display()));
        error.hint("a model's folder has a plain name and holds model.onnx, or a folder for each version: 1, 2, …")
    };
    let name = match ModelName::parse(&name_of(folder)) {
        Ok(name) => name,
        Err(error) if look.is_one_model() => return Ok(Kind::NoModel(repository, refused(error.to_string()))),
        Err(_) => return Ok(Kind::Models),
    };
    Ok(match repository.why_no_model(&name) {
        None => Kind::Model(repository, name),
        Some(why) if look.is_one_model() => Kind::NoModel(repository, refused(why)),
        Some(_) => Kind::Models,
    })
}

impl Named {
    /// What keeps it from being looked at.
    pub(in crate::cli) fn checks(&self) -> Vec<Check> {
        self.found.as_ref().err().map(|error| Check::all_of_error("folder", error)).unwrap_or_default()
    }
}
