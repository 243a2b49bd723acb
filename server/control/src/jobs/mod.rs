//! Jobs in memory: a bounded queue, a few threads, results that are kept for a while.
//!
//! Nothing of it outlives the process. A thread that does a job does nothing else meanwhile; a panic ends the job and not
//! the thread. What is over is forgotten when its time has come or when there are too many, the oldest first.
//!
//! | module | what it does |
//! |---|---|
//! | `book` | all jobs and their states: what may become of each, by a clock |

mod book;
#[cfg(test)]
mod tests;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::Builder,
    time::Duration,
};

use candor_domain::{
    Cancel, Clock, Error, ErrorCode, Job, JobOrder, JobResult, JobState, JobStep, JobTotals, JobView, Jobs, Result,
    Tick,
};

use book::{Book, Taken};

/// How jobs behave.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Threads that do them.
    pub threads: usize,
    /// What each of them does before its first job.
    pub before_work: fn(),
    /// Jobs that wait for a thread at most.
    pub queue_max: usize,
    /// Jobs that are over and kept at most.
    pub kept_max: usize,
    /// How long one that is over is kept.
    pub kept: Duration,
    /// Longest time of one job at work.
    pub time_max: Duration,
    /// Largest result.
    pub result_bytes_max: usize,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            threads: 1,
            before_work: || (),
            queue_max: 16,
            kept_max: 100,
            kept: Duration::from_secs(3600),
            time_max: Duration::from_secs(3600),
            result_bytes_max: 64 << 20,
        }
    }
}

/// Jobs of this process.
pub struct MemoryJobs {
    shared: Arc<Shared>,
}

struct Shared {
    settings: JobSettings,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    work: Condvar,
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book after what is too old has been forgotten.
    fn now(&self) -> MutexGuard<'_, Book> {
        let mut book = self.book();
        book.forget(self.clock.unix_ms(), self.settings.kept_max);
        book
    }
}

impl MemoryJobs {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(settings: JobSettings, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let threads = settings.threads.max(1);
        let shared = Arc::new(Shared { settings, clock, book: Mutex::default(), work: Condvar::new() });
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            // Nobody joins them: a job that does not stop when it is told to must not hold up the server's end.
            Builder::new().name("candor-job".into()).spawn(move || {
                (shared.settings.before_work)();
                while let Some(taken) = next(&shared) {
                    work(&shared, taken);
                }
            })?;
        }
        Ok(Self { shared })
    }

    /// Takes no more jobs, and stops those that there are.
    pub fn close(&self) {
        self.shared.book().close(self.shared.clock.unix_ms());
        self.shared.work.notify_all();
    }
}

impl Drop for MemoryJobs {
    fn drop(&mut self) {
        self.close();
    }
}

/// The next job; nothing when no more will come.
fn next(shared: &Shared) -> Option<Taken> {
    let mut book = shared.book();
    loop {
        if let Some(taken) = book.take(shared.clock.unix_ms()) {
            return Some(taken);
        }
        if book.is_closed() {
            return None;
        }
        book = shared.work.wait(book).unwrap_or_else(PoisonError::into_inner);
    }
}

/// A job at work.
struct Step<'a> {
    shared: &'a Shared,
    id: &'a str,
    cancel: &'a Cancel,
    deadline: Tick,
}

impl JobStep for Step<'_> {
    fn cancel(&self) -> &Cancel {
        self.cancel
    }

    fn deadline(&self) -> Tick {
        self.deadline
    }

    fn progress(&self, share: f64, message: &str) {
        self.shared.book().progress(self.id, share, message);
    }
}

fn work(shared: &Shared, taken: Taken) {
    let Taken { id, kind, about, job, cancel } = taken;
    let deadline = shared.clock.now().after(shared.settings.time_max);
    tracing::info!(job = id, kind, about, "a job begins");
    let step = Step { shared, id: &id, cancel: &cancel, deadline };
    let ended = catch_unwind(AssertUnwindSafe(|| job.run(&step)));
    let ended =
        ended.unwrap_or_else(|_| Err(Error::new(ErrorCode::Internal, "the job panicked; see the server's log")));
    let max = shared.settings.result_bytes_max;
    let ended = ended.and_then(|result: JobResult| {
        if result.bytes.len() <= max {
            return Ok(result);
        }
        Err(Error::new(ErrorCode::TooLarge, "the result of the job is too large to be kept")
            .at("jobs.result_bytes_max")
            .expected(format!("at most {max} bytes"))
            .got(format!("{} bytes", result.bytes.len())))
    });
    let state = shared.book().end(&id, ended, &shared.clock, shared.settings.kept);
    tracing::info!(job = id, kind, about, state = state.map(JobState::word), "a job has ended");
}

impl Jobs for MemoryJobs {
    fn submit(&self, order: JobOrder, job: Box<dyn Job>) -> Result<JobView> {
        let Shared { settings, clock, work, .. } = &*self.shared;
        let view = self.shared.now().add(order, job, clock.unix_ms(), settings.queue_max)?;
        work.notify_one();
        Ok(view)
    }

    fn list(&self) -> Vec<JobView> {
        self.shared.now().list()
    }

    fn get(&self, id: &str) -> Option<JobView> {
        self.shared.now().get(id)
    }

    fn result(&self, id: &str) -> Result<Option<Arc<JobResult>>> {
        self.shared.now().result(id)
    }

    fn cancel(&self, id: &str) -> Option<JobView> {
        let now = self.shared.clock.unix_ms();
        let (view, cancel) = self.shared.now().cancel(id, now, self.shared.settings.kept)?;
        // Without the lock: a cancellation may call into what the job runs.
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
        Some(view)
    }

    fn totals(&self) -> JobTotals {
        self.shared.now().totals()
    }
}
