//! The `statistics` extension: counters in the form that Triton gives them.

use candor_serving::{
    VersionView,
    oip::statistics::{BatchSpans, Span, Spans, batches},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Statistics of versions.
#[derive(Debug, Serialize, ToSchema)]
pub struct Statistics {
    /// One entry per version.
    pub model_stats: Vec<VersionStatistics>,
}

/// Statistics of one version.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionStatistics {
    /// The model.
    #[schema(example = "iris")]
    pub name: String,
    /// The version.
    #[schema(example = "2")]
    pub version: String,
    /// When the last inference succeeded, in milliseconds since the Unix epoch; 0 if none did.
    #[schema(example = 1767225600000_u64)]
    pub last_inference: u64,
    /// Rows that were answered.
    #[schema(example = 24)]
    pub inference_count: u64,
    /// Runs of the engine.
    #[schema(example = 3)]
    pub execution_count: u64,
    /// Counts and time by outcome and phase.
    pub inference_stats: InferenceStatistics,
    /// Always empty: there are no decoupled models.
    #[schema(example = json!({}))]
    pub response_stats: serde_json::Map<String, serde_json::Value>,
    /// Runs of the engine by their rows, whoever put those together.
    pub batch_stats: Vec<BatchStatistics>,
    /// Always empty: memory is not attributed to versions.
    #[schema(example = json!([]))]
    pub memory_usage: Vec<serde_json::Value>,
}

/// Runs of the engine over so many rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchStatistics {
    /// Rows; above 64 the next power of two.
    #[schema(example = 8)]
    pub batch_size: u64,
    /// Reading requests.
    pub compute_input: Duration,
    /// Inside the engine.
    pub compute_infer: Duration,
    /// Writing replies.
    pub compute_output: Duration,
}

impl From<BatchSpans> for BatchStatistics {
    fn from(spans: BatchSpans) -> Self {
        Self {
            batch_size: spans.rows,
            compute_input: spans.compute_input.into(),
            compute_infer: spans.compute_infer.into(),
            compute_output: spans.compute_output.into(),
        }
    }
}

/// Counts and time by outcome and phase.
#[derive(Debug, Serialize, ToSchema)]
pub struct InferenceStatistics {
    /// Requests that were answered.
    pub success: Duration,
    /// Requests that were not.
    pub fail: Duration,
    /// Waiting for a thread.
    pub queue: Duration,
    /// Reading requests.
    pub compute_input: Duration,
    /// Inside the engine.
    pub compute_infer: Duration,
    /// Writing replies.
    pub compute_output: Duration,
    /// Answers that were kept, or were another request's too: looking for them and taking them out.
    pub cache_hit: Duration,
    /// Looks into the result cache that found nothing: looking, and putting the answer in.
    pub cache_miss: Duration,
}

/// How often, and how long together.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Duration {
    /// How often.
    #[schema(example = 3)]
    pub count: u64,
    /// Nanoseconds together.
    #[schema(example = 61200)]
    pub ns: u64,
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self { count: span.count, ns: span.nanos }
    }
}

impl Statistics {
    pub(crate) fn of(views: &[VersionView]) -> Self {
        Self { model_stats: views.iter().map(VersionStatistics::from).collect() }
    }
}

impl From<&VersionView> for VersionStatistics {
    fn from(view: &VersionView) -> Self {
        let totals = &view.totals;
        let spans = Spans::from(totals);
        Self {
            name: view.model.to_string(),
            version: view.version.to_string(),
            last_inference: totals.last_unix_ms,
            inference_count: totals.rows,
            execution_count: totals.executions,
            inference_stats: InferenceStatistics {
                success: spans.success.into(),
                fail: spans.fail.into(),
                queue: spans.queue.into(),
                compute_input: spans.compute_input.into(),
                compute_infer: spans.compute_infer.into(),
                compute_output: spans.compute_output.into(),
                cache_hit: spans.cache_hit.into(),
                cache_miss: spans.cache_miss.into(),
            },
            response_stats: serde_json::Map::new(),
            batch_stats: batches(totals).map(BatchStatistics::from).collect(),
            memory_usage: Vec::new(),
        }
    }
}
