//! Who is refused for want of room: the concurrency limit of a version, how it is set, and what is counted.
//!
//! The limit itself is domain's [`ConcurrencyLimit`]; a lease asks it before a request goes to the session pool. A
//! version that is loaded again gets a new one; refusals are counted beside the version's facts, which outlive it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use candor_domain::{ConcurrencyLimit, ConcurrencyReading, ConcurrencySettings, Error, Full, ModelName, Reason};

use crate::repository::OverloadNotes;

/// Concurrency limits of models whose manifests say nothing of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverloadDefaults {
    /// Whether they move; one that does not stays at the most requests that a version may have at once.
    pub enabled: bool,
    /// How they behave.
    pub settings: ConcurrencySettings,
}

impl Default for OverloadDefaults {
    fn default() -> Self {
        Self { enabled: true, settings: ConcurrencySettings::default() }
    }
}

/// Refusals by reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; Reason::ALL.len()]);

impl Refusals {
    /// Counts an error that says that there was no room.
    pub(crate) fn count(&self, error: &Error) {
        if let Some(count) = error.reason().and_then(|reason| self.0.get(reason as usize)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Refusals, indexed as [`Reason::ALL`].
    pub(crate) fn totals(&self) -> [u64; Reason::ALL.len()] {
        self.0.each_ref().map(|count| count.load(Relaxed))
    }
}

/// How many requests of a version may be there at once: a number that stands fast over all, and the limit over those
/// that go through the session pool.
pub(crate) struct Places {
    inflight_max: u32,
    limit: Arc<ConcurrencyLimit>,
}

impl Places {
    /// Places for at most `inflight_max` requests. `work` is how long the run of a smallest request takes, as far as
    /// that is known, and `threads` how many of them can run at the same time.
    pub(crate) fn new(
        inflight_max: u32,
        defaults: &OverloadDefaults,
        notes: &OverloadNotes,
        work: Option<Duration>,
        threads: usize,
    ) -> Self {
        let limit = if notes.enabled.unwrap_or(defaults.enabled) {
            ConcurrencyLimit::new(notes.over(defaults.settings), inflight_max, work, threads)
        } else {
            ConcurrencyLimit::fixed(inflight_max)
        };
        Self { inflight_max, limit: Arc::new(limit) }
    }

    /// The limit over requests that go through the pool.
    pub(crate) fn limit(&self) -> &Arc<ConcurrencyLimit> {
        &self.limit
    }

    pub(crate) fn reading(&self) -> ConcurrencyReading {
        self.limit.reading()
    }

    /// Refuses whoever has so many `ahead` that the version has no more room.
    pub(crate) fn check(&self, model: &ModelName, ahead: u32) -> Result<(), Error> {
        if ahead < self.inflight_max {
            return Ok(());
        }
        Err(Error::no_room(Reason::InflightLimit, format!("model '{model}' has too many requests in flight"))
            .at("limits.inflight_per_model_max")
            .expected(format!("at most {}", self.inflight_max))
            .retry_after_s(seconds(self.limit.drain())))
    }
}

/// What somebody is told whom a concurrency limit does not let in.
pub(crate) fn full(model: &ModelName, full: Full) -> Error {
    Error::no_room(
        Reason::ConcurrencyLimit,
        format!("model '{model}' has as many requests as it can answer without long waiting"),
    )
    .at("overload")
    .expected(format!("at most {} now", full.limit))
    .retry_after_s(seconds(full.drain))
}

/// Longest time after which somebody is asked to come back.
const RETRY_AFTER_S_MAX: u32 = 60;

/// Whole seconds, and not a moment too early.
pub(crate) fn seconds(drain: Duration) -> u32 {
    let seconds = drain.as_secs() + u64::from(drain.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(RETRY_AFTER_S_MAX).clamp(1, RETRY_AFTER_S_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_is_told_the_time_that_the_others_need() {
        for (drain_ms, want) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (17_500, 18), (3_600_000, 60)] {
            assert_eq!(seconds(Duration::from_millis(drain_ms)), want, "{drain_ms} ms");
        }
        let model = ModelName::parse("m").unwrap();
        let refusal = full(&model, Full { inside: 9, limit: 9, drain: Duration::from_millis(2500) });
        assert_eq!((refusal.reason(), refusal.retry_after()), (Some(Reason::ConcurrencyLimit), Some(3)));
        assert_eq!(
            refusal.to_string(),
            "overload: model 'm' has as many requests as it can answer without long waiting; expected at most 9 now"
        );
    }

    #[test]
    fn a_limit_that_is_off_is_the_one_that_stands_fast() {
        let off = OverloadDefaults { enabled: false, ..OverloadDefaults::default() };
        let work = Some(Duration::from_secs(1));
        let limit = |defaults: &OverloadDefaults, notes: &str| {
            let manifest = crate::repository::Manifest::parse(notes).unwrap();
            Places::new(500, defaults, &manifest.overload, work, 1).reading().limit
        };
        assert_eq!(limit(&off, ""), 500);
        assert_eq!(limit(&off, "[overload]\nenabled = true"), 8);
        assert_eq!(limit(&OverloadDefaults::default(), "[overload]\nfloor = 20"), 20);
        assert_eq!(limit(&OverloadDefaults::default(), "[overload]\nenabled = false"), 500);
    }
}
