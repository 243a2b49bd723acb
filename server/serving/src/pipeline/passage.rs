//! A call's way through the breaker of its version: let in, sent to the version that stands in, or refused; and what
//! its end says of the version.
//!
//! What counts is what the version itself did: an engine or a server that failed, a run that was slow, a run that used
//! up the server's limit on time. What callers do does not count: wrong requests, short timeouts, leaving early,
//! asking too often. But a run that was slow was slow, whoever stopped waiting for it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use candor_domain::{Cancel, Clock, Ending, Error, ErrorCode, Outcome, Permit, Result, Tick, Version};

use super::{Call, remember};
use crate::{
    batching::Joint,
    breaker::refused,
    registry::{Lease, Registry},
    scheduler::Ticket,
};

/// A lease on the version that answers, and the right to call it.
pub(super) struct Passage {
    pub(super) lease: Lease,
    /// Nothing where the version has no breaker.
    pub(super) permit: Option<Permit>,
    /// The version whose breaker is open, where another one stands in for it.
    pub(super) fallback_from: Option<Version>,
}

impl Passage {
    /// Leases the version that is asked for, or the one that stands in for it, and asks its breaker.
    pub(super) fn enter(registry: &Registry, call: &Call<'_>, clock: &dyn Clock, now: Tick) -> Result<Self> {
        let lease = registry.lease(call.model, call.version)?;
        let refusal = match lease.breaker().map(|breaker| breaker.enter(now)).transpose() {
            Ok(permit) => return Ok(Self { lease, permit, fallback_from: None }),
            Err(refusal) => refusal,
        };
        // Who names a version wants that one.
        let stand_in = if call.version.is_none() { Self::beside(&lease, registry, now) } else { None };
        if let Some(stand_in) = stand_in {
            lease.facts().breaker().fell_back();
            return Ok(stand_in);
        }
        lease.facts().breaker().rejected();
        Err(remember(lease.facts(), clock, now, refused(&lease.model, &lease.version, refusal)))
    }

    /// The version that stands in for `lease`, if its own breaker lets the call through. It has no stand-in of its own.
    fn beside(lease: &Lease, registry: &Registry, now: Tick) -> Option<Self> {
        let other = registry.stand_in(lease)?;
        let permit = other.breaker().map(|breaker| breaker.enter(now)).transpose().ok()?;
        Some(Self { lease: other, permit, fallback_from: Some(lease.version.clone()) })
    }
}

/// What the end of a call says of the version.
pub(crate) fn ending(error: Option<&Error>) -> Ending {
    match error.map(Error::code) {
        None => Ending::Succeeded,
        Some(ErrorCode::EngineFailed | ErrorCode::Internal | ErrorCode::InvalidModel) => Ending::Failed,
        Some(
            ErrorCode::InvalidInput
            | ErrorCode::TooLarge
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::BodyTimeout
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::NotAcceptable
            | ErrorCode::Unsupported
            | ErrorCode::Unauthenticated
            | ErrorCode::Forbidden
            | ErrorCode::QuotaExceeded
            | ErrorCode::Overloaded
            | ErrorCode::NotReady
            | ErrorCode::BreakerOpen
            | ErrorCode::DeadlineExceeded
            | ErrorCode::Cancelled,
        ) => Ending::Unknown,
    }
}

/// What the end of a request is counted as.
pub(crate) fn outcome(error: &Error) -> Outcome {
    match error.code() {
        ErrorCode::InvalidInput
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::BodyTimeout
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::NotAcceptable
        | ErrorCode::Unsupported
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden => Outcome::Invalid,
        ErrorCode::QuotaExceeded | ErrorCode::Overloaded | ErrorCode::NotReady | ErrorCode::BreakerOpen => {
            Outcome::Rejected
        }
        ErrorCode::DeadlineExceeded | ErrorCode::Cancelled => Outcome::Cancelled,
        ErrorCode::InvalidModel | ErrorCode::EngineFailed | ErrorCode::Internal => Outcome::Failed,
    }
}

