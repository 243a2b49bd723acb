//! One inference from admission to facts; the request path on one page.
//!
//! A door calls [`Pipeline::infer`] with a [`Codec`] that knows its wire format. Cheap requests run on the
//! caller's thread (a hop to another thread costs more than the model); dear ones, decoding included, run
//! on the session pool, are given up when their time is over, and are stopped when nobody waits for them
//! any more. Every call passes the breaker of its version. Knows no wire format and no status code.

mod cold;
mod describe;
mod held;
mod job;
mod kept;
mod passage;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use candor_domain::{
    Clock, Error, ErrorCode, Observation, Outcome, Permit, Phase, Reason, Result, Run, Slot, Tensor, Tick, Version,
    clock,
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    batching::{BatchNote, BatchingView, Plan},
    facts::Facts,
    overload::seconds,
    registry::{Lease, ReadyVersion, Registry},
    result_cache::{CacheNote, Flight},
    scheduler::{Lane, QueueFull, Scheduler},
};
use job::Pooled;
use passage::{Passage, Progress, Waiter};
pub(crate) use passage::{ending, outcome};

/// How the pipeline behaves.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// Largest body that is decoded on the caller's thread.
    pub inline_body_bytes_max: usize,
    /// Dearest predicted run that stays on the caller's thread.
    pub inline_run_max: Duration,
    /// Longest inference, from admission to reply, that goes through the pool.
    pub inference_max: Duration,
}

/// What a door knows before it has read the body.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The model that is asked for, as the caller wrote it.
    pub model: &'a str,
    /// The version, if the caller named one.
    pub version: Option<&'a str>,
}

/// A request in tensors.
#[derive(Debug)]
pub struct InferRequest {
    /// All inputs of the signature, in its order.
    pub inputs: Vec<Tensor>,
    /// Positions of the outputs that are asked for, in the order of the reply.
    pub outputs: Vec<usize>,
    /// The caller's own limit on time.
    pub timeout: Option<Duration>,
    /// How urgent it is among those that wait: 1 is the highest level, 0 the default one.
    pub priority: u64,
}

/// A wire format: reads one request, writes its reply.
pub trait Codec: Send + 'static {
    /// What a reply is made of.
    type Reply: Send + 'static;

    /// Bytes that decoding has to read.
    fn body_bytes(&self) -> usize;

    /// Reads the request for `version`.
    ///
    /// # Errors
    /// `InvalidInput`, with the place in the body.
    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest>;

    /// Writes the reply from what the run gave.
    ///
    /// # Errors
    /// `InvalidInput` when the format that was asked for cannot carry the values.
    fn encode(self, ran: Ran<'_>) -> Result<Self::Reply>;
}

/// What a run gave.
pub struct Ran<'a> {
    /// The version that ran.
    pub version: &'a Lease,
    /// The version that would have answered if its breaker were not open.
    pub fallback_from: Option<&'a Version>,
    /// Its outputs, which stand at the positions that [`Codec::decode`] asked for.
    pub outputs: Vec<Tensor>,
    /// Nanoseconds that each phase took, indexed as [`Phase::ALL`], as far as they are over.
    pub nanos: [Option<u64>; Phase::ALL.len()],
    /// Nanoseconds that each part of the version took, in their order; see [`ReadyVersion::parts`].
    pub laps: &'a [u64],
    /// The batch that it was run in, if it went through the pool.
    pub batch: Option<BatchNote>,
    /// What the cache of answers did, if its version keeps them.
    pub cache: Option<CacheNote>,
    /// The time, for formats that tell it.
    pub clock: &'a dyn Clock,
}

/// The way of a request through serving.
pub struct Pipeline {
    registry: Arc<Registry>,
    sessions: Scheduler,
    clock: Arc<dyn Clock>,
    settings: PipelineSettings,
}

