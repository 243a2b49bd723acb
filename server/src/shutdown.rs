//! Signals: the first asks for an orderly end, a second one for an end at once.

use std::{pin::pin, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What comes so soon after a signal is the same one: `timeout` and some container runtimes send theirs to the
/// process and to its group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// SIGTERM and SIGINT, listened to from the moment when this is made, so that none is lost between two
/// waits.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one and says which it was.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits, right after a first signal, for one that somebody meant as a second.
    pub(crate) async fn second(&mut self) -> &'static str {
        let mut passed = pin!(tokio::time::sleep(SAME_SIGNAL));
        loop {
            tokio::select! {
                biased;
                echo = self.next() => tracing::debug!("{echo} again, taken for the same"),
                () = &mut passed => return self.next().await,
            }
        }
    }
}
