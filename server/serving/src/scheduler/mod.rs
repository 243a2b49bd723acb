//! Threads that run inferences, and who of those that wait is run next.
//!
//! Before it: the pipeline, with requests that are too dear for the caller's thread. After it: `batching`, which runs
//! what is taken together. Which lane, which requests and when is decided by a state machine without threads
//! (`lanes`), so that it can be run by a clock moved by hand; here it stands behind one short lock, with threads that
//! ask it. Requests that run on the caller's thread touch nothing of this.

mod demand;
mod lane;
mod lanes;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use candor_domain::{Clock, Error, ErrorCode, Tick};

use crate::{
    batching::{self, Form, Job, Line},
    pipeline::too_slow,
};
use lane::Entry;
pub use lane::Lane;
use lane::Parcel;
use lanes::{Batch, Lanes, Post, Step};
pub use lanes::{QueueFull, SchedulerSettings};

type BoxedJob = Box<dyn Job>;

impl Parcel for BoxedJob {
    fn is_cancelled(&self) -> bool {
        Job::is_cancelled(&**self)
    }
}

/// Waiting on a condition is not more exact than this, and a clock that stands still must not make it spin.
const WAIT_MIN: Duration = Duration::from_micros(20);

/// A fixed number of threads over lanes of bounded length; beside them, maybe, some that step back behind them.
pub struct Scheduler {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    lanes: Mutex<Lanes<BoxedJob>>,
    clock: Arc<dyn Clock>,
    closing: AtomicBool,
    front: Bench,
    back: Bench,
}

/// Where threads of one post wait for a change.
#[derive(Default)]
struct Bench {
    changed: Condvar,
    /// How many do; written under the lock, so that nobody is woken who is awake.
    asleep: AtomicUsize,
}

impl Bench {
    fn has_sleepers(&self) -> bool {
        self.asleep.load(SeqCst) > 0
    }

    fn wake_one(&self) {
        if self.has_sleepers() {
            self.changed.notify_one();
        }
    }
}

/// A request that waits or runs: to be taken back when nobody waits for it any more.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    lane: u64,
    number: u64,
}

/// What a lane looks like at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LaneReading {
    /// Requests that wait.
    pub queued: usize,
    /// Threads that work for it.
    pub running: usize,
    /// What a run costs, once that is known.
    pub line: Option<Line>,
    /// Runs that this was learned from.
    pub runs: u64,
}

impl Scheduler {
    /// Starts the threads, called `name`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, settings: SchedulerSettings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let settings = SchedulerSettings { threads: settings.threads.max(1), ..settings };
        let posts = [
            (Post::Front, settings.threads, settings.before_work),
            (Post::Back, settings.back_threads, settings.before_back_work),
        ];
        let shared = Arc::new(Shared {
            lanes: Mutex::new(Lanes::new(settings)),
            clock,
            closing: AtomicBool::new(false),
            front: Bench::default(),
            back: Bench::default(),
        });
        let all = posts.iter().flat_map(|post| std::iter::repeat_n(post, post.1));
        let spawn = |&(post, _, before_work): &(Post, usize, fn())| {
            let shared = Arc::clone(&shared);
            Builder::new().name(name.to_owned()).spawn(move || {
                before_work();
                shared.work(post);
            })
        };
        let threads = all.map(spawn).collect::<io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Lets a request wait in the lane of its version; `form` where it has been read. It is given up when it is still
    /// there at `deadline`.
    ///
    /// # Errors
    /// Which queue is full, at once, and the request itself.
    pub(crate) fn submit(
        &self,
        lane: &Arc<Lane>,
        form: Option<Form>,
        deadline: Tick,
        job: BoxedJob,
    ) -> Result<Ticket, (QueueFull, BoxedJob)> {
        let now = self.shared.clock.now();
        let (number, is_for_back) = {
            let mut lanes = self.shared.lanes();
            let number = lanes.arrive(lane, form, deadline, job, now)?;
            (number, lanes.is_for_back(lane.id(), now))
        };
        self.shared.bench(if is_for_back { Post::Back } else { Post::Front }).wake_one();
        Ok(Ticket { shared: Arc::clone(&self.shared), lane: lane.id(), number })
    }

    /// Requests that wait, over all versions.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lanes().queued()
    }

    /// A lane as it is now.
    #[must_use]
    pub fn reading(&self, lane: &Lane) -> LaneReading {
        let lanes = self.shared.lanes();
        match lanes.lane(lane.id()) {
            Some(state) => {
                LaneReading { queued: state.len(), running: state.running, line: state.line(), runs: state.runs() }
            }
            None => {
                LaneReading { line: batching::Curve::from_points(&lane.plan().points).line(), ..LaneReading::default() }
            }
        }
    }
}

