//! How requests of a version are put together, as it is shown.

use candor_serving::{
    BatchTotals, BatchingView, Delay,
    batching::{Line, Reason, Sourced, size_of_slot},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Batching of one version: what holds and who said so, what it rests on, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchingBody {
    /// The model.
    #[schema(example = "iris")]
    pub model: String,
    /// The version.
    #[schema(example = "2")]
    pub version: String,
    /// Whether requests that wait for the pool may run together.
    #[schema(example = true)]
    pub enabled: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "model.toml")]
    pub why_not: Option<String>,
    /// Whether rows of a batch are answered as each alone: `bit-equal`, `within 1e-5`, `no` or `not measured`.
    #[schema(example = "bit-equal")]
    pub batch_invariant: &'static str,
    /// Settings in force, each with its source: `model.toml`, `config.pbtxt`, `configuration`, `measured` or `graph`.
    #[schema(example = json!([{"key": "enabled", "value": true, "source": "measured"}]))]
    pub settings: Vec<BatchingSetting>,
    /// Rows that a batch takes now at most.
    #[schema(example = 12)]
    pub rows_now: u64,
    /// How late a request may be answered for the sake of others, in microseconds; absent where the delay is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 17800)]
    pub latency_target_us: Option<u64>,
    /// What a run costs by its rows, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cost: Option<BatchingCost>,
    /// Requests that wait now.
    #[schema(example = 0)]
    pub queued: usize,
    /// Threads that work for the version now.
    #[schema(example = 1)]
    pub running: usize,
    /// Batches of the pool by their rows, as far as there were any.
    pub rows: Vec<BatchingSize>,
    /// The same by the number of their requests.
    pub requests: Vec<BatchingSize>,
    /// Why batches were no larger: how many for each reason.
    pub reasons: Vec<BatchingReason>,
}

/// One setting.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchingSetting {
    /// Its key in model.toml's `[batching]`.
    #[schema(example = "max_batch_rows")]
    pub key: &'static str,
    /// What holds.
    #[schema(value_type = Value, example = 64)]
    pub value: Value,
    /// Who said so.
    #[schema(example = "configuration")]
    pub source: &'static str,
}

/// A line through what was measured.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchingCost {
    /// Microseconds of a run before its first row.
    #[schema(example = 1700.0)]
    pub fixed_us: f64,
    /// Microseconds that each row adds.
    #[schema(example = 7200.0)]
    pub per_row_us: f64,
    /// Runs since the load that it was learned from; with none, it is what the load measured.
    #[schema(example = 128)]
    pub runs: u64,
}

/// Batches of one size.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchingSize {
    /// The size; above 64 the next power of two.
    #[schema(example = 8)]
    pub size: u64,
    /// Batches.
    #[schema(example = 3)]
    pub count: u64,
}

/// A reason, and how often it held.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchingReason {
    /// A word; docs/BATCHING.md says what each means.
    #[schema(example = "queue_empty")]
    pub reason: &'static str,
    /// Batches.
    #[schema(example = 3)]
    pub count: u64,
}

impl BatchingBody {
    pub(crate) fn new(model: String, version: String, view: &BatchingView) -> Self {
        let BatchingView { plan, reading, rows_now, target_us, totals } = view;
        let BatchTotals { rows, requests, reasons, .. } = totals;
        let reasons = Reason::ALL.into_iter().zip(reasons).filter(|(_, count)| **count > 0);
        Self {
            model,
            version,
            enabled: plan.is_on(),
            why_not: plan.off.clone(),
            batch_invariant: plan.invariance.word(),
            settings: settings(view),
            rows_now: *rows_now,
            latency_target_us: *target_us,
            cost: reading.line.map(|line| cost(line, reading.runs)),
            queued: reading.queued,
            running: reading.running,
            rows: sizes(rows),
            requests: sizes(requests),
            reasons: reasons.map(|(reason, count)| BatchingReason { reason: reason.word(), count: *count }).collect(),
        }
    }
}

fn sizes(counts: &[u64]) -> Vec<BatchingSize> {
    let there = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    there.map(|(slot, count)| BatchingSize { size: size_of_slot(slot), count: *count }).collect()
}

fn cost(line: Line, runs: u64) -> BatchingCost {
    let micros = |nanos: f64| nanos.round() / 1e3;
    BatchingCost { fixed_us: micros(line.fixed), per_row_us: micros(line.per_row), runs }
}

fn settings(view: &BatchingView) -> Vec<BatchingSetting> {
    let plan = &view.plan;
    let one = |key, value: Value, source| BatchingSetting { key, value, source };
    let number = |key, said: Sourced<u64>| one(key, said.value.into(), said.source);
    let delay = match plan.delay.value {
        Delay::Adaptive => json!("adaptive"),
        Delay::Fixed(delay) => json!(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)),
    };
    let target = plan.target.value.map_or_else(
        || json!("twice a run of its own, at least 5"),
        |target| json!(u64::try_from(target.as_millis()).unwrap_or(u64::MAX)),
    );
    vec![
        one("enabled", plan.is_on().into(), plan.source),
        number("max_batch_rows", plan.rows_max),
        number("full_batch_rows", plan.rows_full),
        one("max_queue_delay_us", delay, plan.delay.source),
        one("latency_target_ms", target, plan.target.source),
        number("priority_levels", plan.levels),
        number("default_priority_level", plan.level_default),
        one("queue_max", plan.queue_max.value.into(), plan.queue_max.source),
    ]
}
