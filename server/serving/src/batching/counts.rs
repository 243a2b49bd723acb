//! How many rows runs had, how many requests, and why: counters that readers add up.
//!
//! Sizes of all runs are counted in the shards of `facts`; what only batches of the pool have is counted here, in
//! atomics that the pool's threads share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{BatchNote, Reason};

/// Sizes up to this one are counted one by one, larger ones by the next power of two.
pub const ROWS_EXACT_MAX: u64 = 64;
const EXACT: usize = 64;
/// 128, 256, … 2^21; the last one has all that is larger.
const POWERS: usize = 15;
const SLOTS: usize = EXACT + POWERS;

fn slot_of(rows: u64) -> usize {
    let rows = rows.max(1);
    if rows <= ROWS_EXACT_MAX {
        return usize::try_from(rows - 1).unwrap_or(0);
    }
    let power = usize::try_from((rows - 1).ilog2()).unwrap_or(0);
    EXACT + (power - 6).min(POWERS - 1)
}

/// The size that a slot of [`SizeTotals`] stands for: the largest that it counts.
#[must_use]
pub fn size_of_slot(slot: usize) -> u64 {
    if slot < EXACT { slot as u64 + 1 } else { 1_u64 << (slot - EXACT + 7).min(63) }
}

/// Runs by their rows, in one thread's shard.
#[derive(Debug)]
pub(crate) struct RunSizes([RunSize; SLOTS]);

impl Default for RunSizes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| RunSize::default()))
    }
}

#[derive(Debug, Default)]
struct RunSize {
    runs: AtomicU64,
    nanos: [AtomicU64; 3],
}

/// Runs of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeTotals {
    /// How many.
    pub runs: u64,
    /// Nanoseconds of reading requests, inside the engine, and of writing replies.
    pub nanos: [u64; 3],
}

impl RunSizes {
    pub(crate) fn count(&self, rows: u64, runs: u64, nanos: [u64; 3]) {
        let Some(size) = self.0.get(slot_of(rows)) else { return };
        size.runs.fetch_add(runs, Relaxed);
        for (sum, nanos) in size.nanos.iter().zip(nanos) {
            sum.fetch_add(nanos, Relaxed);
        }
    }

    pub(crate) fn add_to(&self, totals: &mut Vec<SizeTotals>) {
        totals.resize(SLOTS, SizeTotals::default());
        for (total, size) in totals.iter_mut().zip(&self.0) {
            total.runs += size.runs.load(Relaxed);
            for (sum, nanos) in total.nanos.iter_mut().zip(&size.nanos) {
                *sum += nanos.load(Relaxed);
            }
        }
    }
}

/// What happened to the batches of a version on the pool.
pub(crate) struct BatchCounts {
    rows: [AtomicU64; SLOTS],
    requests: [AtomicU64; SLOTS],
    reasons: [AtomicU64; Reason::ALL.len()],
    rows_sum: AtomicU64,
    requests_sum: AtomicU64,
}

impl Default for BatchCounts {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| AtomicU64::new(0)),
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            reasons: std::array::from_fn(|_| AtomicU64::new(0)),
            rows_sum: AtomicU64::new(0),
            requests_sum: AtomicU64::new(0),
        }
    }
}

/// The same as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchTotals {
    /// Batches by rows; [`size_of_slot`] says which.
    pub rows: Vec<u64>,
    /// Batches by requests, in the same way.
    pub requests: Vec<u64>,
    /// Batches by the reason for their size, indexed as [`Reason::ALL`].
    pub reasons: [u64; Reason::ALL.len()],
    /// Rows of all batches.
    pub rows_sum: u64,
    /// Requests of all batches.
    pub requests_sum: u64,
}

impl BatchCounts {
    /// Counts one batch whose run has ended.
    pub(crate) fn count(&self, note: BatchNote) {
        let one_more = |counts: &[AtomicU64], place: usize| {
            if let Some(count) = counts.get(place) {
                count.fetch_add(1, Relaxed);
            }
        };
        one_more(&self.rows, slot_of(note.rows));
        one_more(&self.requests, slot_of(note.requests));
        one_more(&self.reasons, note.reason as usize);
        self.rows_sum.fetch_add(note.rows, Relaxed);
        self.requests_sum.fetch_add(note.requests, Relaxed);
    }

    pub(crate) fn totals(&self) -> BatchTotals {
        let read = |counts: &[AtomicU64]| counts.iter().map(|count| count.load(Relaxed)).collect();
        BatchTotals {
            rows: read(&self.rows),
            requests: read(&self.requests),
            reasons: self.reasons.each_ref().map(|count| count.load(Relaxed)),
            rows_sum: self.rows_sum.load(Relaxed),
            requests_sum: self.requests_sum.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_a_slot_whose_bound_is_not_below_it() {
        for rows in (0..5000).chain([1 << 20, (1 << 21) - 1, 1 << 21]) {
            let bound = size_of_slot(slot_of(rows));
            assert!(bound >= rows && (rows < 2 || bound < 2 * rows), "{rows} stands under {bound}");
            assert!(rows > ROWS_EXACT_MAX || rows == 0 || bound == rows);
        }
        assert_eq!(slot_of(u64::MAX), SLOTS - 1);
        assert_eq!((size_of_slot(EXACT), size_of_slot(SLOTS - 1)), (128, 1 << 21));
    }

    #[test]
    fn batches_are_counted_by_rows_by_requests_and_by_reason() {
        let counts = BatchCounts::default();
        for _ in 0..3 {
            counts.count(BatchNote { rows: 5, requests: 2, reason: Reason::DelayOver });
        }
        let totals = counts.totals();
        assert_eq!((totals.rows[4], totals.requests[1], totals.reasons[1]), (3, 3, 3));
        assert_eq!((totals.rows_sum, totals.requests_sum), (15, 6));
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
