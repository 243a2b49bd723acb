//! The facts lane: counters and latency histograms of one version, one shard per thread.
//!
//! The pipeline writes an [`Observation`] after each inference; each thread writes to a shard of its own,
//! so no cache line is shared on the way. Readers (metrics, statistics) add the shards up. Facts are
//! never dropped.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use candor_domain::{Observation, Outcome, Phase, Reason};
use crossbeam_utils::CachePadded;

use crate::{
    batching::{BatchCounts, BatchNote, BatchTotals, RunSizes, SizeTotals},
    breaker::{BreakerEvents, BreakerTotals},
    overload::Refusals,
    result_cache::CacheNote,
    stages::{PartBook, PartFacts, PartTotals},
};

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;

/// Upper bounds of the latency buckets, in nanoseconds; one more bucket holds what is slower.
pub const LATENCY_BUCKETS_NANOS: [u64; 18] = [
    10 * MICROSECOND,
    25 * MICROSECOND,
    50 * MICROSECOND,
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    5 * MILLISECOND / 2,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    1_000 * MILLISECOND,
    5_000 * MILLISECOND,
    30_000 * MILLISECOND,
];

const BUCKETS: usize = LATENCY_BUCKETS_NANOS.len() + 1;
const PHASES: usize = Phase::ALL.len();
const OUTCOMES: usize = Outcome::ALL.len();
const NOTES: usize = CacheNote::ALL.len();

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, nanos: u64) {
        let slot = LATENCY_BUCKETS_NANOS.partition_point(|&bound| bound < nanos);
        if let Some(bucket) = self.buckets.get(slot) {
            bucket.fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn add_to(&self, sum: &mut HistogramTotals) {
        sum.nanos += self.nanos.load(Relaxed);
        for (sum, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Relaxed);
        }
    }
}

#[derive(Default)]
struct Shard {
    outcomes: [AtomicU64; OUTCOMES],
    unsuccessful_nanos: AtomicU64,
    rows: AtomicU64,
    sizes: RunSizes,
    /// Requests by what the cache of answers did for them, and nanoseconds of it.
    looks: [[AtomicU64; 2]; NOTES],
    last_unix_ms: AtomicU64,
    phases: [Histogram; PHASES],
}

/// Counters of one version.
pub struct Facts {
    shards: Box<[CachePadded<Shard>]>,
    /// Read by every request and written by few, so that sharing it is cheap.
    run_nanos_per_row: CachePadded<AtomicU64>,
    breaker: BreakerEvents,
    batches: BatchCounts,
    refusals: Refusals,
    /// Locked when a version is loaded and when counters are read.
    parts: Mutex<PartBook>,
}

/// One run in so many is learned from.
const LEARN_EVERY: usize = 16;
/// A run that was interrupted or met cold caches says little about the next one.
const OUTLIER_FACTOR: u64 = 2;
/// So much of what a run took less is believed, and so much of what it took more. On a busy machine many runs are
/// interrupted: with these, two thirds of them may be before the average leaves what the others took.
const BELIEVED_LESS: u64 = 8;
const BELIEVED_MORE: u64 = 16;
/// What a run costs as long as nobody knows.
const COST_UNKNOWN: u64 = u64::MAX;

/// A histogram, added up over all shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistogramTotals {
    /// Counts per bucket of [`LATENCY_BUCKETS_NANOS`], and one for what is slower. Not cumulative.
    pub buckets: [u64; BUCKETS],
    /// Sum of all observations.
    pub nanos: u64,
}

impl HistogramTotals {
    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// All counters of a version, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactsTotals {
    /// Requests by outcome, indexed as [`Outcome::ALL`].
    pub outcomes: [u64; OUTCOMES],
    /// Time spent on requests that did not succeed.
    pub unsuccessful_nanos: u64,
    /// Rows that the engine answered.
    pub rows: u64,
    /// Runs of the engine that succeeded.
    pub executions: u64,
    /// The same by their rows; [`crate::batching::size_of_slot`] says which.
    pub sizes: Vec<SizeTotals>,
    /// Looks into the cache of answers and nanoseconds of them, indexed as [`CacheNote::ALL`].
    pub looks: [[u64; 2]; NOTES],
    /// When the last successful request ended; 0 if there was none.
    pub last_unix_ms: u64,
    /// Time per phase of successful requests, indexed as [`Phase::ALL`].
    pub phases: [HistogramTotals; PHASES],
    /// What happened at its breakers.
    pub breaker: BreakerTotals,
    /// What came of its batches on the pool.
    pub batches: BatchTotals,
    /// Requests that were refused for want of room, indexed as [`Reason::ALL`].
    pub refusals: [u64; Reason::ALL.len()],
    /// What each of its parts took, for a version of several.
    pub parts: Vec<PartTotals>,
}

