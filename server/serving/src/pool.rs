//! Named threads behind a bounded queue.
//!
//! Models are loaded on one, apart from the threads that run inferences (`scheduler`), so that neither moves the other.
//! A full queue refuses at once and by name; a panic in a task ends that task only.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::{Builder, JoinHandle},
};

use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and a queue of fixed length.
pub struct Pool {
    tasks: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

/// The queue was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull;

/// A result that is on its way.
pub struct Pending<T>(oneshot::Receiver<T>);

impl<T> Pending<T> {
    /// Waits for the result; `None` when the task panicked or the pool went down before it ran.
    pub async fn wait(self) -> Option<T> {
        self.0.await.ok()
    }

    /// Waits on the current thread, which must not be one of an async runtime.
    #[must_use]
    pub fn wait_blocking(self) -> Option<T> {
        self.0.blocking_recv().ok()
    }
}

impl Pool {
    /// Starts `threads` threads called `name` that share a queue of `queue_max` tasks.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, threads: usize, queue_max: usize) -> io::Result<Self> {
        let (tasks, inbox) = bounded::<Task>(queue_max);
        let threads = (0..threads.max(1))
            .map(|_| {
                let inbox = inbox.clone();
                Builder::new().name(name.to_owned()).spawn(move || {
                    for task in inbox {
                        // A task that panics drops its sender, which its waiter sees.
                        let _ = catch_unwind(AssertUnwindSafe(task));
                    }
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { tasks: Some(tasks), threads })
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
        match self.tasks.as_ref().map(|tasks| tasks.try_send(task)) {
            Some(Ok(())) => Ok(Pending(pending)),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => Err(QueueFull),
        }
    }

    /// Tasks that wait for a thread now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.tasks.as_ref().map_or(0, Sender::len)
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
}
