//! `[[stage]]`, `[plugin]` and `[ensemble]` of `model.toml`: what a model is made of beside a graph.
//!
//! Read with the manifest. What can be said without opening anything is checked here; whether the parts fit together
//! is told by `stages`, when a version is loaded. It does not know components.

use std::collections::BTreeMap;

use candor_domain::{Datatype, Dim, Error, Result, TensorSpec};
use serde::Deserialize;

use crate::engines::EngineChoice;

/// Of how many parts a model may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Most stages of one model (`limits.stages_max`).
    pub stages_max: usize,
    /// Most members of an ensemble (`limits.members_max`).
    pub members_max: usize,
}

impl Default for PartLimits {
    fn default() -> Self {
        Self { stages_max: 16, members_max: 32 }
    }
}

/// A component's configuration, as its schema wants it.
pub type Config = serde_json::Map<String, serde_json::Value>;

/// Where a stage stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "\"before\" or \"after\"")]
pub enum At {
    /// Before the engine.
    #[default]
    Before,
    /// After it.
    After,
}

impl At {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// One `[[stage]]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { component = \"acme.scale\" }")]
pub struct StageNotes {
    /// The component that does it.
    pub component: String,
    /// What it is called in timings and errors; the component's name behind its last dot if absent.
    pub name: Option<String>,
    /// Before or after the engine.
    #[serde(default)]
    pub at: At,
    /// The component's configuration.
    #[serde(default)]
    pub config: Config,
    /// Where the component calls an input otherwise: its name, and the name that the value has in the model.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The same for its outputs.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Outputs of the component that nobody wants.
    #[serde(default)]
    pub drop: Vec<String>,
    /// What it takes, where the component does not tell.
    #[serde(default)]
    pub takes: Vec<PortNotes>,
    /// What it gives, where the component does not tell.
    #[serde(default)]
    pub gives: Vec<PortNotes>,
}

impl StageNotes {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| short(&self.component))
    }
}

/// `[plugin]`: the component that is the engine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { component = \"acme.scale\" }")]
pub struct PluginNotes {
    /// The component.
    pub component: String,
    /// Its configuration.
    #[serde(default)]
    pub config: Config,
    /// What it takes, where the component does not tell.
    #[serde(default)]
    pub takes: Vec<PortNotes>,
    /// What it gives, where the component does not tell.
    #[serde(default)]
    pub gives: Vec<PortNotes>,
}

/// `[ensemble]`: models that answer together.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with members and a combiner")]
pub struct EnsembleNotes {
    /// The models that are asked.
    pub members: Vec<MemberNotes>,
    /// What makes one answer of theirs.
    pub combiner: PluginNotes,
}

/// One member of an ensemble.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { model = \"iris\" }")]
pub struct MemberNotes {
    /// The model.
    pub model: String,
    /// Its version; the highest that is ready if absent.
    pub version: Option<String>,
    /// Where the member calls an input otherwise: its name, and the name that the ensemble's callers know.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The output that is handed to the combiner; the only one if absent.
    pub output: Option<String>,
}

/// An input or output of a component that does not tell its own.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { name = \"x\", datatype = \"FP32\", shape = [-1, 4] }")]
pub struct PortNotes {
    /// The component's name for it.
    pub name: String,
    /// Element type, by the protocol's name.
    pub datatype: String,
    /// Sizes; -1 where any goes.
    pub shape: Vec<i64>,
}

