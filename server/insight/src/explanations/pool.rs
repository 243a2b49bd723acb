//! Threads of explanations behind a queue of bounded length.
//!
//! Who waits for a result stops the work by waiting no longer; what has not begun then is not begun at all. A panic ends
//! one explanation, never a thread.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::Builder,
};

use candor_domain::{Cancel, Clock, Error, ErrorCode, Reason, Result, Tick};
use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::{sync::oneshot, time::timeout};

use super::Turn;

type Task = Box<dyn FnOnce() + Send>;

/// Threads, and who waits for them.
pub(crate) struct Pool {
    tasks: Sender<Task>,
    queue_max: usize,
    threads: usize,
    clock: Arc<dyn Clock>,
    closed: AtomicBool,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    running: AtomicUsize,
    /// How long work takes, smoothed.
    work_nanos: AtomicU64,
}

/// Threads and queue, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolView {
    /// Threads.
    pub threads: usize,
    /// Explanations that wait for one.
    pub queued: usize,
    /// Explanations that have one.
    pub running: usize,
}

/// Stops the work of who waits no longer.
struct Leaving(Arc<Cancel>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Pool {
    pub(crate) fn start(
        threads: usize,
        queue_max: usize,
        before_work: fn(),
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let (threads, queue_max) = (threads.max(1), queue_max.max(1));
        let (tasks, inbox) = bounded::<Task>(queue_max);
        for _ in 0..threads {
            let inbox = inbox.clone();
            // Nobody joins them: an explainer that does not stop when it is told to must not hold up the server's end.
            Builder::new().name("candor-explain".into()).spawn(move || {
                before_work();
                for task in inbox {
                    let _ = catch_unwind(AssertUnwindSafe(task));
                }
            })?;
        }
        let closed = AtomicBool::new(false);
        Ok(Self { tasks, queue_max, threads, clock, closed, state: Arc::default() })
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    pub(crate) fn view(&self) -> PoolView {
        let running = self.state.running.load(Relaxed);
        PoolView { threads: self.threads, queued: self.tasks.len(), running }
    }

    /// Runs `work` on one of the threads, until `deadline` at most.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deadline: Tick,
        work: impl FnOnce(&Turn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.closed.load(Relaxed) {
            let error = Error::new(ErrorCode::NotReady, "the server is stopping and begins no more explanations");
            return Err(error.retry_after_s(1));
        }
        let (reply, pending) = oneshot::channel();
        let leaving = Leaving(Arc::default());
        let (cancel, clock, state) = (Arc::clone(&leaving.0), Arc::clone(&self.clock), Arc::clone(&self.state));
        let task: Task = Box::new(move || {
            let turn = Turn { clock: &*clock, cancel: &cancel, deadline };
            let began = clock.now();
            state.running.fetch_add(1, Relaxed);
            let result = turn.check().and_then(|()| caught(|| work(&turn)));
            state.running.fetch_sub(1, Relaxed);
            state.learn(clock.now().nanos_since(began));
            // Whoever waited may have gone; its result is dropped then.
            let _ = reply.send(result);
        });
        match self.tasks.try_send(task) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(self.full()),
        }
        match timeout(self.clock.now().until(deadline), pending).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::new(ErrorCode::Internal, "the explanation was lost")),
            Err(_) => Err(too_slow()),
        }
    }

    fn full(&self) -> Error {
        let error = Error::no_room(Reason::QueueFull, "the queue for explanations is full");
        let nanos = self.state.work_nanos.load(Relaxed).saturating_mul(self.queue_max as u64) / self.threads as u64;
        let seconds = u32::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(60).clamp(1, 60);
        let error = error.at("explanations.queue_max").expected(format!("at most {} that wait", self.queue_max));
        error.retry_after_s(seconds)
    }
}

impl State {
    /// One part in eight of each new time.
    fn learn(&self, nanos: u64) {
        let known = self.work_nanos.load(Relaxed);
        let next = if known == 0 { nanos } else { known - known / 8 + nanos / 8 };
        self.work_nanos.store(next, Relaxed);
    }
}

pub(crate) fn too_slow() -> Error {
    Error::new(ErrorCode::DeadlineExceeded, "the explanation took too long")
        .at("explanations.time_ms_max")
        .hint("ask for fewer rows or a smaller budget, take a summary of the background, or another method")
}

fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the explanation panicked; see the server's log")))
}
