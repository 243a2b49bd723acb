//! Opens the components of a version, and settles what each takes and gives: what it tells, and what `model.toml` says
//! where it tells nothing.
//!
//! Before it: the manifest. After it: `fit`, which puts the parts together. It does not run anything.

use std::{collections::BTreeMap, sync::Arc};

use candor_domain::{
    Component, ComponentKind, ComponentRequest, Components, Error, ErrorCode, ModelFiles, OpenComponent, Result,
    Signature, TensorSpec,
};

use super::{
    Digest, Folder,
    ensemble::Source,
    fit::{SoFar, shown},
};
use crate::{
    engines::Engines,
    repository::{
        At,
        parts::{Config, PortNotes, StageNotes},
    },
};

/// Opens components for one version.
pub(crate) struct Opener<'a> {
    components: Option<&'a Arc<dyn Components>>,
    models: Option<&'a Arc<dyn Source>>,
    folder: Arc<Folder>,
    files: Arc<dyn ModelFiles>,
}

/// What `model.toml` says of one component.
pub(crate) struct Wanted<'a> {
    /// The key in `model.toml`.
    pub(crate) at: &'a str,
    pub(crate) id: &'a str,
    pub(crate) kind: ComponentKind,
    pub(crate) config: &'a Config,
    pub(crate) takes: &'a [PortNotes],
    pub(crate) gives: &'a [PortNotes],
}

/// A component of a version, with what it takes and gives by its own names.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) component: Arc<dyn Component>,
    pub(crate) signature: Signature,
    pub(crate) inline: bool,
    pub(crate) deterministic: bool,
}

/// A stage, opened.
pub(crate) struct Stage {
    pub(crate) notes: StageNotes,
    pub(crate) made: Made,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(engines: &'a Engines, folder: Folder) -> Self {
        let folder = Arc::new(folder);
        let files = Arc::clone(&folder) as Arc<dyn ModelFiles>;
        Self { components: engines.components(), models: engines.members(), folder, files }
    }

    /// Other models.
    pub(crate) fn models(&self) -> Option<&'a Arc<dyn Source>> {
        self.models
    }

    /// Opens one component. `given` is what it will be given, as far as that is known.
    ///
    /// # Errors
    /// `InvalidModel` that names the key and the component.
    pub(crate) fn open(&self, wanted: &Wanted<'_>, given: &[TensorSpec]) -> Result<Made> {
        let Wanted { at, id, kind, .. } = *wanted;
        let Some(components) = self.components else {
            let error = Error::model(format!("there is no {kind} '{id}': this server hosts no plugins"));
            return Err(error.at(format!("model.toml {at}.component")));
        };
        let config = serde_json::Value::Object(wanted.config.clone()).to_string();
        let request = ComponentRequest { id, kind, config_json: &config, files: &self.files, given };
        let opened = components.open(request).map_err(|error| self::wrong(error, at, id))?;
        let OpenComponent { component, signature, inline, deterministic } = opened;
        let signature = settle(wanted, signature)?;
        Ok(Made { id: id.to_owned(), component, signature, inline, deterministic })
    }

    /// Writes down what was opened.
    pub(crate) fn write(&self, digest: &mut Digest, what: &str, said: &str, made: &Made) {
        digest.part(what, said, Some(&made.component.origin()));
        digest.files(&self.folder.was_read());
    }
}

/// Opens the stages of a model, in their order, around an engine of this signature.
///
/// # Errors
/// `InvalidModel` that names the stage and the key.
pub(crate) fn open_stages(
    opener: &Opener<'_>,
    stages: &[StageNotes],
    engine: &Signature,
    digest: &mut Digest,
) -> Result<Vec<Stage>> {
    let (mut so_far, mut opened, mut engine_told) = (SoFar::new(), Vec::with_capacity(stages.len()), false);
    for (index, notes) in stages.iter().enumerate() {
        if notes.at == At::After && !engine_told {
            so_far.engine(engine);
            engine_told = true;
        }
        let at = format!("stage[{index}]");
        let wanted = Wanted {
            at: &at,
            id: &notes.component,
            kind: ComponentKind::Transform,
            config: &notes.config,
            takes: &notes.takes,
            gives: &notes.gives,
        };
        let made = opener.open(&wanted, &so_far.given(&notes.inputs));
        let made = made.map_err(|error| error.with_prefix(&format!("{}: ", shown(index, notes.name()))))?;
        opener.write(digest, "stage", &format!("{notes:?}"), &made);
        so_far.stage(&notes.outputs, &made);
        opened.push(Stage { notes: notes.clone(), made });
    }
    Ok(opened)
}

/// An error of a component that could not be opened. Whatever it is, the model cannot be served as it is.
fn wrong(error: Error, at: &str, id: &str) -> Error {
    let is_unknown = matches!(error.code(), ErrorCode::NotFound | ErrorCode::Unsupported);
    let key = if is_unknown { "component" } else { "config" };
    let inner = error.place().map_or_else(String::new, |place| format!("{place}: "));
    let prefix = format!("the component '{id}' cannot be opened: {inner}");
    error.with_code(ErrorCode::InvalidModel).with_prefix(&prefix).at(format!("model.toml {at}.{key}"))
}

/// What the component takes and gives: what it tells, narrowed by what `model.toml` says.
fn settle(wanted: &Wanted<'_>, told: Option<Signature>) -> Result<Signature> {
    let said = |side: &str, ports: &[PortNotes]| -> Result<Vec<TensorSpec>> {
        ports.iter().map(|port| port.spec(&format!("model.toml {}.{side}", wanted.at))).collect()
    };
    let (takes, gives) = (said("takes", wanted.takes)?, said("gives", wanted.gives)?);
    let Some(told) = told else {
        if gives.is_empty() {
            let what = format!("the component '{}' does not tell what it takes and gives", wanted.id);
            return Err(Error::model(what).at(format!("model.toml {}", wanted.at)).hint(
                "say it: takes = [{ name = \"x\", datatype = \"FP32\", shape = [-1, 4] }], and gives = […] likewise",
            ));
        }
        return Ok(Signature { inputs: takes, outputs: gives });
    };
    let narrow = |side: &str, told: Vec<TensorSpec>, said: Vec<TensorSpec>| -> Result<Vec<TensorSpec>> {
        let mut said: BTreeMap<Arc<str>, TensorSpec> =
            said.into_iter().map(|spec| (Arc::clone(&spec.name), spec)).collect();
        let names = names(&told);
        let mut narrowed = Vec::with_capacity(told.len());
        for spec in told {
            let own = said.remove(&spec.name);
            if let Some(own) = &own {
                spec.takes(own).map_err(|error| {
                    let at = format!("model.toml {}.{side} '{}'", wanted.at, own.name);
                    error.with_prefix("the component tells otherwise: ").at(at)
                })?;
            }
            narrowed.push(match own {
                Some(own) => spec.narrowed(&own),
                None => spec,
            });
        }
        match said.pop_first() {
            None => Ok(narrowed),
            Some((name, _)) => Err(Error::model(format!("the component '{}' has no '{name}'", wanted.id))
                .at(format!("model.toml {}.{side}", wanted.at))
                .expected(names)),
        }
    };
    Ok(Signature { inputs: narrow("takes", told.inputs, takes)?, outputs: narrow("gives", told.outputs, gives)? })
}

/// Names for people.
pub(crate) fn names(specs: &[TensorSpec]) -> String {
    let names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
