//! Which value goes where: the stages of a version and its engine as one chain, checked before anything runs.
//!
//! Values have names. A stage before the engine reads what earlier stages gave; what nobody gave, the model takes. The
//! engine does the same. A stage after it reads what the engine and all stages gave. Stages run in the order in which
//! they are written, so that nothing can wait for itself. What nobody reads in the end is what the model gives. After
//! it comes `session`, which runs the chain. It knows specs, and no component.

use std::{collections::BTreeMap, sync::Arc};

use candor_domain::{Dim, Error, Result, Signature, TensorSpec};

use super::open::{Made, Stage, names};
use crate::repository::At;

/// Where a value is while a chain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Among what the caller sent.
    Input(usize),
    /// Among what was made on the way.
    Made(usize),
}

/// What one part reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// In the order of its inputs.
    pub(super) reads: Vec<Slot>,
    /// In the order of its outputs; nothing for those that nobody wants.
    pub(super) writes: Vec<Option<usize>>,
}

/// A version's parts as one chain.
#[derive(Debug)]
pub(crate) struct Chain {
    /// What callers see.
    pub(crate) signature: Signature,
    /// One for each stage, in order, the engine between those before and those after it.
    pub(super) steps: Vec<Step>,
    /// Which of the steps is the engine's.
    pub(super) engine_at: usize,
    /// Where each output of the signature is in the end.
    pub(super) outputs: Vec<usize>,
    /// Outputs of the engine that a stage reads.
    pub(super) engine_read: Vec<bool>,
    /// How many values are made on the way.
    pub(super) made: usize,
    /// Whether the first dimension counts rows all the way.
    pub(super) counts_rows: bool,
}

/// A value that is made on the way.
struct Value {
    spec: TensorSpec,
    /// Who makes it.
    maker: String,
    /// The maker's own name for it.
    own: Arc<str>,
    read: bool,
    /// Whether the model gives it if nobody reads it.
    answers: bool,
}

/// What a chain is built of while it is built.
#[derive(Default)]
struct Builder {
    inputs: Vec<TensorSpec>,
    values: Vec<Value>,
    names: BTreeMap<Arc<str>, Slot>,
}

/// Whose turn it is, for messages.
struct Turn<'a> {
    shown: String,
    /// The key in `model.toml`.
    at: &'a str,
    /// Names that differ: its own and the model's.
    inputs: Option<&'a BTreeMap<String, String>>,
    outputs: Option<&'a BTreeMap<String, String>>,
    drop: &'a [String],
    /// Whether what it reads may be what the model takes.
    opens: bool,
    answers: bool,
}

fn renamed(own: &str, map: Option<&BTreeMap<String, String>>) -> Arc<str> {
    map.and_then(|map| map.get(own)).map_or_else(|| own.into(), |name| name.as_str().into())
}

/// A key of a mapping that names nothing of the component's.
fn unknown_key(
    turn: &Turn<'_>,
    side: &str,
    map: Option<&BTreeMap<String, String>>,
    specs: &[TensorSpec],
) -> Result<()> {
    let known = |own: &str| specs.iter().any(|spec| *spec.name == *own);
    let Some(own) = map.into_iter().flat_map(BTreeMap::keys).find(|own| !known(own)) else { return Ok(()) };
    let what = format!("{}: it has no {} '{own}'", turn.shown, side.trim_end_matches('s'));
    Err(Error::model(what).at(format!("model.toml {}.{side}", turn.at)).expected(names(specs)))
}

