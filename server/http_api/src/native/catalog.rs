//! What models, versions, features and outputs are, for lists and descriptions.

use std::collections::BTreeMap;

use candor_domain::{Dim, EngineInfo, Lifecycle, ModelName, Result, Signature, Version};
use candor_serving::{
    CrossCheckReport, EngineId, IndexEntry, Manifest, Parts, PassedOver, ReadyVersion, Registry,
    features::{Answers, FeatureKind, FeatureSet, FeatureSpec, OutputNotes, Place, RowCount, word},
    repository::Filler,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{breaker::BreakerBody, check::CrossCheckBody, paging::Page, parts::PartBody, schema::EngineBody};
use crate::openapi::names::StateText;

/// Which models a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Most entries on a page, 1 to 500.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500, default = 50, nullable = false, example = 50)]
    pub page_size: Option<String>,
    /// Where the page begins: `next_page_token` of the page before.
    #[param(nullable = false, example = "1")]
    pub page_token: Option<String>,
    /// Only models whose name or title contains this, in upper or lower case.
    #[param(nullable = false, example = "iris")]
    pub q: Option<String>,
    /// Only models, or versions, in this state.
    #[param(value_type = StateText, required = false, example = "ready")]
    pub state: Option<String>,
    /// Only models of this task, such as `classification`; a model that is not ready has none.
    #[param(nullable = false, example = "classification")]
    pub task: Option<String>,
}

impl Listing {
    pub(crate) fn page(&self) -> Page<'_> {
        Page { size: self.page_size.as_deref(), token: self.page_token.as_deref() }
    }
}

/// A page of models, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// The models.
    pub models: Vec<ModelSummary>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_page_token: Option<String>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelSummary {
    /// Its name.
    #[schema(example = "iris")]
    pub name: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Iris species")]
    pub title: Option<String>,
    /// `classification`, `regression` or `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "classification")]
    pub task: Option<String>,
    /// `ready` if one of its versions is; otherwise the state of its highest version.
    #[schema(example = "ready")]
    pub state: String,
    /// Its versions, lowest first.
    pub versions: Vec<VersionSummary>,
    /// What is wrong with the model as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// A page of versions, lowest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionList {
    /// The model.
    #[schema(example = "iris")]
    pub model: String,
    /// The versions.
    pub versions: Vec<VersionSummary>,
    /// Where the next page begins; not there on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_page_token: Option<String>,
}

/// A version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionSummary {
    /// Its number.
    #[schema(example = "2")]
    pub version: String,
    /// Its state.
    #[schema(example = "ready")]
    pub state: String,
    /// Why it is not ready, or what went wrong with a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// The engine that runs it, if it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub engine: Option<EngineBody>,
}

/// A version of a model, with everything that a caller needs to know.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelDescription {
    /// The model.
    #[schema(example = "iris")]
    pub name: String,
    /// The version that is described, and that answers where none is named.
    #[schema(example = "2")]
    pub version: String,
    /// Its state, which is `ready`.
    #[schema(example = "ready")]
    pub state: String,
    /// All ready versions of the model, lowest first.
    #[schema(example = json!(["1", "2"]))]
    pub ready_versions: Vec<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Iris species")]
    pub title: Option<String>,
    /// What it predicts and how it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Licence of weights and data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub licence: Option<String>,
    /// `classification`, `regression` or `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "classification")]
    pub task: Option<String>,
    /// The engine that runs it.
    pub engine: EngineBody,
    /// Engines that come before that one, and why they do not run it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    pub engine_passed_over: Vec<PassedOverBody>,
    /// Another engine, or another version of it, that ran the same file before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub engine_was: Option<EngineBody>,
    /// What it is made of, if that is more than a graph.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    pub stages: Vec<PartBody>,
    /// What another engine says to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cross_check: Option<CrossCheckBody>,
    /// Whether rows of a batch are answered as each alone, as measured at load: `bit-equal`, `within 1e-5`, `no` or
    /// `not measured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "bit-equal")]
    pub batch_invariant: Option<String>,
    /// Whether requests that wait may run together: `on`, or `off` and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "on")]
    pub batching: Option<String>,
    /// sha256 of its file, in hex.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub sha256: String,
    /// Size of its file.
    #[schema(example = 1024)]
    pub file_bytes: u64,
    /// How long it took to load, verify and warm up.
    #[schema(example = 12)]
    pub load_ms: u64,
    /// Its circuit breaker; not there if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub breaker: Option<BreakerBody>,
    /// Most rows in one request; not there if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rows_max: Option<u64>,
    /// Fewest rows in one request.
    #[schema(example = 1)]
    pub rows_min: u64,
    /// What a row is made of, in the order in which rows without names give them.
    pub features: Vec<FeatureBody>,
    /// Why the model takes no rows; tensors it does take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub no_rows_because: Option<String>,
    /// What it gives.
    pub outputs: Vec<OutputBody>,
    /// What its file says: producer, description, custom metadata.
    #[schema(example = json!({"producer": "skl2onnx"}))]
    pub properties: BTreeMap<String, String>,
}

