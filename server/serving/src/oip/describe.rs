//! What the server and a version say of themselves.

use std::collections::BTreeMap;

use crate::{EngineId, ReadyVersion, VersionPolicy, engines::joined};

/// The name that the server goes by.
pub const SERVER: &str = "candor";

/// The extensions of the Open Inference Protocol that are spoken here.
pub const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "classification", "model_repository", "model_configuration", "statistics"];

/// Facts about a version: title, licence, engine, digest, what its file says; `notes` tell what the files of the
/// model say that means nothing here.
#[must_use]
pub fn properties(version: &ReadyVersion) -> BTreeMap<String, String> {
    let manifest = &version.manifest;
    let mut properties: BTreeMap<String, String> = version.properties.clone();
    let facts = [
        ("title", manifest.title.clone()),
        ("description", manifest.description.clone()),
        ("licence", manifest.licence.clone()),
        ("task", manifest.task.clone()),
        ("version", Some(version.version.to_string())),
        ("engine", Some(EngineId::from(&version.engine).to_string())),
        ("engine_passed_over", Some(joined(&version.passed_over)).filter(|passed| !passed.is_empty())),
        ("stages", Some(version.parts.line()).filter(|line| !line.is_empty())),
        ("engine_was", version.engine_was.as_ref().map(ToString::to_string)),
        ("cross_check", Some(version.cross_check().report().to_string())),
        ("batch_invariant", Some(version.lane().plan().invariance.to_string())),
        ("batching", Some(version.lane().plan().to_string())),
        ("sha256", Some(version.sha256.clone())),
        ("file_bytes", Some(version.file_bytes.to_string())),
        ("notes", Some(version.origin.notes.join("; ")).filter(|notes| !notes.is_empty())),
    ];
    properties.extend(facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    properties
}

/// Most rows in one request as Triton's `max_batch_size`: 0 where there is no limit. Where it is above 0, Triton's
/// `dims` leave the batch dimension out.
#[must_use]
pub fn max_batch_size(version: &ReadyVersion) -> u64 {
    version.manifest.batch_rows_max.filter(|_| version.signature.is_batched()).unwrap_or(0)
}

/// Which versions of its model are served.
#[must_use]
pub fn version_policy(version: &ReadyVersion) -> VersionPolicy {
    version.manifest.versions.clone().unwrap_or(VersionPolicy::Latest(1))
}
