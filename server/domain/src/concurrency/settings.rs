//! How a concurrency limit behaves, and within which bounds.

use std::{ops::RangeInclusive, time::Duration};

/// How a concurrency limit behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConcurrencySettings {
    /// The limit never falls below this.
    pub floor: u32,
    /// How many times as long as its own work and `wait` a request may be inside, on average.
    pub tolerance: f64,
    /// Waiting that is no sign of overload: bursts, a batch that fills up.
    pub wait: Duration,
    /// Share of the way to its new value that the limit goes at each look.
    pub smoothing: f64,
    /// Time from one look to the next.
    pub window: Duration,
    /// Fewest requests that must have ended since the last look.
    pub calls_min: u32,
}

impl ConcurrencySettings {
    /// Floors.
    pub const FLOOR: RangeInclusive<u64> = 1..=1_000_000;
    /// Tolerances; at 1 a request would have to find a free place.
    pub const TOLERANCE: RangeInclusive<f64> = 1.0..=100.0;
    /// Waits in milliseconds.
    pub const WAIT_MS: RangeInclusive<u64> = 0..=600_000;
    /// Windows in milliseconds.
    pub const WINDOW_MS: RangeInclusive<u64> = 10..=60_000;
    /// Fewest requests.
    pub const CALLS_MIN: RangeInclusive<u64> = 1..=1_000_000;

    /// Whether `share` is one: above 0, at most 1.
    #[must_use]
    pub fn is_share(share: f64) -> bool {
        share > 0.0 && share <= 1.0
    }

    /// The nearest settings within the bounds.
    pub(super) fn clamped(self) -> Self {
        let within = |span: Duration, range: RangeInclusive<u64>| {
            span.clamp(Duration::from_millis(*range.start()), Duration::from_millis(*range.end()))
        };
        let tolerance = if self.tolerance.is_nan() { Self::default().tolerance } else { self.tolerance };
        Self {
            floor: self.floor.max(1),
            tolerance: tolerance.clamp(*Self::TOLERANCE.start(), *Self::TOLERANCE.end()),
            wait: within(self.wait, Self::WAIT_MS),
            smoothing: if Self::is_share(self.smoothing) { self.smoothing } else { 1.0 },
            window: within(self.window, Self::WINDOW_MS),
            calls_min: self.calls_min.max(1),
        }
    }
}

impl Default for ConcurrencySettings {
    /// At least eight; inside at most twice as long as the work itself and a second; a fifth of the way each 100 ms in
    /// which ten requests ended.
    fn default() -> Self {
        Self {
            floor: 8,
            tolerance: 2.0,
            wait: Duration::from_secs(1),
            smoothing: 0.2,
            window: Duration::from_millis(100),
            calls_min: 10,
        }
    }
}