impl FactsTotals {
    /// Requests that ended with `outcome`.
    #[must_use]
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome as usize).copied().unwrap_or(0)
    }

    /// Requests for which the cache of answers did this, and nanoseconds of it.
    #[must_use]
    pub fn looks(&self, note: CacheNote) -> [u64; 2] {
        self.looks.get(note as usize).copied().unwrap_or_default()
    }

    /// The histogram of `phase`.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> HistogramTotals {
        self.phases.get(phase as usize).cloned().unwrap_or_default()
    }
}

/// The number of this thread among all threads that ever wrote facts.
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let mine = NEXT.fetch_add(1, Relaxed);
            number.set(Some(mine));
            mine
        })
    })
}

impl Facts {
    /// Counters at zero, for about as many threads as will write them. With more threads two may share a
    /// shard: slower, never wrong.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            shards: (0..threads.max(1)).map(|_| CachePadded::default()).collect(),
            run_nanos_per_row: CachePadded::new(AtomicU64::new(COST_UNKNOWN)),
            breaker: BreakerEvents::default(),
            batches: BatchCounts::default(),
            refusals: Refusals::default(),
            parts: Mutex::default(),
        }
    }

    /// Counters of one part of the version, made when first asked for.
    pub(crate) fn part(&self, name: &str) -> Arc<PartFacts> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let made = parts.entry(name.to_owned()).or_insert_with(|| Arc::new(PartFacts::new(self.shards.len())));
        Arc::clone(made)
    }

    fn shard(&self) -> Option<&Shard> {
        self.shards.get(thread_number() % self.shards.len()).map(|shard| &**shard)
    }

    /// What happens at the version's breaker.
    pub(crate) fn breaker(&self) -> &BreakerEvents {
        &self.breaker
    }

    /// Counts one run of the engine over `rows` of one request or of several; with nanoseconds of reading, of the run
    /// and of writing.
    pub(crate) fn count_run(&self, rows: u64, nanos: [u64; 3]) {
        if let Some(shard) = self.shard() {
            shard.sizes.count(rows, 1, nanos);
        }
    }

    /// Adds to a run that has been counted what reading and writing took.
    pub(crate) fn add_to_run(&self, rows: u64, nanos: [u64; 3]) {
        if let Some(shard) = self.shard() {
            shard.sizes.count(rows, 0, nanos);
        }
    }

    /// Counts what the cache of answers did: for how many requests, and how long that took.
    pub(crate) fn count_look(&self, note: CacheNote, requests: u64, nanos: u64) {
        if let Some(look) = self.shard().and_then(|shard| shard.looks.get(note as usize)) {
            for (sum, more) in look.iter().zip([requests, nanos]) {
                sum.fetch_add(more, Relaxed);
            }
        }
    }

    /// Counts one batch of the pool.
    pub(crate) fn count_batch(&self, note: BatchNote) {
        self.batches.count(note);
    }

    /// What came of batches.
    #[must_use]
    pub fn batches(&self) -> BatchTotals {
        self.batches.totals()
    }

    /// Requests that found no room.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Counts one inference.
    pub fn record(&self, observation: &Observation) {
        let Some(shard) = self.shard() else { return };
        if let Some(outcome) = shard.outcomes.get(observation.outcome as usize) {
            outcome.fetch_add(1, Relaxed);
        }
        if observation.outcome != Outcome::Success {
            let [request, ..] = observation.nanos;
            shard.unsuccessful_nanos.fetch_add(request.unwrap_or(0), Relaxed);
            return;
        }
        shard.rows.fetch_add(observation.rows, Relaxed);
        shard.last_unix_ms.store(observation.ended_unix_ms, Relaxed);
        for (histogram, nanos) in shard.phases.iter().zip(observation.nanos) {
            if let Some(nanos) = nanos {
                histogram.record(nanos);
            }
        }
    }

    /// Learns from a run what a row costs: a moving average over the runs of all threads, of which only some
    /// are looked at, none counts for more than twice the average, and slow ones count less than quick ones. All threads share it, because
    /// it decides which of them runs the next one.
    pub fn learn_cost(&self, rows: u64, run_nanos: u64) {
        thread_local!(static RUNS: Cell<usize> = const { Cell::new(0) });
        let per_row = (run_nanos / rows.max(1)).max(1);
        let before = self.run_nanos_per_row.load(Relaxed);
        if before == COST_UNKNOWN {
            return self.run_nanos_per_row.store(per_row, Relaxed);
        }
        let runs = RUNS.get().wrapping_add(1);
        RUNS.set(runs);
        if runs.is_multiple_of(LEARN_EVERY) {
            let per_row = per_row.min(before.saturating_mul(OUTLIER_FACTOR));
            let less = before.saturating_sub(per_row) / BELIEVED_LESS;
            let more = per_row.saturating_sub(before).div_ceil(BELIEVED_MORE);
            self.run_nanos_per_row.store((before - less + more).max(1), Relaxed);
        }
    }

    /// Sets the cost that the warm-up measured.
    pub fn start_cost(&self, nanos_per_row: u64) {
        self.run_nanos_per_row.store(nanos_per_row.max(1), Relaxed);
    }

    /// What a run over one row is expected to cost.
    #[must_use]
    pub fn run_nanos_per_row(&self) -> u64 {
        self.run_nanos_per_row.load(Relaxed)
    }

    /// Adds the shards up.
    #[must_use]
    pub fn totals(&self) -> FactsTotals {
        let (breaker, refusals) = (self.breaker.totals(), self.refusals.totals());
        let mut totals = FactsTotals { breaker, refusals, ..FactsTotals::default() };
        for shard in &self.shards {
            for (sum, counter) in totals.outcomes.iter_mut().zip(&shard.outcomes) {
                *sum += counter.load(Relaxed);
            }
            totals.unsuccessful_nanos += shard.unsuccessful_nanos.load(Relaxed);
            totals.rows += shard.rows.load(Relaxed);
            shard.sizes.add_to(&mut totals.sizes);
            for (sum, counter) in totals.looks.iter_mut().flatten().zip(shard.looks.iter().flatten()) {
                *sum += counter.load(Relaxed);
            }
            totals.last_unix_ms = totals.last_unix_ms.max(shard.last_unix_ms.load(Relaxed));
            for (sum, histogram) in totals.phases.iter_mut().zip(&shard.phases) {
                histogram.add_to(sum);
            }
        }
        totals.batches = self.batches.totals();
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        totals.parts = parts.iter().map(|(name, facts)| facts.totals(name)).collect();
        totals.executions = totals.sizes.iter().map(|size| size.runs).sum();
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(outcome: Outcome, nanos: u64) -> Observation {
        Observation { outcome, rows: 2, nanos: [Some(nanos), None, None, Some(nanos / 2), None], ended_unix_ms: nanos }
    }

    #[test]
    fn threads_add_up_and_failures_stay_out_of_the_histograms() {
        let facts = Facts::new(3);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        facts.record(&observation(Outcome::Success, 30_000));
                        facts.count_run(2, [0; 3]);
                    }
                    facts.record(&observation(Outcome::Invalid, 7));
                });
            }
        });
        let totals = facts.totals();
        assert_eq!(totals.outcome(Outcome::Success), 8000);
        assert_eq!(totals.outcome(Outcome::Invalid), 8);
        assert_eq!(totals.unsuccessful_nanos, 56);
        assert_eq!((totals.rows, totals.executions, totals.last_unix_ms), (16_000, 8000, 30_000));
        assert_eq!(totals.phase(Phase::Request).count(), 8000);
        assert_eq!(totals.phase(Phase::Request).nanos, 8000 * 30_000);
        assert_eq!(totals.phase(Phase::Request).buckets[2], 8000, "30 µs belong into the bucket up to 50 µs");
        assert_eq!(totals.phase(Phase::Run).buckets[1], 8000, "15 µs belong into the bucket up to 25 µs");
        assert_eq!(totals.phase(Phase::Queue).count(), 0);
    }

    #[test]
    fn bounds_belong_to_their_bucket_and_slower_than_all_has_a_bucket_of_its_own() {
        let facts = Facts::new(1);
        facts.record(&observation(Outcome::Success, LATENCY_BUCKETS_NANOS[0]));
        facts.record(&observation(Outcome::Success, u64::MAX / 4));
        let request = facts.totals().phase(Phase::Request);
        assert_eq!((request.buckets[0], request.buckets[BUCKETS - 1]), (1, 1));
    }

    #[test]
    fn the_cost_starts_at_the_warm_up_and_follows_what_is_measured() {
        let facts = Facts::new(1);
        assert_eq!(facts.run_nanos_per_row(), COST_UNKNOWN);
        facts.learn_cost(2, 6_000);
        assert_eq!(facts.run_nanos_per_row(), 3_000, "the first run is better than nothing");
        facts.start_cost(5_000);
        for _ in 0..100 * LEARN_EVERY {
            facts.learn_cost(4, 80_000);
        }
        assert!((19_000..=20_000).contains(&facts.run_nanos_per_row()));
    }

    #[test]
    fn one_slow_run_does_not_make_a_cheap_model_dear_and_threads_learn_together() {
        let facts = Facts::new(4);
        facts.start_cost(5_000);
        for _ in 0..LEARN_EVERY {
            facts.learn_cost(1, 10_000_000);
        }
        assert!(facts.run_nanos_per_row() < 8_000, "{}", facts.run_nanos_per_row());
        // Half of the runs are interrupted by somebody who computes for milliseconds.
        facts.start_cost(20_000);
        for run in 0..1000 * LEARN_EVERY {
            facts.learn_cost(1, if (run / LEARN_EVERY).is_multiple_of(2) { 4_000_000 } else { 20_000 });
        }
        assert!(facts.run_nanos_per_row() < 45_000, "{}", facts.run_nanos_per_row());
        facts.start_cost(1_000_000);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..100 * LEARN_EVERY).for_each(|_| facts.learn_cost(1, 5_000)));
        });
        assert!(facts.run_nanos_per_row() < 10_000, "what another thread measured counts here too");
    }
}
