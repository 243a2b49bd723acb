//! How much of its time a lane has something to do, of late.
//!
//! Told by `lane` when that begins and ends. A mean over time in which what is longer ago counts less and less: by
//! 1 / e after each [`MEMORY_NANOS`]. So one dear run does not make a lane ceaseless, a third of a second of nothing but
//! runs does, and the moment in which callers of a closed loop send again does not end it.

use candor_domain::Tick;

/// What is longer ago hardly counts.
const MEMORY_NANOS: f64 = 200e6;
/// A lane that is busy for more than this share of its time is hardly ever idle.
const CEASELESS: f64 = 0.8;

/// The share, as it was at the last change.
#[derive(Debug, Default)]
pub(super) struct Demand {
    share: f64,
    is_busy: bool,
    since: Tick,
}

impl Demand {
    /// From now on it has something to do, or nothing.
    pub(super) fn note(&mut self, is_busy: bool, now: Tick) {
        if is_busy != self.is_busy {
            *self = Self { share: self.share(now), is_busy, since: now };
        }
    }

    /// Whether it is hardly ever idle.
    pub(super) fn is_ceaseless(&self, now: Tick) -> bool {
        self.share(now) > CEASELESS
    }

    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of some seconds")]
    fn share(&self, now: Tick) -> f64 {
        let kept = (-(now.nanos_since(self.since) as f64) / MEMORY_NANOS).exp();
        let since = if self.is_busy { 1.0 } else { 0.0 };
        self.share.mul_add(kept, since * (1.0 - kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Busy for so many of each so many milliseconds, for two seconds; then whether it is ceaseless.
    fn is_ceaseless(busy: u64, of: u64) -> bool {
        let (mut demand, mut now) = (Demand::default(), 7 * MS);
        while now < 2_000 * MS {
            demand.note(true, Tick(now));
            demand.note(true, Tick(now + busy * MS / 2));
            demand.note(false, Tick(now + busy * MS));
            now += of * MS;
        }
        demand.is_ceaseless(Tick(now))
    }

    #[test]
    fn who_hardly_ever_pauses_is_ceaseless_and_who_does_is_not() {
        assert!(is_ceaseless(19, 20) && is_ceaseless(640, 641));
        assert!(!is_ceaseless(10, 20) && !is_ceaseless(14, 20));
    }

    #[test]
    fn it_takes_a_third_of_a_second_to_become_so_and_a_pause_to_end_it() {
        let mut demand = Demand::default();
        demand.note(true, Tick(0));
        assert!(!demand.is_ceaseless(Tick(320 * MS)) && demand.is_ceaseless(Tick(330 * MS)));
        demand.note(false, Tick(2_000 * MS));
        demand.note(true, Tick(2_001 * MS));
        assert!(demand.is_ceaseless(Tick(2_001 * MS)));
        demand.note(false, Tick(2_001 * MS));
        assert!(!demand.is_ceaseless(Tick(2_060 * MS)));
    }
}
