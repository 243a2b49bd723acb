//! A request on the pool: what the scheduler and a batch may do with it, whatever its codec.
//!
//! Before it: the pipeline, which has let it in. After it: the one who waits, who is told the end exactly once. A
//! request may wait more than once (before and after it was read, before and after a joined run that failed): all of
//! that is its time in the queue.

use std::{sync::Arc, time::Duration};

use candor_domain::{Error, Outcome, Phase, Result, Session, Tensor, Tick};
use tokio::sync::oneshot;

use super::{Codec, Work, too_slow};
use crate::{
    batching::{BatchNote, Ended, Form, Job, Joint, Part, Reason, form_of},
    registry::ReadyVersion,
    scheduler::nobody_waits,
};

/// A request and the way back to who waits for it.
pub(super) struct Pooled<C: Codec> {
    work: Work<C>,
    reply: oneshot::Sender<Result<C::Reply>>,
    /// Where the caller's own limit is told, if it was not known before the request was read.
    tell: Option<oneshot::Sender<Duration>>,
}

impl<C: Codec> Pooled<C> {
    pub(super) fn new(
        work: Work<C>,
        tell: Option<oneshot::Sender<Duration>>,
    ) -> (Self, oneshot::Receiver<Result<C::Reply>>) {
        let (reply, pending) = oneshot::channel();
        (Self { work, reply, tell }, pending)
    }

    fn end(self, reply: Result<C::Reply>) {
        // Whoever waited may have gone; its answer is dropped then.
        let _ = self.reply.send(self.work.finish(reply));
    }

    fn read_once(&mut self) -> Result<()> {
        if self.work.request.is_some() {
            return Ok(());
        }
        self.work.decode()?;
        let Some(own) = self.work.timeout() else { return Ok(()) };
        if self.work.clock.now() > self.work.admitted.after(own) {
            return Err(too_slow(own));
        }
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(own);
        }
        Ok(())
    }
}

impl<C: Codec> Work<C> {
    /// What the scheduler must know; nothing before it has been read.
    pub(super) fn form(&self) -> Option<Form> {
        let request = self.request.as_ref()?;
        let part = Part { inputs: &request.inputs, wanted: &request.outputs };
        Some(form_of(part, self.rows, request.priority, request.timeout))
    }

    /// Ends a time of waiting, of which there may be several.
    fn leave_queue(&mut self) {
        let before = self.nanos.get(Phase::Queue as usize).copied().flatten().unwrap_or(0);
        let waited = self.lap(Phase::Queue);
        self.set(Phase::Queue, before.saturating_add(waited));
    }
}

impl<C: Codec> Job for Pooled<C> {
    fn is_cancelled(&self) -> bool {
        self.work.progress.as_ref().is_some_and(|progress| progress.cancel.is_cancelled())
    }

    fn read(&mut self) -> Result<Form> {
        self.work.leave_queue();
        self.read_once()?;
        self.work.form().ok_or_else(super::lost)
    }

    fn version(&self) -> &ReadyVersion {
        &self.work.lease
    }

    fn session(&self) -> &dyn Session {
        self.work.lease.session()
    }

    fn part(&self) -> Option<Part<'_>> {
        self.work.request.as_ref().map(|request| Part { inputs: &request.inputs, wanted: &request.outputs })
    }

    fn deadline(&self) -> Tick {
        self.work.too_late()
    }

    fn begin(&mut self, joint: &Arc<Joint>, now: Tick) -> bool {
        self.work.leave_queue();
        let Some(progress) = &self.work.progress else { return false };
        progress.begin(now);
        progress.join(joint)
    }

    fn begin_again(&mut self) {
        if let Some(progress) = &self.work.progress {
            progress.part();
        }
    }

    fn run_alone(mut self: Box<Self>, reason: Reason) -> Ended {
        self.work.leave_queue();
        let outputs = if self.is_cancelled() { Err(nobody_waits()) } else { self.read_once() };
        let rows = self.work.rows;
        self.work.batch = Some(BatchNote { rows, requests: 1, reason });
        let outputs = outputs.and_then(|()| self.work.run());
        let ran = outputs.is_ok().then_some((rows, self.work.run_nanos));
        let reply = outputs.and_then(|outputs| self.work.encode(outputs));
        if let (Some(note), Some(_)) = (self.work.batch, ran) {
            self.work.lease.facts().count_batch(note);
        }
        self.end(reply);
        Ended { ran, joint_failed: false }
    }

    fn answer(
        mut self: Box<Self>,
        outputs: Vec<Tensor>,
        (run_nanos, laps): (u64, &[u64]),
        note: BatchNote,
    ) -> [u64; 2] {
        let work = &mut self.work;
        work.laps = laps.to_vec();
        work.batch = Some(note);
        work.run_nanos = run_nanos;
        if let Some(progress) = &work.progress {
            progress.end(run_nanos);
        }
        work.set(Phase::Run, run_nanos);
        if let Some(request) = work.request.take() {
            work.lease.cross_check().offer(&request.inputs, &request.outputs, &outputs);
        }
        // What others of the batch were written meanwhile is not its own time.
        work.mark = work.clock.now();
        let reply = if work.progress.as_ref().is_some_and(|progress| progress.cancel.is_cancelled()) {
            Err(nobody_waits())
        } else {
            work.encode(outputs)
        };
        let [decode, _, encode] = work.spent();
        self.end(reply);
        [decode, encode]
    }

    fn give_up(mut self: Box<Self>, error: Error) {
        debug_assert!(super::outcome(&error) != Outcome::Success);
        if self.work.request.is_none() || self.work.batch.is_none() {
            self.work.leave_queue();
        }
        self.end(Err(error));
    }
}
