//! Calls in this process that are late: each holds a thread of the server, and nothing can take it back.
//!
//! A call writes down when it began, in a place of its own; whoever counts looks at all places. No lock. It does not
//! know what is called.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use candor_domain::Tick;

/// More calls at the same time are not looked at; there are hardly as many threads.
const PLACES: usize = 64;

/// How much later than its deadline a call is leaked.
const GRACE: Duration = Duration::from_millis(50);

/// When the calls under way are to be over; 0 where there is none.
pub(super) struct Overdue {
    ends: [AtomicU64; PLACES],
    next: AtomicUsize,
}

impl Default for Overdue {
    fn default() -> Self {
        Self { ends: [const { AtomicU64::new(0) }; PLACES], next: AtomicUsize::new(0) }
    }
}

/// A call under way.
pub(super) struct Held<'a>(Option<&'a AtomicU64>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(0, Ordering::Relaxed);
        }
    }
}

impl Overdue {
    /// A call begins that is to be over at `end`.
    pub(super) fn begin(&self, end: Tick) -> Held<'_> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % PLACES;
        let mut places = self.ends.iter().cycle().skip(first).take(PLACES);
        let free =
            |place: &&AtomicU64| place.compare_exchange(0, end.0.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Held(places.find(free))
    }

    /// How many are late.
    pub(super) fn count(&self, now: Tick) -> u64 {
        let late = |place: &&AtomicU64| match place.load(Ordering::Relaxed) {
            0 => false,
            end => Tick(end).after(GRACE).0 < now.0,
        };
        self.ends.iter().filter(late).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_late_after_its_deadline_and_grace_until_it_ends() {
        let (overdue, start) = (Overdue::default(), Tick(1_000_000_000));
        let end = start.after(Duration::from_secs(1));
        let (held, other) = (overdue.begin(end), overdue.begin(end.after(Duration::from_secs(60))));
        assert_eq!(overdue.count(end.after(GRACE)), 0);
        let late = end.after(GRACE).after(Duration::from_nanos(1));
        assert_eq!(overdue.count(late), 1);
        drop(held);
        assert_eq!(overdue.count(late), 0);
        drop(other);
        let many: Vec<Held<'_>> = (0..PLACES + 3).map(|_| overdue.begin(start)).collect();
        assert_eq!(overdue.count(late), PLACES as u64);
        drop(many);
        assert_eq!(overdue.count(late), 0);
    }
}