impl PortNotes {
    /// The same as a spec. `at` is the key in `model.toml`.
    ///
    /// # Errors
    /// `InvalidModel` for a datatype that there is not, or a size below -1.
    pub fn spec(&self, at: &str) -> Result<TensorSpec> {
        let wrong = |what: String| Error::model(what).at(format!("{at} '{}'", self.name));
        let datatype = Datatype::from_name(&self.datatype).ok_or_else(|| {
            wrong(format!("there is no datatype '{}'", self.datatype))
                .expected(Datatype::ALL.map(Datatype::name).join(", "))
        })?;
        let dim = |&size: &i64| match size {
            -1 => Ok(Dim::Any(None)),
            size if size >= 0 => Ok(Dim::Fixed(size)),
            size => Err(wrong(format!("no size is {size}")).expected("0 or more, or -1 for any")),
        };
        let dims = self.shape.iter().map(dim).collect::<Result<_>>()?;
        Ok(TensorSpec { name: self.name.as_str().into(), datatype, dims: Some(dims) })
    }
}

/// A component's name behind its last dot.
fn short(component: &str) -> &str {
    component.rsplit('.').next().unwrap_or(component)
}

/// Which engine a model has by what its manifest says of its parts, and everything that contradicts itself.
///
/// # Errors
/// `InvalidModel` with the key.
pub(super) fn settle(
    engine: EngineChoice,
    (plugin, ensemble): (Option<&PluginNotes>, Option<&EnsembleNotes>),
    stages: &[StageNotes],
    limits: PartLimits,
) -> Result<EngineChoice> {
    let wrong = |what: &str, at: &str| Error::model(what.to_owned()).at(at.to_owned());
    let PartLimits { stages_max, members_max } = limits;
    if stages.len() > stages_max {
        let error = wrong("there are too many stages", "[[stage]]");
        return Err(error.expected(format!("at most {stages_max} (limits.stages_max)")).got(stages.len().to_string()));
    }
    for (index, stage) in stages.iter().enumerate() {
        let twice = stages.iter().take(index).any(|before| before.name() == stage.name());
        if twice || stage.name() == "engine" {
            let why = if twice { "two stages are called" } else { "no stage may be called" };
            let error = Error::model(format!("{why} '{}'", stage.name())).at(format!("stage[{index}].name"));
            return Err(error.hint("give it another name: name = \"…\""));
        }
        let late = stages.iter().take(index).any(|before| before.at == At::After) && stage.at == At::Before;
        if late {
            let error = Error::model(format!("stage '{}' stands behind one that comes after the engine", stage.name()));
            let error = error.at(format!("stage[{index}].at"));
            return Err(
                error.hint("stages run in the order in which they are written: those with at = \"before\" first")
            );
        }
    }
    match (engine, plugin, ensemble) {
        (_, Some(_), Some(_)) => Err(wrong("a model is either a plugin's or an ensemble", "[ensemble]")),
        (EngineChoice::Auto | EngineChoice::Plugin, Some(_), None) => Ok(EngineChoice::Plugin),
        (EngineChoice::Auto | EngineChoice::Ensemble, None, Some(notes)) => settle_ensemble(notes, members_max),
        (EngineChoice::Plugin, None, None) => Err(wrong("it is not said which component is the engine", "engine")
            .hint("name it: [plugin] component = \"acme.scale\"")),
        (EngineChoice::Ensemble, None, None) => Err(wrong("it is not said what the ensemble is made of", "engine")
            .hint("say it: [ensemble] members = [{ model = \"a\" }], combiner = { component = \"acme.vote\" }")),
        (engine, Some(_), None) | (engine, None, Some(_)) => {
            let what = format!("engine = \"{engine}\" wants a graph, and the model is made of something else");
            Err(wrong(&what, "engine").hint("leave engine out"))
        }
        (EngineChoice::Auto | EngineChoice::Ort | EngineChoice::Native | EngineChoice::Tract, None, None) => Ok(engine),
    }
}

fn settle_ensemble(notes: &EnsembleNotes, members_max: usize) -> Result<EngineChoice> {
    match notes.members.len() {
        0 => Err(Error::model("an ensemble without members").at("ensemble.members")),
        many if many > members_max => Err(Error::model("an ensemble of too many members")
            .at("ensemble.members")
            .expected(format!("at most {members_max} (limits.members_max)"))
            .got(many.to_string())),
        _ => Ok(EngineChoice::Ensemble),
    }
}
