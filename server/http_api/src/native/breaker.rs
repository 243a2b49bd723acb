//! A version's breaker as it is shown.

use candor_serving::BreakerView;
use serde::Serialize;
use utoipa::ToSchema;

/// A version's circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerBody {
    /// `closed`, `half_open` or `open`; an open one becomes half-open with the first request after `retry_at_unix_ms`.
    #[schema(example = "closed")]
    pub state: &'static str,
    /// Calls that count: those of the window when closed, the trials that have ended when half-open.
    #[schema(example = 128)]
    pub calls: u64,
    /// Share of them that failed.
    #[schema(example = 0.0)]
    pub failure_rate: f64,
    /// Share of them that were slow.
    #[schema(example = 0.0)]
    pub slow_rate: f64,
    /// When the first trial is let through, if it is open, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_at_unix_ms: Option<u64>,
    /// The version that answers requests that name none while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fallback_version: Option<String>,
}

impl From<BreakerView> for BreakerBody {
    fn from(view: BreakerView) -> Self {
        let BreakerView { reading, retry_at_unix_ms, fallback_version } = view;
        Self {
            state: reading.state.word(),
            calls: reading.calls,
            failure_rate: reading.failure_rate,
            slow_rate: reading.slow_rate,
            retry_at_unix_ms,
            fallback_version: fallback_version.map(|version| version.to_string()),
        }
    }
}