impl Builder {
    fn known(&self) -> String {
        let names: Vec<&str> = self.names.keys().map(|name| &**name).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    fn read(&mut self, turn: &Turn<'_>, spec: &TensorSpec) -> Result<Slot> {
        let name = renamed(&spec.name, turn.inputs);
        let at = || format!("model.toml {}.inputs '{}'", turn.at, spec.name);
        match self.names.get(&name).copied() {
            Some(Slot::Made(place)) => {
                let Some(value) = self.values.get_mut(place) else { return Err(lost()) };
                spec.takes(&value.spec).map_err(|error| {
                    let whose = format!("{}: it cannot take '{name}' of {}: ", turn.shown, value.maker);
                    error.with_prefix(&whose).at(at())
                })?;
                value.read = true;
                Ok(Slot::Made(place))
            }
            Some(Slot::Input(place)) => {
                let Some(input) = self.inputs.get_mut(place) else { return Err(lost()) };
                spec.takes(input).map_err(|error| {
                    let whose = format!("{}: it takes the model's input '{name}' otherwise than others: ", turn.shown);
                    error.with_prefix(&whose).at(at())
                })?;
                *input = input.clone().narrowed(spec);
                Ok(Slot::Input(place))
            }
            None if turn.opens => {
                let place = self.inputs.len();
                self.inputs.push(TensorSpec { name: Arc::clone(&name), ..spec.clone() });
                self.names.insert(name, Slot::Input(place));
                Ok(Slot::Input(place))
            }
            None => Err(Error::model(format!("{}: nothing gives '{name}'", turn.shown))
                .at(at())
                .expected(self.known())
                .hint("where the names differ, say inputs = { its_own_name = \"the_name_here\" }")),
        }
    }

    fn write(&mut self, turn: &Turn<'_>, spec: &TensorSpec, new: &mut Vec<Arc<str>>) -> Result<Option<usize>> {
        if turn.drop.iter().any(|dropped| **dropped == *spec.name) {
            return Ok(None);
        }
        let name = renamed(&spec.name, turn.outputs);
        if new.contains(&name) {
            let what = format!("{}: two of its outputs are called '{name}'", turn.shown);
            return Err(Error::model(what).at(format!("model.toml {}.outputs", turn.at)));
        }
        let place = self.values.len();
        let (maker, own) = (turn.shown.clone(), Arc::clone(&spec.name));
        let spec = TensorSpec { name: Arc::clone(&name), ..spec.clone() };
        self.values.push(Value { spec, maker, own, read: false, answers: turn.answers });
        new.push(Arc::clone(&name));
        Ok(Some(place))
    }

    fn step(&mut self, turn: &Turn<'_>, signature: &Signature) -> Result<Step> {
        unknown_key(turn, "inputs", turn.inputs, &signature.inputs)?;
        unknown_key(turn, "outputs", turn.outputs, &signature.outputs)?;
        let known = |own: &String| signature.outputs.iter().any(|spec| *spec.name == **own);
        if let Some(own) = turn.drop.iter().find(|own| !known(own)) {
            let error = Error::model(format!("{}: it has no output '{own}' to drop", turn.shown));
            return Err(error.at(format!("model.toml {}.drop", turn.at)).expected(names(&signature.outputs)));
        }
        let reads = signature.inputs.iter().map(|spec| self.read(turn, spec)).collect::<Result<_>>()?;
        let mut new = Vec::new();
        let writes =
            signature.outputs.iter().map(|spec| self.write(turn, spec, &mut new)).collect::<Result<Vec<_>>>()?;
        for (name, place) in new.into_iter().zip(writes.iter().flatten()) {
            self.names.insert(name, Slot::Made(*place));
        }
        Ok(Step { reads, writes })
    }

    /// A value of a stage before the engine that nobody reads is a name that was spelt wrongly, or forgotten.
    fn unread(&self, engine: &Signature) -> Result<()> {
        let Some(value) = self.values.iter().find(|value| !value.read && !value.answers) else { return Ok(()) };
        Err(Error::model(format!("{}: nobody reads its output '{}'", value.maker, value.spec.name))
            .expected(format!("a name that a later stage or the engine takes: {}", names(&engine.inputs)))
            .hint(format!(
                "say outputs = {{ {0} = \"…\" }} if it has another name there, or drop = [\"{0}\"] if nobody wants it",
                value.own
            )))
    }

    fn outputs(&self) -> Result<Vec<usize>> {
        let mut places: Vec<usize> = Vec::new();
        for (place, value) in self.values.iter().enumerate().filter(|(_, value)| value.answers && !value.read) {
            let twin = places.iter().filter_map(|place| self.values.get(*place));
            if let Some(twin) = twin.into_iter().find(|twin| twin.spec.name == value.spec.name) {
                let what = format!(
                    "the model would give '{}' twice: of {} and of {}",
                    value.spec.name, twin.maker, value.maker
                );
                return Err(Error::model(what).hint("give one of them another name: outputs = { … }"));
            }
            places.push(place);
        }
        if places.is_empty() {
            return Err(Error::model("the stages leave nothing to answer with"));
        }
        Ok(places)
    }
}

fn lost() -> Error {
    Error::new(candor_domain::ErrorCode::Internal, "a value has no place")
}

/// What stage `index` is called in messages.
pub(super) fn shown(index: usize, name: &str) -> String {
    format!("stage {} '{name}'", index + 1)
}

/// What the next stage will be given, by its own names, as far as the ones before it tell.
pub(crate) struct SoFar(BTreeMap<Arc<str>, TensorSpec>);

impl SoFar {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn engine(&mut self, signature: &Signature) {
        self.0.extend(signature.outputs.iter().map(|spec| (Arc::clone(&spec.name), spec.clone())));
    }

