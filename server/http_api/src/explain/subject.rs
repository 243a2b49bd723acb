//! A version that this door holds, as insight sees it.
//!
//! Before it: a lease, with its session in memory. After it: an explanation, during which the lease is held. Tables that
//! lie beside a model are read here, because this door knows their forms.

use std::sync::{Arc, Weak};

use candor_domain::{ModelFiles, Result, Run, Tensor};
use candor_insight::explanations::{
    About, EngineNote, FeatureNote, OutputNote, Placed, Role, RowsAtOnce, Subject, Turn,
};
use candor_serving::{
    Lease, ReadyVersion,
    features::{FeatureSpec, Place, RowCount, label_at},
    repository,
};

use super::pictures::Case;
use crate::{
    limits::HttpLimits,
    native::{Beside, Form, read_table},
};

/// A version that is held.
pub(crate) struct Held {
    lease: Lease,
    about: About,
    limits: Arc<HttpLimits>,
}

impl Held {
    /// The version of a lease that has its session.
    ///
    /// # Errors
    /// `Unsupported` for a version whose inputs are no features.
    pub(crate) fn new(lease: Lease, limits: &Arc<HttpLimits>) -> Result<Self> {
        let about = about(&lease)?;
        Ok(Self { lease, about, limits: Arc::clone(limits) })
    }

    /// The version.
    pub(crate) fn version(&self) -> &ReadyVersion {
        &self.lease
    }

    /// What is known of a row beside its explanation; its label is asked of the version itself.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn case(&self, inputs: Vec<Tensor>, row: usize, turn: &Turn<'_>) -> Result<Case> {
        let outputs = self.about.outputs.iter();
        let chosen = outputs.enumerate().find(|(_, output)| output.role == Role::Label);
        let label = match chosen {
            None => None,
            Some((at, output)) => {
                let said = self.run(inputs, &[at], turn)?;
                said.first().and_then(|tensor| label_at(tensor.data(), row, &output.labels))
            }
        };
        let probabilities = self.about.outputs.iter().find(|output| output.role == Role::Probabilities);
        let units = self.lease.features.iter().flat_map(|set| set.all()).filter_map(|spec| {
            let unit = spec.notes.unit.clone()?;
            Some((spec.name.to_string(), unit))
        });
        Ok(Case {
            units: units.collect(),
            labels: probabilities.map(|output| output.labels.clone()).unwrap_or_default(),
            label,
            contact: self.lease.manifest.explain.contact.clone(),
            image: None,
        })
    }
}

impl Subject for Held {
    fn about(&self) -> &About {
        &self.about
    }

    fn run(&self, inputs: Vec<Tensor>, wanted: &[usize], turn: &Turn<'_>) -> Result<Vec<Tensor>> {
        self.lease.evaluate(inputs, wanted, &mut Run::new(turn.clock, Some(turn.cancel), Some(turn.deadline)))
    }

    fn files(&self) -> Arc<dyn ModelFiles> {
        self.lease.files()
    }

    fn life(&self) -> Weak<()> {
        self.lease.life()
    }

    fn read_table(&self, name: &str, bytes: &[u8]) -> Result<Vec<Tensor>> {
        let form = match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("csv") => Form::Csv { header: true },
            Some("jsonl" | "ndjson") => Form::JsonLines,
            Some(_) | None => Form::Json,
        };
        read_table(&self.lease, (bytes, form), &self.limits, Beside::default()).map(|read| read.inputs)
    }

    fn golden(&self) -> Result<Vec<Vec<Tensor>>> {
        let Some(golden) = self.lease.read_golden()? else { return Ok(Vec::new()) };
        golden.cases.iter().map(|case| case.inputs_for(&self.lease.signature)).collect()
    }
}

fn about(version: &ReadyVersion) -> Result<About> {
    let set = version.features.as_ref().map_err(Clone::clone)?;
    let rows_max = version.manifest.batch_rows_max.and_then(|max| usize::try_from(max).ok());
    let engine = &version.engine;
    Ok(About {
        model: version.model.to_string(),
        version: version.version.to_string(),
        sha256: version.sha256.clone(),
        engine: EngineNote {
            name: engine.name.to_owned(),
            version: engine.version.clone(),
            sha256: engine.library_sha256.clone(),
        },
        signature: version.signature.clone(),
        features: set.all().iter().map(feature).collect(),
        outputs: version
            .answers
            .outputs()
            .iter()
            .map(|output| OutputNote {
                name: Arc::clone(&output.name),
                datatype: output.datatype,
                role: role(output.role),
                labels: output.labels.clone(),
            })
            .collect(),
        rows_at_once: match set.rows() {
            RowCount::Free => RowsAtOnce::Any(rows_max),
            RowCount::Exactly(rows) => RowsAtOnce::Exactly(rows),
            RowCount::Single => RowsAtOnce::None,
        },
        graph: version.graph_file().map(str::to_owned),
        background: version.manifest.explain.background.clone(),
    })
}

fn feature(spec: &FeatureSpec) -> FeatureNote {
    FeatureNote {
        name: Arc::clone(&spec.name),
        input: spec.input,
        place: match spec.place {
            Place::Column(column) => Placed::Column(column),
            Place::Whole(_) => Placed::Whole,
        },
        datatype: spec.datatype,
        categories: spec.notes.categories.clone(),
        group: spec.notes.group.clone(),
        immutable: spec.notes.immutable,
        min: spec.notes.min,
        max: spec.notes.max,
    }
}

const fn role(role: repository::Role) -> Role {
    match role {
        repository::Role::Label => Role::Label,
        repository::Role::Probabilities => Role::Probabilities,
        repository::Role::Scores => Role::Scores,
        repository::Role::Value => Role::Value,
        repository::Role::Other => Role::Other,
    }
}
