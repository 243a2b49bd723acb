//! Time as a value: whoever needs the time is handed a [`Clock`].
//!
//! The real clock lives in the server's wiring; tests move a [`ManualClock`] by hand.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A moment on a monotonic clock, in nanoseconds since an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// Nanoseconds from `earlier` to here; zero if the order is the other way round.
    #[must_use]
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The span from here to `later`; zero if it has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

/// A source of time.
pub trait Clock: Send + Sync {
    /// The monotonic now.
    fn now(&self) -> Tick;
    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64;
}

/// A clock that moves only when told to. Both of its faces move together.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        Tick(self.0.load(Ordering::SeqCst))
    }

    fn unix_ms(&self) -> u64 {
        self.now().0 / 1_000_000
    }
}

/// A time as a message tells it: in whole milliseconds, or below one in microseconds.
#[must_use]
pub fn told(time: Duration) -> String {
    match time.as_millis() {
        0 => format!("{} µs", time.as_micros()),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = ManualClock::default();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now().nanos_since(start), 1_500_000_000);
        assert_eq!(clock.unix_ms(), 1500);
        assert_eq!(start.nanos_since(clock.now()), 0);
        assert_eq!(clock.now().until(start.after(Duration::from_secs(2))), Duration::from_millis(500));
    }

    #[test]
    fn times_below_a_millisecond_are_told_in_microseconds() {
        let micros = [0, 1, 999, 1000, 1999, 60_000_000].map(|micros| told(Duration::from_micros(micros)));
        assert_eq!(micros, ["0 µs", "1 µs", "999 µs", "1 ms", "1 ms", "60000 ms"]);
    }
}
