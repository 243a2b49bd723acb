//! Runs the parts of a version one after the other: a session like any other to those who call it.
//!
//! Tensors are moved: what a stage gives is lent to those who read it and taken by the answer; the engine gets the very
//! tensors that the caller sent, and they are put back. Each part is timed, and an error says whose it is. It knows
//! where values go from `fit`, and nothing of names in `model.toml`.

use std::{mem::replace, sync::Arc};

use candor_domain::{
    Cancel, Clock, Component, ComponentCall, Error, ErrorCode, Models, RequestRules, Result, Run, Session, Signature,
    Tensor, TensorSpec, Tick,
};

use super::{
    Part, Parts, Role,
    engine::take,
    ensemble::{Caller, Source},
    fit::{Chain, Slot, Step, is_rows, shown},
    open::Stage,
};
use crate::{pipeline::caught, repository::At};

/// What stands between the stages: an engine's session and what it takes and gives.
pub(crate) struct Inner {
    pub(crate) session: Box<dyn Session>,
    pub(crate) signature: Signature,
    /// What it tells of itself: one part, or as many as it has.
    pub(crate) parts: Vec<Part>,
    pub(crate) empty_tensors: bool,
    /// Models that components may call.
    pub(crate) models: Option<Arc<dyn Source>>,
}

/// A component at its place in the chain.
struct Placed {
    shown: String,
    component: Arc<dyn Component>,
    signature: Signature,
    is_before: bool,
    inline: bool,
}

/// The parts of a version as one session.
pub(crate) struct Staged {
    chain: Chain,
    stages: Vec<Placed>,
    engine: Box<dyn Session>,
    engine_signature: Signature,
    rules: RequestRules,
    models: Option<Arc<dyn Source>>,
}

/// What is known while a chain runs.
struct Passing<'a> {
    inputs: &'a mut [Tensor],
    made: Vec<Option<Tensor>>,
    rows: Option<i64>,
}

impl Passing<'_> {
    fn get(&self, source: Slot) -> Result<&Tensor> {
        match source {
            Slot::Input(place) => self.inputs.get(place),
            Slot::Made(place) => self.made.get(place).and_then(Option::as_ref),
        }
        .ok_or_else(lost)
    }

    fn take(&mut self, source: Slot) -> Result<Tensor> {
        match source {
            Slot::Input(place) => self.inputs.get_mut(place).map(|slot| replace(slot, Tensor::nothing())),
            Slot::Made(place) => self.made.get_mut(place).and_then(Option::take),
        }
        .ok_or_else(lost)
    }

    fn put(&mut self, source: Slot, tensor: Tensor) {
        match source {
            Slot::Input(place) => {
                if let Some(slot) = self.inputs.get_mut(place) {
                    *slot = tensor;
                }
            }
            Slot::Made(place) => {
                if let Some(slot) = self.made.get_mut(place) {
                    *slot = Some(tensor);
                }
            }
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorCode::Internal, "a value was not there when it was its turn")
}

/// A clock for runs that nobody times.
struct Still;

impl Clock for Still {
    fn now(&self) -> Tick {
        Tick(0)
    }

    fn unix_ms(&self) -> u64 {
        0
    }
}

impl Staged {
    /// Puts stages around what stands between them, as it was found that they fit; and what each part is.
    pub(crate) fn new(chain: Chain, inner: Inner, stages: Vec<Stage>) -> (Self, Parts) {
        let mut parts: Vec<Part> = stages.iter().map(part).collect();
        let after = parts.split_off(chain.engine_at.min(parts.len()));
        parts.extend(inner.parts);
        parts.extend(after);
        let placed = |(index, stage): (usize, Stage)| Placed {
            shown: shown(index, stage.notes.name()),
            component: stage.made.component,
            signature: stage.made.signature,
            is_before: stage.notes.at == At::Before,
            inline: stage.made.inline,
        };
        let staged = Self {
            chain,
            stages: stages.into_iter().enumerate().map(placed).collect(),
            engine: inner.session,
            engine_signature: inner.signature,
            rules: RequestRules { batch_rows_max: None, empty_tensors: inner.empty_tensors },
            models: inner.models,
        };
        (staged, Parts::new(parts))
    }

    fn pass(&self, passing: &mut Passing<'_>, wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        let mut stages = self.stages.iter();
        for (index, step) in self.chain.steps.iter().enumerate() {
            if run.cancel.is_some_and(Cancel::is_cancelled) {
                return Err(Error::new(ErrorCode::Cancelled, "nobody waits for the answer any more"));
            }
            let began = run.clock.now();
            if index == self.chain.engine_at {
                self.engine(step, passing, wanted, (run, began))?;
            } else {
                let stage = stages.next().ok_or_else(lost)?;
                self.stage(stage, step, passing, run).map_err(|error| blame(error, stage))?;
                run.laps.push(run.clock.now().nanos_since(began));
            }
        }
        self.answer(passing, wanted)
    }

    fn stage(&self, stage: &Placed, step: &Step, passing: &mut Passing<'_>, run: &Run<'_>) -> Result<()> {
        let mut named: Vec<(&str, &Tensor)> = Vec::with_capacity(step.reads.len());
        for (spec, source) in stage.signature.inputs.iter().zip(&step.reads) {
            named.push((&*spec.name, passing.get(*source)?));
        }
        // Who promises to be quick calls nobody.
        let caller = self.models.as_ref().filter(|_| !stage.inline).map(|source| Caller::new(source, run));
        let models = caller.as_ref().map(|caller| caller as &dyn Models);
        let call = ComponentCall { cancel: run.cancel, deadline: run.deadline, models };
        let mut given = caught(|| stage.component.run(&named, &call))?;
        for (spec, place) in stage.signature.outputs.iter().zip(&step.writes) {
            let Some(place) = place else { continue };
            let tensor = take(&mut given, spec)?;
            self.check_rows(passing.rows, spec, &tensor)?;
            passing.put(Slot::Made(*place), tensor);
        }
        Ok(())
    }