impl Drop for Scheduler {
    /// Runs what waits, and ends.
    fn drop(&mut self) {
        self.shared.closing.store(true, SeqCst);
        self.shared.lanes().close();
        self.shared.wake_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Ticket {
    /// Nobody waits any more: a request that still waits is ended here and now.
    pub(crate) fn withdraw(&self) {
        let now = self.shared.clock.now();
        let job = self.shared.lanes().remove(self.lane, self.number, now);
        if let Some(job) = job {
            job.give_up(nobody_waits());
        }
    }
}

/// How a request ends whose caller has gone.
pub(crate) fn nobody_waits() -> Error {
    Error::new(ErrorCode::Cancelled, "nobody waits for the answer any more")
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, Lanes<BoxedJob>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bench(&self, post: Post) -> &Bench {
        match post {
            Post::Front => &self.front,
            Post::Back => &self.back,
        }
    }

    fn wake_all(&self) {
        self.front.changed.notify_all();
        self.back.changed.notify_all();
    }

    /// What a thread does all its life.
    fn work(&self, post: Post) {
        let mut lanes = self.lanes();
        loop {
            let now = self.clock.now();
            let step = lanes.next(post, now);
            match step {
                Step::Wait { until: None, .. } if self.is_closing() && lanes.queued() == 0 => {
                    // Others may wait for a moment that need not come any more.
                    return self.wake_all();
                }
                Step::Wait { until, is_for_back } => {
                    // Never the other way round, or two who can do nothing would wake each other for ever. Work for the
                    // back becomes work for the front when the front has done something, or when time passes; both see it.
                    if is_for_back {
                        self.back.wake_one();
                    }
                    lanes = self.wait(post, lanes, until, now);
                }
                Step::GiveUp(late) => {
                    drop(lanes);
                    late.into_iter().for_each(|entry| give_up(entry, now));
                    lanes = self.lanes();
                }
                Step::Read(lane, entry) => {
                    self.wake_another(&lanes);
                    drop(lanes);
                    lanes = self.read(post, &lane, entry, now);
                }
                Step::Run(batch) => {
                    self.wake_another(&lanes);
                    drop(lanes);
                    lanes = self.run(post, batch, now);
                }
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.load(SeqCst)
    }

    /// What this thread left may be another's.
    fn wake_another(&self, lanes: &Lanes<BoxedJob>) {
        if lanes.queued() > 0 {
            self.front.wake_one();
            self.back.wake_one();
        }
    }

    fn wait<'a>(
        &self,
        post: Post,
        lanes: MutexGuard<'a, Lanes<BoxedJob>>,
        until: Option<Tick>,
        now: Tick,
    ) -> MutexGuard<'a, Lanes<BoxedJob>> {
        let bench = self.bench(post);
        bench.asleep.fetch_add(1, SeqCst);
        let lanes = match until {
            None => bench.changed.wait(lanes).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let time = now.until(until).max(WAIT_MIN);
                bench.changed.wait_timeout(lanes, time).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        bench.asleep.fetch_sub(1, SeqCst);
        lanes
    }

    fn read(
        &self,
        post: Post,
        lane: &Arc<Lane>,
        mut entry: Entry<BoxedJob>,
        began: Tick,
    ) -> MutexGuard<'_, Lanes<BoxedJob>> {
        // A panic of the codec is an error of the job; one of ours costs the request and no thread.
        let read = catch_unwind(AssertUnwindSafe(|| entry.job.read()));
        let read = read.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "reading the request panicked")));
        let now = self.clock.now();
        let mut lanes = self.lanes();
        lanes.done(post, lane.id(), (0, now.nanos_since(began)), now);
        let left = match read {
            Ok(form) => lanes.put_back(lane, entry, form, now).map(|entry| (entry, nobody_waits())),
            Err(error) => Some((entry, error)),
        };
        let Some((entry, error)) = left else { return lanes };
        drop(lanes);
        entry.job.give_up(error);
        self.lanes()
    }

    fn run(&self, post: Post, batch: Batch<BoxedJob>, began: Tick) -> MutexGuard<'_, Lanes<BoxedJob>> {
        let Batch { lane, first, rest, reason, charged } = batch;
        // Jobs that are lost drop their senders, which their waiters see.
        let ended = catch_unwind(AssertUnwindSafe(|| batching::run(first, rest, reason, &*self.clock)));
        let ended = ended.unwrap_or_default();
        let now = self.clock.now();
        let mut lanes = self.lanes();
        lanes.done(post, lane.id(), (charged, now.nanos_since(began)), now);
        lanes.learn(lane.id(), ended.ran, ended.joint_failed, now);
        lanes
    }
}

fn give_up(entry: Entry<BoxedJob>, now: Tick) {
    let error = if entry.job.is_cancelled() { nobody_waits() } else { too_slow(entry.waited(now)) };
    entry.job.give_up(error);
}
