//! A request to a version that keeps its answers: read, looked up, and only if nobody knows the answer, run.
//!
//! Before it: the version's breaker. After it: the way that every request takes. An answer that is there needs no
//! session in memory, no place on the pool and no run, so neither a cold version nor a full queue keeps it from its
//! caller. To be looked up a request must have been read, which happens on the caller's thread; how large it may be
//! for that is bounded.

use std::{pin::pin, sync::Arc};

use candor_domain::{Ending, Error, ErrorCode, Phase, Result, Tensor, Tick};
use tokio::{sync::oneshot, time::timeout};

use super::{Call, Codec, Passage, Pipeline, Work, ending, lost, remember, too_slow};
use crate::{
    registry::Came,
    result_cache::{Answer, CacheNote, Flight, Found, Told},
    scheduler::nobody_waits,
};

impl Pipeline {
    /// Answers a request from what is kept, or as any other.
    pub(super) async fn infer_kept<C: Codec>(
        &self,
        mut passage: Passage,
        call: &Call<'_>,
        mut codec: C,
        admitted: Tick,
    ) -> Result<C::Reply> {
        loop {
            let deadline = admitted.after(self.settings.inference_max);
            let mut work = Work::new(passage, codec, Arc::clone(&self.clock), (admitted, deadline));
            match work.look() {
                Ok(Some(Found::Here(answer))) => return self.tell_kept(work, answer, CacheNote::Hit).await,
                Ok(Some(Found::Lead(flight))) => work.lead(flight),
                Ok(Some(Found::Follow(told))) => match self.follow(&work, told).await {
                    Ok(Told::Landed(answer)) => return self.tell_kept(work, answer, CacheNote::Shared).await,
                    Ok(Told::Lead(flight)) => work.lead(flight),
                    Err(error) => return work.finish(Err(error)),
                },
                Ok(None) => {}
                Err(error) => return work.finish(Err(error)),
            }
            if work.lease.sit() {
                return self.answer(work).await;
            }
            match self.seat_for(&mut work).await {
                Ok(Came::Seated) => return self.answer(work).await,
                Ok(Came::Gone) => {}
                Err(error) => return work.finish(Err(error)),
            }
            // Another version has taken its place; it reads the request for itself.
            codec = work.codec.take().ok_or_else(lost)?;
            drop(work);
            passage = Passage::enter(&self.registry, call, &*self.clock, self.clock.now())?;
        }
    }

    /// Writes an answer that is there: here if it is small, else where nobody else waits for this thread.
    async fn tell_kept<C: Codec>(&self, work: Work<C>, answer: Arc<Answer>, note: CacheNote) -> Result<C::Reply> {
        if answer.bytes() <= self.settings.inline_body_bytes_max {
            return work.answered(&answer, note);
        }
        let written = tokio::task::spawn_blocking(move || work.answered(&answer, note)).await;
        written.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the answer was lost while it was written")))
    }

    /// Waits for the session of a version that is not in memory.
    async fn seat_for<C: Codec>(&self, work: &mut Work<C>) -> Result<Came> {
        work.lease.admit(self.settings.inline_run_max)?;
        let until = work.admitted.after(self.settings.inference_max);
        self.registry.seat(&mut work.lease, self.clock.now().until(until)).await
    }

    /// Waits for somebody else who asks the same.
    async fn follow<C: Codec>(&self, work: &Work<C>, told: oneshot::Receiver<Told>) -> Result<Told> {
        work.lease.admit_to_wait()?;
        let time = work.timeout().map_or(self.settings.inference_max, |own| own.min(self.settings.inference_max));
        let mut leaving = Leaving { work, has_heard: false };
        let heard = timeout(self.clock.now().until(work.admitted.after(time)), pin!(told)).await;
        leaving.has_heard = true;
        match heard {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(_)) => Err(Error::new(ErrorCode::Internal, "the inference was lost")),
            Err(_) => Err(too_slow(time)),
        }
    }
}

/// Counts somebody who leaves while it waits for another's answer.
struct Leaving<'a, C: Codec> {
    work: &'a Work<C>,
    has_heard: bool,
}

impl<C: Codec> Drop for Leaving<'_, C> {
    fn drop(&mut self) {
        if !self.has_heard {
            let _ = remember(self.work.lease.facts(), &*self.work.clock, self.work.admitted, nobody_waits());
        }
    }
}

impl<C: Codec> Work<C> {
    /// Reads the request and looks for its answer; nothing where there is nothing to look into, or the request is too
    /// large for that.
    fn look(&mut self) -> Result<Option<Found>> {
        let Some(bytes_max) = self.lease.keeping().map(|keeping| keeping.request_bytes_max()) else { return Ok(None) };
        if self.codec_body_bytes() > bytes_max {
            self.cache = Some(CacheNote::Bypass);
            self.lease.facts().count_look(CacheNote::Bypass, 1, 0);
            return Ok(None);
        }
        self.decode()?;
        let request = self.request.as_ref().ok_or_else(lost)?;
        Ok(self.lease.keeping().map(|keeping| keeping.look(&request.inputs, &request.outputs)))
    }

    /// Nanoseconds since the last phase ended, where the next one begins.
    fn passed(&mut self) -> u64 {
        let now = self.clock.now();
        let passed = now.nanos_since(self.mark);
        self.mark = now;
        passed
    }

    /// It will find the answer out, for all who ask the same.
    fn lead(&mut self, flight: Flight) {
        let nanos = self.passed();
        self.lease.facts().count_look(CacheNote::Miss, 1, nanos);
        (self.cache, self.flight) = (Some(CacheNote::Miss), Some(Box::new(flight)));
    }

    /// Keeps what the run gave, if it was made for others too.
    pub(super) fn keep(&mut self, outputs: &[Tensor]) {
        let Some(flight) = self.flight.take() else { return };
        if let Some(keeping) = self.lease.keeping() {
            keeping.keep(*flight, outputs);
            let nanos = self.passed();
            self.lease.facts().count_look(CacheNote::Miss, 0, nanos);
        }
    }

    /// Writes the reply from what was answered before.
    fn answered(mut self, answer: &Answer, note: CacheNote) -> Result<C::Reply> {
        let outputs = answer.outputs.clone();
        let nanos = self.passed();
        if note == CacheNote::Shared {
            self.set(Phase::Queue, nanos);
        }
        self.lease.facts().count_look(note, 1, nanos);
        self.cache = Some(note);
        let reply = self.encode(outputs);
        self.finish(reply)
    }

    fn is_answered(&self) -> bool {
        self.cache.is_some_and(CacheNote::is_answered)
    }

    /// Rows and times for the facts. Of what no engine has answered only the whole and the waiting count, so that the
    /// others remain times of what ran.
    pub(super) fn observed(&self) -> (u64, [Option<u64>; Phase::ALL.len()]) {
        if !self.is_answered() {
            return (self.rows, self.nanos);
        }
        let mut nanos = [None; Phase::ALL.len()];
        for phase in [Phase::Request, Phase::Queue] {
            if let (Some(slot), Some(known)) = (nanos.get_mut(phase as usize), self.nanos.get(phase as usize)) {
                *slot = *known;
            }
        }
        (0, nanos)
    }

    /// What the end says of the version: nothing, if it had no part in it.
    pub(super) fn ending(&self, error: Option<&Error>) -> Ending {
        if self.is_answered() { Ending::Unknown } else { ending(error) }
    }
}
