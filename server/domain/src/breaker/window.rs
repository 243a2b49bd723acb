//! What was counted in the last while: a ring of ten time slots, each with its calls, failures and slow calls.
//!
//! A counter is one word: the number of its slot and the count. Whoever comes first in a new slot starts its
//! counters again, so nobody has to tidy up and nothing depends on how many calls there are. The window reaches
//! back nine to ten slots. Counters of one slot are written one after the other; a reader between them sees a call
//! without its failure, and whoever counts the failure looks again after it.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use super::Counted;
use crate::clock::Tick;

const SLOTS: u64 = 10;

/// How far a counter may be ahead of a caller that read the clock a while ago. Further means that its number of a
/// slot is from long ago and has come round.
const AHEAD_MAX: u32 = 1 << 16;

/// Away from its neighbours, so that counting does not slow down who only looks at the state.
#[repr(align(128))]
pub(super) struct Window {
    slot_nanos: u64,
    slots: [Slot; SLOTS as usize],
}

#[derive(Default)]
struct Slot {
    calls: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
}

/// Calls, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
}

impl Sums {
    /// The share of the calls that `count` is.
    #[allow(clippy::cast_precision_loss, reason = "counts of calls in a window are far below 2^53")]
    pub(super) fn rate(self, count: u64) -> f64 {
        if self.calls == 0 { 0.0 } else { count.min(self.calls) as f64 / self.calls as f64 }
    }
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self { slot_nanos: (nanos / SLOTS).max(1), slots: Default::default() }
    }

    pub(super) fn record(&self, now: Tick, Counted { failed, slow }: Counted) {
        let number = now.0 / self.slot_nanos;
        let Some(slot) = self.slots.get((number % SLOTS) as usize) else { return };
        rise(&slot.calls, number);
        if failed {
            rise(&slot.failed, number);
        }
        if slow {
            rise(&slot.slow, number);
        }
    }

    pub(super) fn sums(&self, now: Tick) -> Sums {
        let latest = now.0 / self.slot_nanos;
        let mut sums = Sums::default();
        for number in latest.saturating_sub(SLOTS - 1)..=latest {
            let Some(slot) = self.slots.get((number % SLOTS) as usize) else { continue };
            sums.failed += count(&slot.failed, number);
            sums.slow += count(&slot.slow, number);
            sums.calls += count(&slot.calls, number);
        }
        sums
    }

    pub(super) fn clear(&self) {
        for slot in &self.slots {
            [&slot.calls, &slot.failed, &slot.slow].iter().for_each(|counter| counter.store(0, SeqCst));
        }
    }
}

/// The number of a slot as its counters keep it.
#[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn tag(number: u64) -> u64 {
    u64::from(number as u32) << 32
}

const COUNT_MASK: u64 = u32::MAX as u64;

fn count(counter: &AtomicU64, number: u64) -> u64 {
    let word = counter.load(SeqCst);
    if word & !COUNT_MASK == tag(number) { word & COUNT_MASK } else { 0 }
}

fn rise(counter: &AtomicU64, number: u64) {
    let tag = tag(number);
    let mut word = counter.load(SeqCst);
    loop {
        let (is_new, count) = (word & !COUNT_MASK != tag, word & COUNT_MASK);
        #[allow(clippy::cast_possible_truncation, reason = "the high half is meant")]
        let ahead = ((word & !COUNT_MASK).wrapping_sub(tag) >> 32) as u32;
        if (is_new && count > 0 && ahead < AHEAD_MAX) || count == COUNT_MASK {
            // The slot is over, or full.
            return;
        }
        if !is_new {
            // Should the slot end just now, the call counts in the next one.
            counter.fetch_add(1, SeqCst);
            return;
        }
        match counter.compare_exchange_weak(word, tag | 1, SeqCst, SeqCst) {
            Ok(_) => return,
            Err(seen) => word = seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Counted = Counted { failed: false, slow: false };
    const BAD: Counted = Counted { failed: true, slow: true };

    fn sums(calls: u64, failed: u64, slow: u64) -> Sums {
        Sums { calls, failed, slow }
    }

    #[test]
    fn calls_count_for_the_length_of_the_window_and_no_longer() {
        let window = Window::new(Duration::from_nanos(100));
        window.record(Tick(5), BAD);
        window.record(Tick(15), GOOD);
        assert_eq!(window.sums(Tick(19)), sums(2, 1, 1));
        assert_eq!(window.sums(Tick(99)), sums(2, 1, 1));
        assert_eq!(window.sums(Tick(100)), sums(1, 0, 0), "the slot of the first call is over");
        assert_eq!(window.sums(Tick(110)), sums(0, 0, 0));
        window.record(Tick(105), GOOD);
        assert_eq!(window.sums(Tick(110)), sums(1, 0, 0), "the slot was started again");
        window.clear();
        assert_eq!(window.sums(Tick(110)), sums(0, 0, 0));
    }

    #[test]
    fn who_read_the_clock_long_ago_disturbs_nobody_and_numbers_that_come_round_do_not_block() {
        let window = Window::new(Duration::from_nanos(10));
        window.record(Tick(30), GOOD);
        window.record(Tick(20), BAD);
        assert_eq!(window.sums(Tick(30)), sums(1, 0, 0), "its slot is over");
        // Modulo 2^32 the old number is a million ahead of the new one.
        let later = Tick((1 << 32) - 1_000_006);
        window.record(later, GOOD);
        assert_eq!((later.0 % 10, window.sums(later)), (0, sums(1, 0, 0)), "the same place in the ring");
    }

    #[test]
    fn threads_lose_no_call() {
        let window = Window::new(Duration::from_secs(1));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| window.record(Tick(n), if n % 4 == 0 { BAD } else { GOOD })));
            }
        });
        assert_eq!(window.sums(Tick(1000)), sums(4000, 1000, 1000));
    }
}