/// An engine that does not run a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct PassedOverBody {
    /// Its name.
    #[schema(example = "ort")]
    pub name: String,
    /// Why it does not: it is not there, or what it has against the file.
    #[schema(example = "no usable ONNX Runtime library")]
    pub why: String,
}

/// A feature.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeatureBody {
    /// Its name: the one that `model.toml` declares, that of its input, or f0, f1, ….
    #[schema(example = "sepal_length")]
    pub name: String,
    /// Whether `model.toml` declares it.
    #[schema(example = true)]
    pub declared: bool,
    /// `number`, `integer`, `boolean`, `string`, or `array` for a nested list of `shape`.
    #[serde(rename = "type")]
    #[schema(example = "number")]
    pub kind: String,
    /// Type of its elements in the graph.
    #[schema(example = "FP32")]
    pub datatype: String,
    /// Sizes of the nested list, −1 for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub shape: Option<Vec<i64>>,
    /// The graph's input that it belongs to.
    #[schema(example = "features")]
    pub input: String,
    /// Its column there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0)]
    pub column: Option<usize>,
    /// Whether a row must have it.
    #[schema(example = true)]
    pub required: bool,
    /// Its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "cm")]
    pub unit: Option<String>,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
    /// Smallest value that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.0)]
    pub min: Option<f64>,
    /// Largest value that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 30.0)]
    pub max: Option<f64>,
    /// The texts that are taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    pub categories: Vec<String>,
    /// What a row that leaves it out is taken to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub default: Option<Value>,
    /// What stands for null and for an empty cell; the text "NaN" where the model itself takes gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub impute: Option<Value>,
}

/// An output.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutputBody {
    /// Its name in the graph.
    #[schema(example = "probabilities")]
    pub name: String,
    /// Type of its elements.
    #[schema(example = "FP32")]
    pub datatype: String,
    /// Its shape, rows first, −1 for any size.
    #[schema(example = json!([-1, 3]))]
    pub shape: Vec<i64>,
    /// Where a prediction holds it: `label`, `probabilities`, `scores`, `value`, or `other` for `outputs`.
    #[schema(example = "probabilities")]
    pub role: String,
    /// Class labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false, example = json!(["setosa", "versicolor", "virginica"]))]
    pub labels: Vec<String>,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub description: Option<String>,
}

/// A model's entries in the index, put together.
pub(crate) fn summaries(index: Vec<IndexEntry>, registry: &Registry) -> Vec<ModelSummary> {
    let mut models: BTreeMap<ModelName, Vec<IndexEntry>> = BTreeMap::new();
    for entry in index {
        models.entry(entry.model.clone()).or_default().push(entry);
    }
    models.into_iter().map(|(name, entries)| summary(&name, &entries, registry)).collect()
}

fn summary(name: &ModelName, entries: &[IndexEntry], registry: &Registry) -> ModelSummary {
    let is_ready = entries.iter().any(|entry| entry.state == Lifecycle::Ready);
    let state = if is_ready { Some(Lifecycle::Ready) } else { entries.last().map(|entry| entry.state) };
    let manifest = registry.lease(name.as_str(), None).ok().map(|lease| lease.manifest.clone());
    let whole = entries.iter().find(|entry| entry.version.is_none() && !entry.reason.is_empty());
    ModelSummary {
        name: name.to_string(),
        title: manifest.as_ref().and_then(|manifest| manifest.title.clone()),
        task: manifest.as_ref().and_then(|manifest| manifest.task.clone()),
        state: state.map(|state| state.word().to_owned()).unwrap_or_default(),
        versions: entries.iter().filter_map(|entry| VersionSummary::new(entry, registry)).collect(),
        reason: whole.map(|entry| entry.reason.clone()),
    }
}

impl VersionSummary {
    /// A version's entry in the index, if it is one of a version.
    pub(crate) fn new(entry: &IndexEntry, registry: &Registry) -> Option<Self> {
        let version = entry.version.as_ref()?;
        Some(Self {
            version: version.to_string(),
            state: entry.state.word().to_owned(),
            reason: (!entry.reason.is_empty()).then(|| entry.reason.clone()),
            engine: registry.engine_of(&entry.model, version).map(|engine| EngineBody::from(&engine)),
        })
    }
}

/// What a description is made of: a version in memory, or one that is only looked at.
#[allow(missing_docs, reason = "the fields of ReadyVersion say what each is")]
pub struct Described<'a> {
    pub model: &'a ModelName,
    pub version: &'a Version,
    pub ready_versions: &'a [Version],
    pub manifest: &'a Manifest,
    pub signature: &'a Signature,
    pub features: &'a Result<FeatureSet>,
    pub answers: &'a Answers,
    pub engine: &'a EngineInfo,
    pub passed_over: &'a [PassedOver],
    pub parts: &'a Parts,
    pub engine_was: Option<&'a EngineId>,
    pub cross_check: Option<CrossCheckReport>,
    pub sha256: &'a str,
    pub file_bytes: u64,
    pub load_ms: u64,
    pub properties: &'a BTreeMap<String, String>,
}

