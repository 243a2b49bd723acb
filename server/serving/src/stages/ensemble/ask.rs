//! One member's part of a request: its lease, its breaker, its session, its counters.
//!
//! Before it: `share`, which chose the thread. After it: the member's answer, or an error that names the member. What a
//! member does for an ensemble counts as its own doing.

use std::time::Duration;

use candor_domain::{Cancel, Clock, Ending, Error, ErrorCode, Observation, Outcome, Phase, Result, Run, Tensor, Tick};

use super::{Member, SEAT_WAIT_MAX, Source, too_deep};
use crate::{
    breaker::refused,
    pipeline::{caught, ending, outcome},
    registry::Lease,
};

/// What is the same for all members of a request.
pub(super) struct Asking<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) clock: &'a dyn Clock,
    pub(super) deadline: Option<Tick>,
    pub(super) depth: u32,
}

/// What a model is given.
pub(super) enum Given<'a> {
    /// The very tensors that the caller sent, which others read too: for a session of one part.
    Lent(&'a [Tensor]),
    /// Copies, in the model's own order.
    Own(Vec<Tensor>),
}

impl Given<'_> {
    fn tensors(&self) -> &[Tensor] {
        match self {
            Self::Lent(tensors) => tensors,
            Self::Own(tensors) => tensors,
        }
    }
}

/// Says whose error it is; what a member lacks, the ensemble cannot answer now.
pub(super) fn blame(error: Error, member: &Member) -> Error {
    let code = if error.code() == ErrorCode::NotFound { ErrorCode::NotReady } else { error.code() };
    let inner = error.place().map_or_else(String::new, |place| format!("{place}: "));
    error.with_code(code).with_prefix(&format!("member '{}': {inner}", member.shown())).nowhere()
}

/// A lease on a member that is still what it was when the ensemble was loaded.
pub(super) fn lease(source: &dyn Source, member: &Member) -> Result<Lease> {
    let lease = source.lease(member.model.as_str(), member.version.as_deref()).map_err(|error| blame(error, member))?;
    if lease.signature == member.signature {
        return Ok(lease);
    }
    let what = format!("member '{}' takes or gives something else than when the ensemble was loaded", member.shown());
    Err(Error::new(ErrorCode::NotReady, what).hint("load the ensemble anew"))
}

impl Asking<'_> {
    /// Asks a member. `inputs` are the ensemble's.
    pub(super) fn ask(
        &self,
        member: &Member,
        lease: &mut Lease,
        inputs: &[Tensor],
        cancel: &Cancel,
    ) -> Result<(Tensor, u64)> {
        let given = if member.takes_all(inputs.len()) && lease.parts.is_empty() {
            Given::Lent(inputs)
        } else {
            Given::Own(member.inputs.iter().filter_map(|place| inputs.get(*place).cloned()).collect())
        };
        let outputs = self.run(lease, given, &[member.output], cancel);
        let (outputs, nanos) = outputs.map_err(|error| blame(error, member))?;
        let lost = || Error::new(ErrorCode::EngineFailed, format!("member '{}' gave no answer", member.shown()));
        Ok((outputs.into_iter().next().ok_or_else(lost)?, nanos))
    }

    /// Runs a leased version for another model: through its breaker, with its session in memory, counted.
    pub(super) fn run(
        &self,
        lease: &mut Lease,
        mut given: Given<'_>,
        wanted: &[usize],
        cancel: &Cancel,
    ) -> Result<(Vec<Tensor>, u64)> {
        if self.depth >= self.source.depth_max() {
            return Err(too_deep(self.source.depth_max()));
        }
        let began = self.clock.now();
        let rows = lease.signature.check(given.tensors(), lease.manifest.rules())?;
        if !lease.sit() {
            let wait_max = self.deadline.map_or(SEAT_WAIT_MAX, |deadline| began.until(deadline));
            self.source.seat(lease, wait_max, Some(cancel))?;
        }
        let permit = lease.breaker().map(|breaker| breaker.enter(self.clock.now())).transpose();
        let permit = permit.map_err(|refusal| {
            lease.facts().breaker().rejected();
            refused(&lease.model, &lease.version, refusal)
        })?;
        let mut run = Run::new(self.clock, Some(cancel), self.deadline);
        run.depth = self.depth + 1;
        let start = self.clock.now();
        let outputs = caught(|| match &mut given {
            Given::Lent(inputs) => lease.session().run(inputs, wanted, run.cancel),
            Given::Own(inputs) => lease.session().run_as(inputs, wanted, &mut run),
        });
        let now = self.clock.now();
        let nanos = now.nanos_since(start);
        if let Some(permit) = permit {
            let ending = if cancel.is_cancelled() { Ending::Unknown } else { ending(outputs.as_ref().err()) };
            permit.end(ending, Duration::from_nanos(nanos), now);
        }
        lease.parts.count(&run.laps, outputs.is_err());
        self.count(lease, rows, (began, now, nanos), outputs.as_ref().err());
        // Its session may leave memory as soon as others want the room.
        lease.stand();
        Ok((outputs?, nanos))
    }

    fn count(&self, lease: &Lease, rows: u64, (began, now, run): (Tick, Tick, u64), error: Option<&Error>) {
        let mut nanos = [None; Phase::ALL.len()];
        for (phase, took) in [(Phase::Request, now.nanos_since(began)), (Phase::Run, run)] {
            if let Some(slot) = nanos.get_mut(phase as usize) {
                *slot = Some(took);
            }
        }
        let outcome = error.map_or(Outcome::Success, outcome);
        if error.is_none() {
            lease.facts().count_run(rows, [0, run, 0]);
            lease.facts().learn_cost(rows, run);
        }
        lease.facts().record(&Observation { outcome, rows, nanos, ended_unix_ms: self.clock.unix_ms() });
    }
}
