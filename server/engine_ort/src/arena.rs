//! When a session is asked to give memory back that it does not use.
//!
//! ONNX Runtime keeps what runs have taken in an arena of the session's own, and never gives any of it back by itself: after
//! one request of a hundred thousand rows the session stays as large as that request has made it. A run can be told
//! to give back, at its end, what nobody uses then; the next ones take it again, which costs time. So it is asked for only when
//! large requests have ceased: when the runs of a whole window were far smaller than the largest since memory was
//! last given back. Before it: each run, with the bytes of its inputs. Knows nothing of the library.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Inputs of fewer bytes count as nothing, and as long as there are no others, nothing is counted.
const SMALL: u64 = 16 << 10;
/// Runs of a window.
const WINDOW: u64 = 64;
/// So many times smaller are runs that are far smaller.
const FAR: u64 = 4;

/// What runs of a session were like. Threads that run at the same time may miss each other's counts; then memory is given back a
/// window later.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    /// Bytes of the largest inputs since memory was last given back.
    held: AtomicU64,
    /// Bytes of the largest inputs in this window.
    recent: AtomicU64,
    runs: AtomicU64,
}

impl Habit {
    /// Whether the run over inputs of so many bytes, which is about to begin, is to give memory back when it ends.
    pub(crate) fn gives_back(&self, bytes: u64) -> bool {
        if bytes >= SMALL {
            self.held.fetch_max(bytes, Relaxed);
            self.recent.fetch_max(bytes, Relaxed);
        } else if self.held.load(Relaxed) == 0 {
            return false;
        }
        let runs = self.runs.fetch_add(1, Relaxed).wrapping_add(1);
        if !runs.is_multiple_of(WINDOW) {
            return false;
        }
        let recent = self.recent.swap(0, Relaxed);
        let has_shrunk = self.held.load(Relaxed) > recent.saturating_mul(FAR);
        if has_shrunk {
            self.held.store(recent, Relaxed);
        }
        has_shrunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many runs of these bytes memory is given back, if it is.
    fn until(habit: &Habit, bytes: u64) -> Option<u64> {
        (1..=10 * WINDOW).find(|_| habit.gives_back(bytes))
    }

    #[test]
    fn small_requests_are_not_even_counted() {
        let habit = Habit::default();
        assert_eq!(until(&habit, SMALL - 1), None);
        assert_eq!(habit.runs.load(Relaxed), 0);
    }

    #[test]
    fn memory_is_given_back_once_when_large_requests_have_ceased() {
        for after in [0, SMALL - 1, SMALL, 99 << 10] {
            let habit = Habit::default();
            assert!(!habit.gives_back(400 << 10));
            // The rest of its own window, and one more.
            assert_eq!(until(&habit, after), Some(2 * WINDOW - 1), "{after}");
            assert_eq!(until(&habit, after), None, "{after}: there is no more to give");
        }
    }

    #[test]
    fn who_sends_large_requests_now_and_then_keeps_the_memory() {
        let habit = Habit::default();
        for run in 0..100 * WINDOW {
            let bytes = if run % (WINDOW / 2) == 0 { 1 << 20 } else { 100 };
            assert!(!habit.gives_back(bytes), "{run}");
        }
        assert_eq!(until(&habit, (1 << 20) / FAR), None, "and who sends less, but not far less");
    }
}
