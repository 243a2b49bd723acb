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

use candor_domain::{Cancel, Clock, Ending, Error, ErrorCode, Permit, Result, Tick, Version};

use super::{Call, remember};
use crate::{
    breaker::refused,
    pool::Queued,
    registry::{Lease, Registry},
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
pub(super) fn ending(error: Option<&Error>) -> Ending {
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

/// How far a run on the pool is, and the right to make it, which whoever is first gives back: the pool, which has an end
/// to tell also when nobody listens (a stream that its client does not read), or who waits, who also sees a run that
/// never ends.
pub(super) struct Progress {
    pub(super) cancel: Cancel,
    permit: Mutex<Option<Permit>>,
    began: AtomicU64,
    took: AtomicU64,
}

const NOT_YET: u64 = u64::MAX;

impl Progress {
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
    queued: Option<Queued>,
    clock: Arc<dyn Clock>,
}

impl Waiter {
    pub(super) fn new(permit: Option<Permit>, clock: Arc<dyn Clock>) -> Self {
        let (began, took) = (AtomicU64::new(NOT_YET), AtomicU64::new(NOT_YET));
        let progress = Progress { cancel: Cancel::default(), permit: Mutex::new(permit), began, took };
        Self { progress: Arc::new(progress), queued: None, clock }
    }

    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// What it waits for.
    pub(super) fn waits_for(&mut self, queued: Queued) {
        self.queued = Some(queued);
    }

    /// The answer has come.
    pub(super) fn end(self, ending: Ending) {
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
        self.progress.cancel.cancel();
        self.progress.tell(Ending::Unknown, self.clock.now());
        self.queued.as_ref().inspect(|queued| queued.run_now());
    }
}