impl Pipeline {
    /// A pipeline over `registry` whose dear requests run on `sessions`.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        sessions: Scheduler,
        clock: Arc<dyn Clock>,
        settings: PipelineSettings,
    ) -> Self {
        Self { registry, sessions, clock, settings }
    }

    #[cfg(test)]
    pub(crate) fn settings(&self) -> &PipelineSettings {
        &self.settings
    }

    /// The registry behind it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Inferences that wait for a thread now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.sessions.queued()
    }

    /// Inferences of one version that wait for a thread now.
    #[must_use]
    pub fn queued_in(&self, lane: &Lane) -> usize {
        self.sessions.reading(lane).queued
    }

    /// How requests of a version are put together, and what came of it.
    #[must_use]
    pub fn batching_of(&self, version: &ReadyVersion) -> BatchingView {
        BatchingView::of(version, self.sessions.reading(version.lane()))
    }

    /// Answers one request.
    ///
    /// # Errors
    /// Everything that can be wrong with a request, a model or the moment, by [`ErrorCode`].
    pub async fn infer<C: Codec>(&self, call: Call<'_>, codec: C) -> Result<C::Reply> {
        let admitted = self.clock.now();
        let mut passage = match Passage::enter(&self.registry, &call, &*self.clock, admitted) {
            Ok(passage) => passage,
            Err(refusal) => Box::pin(self.first(refusal, &call, admitted)).await?,
        };
        if passage.lease.keeping().is_some() {
            return Box::pin(self.infer_kept(passage, &call, codec, admitted)).await;
        }
        if !passage.lease.sit() {
            // Boxed, so that the future of requests that find their session in memory is small.
            passage = Box::pin(self.seated(passage, &call, admitted)).await?;
        }
        let deadline = admitted.after(self.settings.inference_max);
        self.answer(Work::new(passage, codec, Arc::clone(&self.clock), (admitted, deadline))).await
    }

    /// Answers a request whose session is there: here if it is cheap, else on the pool.
    async fn answer<C: Codec>(&self, mut work: Work<C>) -> Result<C::Reply> {
        if let Err(refusal) = work.lease.admit(self.settings.inline_run_max) {
            return work.finish(Err(refusal));
        }
        let is_small = work.codec_body_bytes() <= self.settings.inline_body_bytes_max;
        let decode_here = work.request.is_some() || is_small;
        if decode_here {
            if let Err(error) = work.decode() {
                return work.finish(Err(error));
            }
            if work.predicted_run().is_some_and(|predicted| predicted <= self.settings.inline_run_max) {
                return work.run_encode_finish();
            }
        }
        // Boxed, so that the future of requests that stay here is small.
        Box::pin(self.infer_on_pool(work)).await
    }

    async fn infer_on_pool<C: Codec>(&self, mut work: Work<C>) -> Result<C::Reply> {
        match work.lease.enter_pool(self.clock.now()) {
            Ok(slot) => work.slot = Some(slot),
            Err(refusal) => return work.finish(Err(refusal)),
        }
        let (facts, lane) = (Arc::clone(work.lease.facts()), Arc::clone(work.lease.lane()));
        let limit = Arc::clone(work.lease.limit());
        let (admitted, time) = (
            work.admitted,
            work.timeout().map_or(self.settings.inference_max, |own| own.min(self.settings.inference_max)),
        );
        let deadline = admitted.after(time);
        let mut waiter = Waiter::new(work.permit.take(), Arc::clone(&self.clock));
        work.progress = Some(waiter.progress());
        let form = work.form();
        // The caller's own limit, if only the pool can read it.
        let (tell, told) = match form {
            Some(_) => (None, None),
            None => Some(oneshot::channel::<Duration>()).unzip(),
        };
        let (job, pending) = Pooled::new(work, tell);
        match self.sessions.submit(&lane, form, deadline, Box::new(job)) {
            Ok(ticket) => waiter.queued(ticket),
            Err((full, job)) => {
                let error = overloaded(full, job.version(), lane.plan()).retry_after_s(seconds(limit.drain()));
                return Err(remember(&facts, &*self.clock, admitted, error));
            }
        }
        let until = |deadline| self.clock.now().until(deadline);
        let answer = async {
            let mut pending = pin!(pending);
            let Some(told) = told else { return Ok(pending.await) };
            let own = tokio::select! {
                biased;
                answer = &mut pending => return Ok(answer),
                Ok(own) = told => own,
            };
            timeout(until(admitted.after(own)), pending).await.map_err(|_| own)
        };
        match timeout(until(deadline), answer).await {
            Ok(Ok(reply)) => {
                let lost = || Error::new(ErrorCode::Internal, "the inference was lost");
                let reply = reply.unwrap_or_else(|_| Err(remember(&facts, &*self.clock, admitted, lost())));
                waiter.end(ending(reply.as_ref().err()));
                reply
            }
            Ok(Err(own)) => Err(too_slow(own)),
            Err(_) => {
                if time == self.settings.inference_max {
                    waiter.end_late(time);
                }
                Err(too_slow(time))
            }
        }
    }
}

