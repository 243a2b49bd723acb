//! What holds for the batches of one version: whether there are any, how large, how long one waits; and where each
//! setting came from.

use std::{ops::RangeInclusive, time::Duration};

use candor_domain::Signature;

use super::{Invariance, Line, Probe};
use crate::repository::{BatchingNotes, CONFIG_FILE, MANIFEST_FILE, Manifest};

/// Where nothing is said, a request may be answered this late for the sake of others, or twice as late as alone.
pub const TARGET_MIN: Duration = Duration::from_millis(5);

/// How long a request waits for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// As long as that pays.
    Adaptive,
    /// So long, unless the batch is full before.
    Fixed(Duration),
}

/// Batching of models whose manifests say nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchingSettings {
    /// Whether requests are put together, where that was found safe.
    pub enabled: bool,
    /// Most rows of a batch.
    pub rows_max: u64,
    /// How long a request waits for others.
    pub delay: Delay,
    /// How late a request may be answered for the sake of others; nothing for [`TARGET_MIN`] or twice its own run.
    pub target: Option<Duration>,
    /// Levels of priority, 1 being the highest.
    pub levels: u64,
    /// The level of requests that name none.
    pub level_default: u64,
    /// Most requests of one version that wait.
    pub queue_max: usize,
}

impl BatchingSettings {
    /// What `max_batch_rows` may be.
    pub const ROWS_MAX: RangeInclusive<u64> = 1..=65_536;
    /// What `max_queue_delay_us` may be.
    pub const DELAY_US: RangeInclusive<u64> = 0..=10_000_000;
    /// What `latency_target_ms` may be.
    pub const TARGET_MS: RangeInclusive<u64> = 0..=600_000;
    /// What `priority_levels` and `default_priority_level` may be.
    pub const LEVELS: RangeInclusive<u64> = 1..=100;
    /// What `queue_max` may be.
    pub const QUEUE_MAX: RangeInclusive<u64> = 1..=1_000_000;
}

impl Default for BatchingSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            rows_max: 64,
            delay: Delay::Adaptive,
            target: None,
            levels: 10,
            level_default: 5,
            queue_max: 256,
        }
    }
}

/// A setting, and where it came from: `model.toml`, `config.pbtxt` or `configuration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sourced<T> {
    /// What holds.
    pub value: T,
    /// Who said so.
    pub source: &'static str,
}

/// What holds for one version.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Why its requests are not put together, if they are not.
    pub off: Option<String>,
    /// Who decided whether they are.
    pub source: &'static str,
    /// Most rows of a batch.
    pub rows_max: Sourced<u64>,
    /// Rows at which a batch waits no longer.
    pub rows_full: Sourced<u64>,
    /// How long a request waits for others.
    pub delay: Sourced<Delay>,
    /// How late a request may be answered for the sake of others, if somebody said so.
    pub target: Sourced<Option<Duration>>,
    /// Levels of priority.
    pub levels: Sourced<u64>,
    /// The level of requests that name none.
    pub level_default: Sourced<u64>,
    /// Most requests that wait.
    pub queue_max: Sourced<usize>,
    /// Whether rows of a batch are answered as each alone.
    pub invariance: Invariance,
    /// What the load measured: rows and nanoseconds.
    pub(crate) points: Vec<(u64, u64)>,
}

fn pick<T>(notes: &BatchingNotes, key: &'static str, own: Option<T>, server: T) -> Sourced<T> {
    match own {
        Some(value) => Sourced { value, source: notes.source_of(key) },
        None => Sourced { value: server, source: "configuration" },
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.off {
            None => f.write_str("on"),
            Some(why) => write!(f, "off: {why}"),
        }
    }
}