    pub(crate) fn stage(&mut self, outputs: &BTreeMap<String, String>, made: &Made) {
        let named = |spec: &TensorSpec| (renamed(&spec.name, Some(outputs)), spec.clone());
        self.0.extend(made.signature.outputs.iter().map(named));
    }

    /// Under the names of a component that calls some of them otherwise.
    pub(crate) fn given(&self, inputs: &BTreeMap<String, String>) -> Vec<TensorSpec> {
        let own = |name: &Arc<str>| {
            let mapped = inputs.iter().find(|(_, value)| **value == **name);
            mapped.map_or_else(|| Arc::clone(name), |(own, _)| own.as_str().into())
        };
        self.0.iter().map(|(name, spec)| TensorSpec { name: own(name), ..spec.clone() }).collect()
    }
}

/// Puts the stages and the engine together.
///
/// # Errors
/// `InvalidModel` that names the stage and the key.
pub(crate) fn chain(stages: &[Stage], engine: &Signature) -> Result<Chain> {
    let mut builder = Builder::default();
    let mut steps = Vec::with_capacity(stages.len() + 1);
    let keys: Vec<String> = (0..stages.len()).map(|index| format!("stage[{index}]")).collect();
    let engine_at = stages.iter().filter(|stage| stage.notes.at == At::Before).count();
    let mut engine_writes = 0..0;
    for (index, (stage, at)) in stages.iter().zip(&keys).enumerate() {
        if index == engine_at {
            engine_writes = self::engine(&mut builder, engine, &mut steps)?;
        }
        let is_before = stage.notes.at == At::Before;
        let turn = Turn {
            shown: shown(index, stage.notes.name()),
            at,
            inputs: Some(&stage.notes.inputs),
            outputs: Some(&stage.notes.outputs),
            drop: &stage.notes.drop,
            opens: is_before,
            answers: !is_before,
        };
        steps.push(builder.step(&turn, &stage.made.signature)?);
    }
    if engine_at == stages.len() {
        engine_writes = self::engine(&mut builder, engine, &mut steps)?;
    }
    builder.unread(engine)?;
    let outputs = builder.outputs()?;
    let engine_read = engine_writes.map(|place| builder.values.get(place).is_some_and(|value| value.read)).collect();
    let specs = outputs.iter().filter_map(|place| builder.values.get(*place).map(|value| value.spec.clone())).collect();
    let made = builder.values.len();
    let signature = Signature { inputs: builder.inputs, outputs: specs };
    if signature.inputs.is_empty() {
        return Err(Error::model("the stages leave nothing for the model to take"));
    }
    let counts_rows = signature.is_batched();
    Ok(Chain { signature, steps, engine_at, outputs, engine_read, made, counts_rows })
}

/// The engine's turn; gives the places of its outputs.
fn engine(builder: &mut Builder, signature: &Signature, steps: &mut Vec<Step>) -> Result<std::ops::Range<usize>> {
    let shown = "the engine".to_owned();
    let turn = Turn { shown, at: "engine", inputs: None, outputs: None, drop: &[], opens: true, answers: true };
    let begin = builder.values.len();
    steps.push(builder.step(&turn, signature)?);
    Ok(begin..builder.values.len())
}

/// Whether the first dimension of an output is free, and so counts rows in a chain that does.
pub(super) fn is_rows(spec: &TensorSpec) -> bool {
    matches!(spec.dims.as_deref(), Some([Dim::Any(_), ..]))
}