fn overloaded(full: QueueFull, version: &ReadyVersion, plan: &Plan) -> Error {
    let (what, at, max) = match full {
        QueueFull::All(max) => ("the queue for inferences is full".to_owned(), "limits.inference_queue_max", max),
        QueueFull::Lane(max) => (format!("the queue of model '{}' is full", version.model), plan.queue_limit(), max),
    };
    Error::no_room(Reason::QueueFull, what).at(at).expected(format!("at most {max} that wait"))
}

pub(crate) fn too_slow(time: Duration) -> Error {
    Error::new(ErrorCode::DeadlineExceeded, "the inference took too long")
        .expected(format!("an answer within {}", clock::told(time)))
        .hint("send fewer rows, or raise the timeout or limits.inference_ms_max")
}

/// Counts a request whose work was never begun.
fn remember(facts: &Facts, clock: &dyn Clock, admitted: Tick, error: Error) -> Error {
    let mut nanos = [None; Phase::ALL.len()];
    if let Some(request) = nanos.first_mut() {
        *request = Some(clock.now().nanos_since(admitted));
    }
    let outcome = outcome(&error);
    facts.refusals().count(&error);
    facts.record(&Observation { outcome, rows: 0, nanos, ended_unix_ms: clock.unix_ms() });
    error
}

/// One request's state on its way.
struct Work<C> {
    lease: Lease,
    /// The right to call the version; on the pool, `progress` has it.
    permit: Option<Permit>,
    fallback_from: Option<Version>,
    /// Its place among those that go through the pool.
    slot: Option<Slot>,
    /// Where a run on the pool says how far it is.
    progress: Option<Arc<Progress>>,
    codec: Option<C>,
    request: Option<InferRequest>,
    rows: u64,
    clock: Arc<dyn Clock>,
    admitted: Tick,
    /// When the server's limit on time is over.
    deadline: Tick,
    /// When the phase that is under way began.
    mark: Tick,
    nanos: [Option<u64>; Phase::ALL.len()],
    /// How long the run took, however it ended.
    run_nanos: u64,
    /// How long each part of the version took.
    laps: Vec<u64>,
    /// Whether it ran, and had the run for itself.
    ran_alone: bool,
    batch: Option<BatchNote>,
    /// What the cache of answers did.
    cache: Option<CacheNote>,
    /// The duty to bring the answer to the cache, and to others who wait for it.
    flight: Option<Box<Flight>>,
}

impl<C: Codec> Work<C> {
    fn new(passage: Passage, codec: C, clock: Arc<dyn Clock>, (admitted, deadline): (Tick, Tick)) -> Self {
        let Passage { lease, permit, fallback_from } = passage;
        Self {
            lease,
            permit,
            fallback_from,
            slot: None,
            progress: None,
            codec: Some(codec),
            request: None,
            rows: 0,
            clock,
            admitted,
            deadline,
            mark: admitted,
            nanos: [None; Phase::ALL.len()],
            run_nanos: 0,
            laps: Vec::new(),
            ran_alone: false,
            batch: None,
            cache: None,
            flight: None,
        }
    }

    fn codec_body_bytes(&self) -> usize {
        self.codec.as_ref().map_or(0, Codec::body_bytes)
    }

    fn timeout(&self) -> Option<Duration> {
        self.request.as_ref().and_then(|request| request.timeout)
    }

    fn set(&mut self, phase: Phase, nanos: u64) {
        if let Some(slot) = self.nanos.get_mut(phase as usize) {
            *slot = Some(nanos);
        }
    }

    /// Ends a phase where the next one begins, and says how long it took.
    fn lap(&mut self, phase: Phase) -> u64 {
        let now = self.clock.now();
        let took = now.nanos_since(self.mark);
        self.mark = now;
        self.set(phase, took);
        took
    }

    /// Nanoseconds of decode, run and encode, as far as they are over.
    fn spent(&self) -> [u64; 3] {
        [Phase::Decode, Phase::Run, Phase::Encode]
            .map(|phase| self.nanos.get(phase as usize).copied().flatten().unwrap_or(0))
    }

    /// Reads and checks the request, once.
    fn decode(&mut self) -> Result<()> {
        if self.request.is_some() {
            return Ok(());
        }
        let Some(codec) = &mut self.codec else { return Err(lost()) };
        let version = &*self.lease;
        let request = caught(|| codec.decode(version))?;
        self.rows = version.signature.check(&request.inputs, version.manifest.rules())?;
        self.request = Some(request);
        self.lap(Phase::Decode);
        Ok(())
    }