/// How far a run on the pool is, and the right to make it, which whoever is first gives back: the pool, which has an end
/// to tell also when nobody listens (a stream that its client does not read), or who waits, who also sees a run that
/// never ends.
pub(super) struct Progress {
    pub(super) cancel: Cancel,
    /// The run that it shares with others, while there is one.
    joint: Mutex<Option<Arc<Joint>>>,
    permit: Mutex<Option<Permit>>,
    began: AtomicU64,
    took: AtomicU64,
}

const NOT_YET: u64 = u64::MAX;

impl Progress {
    /// Its run is one with others; false when nobody waits for it any more.
    pub(super) fn join(&self, joint: &Arc<Joint>) -> bool {
        let mut slot = self.joint.lock().unwrap_or_else(PoisonError::into_inner);
        // Who leaves marks it first and looks here afterwards: one of the two sees the other, and one counts.
        if self.cancel.is_cancelled() {
            joint.one_has_gone();
            return false;
        }
        *slot = Some(Arc::clone(joint));
        true
    }

    /// Its run is its own again.
    pub(super) fn part(&self) {
        *self.joint.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Nobody waits for it any more.
    fn leave(&self) {
        self.cancel.cancel();
        if let Some(joint) = self.joint.lock().unwrap_or_else(PoisonError::into_inner).take() {
            joint.one_has_gone();
        }
    }

    pub(super) fn begin(&self, now: Tick) {
        self.began.store(now.0, SeqCst);
    }

    pub(super) fn end(&self, took: u64) {
        self.took.store(took, SeqCst);
    }

    /// What the end says of the version, unless that has been told.
    pub(super) fn tell(&self, ending: Ending, now: Tick) {
        let permit = self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(permit) = permit {
            permit.end(ending, self.took(now), now);
        }
    }

    /// How long the run took, or has taken until now; nothing if it has not begun.
    fn took(&self, now: Tick) -> Duration {
        let nanos = match (self.took.load(SeqCst), self.began.load(SeqCst)) {
            (NOT_YET, NOT_YET) => 0,
            (NOT_YET, began) => now.nanos_since(Tick(began)),
            (took, _) => took,
        };
        Duration::from_nanos(nanos)
    }
}

/// Waits for a run on the pool, and stops it when it stops waiting; one that has not begun leaves the queue.
pub(super) struct Waiter {
    progress: Arc<Progress>,
    /// Its place in the queue, until the answer has come.
    ticket: Option<Ticket>,
    clock: Arc<dyn Clock>,
}

impl Waiter {
    pub(super) fn new(permit: Option<Permit>, clock: Arc<dyn Clock>) -> Self {
        let (began, took) = (AtomicU64::new(NOT_YET), AtomicU64::new(NOT_YET));
        let (cancel, joint) = (Cancel::default(), Mutex::default());
        let progress = Progress { cancel, joint, permit: Mutex::new(permit), began, took };
        Self { progress: Arc::new(progress), ticket: None, clock }
    }

    /// It waits at this place.
    pub(super) fn queued(&mut self, ticket: Ticket) {
        self.ticket = Some(ticket);
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The answer has come.
    pub(super) fn end(mut self, ending: Ending) {
        self.ticket = None;
        self.progress.tell(ending, self.clock.now());
    }

    /// The server's limit on time is over. Only if the run itself used up most of it is that the version's doing.
    pub(super) fn end_late(self, limit: Duration) {
        let now = self.clock.now();
        let is_its_doing = self.progress.took(now) >= limit / 2;
        self.progress.tell(if is_its_doing { Ending::Failed } else { Ending::Unknown }, now);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.progress.leave();
        if let Some(ticket) = self.ticket.take() {
            ticket.withdraw();
        }
        self.progress.tell(Ending::Unknown, self.clock.now());
    }
}
