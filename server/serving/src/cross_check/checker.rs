//! The thread that checks, and what waits for it.
//!
//! Versions that have just been loaded wait without a limit, because there are no more of them than loads; samples
//! of live traffic wait up to a limit, and are dropped beyond it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::JoinHandle,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::live::Sample;

/// What the thread is told.
enum Job {
    /// A version after its load.
    Version(Box<dyn FnOnce() + Send>),
    /// A sample of live traffic.
    Sample(Box<Sample>),
    /// The server ends.
    End,
}

/// Where others put what is to be checked.
#[derive(Clone)]
pub(crate) struct Outbox {
    jobs: Sender<Job>,
    /// Samples that wait.
    waiting: Arc<AtomicUsize>,
    queue_max: usize,
    /// Set when the thread is to end: what still waits is left.
    ending: Arc<AtomicBool>,
}

/// The thread; ends when this is dropped.
pub(crate) struct Checker {
    outbox: Outbox,
    thread: Option<JoinHandle<()>>,
}

impl Checker {
    /// Starts the thread; what it does first may let the threads of others go before it.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(queue_max: usize, before_work: [fn(); 2]) -> io::Result<Self> {
        let (jobs, inbox) = unbounded();
        let outbox = Outbox { jobs, waiting: Arc::default(), queue_max, ending: Arc::default() };
        let for_thread = outbox.clone();
        let work = move || {
            before_work.iter().for_each(|before| before());
            for_thread.work_off(&inbox);
        };
        let thread = std::thread::Builder::new().name("candor-check".into()).spawn(work)?;
        Ok(Self { outbox, thread: Some(thread) })
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.outbox.ending.store(true, SeqCst);
        let _ = self.outbox.jobs.send(Job::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Outbox {
    /// Whether the thread is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(SeqCst)
    }

    /// A version that has just been loaded.
    pub(crate) fn version(&self, check: impl FnOnce() + Send + 'static) {
        // Fails only when the server ends.
        let _ = self.jobs.send(Job::Version(Box::new(check)));
    }

    /// A sample of live traffic, which is copied only if there is room; false when there is none.
    pub(super) fn sample(&self, copy: impl FnOnce() -> Sample) -> bool {
        if self.waiting.fetch_add(1, SeqCst) >= self.queue_max {
            self.waiting.fetch_sub(1, SeqCst);
            return false;
        }
        self.jobs.send(Job::Sample(Box::new(copy()))).is_ok()
    }

    fn work_off(&self, inbox: &Receiver<Job>) {
        for job in inbox {
            if self.is_ending() {
                return;
            }
            // What panics is one check that has not been made.
            let _ = catch_unwind(AssertUnwindSafe(|| match job {
                Job::Version(check) => check(),
                Job::Sample(sample) => {
                    self.waiting.fetch_sub(1, SeqCst);
                    sample.check();
                }
                Job::End => {}
            }));
        }
    }
}