    /// When nobody waits any more: the server's limit, or the caller's own if that is over before.
    fn too_late(&self) -> Tick {
        self.timeout().map_or(self.deadline, |own| self.deadline.min(self.admitted.after(own)))
    }

    /// How long the run will take; `None` when nobody can tell, or the caller wants to be sure.
    fn predicted_run(&self) -> Option<Duration> {
        if !self.lease.cost_is_per_row || self.timeout().is_some() || self.lease.may_be_delayed() {
            return None;
        }
        Some(Duration::from_nanos(self.lease.facts().run_nanos_per_row().saturating_mul(self.rows.max(1))))
    }

    fn run_encode_finish(mut self) -> Result<C::Reply> {
        let reply = self.run().and_then(|outputs| self.encode(outputs));
        self.finish(reply)
    }

    fn run(&mut self) -> Result<Vec<Tensor>> {
        let deadline = self.too_late();
        let Some(mut request) = self.request.take() else { return Err(lost()) };
        let session = self.lease.session();
        let (progress, began) = (self.progress.as_deref(), self.mark);
        progress.inspect(|progress| progress.begin(began));
        let cancel = progress.map(|progress| &progress.cancel);
        let mut run = Run::new(&*self.clock, cancel, Some(deadline));
        let outputs = caught(|| session.run_as(&mut request.inputs, &request.outputs, &mut run));
        let laps = run.laps;
        self.lease.parts.count(&laps, outputs.is_err());
        self.laps = laps;
        let took = if outputs.is_ok() { self.lap(Phase::Run) } else { self.clock.now().nanos_since(began) };
        self.run_nanos = took;
        self.progress.as_deref().inspect(|progress| progress.end(took));
        let outputs = outputs?;
        self.ran_alone = true;
        self.lease.facts().learn_cost(self.rows, took);
        self.lease.cross_check().offer(&request.inputs, &request.outputs, &outputs);
        self.keep(&outputs);
        Ok(outputs)
    }

    fn encode(&mut self, outputs: Vec<Tensor>) -> Result<C::Reply> {
        let Some(codec) = self.codec.take() else { return Err(lost()) };
        let fallback_from = self.fallback_from.as_ref();
        let (version, nanos, clock) = (&self.lease, self.nanos, &*self.clock);
        let (laps, batch, cache) = (self.laps.as_slice(), self.batch, self.cache);
        let ran = Ran { version, fallback_from, outputs, nanos, laps, batch, cache, clock };
        let reply = caught(|| codec.encode(ran))?;
        self.lap(Phase::Encode);
        Ok(reply)
    }

    /// Writes the facts, tells the breaker, gives its place back, and lets the lease go.
    fn finish<T>(mut self, reply: Result<T>) -> Result<T> {
        let now = self.clock.now();
        self.set(Phase::Request, now.nanos_since(self.admitted));
        let outcome = reply.as_ref().map_or_else(outcome, |_| Outcome::Success);
        let (rows, nanos) = self.observed();
        let observation = Observation { outcome, rows, nanos, ended_unix_ms: self.clock.unix_ms() };
        let facts = self.lease.facts();
        if self.ran_alone {
            facts.count_run(self.rows, self.spent());
        }
        facts.record(&observation);
        reply.as_ref().err().inspect(|error| facts.refusals().count(error));
        if let Some(slot) = self.slot.take() {
            // What has not been taken from the queue has only waited.
            let waited = self.nanos.get(Phase::Queue as usize).copied().flatten();
            let worked = waited.map_or(0, |waited| now.nanos_since(slot.entered()).saturating_sub(waited));
            slot.end(Duration::from_nanos(worked), now);
        }
        let ending = self.ending(reply.as_ref().err());
        if let Some(permit) = self.permit.take() {
            permit.end(ending, Duration::from_nanos(self.run_nanos), now);
        } else if let Some(progress) = &self.progress {
            progress.tell(ending, now);
        }
        reply
    }
}

fn lost() -> Error {
    Error::new(ErrorCode::Internal, "a request was taken apart twice")
}

/// A panic ends one request, never a thread.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(ErrorCode::EngineFailed, "the inference panicked; see the server's log")))
}

#[cfg(test)]
mod tests;
