//! Time: the one place here that reads the machine's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use candor_domain::{Clock, Tick};

/// A moment on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment(Instant);

#[allow(clippy::disallowed_methods, reason = "measuring real time is what a benchmark does")]
impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// Time since then.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The clock that the pipeline is given: the same reads as the server's own, so that they are in the price.
pub struct RealClock(Moment);

impl RealClock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Moment::now())
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the clock that the pipeline is handed")]
impl Clock for RealClock {
    fn now(&self) -> Tick {
        Tick(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
