//! Named threads behind a bounded queue.
//!
//! One pool runs inferences that are too dear for a worker, another loads models, so that neither moves
//! the other. A full queue refuses at once and by name; a panic in a task ends that task only. A task that nobody
//! waits for any more can be ended before its turn, on the thread of whoever gave it up.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

/// A task's place in the queue. Whoever takes the task out runs it: a thread of the pool, or somebody who knows that
/// it will end at once.
struct Place {
    task: Mutex<Option<Task>>,
    waiting: Arc<AtomicUsize>,
}

impl Place {
    fn run(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            self.waiting.fetch_sub(1, SeqCst);
            // A task that panics drops its sender, which its waiter sees.
            let _ = catch_unwind(AssertUnwindSafe(task));
        }
    }
}

/// A way to have a queued task run out of turn.
pub(crate) struct Queued(Arc<Place>);

impl Queued {
    /// Runs the task here and now, unless it has been begun.
    pub(crate) fn run_now(&self) {
        self.0.run();
    }
}

/// A fixed number of threads and a queue of fixed length.
pub struct Pool {
    tasks: Option<Sender<Arc<Place>>>,
    waiting: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// A result that is on its way.
pub struct Pending<T> {
    result: oneshot::Receiver<T>,
    place: Arc<Place>,
}

impl<T> Pending<T> {
    /// Waits for the result; `None` when the task panicked or the pool went down before it ran.
    pub async fn wait(self) -> Option<T> {
        self.result.await.ok()
    }

    /// Waits on the current thread, which must not be one of an async runtime.
    #[must_use]
    pub fn wait_blocking(self) -> Option<T> {
        self.result.blocking_recv().ok()
    }

    /// Its task's place in the queue.
    pub(crate) fn queued(&self) -> Queued {
        Queued(Arc::clone(&self.place))
    }
}

impl Pool {
    /// Starts `threads` threads called `name` that share a queue of `queue_max` tasks.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, threads: usize, queue_max: usize) -> io::Result<Self> {
        let (tasks, inbox) = bounded::<Arc<Place>>(queue_max);
        let threads = (0..threads.max(1))
            .map(|_| {
                let inbox = inbox.clone();
                Builder::new().name(name.to_owned()).spawn(move || {
                    for place in inbox {
                        place.run();
                    }
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { tasks: Some(tasks), waiting: Arc::default(), threads })
    }

    /// Queues `work`.
    ///
    /// # Errors
    /// [`QueueFull`], at once.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Pending<T>, QueueFull> {
        let (reply, pending) = oneshot::channel();
        let task: Task = Box::new(move || {
            // Whoever waited may have gone; its result is dropped then.
            let _ = reply.send(work());
        });
        let place = Arc::new(Place { task: Mutex::new(Some(task)), waiting: Arc::clone(&self.waiting) });
        self.waiting.fetch_add(1, SeqCst);
        match self.tasks.as_ref().map(|tasks| tasks.try_send(Arc::clone(&place))) {
            Some(Ok(())) => Ok(Pending { result: pending, place }),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                self.waiting.fetch_sub(1, SeqCst);
                Err(QueueFull)
            }
        }
    }

    /// Tasks that wait for a thread now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.waiting.load(SeqCst)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_full_queue_refuses_and_a_panic_ends_only_its_own_task() {
        let pool = Pool::start("test", 1, 1).unwrap();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let first = pool.submit(move || {
            started.send(()).unwrap();
            released.recv().unwrap();
            1
        });
        has_started.recv().unwrap();
        let second = pool.submit(|| -> i32 { panic!("on purpose") }).unwrap();
        assert_eq!(pool.queued(), 1);
        assert_eq!(pool.submit(|| 3).err(), Some(QueueFull));
        release.send(()).unwrap();
        assert_eq!(first.unwrap().wait_blocking(), Some(1));
        assert_eq!(second.wait_blocking(), None);
        assert_eq!(pool.submit(|| 4).unwrap().wait_blocking(), Some(4));
    }

    #[test]
    fn a_task_that_is_given_up_is_ended_here_and_never_again() {
        let pool = Pool::start("test", 1, 2).unwrap();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let first = pool.submit(move || {
            started.send(()).unwrap();
            released.recv().unwrap();
        });
        has_started.recv().unwrap();
        let (ran, runs) = mpsc::channel();
        let given_up = pool.submit(move || ran.send(std::thread::current().id()).unwrap()).unwrap();
        assert_eq!(pool.queued(), 1);
        given_up.queued().run_now();
        given_up.queued().run_now();
        assert_eq!(pool.queued(), 0, "while the pool's thread is busy");
        release.send(()).unwrap();
        assert_eq!(first.unwrap().wait_blocking(), Some(()));
        assert_eq!(pool.submit(|| 5).unwrap().wait_blocking(), Some(5));
        assert_eq!(runs.iter().collect::<Vec<_>>(), [std::thread::current().id()]);
    }
}
