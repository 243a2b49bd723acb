//! Models that answer together: members are asked, at the same time where threads are free, and a component makes one
//! answer of theirs.
//!
//! Before it: `[ensemble]` of `model.toml`. After it: the same as after any engine. Members are leased for the whole
//! request; a member's session is held only while it runs, so that two members need not fit into memory together.
//! Whoever asks does the work itself as far as no other thread has taken it: nobody waits for a place in a queue, and
//! one thread is enough. It knows the registry by [`Source`] alone.
//!
//! | module | what it does |
//! |---|---|
//! | `open` | members and combiner as one signature |
//! | `ask` | one member's part of a request |
//! | `share` | the members of one request, divided among threads |
//! | `call` | a model that a component calls |

mod ask;
mod call;
mod open;
mod share;

use std::{sync::Arc, time::Duration};

use candor_domain::{
    Cancel, Clock, Component, ComponentCall, Error, ErrorCode, ModelName, Result, Run, Session, Signature, Tensor,
    TensorSpec,
};

pub(crate) use call::Caller;
pub(crate) use open::open_ensemble;
pub(crate) use share::Helpers;

use super::engine::take;
use crate::{pipeline::caught, registry::Lease};

/// Longest wait for a member's session where nobody says how long the request waits.
const SEAT_WAIT_MAX: Duration = Duration::from_secs(60);

/// Where members come from: the registry, as an ensemble sees it.
pub(crate) trait Source: Send + Sync {
    /// A member that is ready.
    ///
    /// # Errors
    /// `NotFound` and `NotReady`.
    fn lease(&self, model: &str, version: Option<&str>) -> Result<Lease>;

    /// A member for the load of `ensemble`: loads it on this thread if need be.
    ///
    /// # Errors
    /// `InvalidModel` when ensembles contain each other; what the member's load said.
    fn bring(&self, ensemble: &ModelName, member: &ModelName, version: Option<&str>) -> Result<Lease>;

    /// Waits on this thread for the session of a lease that found none.
    ///
    /// # Errors
    /// What kept it from coming, and `Overloaded` when that took too long.
    fn seat(&self, lease: &mut Lease, wait_max: Duration, cancel: Option<&Cancel>) -> Result<()>;

    /// The server's clock.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// How many models may wait for each other, each for the next (`limits.call_depth_max`): deeper is a mistake.
    fn depth_max(&self) -> u32;

    /// Threads that help.
    fn helpers(&self) -> Option<&Helpers>;
}

/// A member, and what it is given of what the ensemble takes.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) model: ModelName,
    pub(crate) version: Option<String>,
    /// What it took and gave when the ensemble was loaded.
    pub(crate) signature: Signature,
    /// For each of its inputs, the place among the ensemble's.
    pub(crate) inputs: Vec<usize>,
    /// The output that is handed on.
    pub(crate) output: usize,
}

impl Member {
    /// What it is called in timings and errors.
    pub(crate) fn shown(&self) -> String {
        match &self.version {
            None => self.model.to_string(),
            Some(version) => format!("{}:{version}", self.model),
        }
    }

    /// Whether it takes what the ensemble takes, all of it and in its order.
    fn takes_all(&self, count: usize) -> bool {
        self.inputs.iter().copied().eq(0..count)
    }
}

/// Members and what makes one answer of theirs.
pub(crate) struct Ensemble {
    members: Arc<[Member]>,
    /// Names of the combiner's inputs: `y_0`, `y_1`, ….
    names: Vec<String>,
    /// What the ensemble takes that the combiner takes too: name and place.
    passes: Vec<(String, usize)>,
    combiner: Arc<dyn Component>,
    combiner_is_inline: bool,
    outputs: Vec<TensorSpec>,
    source: Arc<dyn Source>,
}

impl Ensemble {
    fn combine(
        &self,
        (answers, inputs): (&[Tensor], &[Tensor]),
        wanted: &[usize],
        run: &Run<'_>,
    ) -> Result<Vec<Tensor>> {
        let mut named: Vec<(&str, &Tensor)> = self.names.iter().map(String::as_str).zip(answers).collect();
        let passed = self.passes.iter().filter_map(|(name, place)| Some((name.as_str(), inputs.get(*place)?)));
        named.extend(passed);
        let caller = Caller::new(&self.source, run);
        let models = (!self.combiner_is_inline).then_some(&caller as &dyn candor_domain::Models);
        let call = ComponentCall { cancel: run.cancel, deadline: run.deadline, models };
        let mut given = self.combiner.run(&named, &call)?;
        let lost = || Error::new(ErrorCode::Internal, "an output was asked for that there is not");
        let outputs = wanted.iter().map(|&place| take(&mut given, self.outputs.get(place).ok_or_else(lost)?));
        outputs.collect()
    }
}

impl Session for Ensemble {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        let clock = Arc::clone(self.source.clock());
        self.run_as(&mut inputs.to_vec(), wanted, &mut Run::new(&*clock, cancel, None))
    }

    fn run_as(&self, inputs: &mut [Tensor], wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        if run.depth >= self.source.depth_max() {
            return Err(too_deep(self.source.depth_max()));
        }
        let answers = share::ask_all(&self.members, &self.source, inputs, run)?;
        let began = run.clock.now();
        let outputs = caught(|| self.combine((&answers, inputs), wanted, run));
        let outputs = outputs.map_err(|error| {
            // A combiner is given what members answered, never what the caller sent.
            let is_ours = error.code() == ErrorCode::InvalidInput;
            let error = if is_ours { error.with_code(ErrorCode::EngineFailed) } else { error };
            error.with_prefix("the combiner: ").nowhere()
        })?;
        run.laps.push(run.clock.now().nanos_since(began));
        Ok(outputs)
    }
}

/// Models that call models that call models.
fn too_deep(depth_max: u32) -> Error {
    Error::new(ErrorCode::Overloaded, "models call each other too deeply")
        .expected(format!("at most {depth_max} that wait for each other (limits.call_depth_max)"))
}