impl ModelDescription {
    /// Describes one version of a model that has the ready versions `ready`.
    pub(crate) fn new(version: &ReadyVersion, ready: &[Version]) -> Self {
        let plan = version.lane().plan();
        let of_files = Self::of(&Described {
            model: &version.model,
            version: &version.version,
            ready_versions: ready,
            manifest: &version.manifest,
            signature: &version.signature,
            features: &version.features,
            answers: &version.answers,
            engine: &version.engine,
            passed_over: &version.passed_over,
            parts: &version.parts,
            engine_was: version.engine_was.as_ref(),
            cross_check: Some(version.cross_check().report()),
            sha256: &version.sha256,
            file_bytes: version.file_bytes,
            load_ms: version.load_ms,
            properties: &version.properties,
        });
        let (batch_invariant, batching) = (Some(plan.invariance.to_string()), Some(plan.to_string()));
        Self { batch_invariant, batching, ..of_files }
    }

    /// Describes a version.
    #[must_use]
    pub fn of(version: &Described<'_>) -> Self {
        let (manifest, signature) = (version.manifest, version.signature);
        let set = version.features.as_ref().ok();
        let rows_fixed = set.and_then(|set| match set.rows() {
            RowCount::Free => None,
            RowCount::Exactly(rows) => Some(rows as u64),
            RowCount::Single => Some(1),
        });
        let input = |feature: &FeatureSpec| signature.inputs.get(feature.input).map(|spec| spec.name.to_string());
        Self {
            name: version.model.to_string(),
            version: version.version.to_string(),
            state: "ready".to_owned(),
            ready_versions: version.ready_versions.iter().map(ToString::to_string).collect(),
            title: manifest.title.clone(),
            description: manifest.description.clone(),
            licence: manifest.licence.clone(),
            task: manifest.task.clone(),
            engine: EngineBody::from(version.engine),
            engine_passed_over: version
                .passed_over
                .iter()
                .map(|passed| PassedOverBody { name: passed.engine.to_owned(), why: passed.why.clone() })
                .collect(),
            engine_was: version.engine_was.map(EngineBody::from),
            stages: version.parts.iter().map(PartBody::from).collect(),
            cross_check: version.cross_check.as_ref().map(CrossCheckBody::new),
            batch_invariant: None,
            batching: None,
            sha256: version.sha256.to_owned(),
            file_bytes: version.file_bytes,
            load_ms: version.load_ms,
            breaker: None,
            rows_max: rows_fixed.or(manifest.batch_rows_max),
            rows_min: rows_fixed.unwrap_or(1),
            features: set
                .map(|set| set.all().iter().map(|feature| FeatureBody::new(feature, input(feature))).collect())
                .unwrap_or_default(),
            no_rows_because: version.features.as_ref().err().map(ToString::to_string),
            outputs: version
                .answers
                .outputs()
                .iter()
                .zip(&signature.outputs)
                .map(|(notes, spec)| OutputBody::new(notes, spec.wire_shape()))
                .collect(),
            properties: version.properties.clone(),
        }
    }
}

impl FeatureBody {
    fn new(feature: &FeatureSpec, input: Option<String>) -> Self {
        let notes = &feature.notes;
        let (kind, shape, column) = match &feature.place {
            Place::Column(column) => (feature.kind().word(), None, Some(*column)),
            Place::Whole(dims) => ("array", Some(dims.iter().map(Dim::wire).collect()), None),
        };
        Self {
            name: feature.name.to_string(),
            declared: feature.declared,
            kind: kind.to_owned(),
            datatype: feature.datatype.name().to_owned(),
            shape,
            input: input.unwrap_or_default(),
            column,
            required: notes.default.is_none(),
            unit: notes.unit.clone(),
            description: notes.description.clone(),
            min: notes.min,
            max: notes.max,
            categories: notes.categories.clone(),
            default: notes.default.as_ref().map(|filler| filler_value(filler, feature.kind())),
            impute: notes.impute.as_ref().map(|filler| filler_value(filler, feature.kind())),
        }
    }
}

pub(super) fn filler_value(filler: &Filler, kind: FeatureKind) -> Value {
    match filler {
        Filler::Number(value) if kind == FeatureKind::Integer => (*value as i64).into(),
        Filler::Bool(value) => (*value).into(),
        Filler::Whole(value) => (*value).into(),
        Filler::Number(value) if value.is_nan() => "NaN".into(),
        Filler::Number(value) => (*value).into(),
        Filler::Text(text) => text.as_str().into(),
    }
}

impl OutputBody {
    fn new(notes: &OutputNotes, shape: Vec<i64>) -> Self {
        let role = word(notes.role);
        Self {
            name: notes.name.to_string(),
            datatype: notes.datatype.name().to_owned(),
            shape,
            role: role.to_owned(),
            labels: notes.labels.clone(),
            description: notes.description.clone(),
        }
    }
}