impl Plan {
    /// What holds where the server has `settings`, the model says `manifest` and the load found `probe`.
    pub(crate) fn new(settings: &BatchingSettings, manifest: &Manifest, signature: &Signature, probe: Probe) -> Self {
        let notes = &manifest.batching;
        let mut rows_max = pick(notes, "max_batch_rows", notes.max_batch_rows, settings.rows_max);
        if let Some(own) = manifest.batch_rows_max.filter(|own| *own < rows_max.value) {
            rows_max = Sourced { value: own, source: notes.source_of("batch_rows_max") };
        }
        let rows_full = match notes.full_batch_rows.filter(|full| *full < rows_max.value) {
            Some(value) => Sourced { value, source: notes.source_of("full_batch_rows") },
            None => rows_max,
        };
        let delay = notes.max_queue_delay_us.map(|micros| Delay::Fixed(Duration::from_micros(micros)));
        let target = notes.latency_target_ms.map(|millis| Some(Duration::from_millis(millis)));
        let levels = pick(notes, "priority_levels", notes.priority_levels, settings.levels);
        let mut level_default =
            pick(notes, "default_priority_level", notes.default_priority_level, settings.level_default);
        level_default.value = level_default.value.min(levels.value);
        let (off, source) = Self::off(settings, notes, signature, &probe, rows_max.value);
        Self {
            off,
            source,
            rows_max,
            rows_full,
            delay: pick(notes, "max_queue_delay_us", delay, settings.delay),
            target: pick(notes, "latency_target_ms", target, settings.target),
            levels,
            level_default,
            queue_max: pick(notes, "queue_max", notes.queue_max.map(size), settings.queue_max),
            invariance: probe.invariance,
            points: probe.points,
        }
    }

    /// Why not, and who says so.
    fn off(
        settings: &BatchingSettings,
        notes: &BatchingNotes,
        signature: &Signature,
        probe: &Probe,
        rows_max: u64,
    ) -> (Option<String>, &'static str) {
        if !signature.is_batched() {
            return (Some("not every input has a free first dimension, so nothing counts rows".to_owned()), "graph");
        }
        if let Some(output) = signature.outputs.iter().find(|output| output.dims.is_some() && !output.has_batch_dim()) {
            return (Some(format!("the output '{}' has no free first dimension", output.name)), "graph");
        }
        if notes.enabled == Some(false) {
            let source = notes.source_of("enabled");
            return (Some(format!("{source} says so")), source);
        }
        if rows_max < 2 {
            return (Some("a batch may have one row only".to_owned()), "configuration");
        }
        if notes.enabled == Some(true) {
            return (None, notes.source_of("enabled"));
        }
        if !settings.enabled {
            return (Some("batching.enabled is off".to_owned()), "configuration");
        }
        match &probe.invariance {
            Invariance::BitEqual | Invariance::Near(_) => (None, "measured"),
            Invariance::Apart(difference) => {
                let why =
                    format!("rows are answered differently in a batch than alone (by {difference:.1e} of their scale)");
                (Some(why), "measured")
            }
            Invariance::NotMeasured(why) => {
                let why = format!("whether rows are answered in a batch as alone could not be measured: {why}");
                (Some(why), "measured")
            }
        }
    }

    /// A plan with batches of so many rows and what the load is to have measured.
    #[cfg(test)]
    pub(crate) fn for_tests(rows_max: u64, delay: Delay, points: &[(u64, u64)]) -> Self {
        fn said<T>(value: T) -> Sourced<T> {
            Sourced { value, source: "test" }
        }
        Self {
            off: None,
            source: "test",
            rows_max: said(rows_max),
            rows_full: said(rows_max),
            delay: said(delay),
            target: said(None),
            levels: said(10),
            level_default: said(5),
            queue_max: said(100_000),
            invariance: Invariance::BitEqual,
            points: points.to_vec(),
        }
    }

    /// What limits its queue, as an error names it.
    pub(crate) fn queue_limit(&self) -> &'static str {
        match self.queue_max.source {
            MANIFEST_FILE => "model.toml batching.queue_max",
            CONFIG_FILE => "config.pbtxt max_queue_size",
            _ => "limits.queue_per_model_max",
        }
    }

    /// Whether requests may be put together.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.off.is_none()
    }

    /// The level that a request counts at that asks for `priority`, 0 being none; out of range counts as none, as
    /// Triton has it.
    #[must_use]
    pub fn level(&self, priority: u64) -> u64 {
        if (1..=self.levels.value).contains(&priority) { priority } else { self.level_default.value }
    }

    /// How late a request may be answered for the sake of others, in nanoseconds.
    pub(crate) fn target_nanos(&self, line: Option<Line>) -> f64 {
        let nanos = |time: Duration| time.as_secs_f64() * 1e9;
        match self.target.value {
            Some(target) => nanos(target),
            None => line.map_or(0.0, |line| 2.0 * line.at(1)).max(nanos(TARGET_MIN)),
        }
    }
}
