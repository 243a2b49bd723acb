//! How a breaker behaves, and within which bounds.

use std::{ops::RangeInclusive, time::Duration};

use super::word::TRIALS_MAX;

/// How a breaker behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerSettings {
    /// How far back calls count.
    pub window: Duration,
    /// Fewest calls in the window on which it opens.
    pub calls_min: u32,
    /// Share of failed calls at which it opens.
    pub failure_rate: f64,
    /// How long a call takes that is slow; no call is if absent.
    pub slow: Option<Duration>,
    /// Share of slow calls at which it opens.
    pub slow_rate: f64,
    /// How long it is open the first time; twice as long each time that its trials go badly.
    pub open: Duration,
    /// How long it is open at most; not less than `open`.
    pub open_max: Duration,
    /// Calls that a half-open breaker tries; the same rates count over them.
    pub trials: u16,
}

impl BreakerSettings {
    /// Lengths of the window in milliseconds.
    pub const WINDOW_MS: RangeInclusive<u64> = 100..=3_600_000;
    /// Fewest calls.
    pub const CALLS_MIN: RangeInclusive<u64> = 1..=1_000_000;
    /// Open times in milliseconds.
    pub const OPEN_MS: RangeInclusive<u64> = 1..=86_400_000;
    /// Numbers of trials.
    pub const TRIALS: RangeInclusive<u64> = 1..=TRIALS_MAX as u64;

    /// Whether `rate` is a share at which something may happen: above 0, at most 1.
    #[must_use]
    pub fn is_rate(rate: f64) -> bool {
        rate > 0.0 && rate <= 1.0
    }

    /// The nearest settings within the bounds.
    pub(super) fn clamped(self) -> Self {
        let within = |span: Duration, range: RangeInclusive<u64>| {
            span.clamp(Duration::from_millis(*range.start()), Duration::from_millis(*range.end()))
        };
        let rate = |rate: f64| if Self::is_rate(rate) { rate } else { 1.0 };
        let open = within(self.open, Self::OPEN_MS);
        Self {
            window: within(self.window, Self::WINDOW_MS),
            calls_min: self.calls_min.max(1),
            failure_rate: rate(self.failure_rate),
            slow: self.slow,
            slow_rate: rate(self.slow_rate),
            open,
            open_max: within(self.open_max, Self::OPEN_MS).max(open),
            trials: self.trials.clamp(1, TRIALS_MAX),
        }
    }
}

impl Default for BreakerSettings {
    /// Half of at least twenty calls in ten seconds failed; no call is slow; one second, doubling up to a minute;
    /// three trials.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            calls_min: 20,
            failure_rate: 0.5,
            slow: None,
            slow_rate: 0.8,
            open: Duration::from_secs(1),
            open_max: Duration::from_secs(60),
            trials: 3,
        }
    }
}
