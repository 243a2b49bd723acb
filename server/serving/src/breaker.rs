//! The breaker of a version: how it is set, what happened at it, and what doors show of it.
//!
//! The state machine is domain's [`Breaker`]; `pipeline` sends every call through it. A version that is loaded again
//! gets a new one, closed; what happened is counted beside the version's facts, which outlive it.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use candor_domain::{
    Breaker, BreakerChange, BreakerReading, BreakerSettings, BreakerState, Clock, Error, ErrorCode, ModelName, Refusal,
    Version,
};

use crate::{facts::Facts, repository::BreakerNotes};

/// Breakers of models whose manifests say nothing of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerDefaults {
    /// Whether there are any.
    pub enabled: bool,
    /// How they behave.
    pub settings: BreakerSettings,
}

impl Default for BreakerDefaults {
    fn default() -> Self {
        Self { enabled: true, settings: BreakerSettings::default() }
    }
}

/// What happened at the breakers of a version, since the server began.
#[derive(Default)]
pub(crate) struct BreakerEvents {
    changes: [AtomicU64; BreakerState::ALL.len()],
    rejected: AtomicU64,
    fallbacks: AtomicU64,
}

/// The same as numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BreakerTotals {
    /// Changes to each state, indexed as [`BreakerState::ALL`].
    pub changes: [u64; BreakerState::ALL.len()],
    /// Requests that were refused.
    pub rejected: u64,
    /// Requests that the fallback version was asked instead.
    pub fallbacks: u64,
}

impl BreakerEvents {
    fn changed(&self, to: BreakerState) {
        if let Some(count) = self.changes.get(to as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(crate) fn fell_back(&self) {
        self.fallbacks.fetch_add(1, Relaxed);
    }

    pub(crate) fn totals(&self) -> BreakerTotals {
        BreakerTotals {
            changes: self.changes.each_ref().map(|count| count.load(Relaxed)),
            rejected: self.rejected.load(Relaxed),
            fallbacks: self.fallbacks.load(Relaxed),
        }
    }
}

/// A version's breaker at one moment, in words that doors can show.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerView {
    /// Its state and what that rests on.
    pub reading: BreakerReading,
    /// When the first trial is let through, if it is open, in milliseconds since the Unix epoch.
    pub retry_at_unix_ms: Option<u64>,
    /// The version that answers while it is open.
    pub fallback_version: Option<Version>,
}

impl BreakerView {
    pub(crate) fn of(breaker: &Breaker, notes: &BreakerNotes, clock: &dyn Clock) -> Self {
        let now = clock.now();
        let reading = breaker.reading(now);
        let unix_ms = |retry_at| {
            let wait = u64::try_from(now.until(retry_at).as_millis()).unwrap_or(u64::MAX);
            clock.unix_ms().saturating_add(wait)
        };
        let retry_at_unix_ms = reading.retry_at.map(unix_ms);
        Self { reading, retry_at_unix_ms, fallback_version: notes.fallback_version.clone() }
    }
}

/// A new breaker for a version, unless it is to have none. Its seed differs between processes, so that replicas that
/// opened together do not come back together.
pub(crate) fn for_version(
    (model, version): (&ModelName, &Version),
    defaults: &BreakerDefaults,
    notes: &BreakerNotes,
    facts: &Arc<Facts>,
    clock: &dyn Clock,
) -> Option<Arc<Breaker>> {
    if !notes.enabled.unwrap_or(defaults.enabled) {
        return None;
    }
    let mut seed = DefaultHasher::new();
    (model, version, clock.unix_ms(), clock.now().0, std::process::id()).hash(&mut seed);
    let (model, version, facts) = (model.clone(), version.clone(), Arc::clone(facts));
    let listener = move |change: &BreakerChange| {
        facts.breaker().changed(change.to);
        tell(&model, &version, change);
    };
    Some(Arc::new(Breaker::new(notes.over(defaults.settings), seed.finish(), Box::new(listener))))
}

/// One line in the log for one change.
fn tell(model: &ModelName, version: &Version, change: &BreakerChange) {
    let BreakerChange { from, to, calls, failure_rate, slow_rate, open } = *change;
    let (from, to) = (from.word(), to.word());
    match open {
        Some(open) => tracing::warn!(
            %model, %version, from, to, calls, failure_rate, slow_rate, open_ms = open.as_millis(),
            "the breaker opened"
        ),
        None => tracing::info!(%model, %version, from, to, "the breaker changed"),
    }
}

/// What a caller is told whom a breaker does not let through.
pub(crate) fn refused(model: &ModelName, version: &Version, refusal: Refusal) -> Error {
    let wait = refusal.retry_after;
    // Whole seconds, and not a moment too early.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
    let what =
        format!("the circuit breaker of model '{model}' version {version} is open: too many calls failed or were slow");
    Error::new(ErrorCode::BreakerOpen, what).hint(format!("retry in {seconds} s")).retry_after_s(seconds)
}