    /// A stage keeps the rows: they belong to callers, and several may share a run.
    fn check_rows(&self, rows: Option<i64>, spec: &TensorSpec, tensor: &Tensor) -> Result<()> {
        let got = tensor.shape().dims().first().copied();
        if !self.chain.counts_rows || !is_rows(spec) || got == rows {
            return Ok(());
        }
        let shown = |rows: Option<i64>| rows.map_or_else(|| "none".to_owned(), |rows| rows.to_string());
        Err(Error::new(ErrorCode::EngineFailed, format!("its output '{}' has another number of rows", spec.name))
            .expected(shown(rows))
            .got(shown(got)))
    }

    fn engine(
        &self,
        step: &Step,
        passing: &mut Passing<'_>,
        wanted: &[usize],
        (run, began): (&mut Run<'_>, Tick),
    ) -> Result<()> {
        let mut inputs = step.reads.iter().map(|source| passing.take(*source)).collect::<Result<Vec<_>>>()?;
        // What stages made has not been seen by anybody yet.
        self.engine_signature.check(&inputs, self.rules).map_err(|error| {
            let made_here = step.reads.iter().any(|source| matches!(source, Slot::Made(_)));
            let error = error.with_prefix("what the engine is given does not fit it: ");
            if made_here { error.with_code(ErrorCode::EngineFailed) } else { error }
        })?;
        let is_wanted = |place: usize| wanted.iter().any(|output| self.chain.outputs.get(*output) == Some(&place));
        let places =
            step.writes.iter().zip(&self.chain.engine_read).enumerate().filter_map(|(output, (place, read))| {
                let place = (*place)?;
                (*read || is_wanted(place)).then_some((output, place))
            });
        let (outputs, places): (Vec<usize>, Vec<usize>) = places.unzip();
        let mut inner = Run { laps: Vec::new(), ..Run::new(run.clock, run.cancel, run.deadline) };
        inner.depth = run.depth;
        let given = self.engine.run_as(&mut inputs, &outputs, &mut inner);
        if given.is_err() || !inner.laps.is_empty() {
            run.laps.extend(inner.laps);
        } else {
            run.laps.push(run.clock.now().nanos_since(began));
        }
        for (place, tensor) in places.into_iter().zip(given?) {
            passing.put(Slot::Made(place), tensor);
        }
        for (source, tensor) in step.reads.iter().zip(inputs) {
            passing.put(*source, tensor);
        }
        Ok(())
    }

    fn answer(&self, passing: &mut Passing<'_>, wanted: &[usize]) -> Result<Vec<Tensor>> {
        let mut outputs: Vec<Tensor> = Vec::with_capacity(wanted.len());
        for (index, output) in wanted.iter().enumerate() {
            let before = wanted.iter().take(index).position(|other| other == output);
            let again = before.and_then(|before| outputs.get(before)).cloned();
            let place = self.chain.outputs.get(*output).copied().ok_or_else(lost)?;
            outputs.push(match again {
                Some(again) => again,
                None => passing.take(Slot::Made(place))?,
            });
        }
        Ok(outputs)
    }
}

impl Session for Staged {
    /// For those who ask beside requests: what the engine takes of the caller is copied.
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.run_as(&mut inputs.to_vec(), wanted, &mut Run::new(&Still, cancel, None))
    }

    fn run_as(&self, inputs: &mut [Tensor], wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        let rows = inputs.first().and_then(|input| input.shape().dims().first().copied());
        let made = (0..self.chain.made).map(|_| None).collect();
        self.pass(&mut Passing { inputs, made, rows }, wanted, run)
    }
}

/// Says whose error it is. What a stage after the engine cannot take is not the caller's doing.
fn blame(error: Error, stage: &Placed) -> Error {
    let inner = error.place().map_or_else(String::new, |place| format!("{place}: "));
    let code = match error.code() {
        ErrorCode::InvalidInput | ErrorCode::TooLarge if stage.is_before => error.code(),
        ErrorCode::InvalidInput
        | ErrorCode::TooLarge
        | ErrorCode::NotFound
        | ErrorCode::Unsupported
        | ErrorCode::InvalidModel
        | ErrorCode::EngineFailed
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::BodyTimeout
        | ErrorCode::MethodNotAllowed
        | ErrorCode::NotAcceptable
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden => ErrorCode::EngineFailed,
        ErrorCode::QuotaExceeded
        | ErrorCode::Overloaded
        | ErrorCode::NotReady
        | ErrorCode::BreakerOpen
        | ErrorCode::DeadlineExceeded
        | ErrorCode::Cancelled
        | ErrorCode::Internal => error.code(),
    };
    error.with_code(code).with_prefix(&format!("{}: {inner}", stage.shown)).nowhere()
}

fn part(stage: &Stage) -> Part {
    let named = |specs: &[TensorSpec], map: &std::collections::BTreeMap<String, String>| -> Vec<String> {
        specs.iter().map(|spec| map.get(&*spec.name).cloned().unwrap_or_else(|| spec.name.to_string())).collect()
    };
    let (notes, made) = (&stage.notes, &stage.made);
    Part {
        name: notes.name().to_owned(),
        role: match notes.at {
            At::Before => Role::Before,
            At::After => Role::After,
        },
        id: Some(made.id.clone()),
        inputs: named(&made.signature.inputs, &notes.inputs),
        outputs: named(&made.signature.outputs, &notes.outputs),
        inline: made.inline,
        deterministic: made.deterministic,
        component: Some(Arc::clone(&made.component)),
    }
}
