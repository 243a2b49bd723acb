//! The health listener: says whether the server is alive and ready, on a thread of its own.
//!
//! Wiring opens a [`HealthDoor`] before the models are loaded and closes it last of all, so that whoever watches the
//! process hears from it while every other thread is busy, and until the end of a shutdown. Behind it lies serving's
//! [`Readiness`] and nothing else. It knows no models, no callers and no bodies; what it says is public.
//!
//! | module | what it does |
//! |---|---|
//! | `answer` | paths to answers, the same as at the HTTP door |
//! | `connections` | a bounded number of connections, each for a bounded time |

mod answer;
mod connections;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use candor_serving::Readiness;
use futures_util::future::join_all;
use tokio::{runtime::Builder, sync::oneshot};

/// What callers may do.
#[derive(Debug, Clone)]
pub struct HealthLimits {
    /// Open connections of one address at most; one more closes the oldest.
    pub connections_max: usize,
    /// Longest time from the beginning of a connection to its end.
    pub exchange_max: Duration,
}

/// A listener that answers until it is dropped.
pub struct HealthDoor {
    addrs: Vec<SocketAddr>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HealthDoor {
    /// Opens it at `addrs`.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the system gives no thread.
    pub fn open(addrs: &[SocketAddr], readiness: Arc<Readiness>, limits: HealthLimits) -> io::Result<Self> {
        let listeners = addrs.iter().map(TcpListener::bind).collect::<io::Result<Vec<_>>>()?;
        let addrs = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        // One thread for all of it: what it does is read from memory.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listeners = {
            let _within = runtime.enter();
            let listen = |listener: TcpListener| {
                listener.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(listener)
            };
            listeners.into_iter().map(listen).collect::<io::Result<Vec<_>>>()?
        };
        let (close, closed) = oneshot::channel::<()>();
        let serve = async move {
            let serving = join_all(listeners.iter().map(|listener| connections::serve(listener, &readiness, &limits)));
            tokio::select! {
                // Said, or nobody is left to say it: either way it is over.
                _ = closed => {}
                _ = serving => {}
            }
        };
        let thread = std::thread::Builder::new().name("candor-health".into()).spawn(move || runtime.block_on(serve))?;
        Ok(Self { addrs, close: Some(close), thread: Some(thread) })
    }

    /// The addresses that it listens on.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }
}

impl Drop for HealthDoor {
    fn drop(&mut self) {
        self.close = None;
        // It ends at once: nothing on that thread waits.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
