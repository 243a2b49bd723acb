//! The real clock: the one place that reads the machine's.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use candor_domain::{Clock, Tick};

/// Monotonic time since the server started, and the wall clock.
pub(crate) struct SystemClock(Instant);

#[allow(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
impl SystemClock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
impl Clock for SystemClock {
    fn now(&self) -> Tick {
        Tick(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn unix_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
