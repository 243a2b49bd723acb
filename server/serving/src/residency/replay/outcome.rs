//! What is counted in a replay.

use crate::residency::ledger::Totals;

/// What came of a replay.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Requests.
    pub requests: u64,
    /// Of them, those that found their model in memory.
    pub hits: u64,
    /// Of them, those that waited for a load.
    pub cold: u64,
    /// Of them, those whose model can never fit.
    pub refused: u64,
    /// Loads of a model that had been loaded before.
    pub reloads: u64,
    /// Seconds that those loads took.
    pub reload_s: f64,
    /// Seconds that the first loads took, which no policy saves.
    pub first_load_s: f64,
    /// Models that were taken out of memory.
    pub evictions: u64,
    /// Milliseconds that half of the cold requests waited at most.
    pub cold_ms_p50: f64,
    /// Milliseconds that 999 of 1,000 cold requests waited at most.
    pub cold_ms_p999: f64,
    /// Milliseconds that 999 of 1,000 requests waited at most, cold or not.
    pub all_ms_p999: f64,
    /// Most bytes that were reserved at one time.
    pub peak_bytes: u64,
    /// GiB times hours: what the memory would be paid for.
    pub gib_hours: f64,
}

impl Outcome {
    /// Share of the requests that found their model in memory.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub fn hit_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.hits as f64 / self.requests as f64 }
    }
}

/// The counters while it runs.
pub(super) struct Counts {
    hits: u64,
    refused: u64,
    was_loaded: Vec<bool>,
    reloads: u64,
    reload_ms: u64,
    first_load_ms: u64,
    /// Nanoseconds that each cold request waited.
    waits: Vec<u64>,
    byte_seconds: f64,
}

impl Counts {
    pub(super) fn new(models: usize) -> Self {
        Self {
            hits: 0,
            refused: 0,
            was_loaded: vec![false; models],
            reloads: 0,
            reload_ms: 0,
            first_load_ms: 0,
            waits: Vec::new(),
            byte_seconds: 0.0,
        }
    }

    pub(super) fn hit(&mut self) {
        self.hits += 1;
    }

    pub(super) fn refused(&mut self, requests: usize) {
        self.refused += requests as u64;
    }

    pub(super) fn waited(&mut self, nanos: u64) {
        self.waits.push(nanos);
    }

    #[allow(clippy::cast_precision_loss, reason = "a price, not a count")]
    pub(super) fn hold(&mut self, bytes: u64, nanos: u64) {
        self.byte_seconds += bytes as f64 * (nanos as f64 / 1e9);
    }

    pub(super) fn loaded(&mut self, model: usize, load_ms: u64) {
        let again = self.was_loaded.get_mut(model).map(|was_loaded| std::mem::replace(was_loaded, true));
        if again == Some(true) {
            self.reloads += 1;
            self.reload_ms += load_ms;
        } else {
            self.first_load_ms += load_ms;
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "shown with a few digits")]
    pub(super) fn outcome(mut self, totals: Totals) -> Outcome {
        self.waits.sort_unstable();
        let cold = self.waits.len() as u64;
        let requests = self.hits + cold + self.refused;
        let answered = self.hits + cold;
        Outcome {
            requests,
            hits: self.hits,
            cold,
            refused: self.refused,
            reloads: self.reloads,
            reload_s: self.reload_ms as f64 / 1e3,
            first_load_s: self.first_load_ms as f64 / 1e3,
            evictions: totals.evictions,
            cold_ms_p50: self.wait_ms(cold / 2),
            cold_ms_p999: self.wait_ms(cold - (cold / 1000).min(cold)),
            all_ms_p999: {
                let dearer = answered / 1000;
                if dearer >= cold { 0.0 } else { self.wait_ms(cold - dearer) }
            },
            peak_bytes: totals.reserved_bytes_peak,
            gib_hours: self.byte_seconds / f64::from(1 << 30) / 3600.0,
        }
    }

    /// The wait that `count` cold requests did not exceed.
    #[allow(clippy::cast_precision_loss, reason = "shown with a few digits")]
    fn wait_ms(&self, count: u64) -> f64 {
        let place = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
        self.waits.get(place).map_or(0.0, |nanos| *nanos as f64 / 1e6)
    }
}
