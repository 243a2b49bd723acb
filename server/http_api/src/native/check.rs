//! What a second engine says to a version, for its description.

use candor_serving::{
    CrossCheckReport,
    cross_check::{Disagreement, LiveCounts},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::EngineBody;

/// A version under two engines: the one that serves it, and another that was asked the same.
#[derive(Debug, Serialize, ToSchema)]
pub struct CrossCheckBody {
    /// `pending`; `agreed`; `disagreed`: a value differs by more than the tolerance; `failed`: the second engine takes
    /// the file and did not answer; `none`: nothing was compared.
    #[schema(example = "agreed")]
    pub state: String,
    /// The second engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub engine: Option<EngineBody>,
    /// Why nothing was compared, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "there is no other engine")]
    pub reason: Option<String>,
    /// Rows that were compared, after the load and of live traffic.
    #[schema(example = 20)]
    pub rows: u64,
    /// The largest |a − b| ÷ max(1, |b|) of all numbers with a fraction.
    #[schema(example = 0.000_000_1)]
    pub largest_difference: f64,
    /// The first values that differ by more than the tolerance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub disagreement: Option<DisagreementBody>,
    /// Samples of live traffic, where `cross_check.live_share` is above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub live: Option<LiveBody>,
}

/// Two values that should be the same.
#[derive(Debug, Serialize, ToSchema)]
pub struct DisagreementBody {
    /// Name of the output in the graph.
    #[schema(example = "probabilities")]
    pub output: String,
    /// Row of the batch, from 0.
    #[schema(example = 0)]
    pub row: usize,
    /// What the engine that serves says.
    #[schema(example = "0.5")]
    pub served: String,
    /// What the second engine says.
    #[schema(example = "0.75")]
    pub second: String,
}

/// Samples of live traffic; those that still wait are in none of the outcomes.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveBody {
    /// Requests that were chosen.
    #[schema(example = 100)]
    pub sampled: u64,
    /// The same within the tolerance.
    #[schema(example = 98)]
    pub agreed: u64,
    /// Not the same.
    #[schema(example = 0)]
    pub disagreed: u64,
    /// Not answered by the second engine.
    #[schema(example = 0)]
    pub failed: u64,
    /// Not compared, because too many waited or the tensors were too large.
    #[schema(example = 2)]
    pub dropped: u64,
}

impl CrossCheckBody {
    pub(super) fn new(report: &CrossCheckReport) -> Self {
        let disagreement = |Disagreement { output, row, served, second }: &Disagreement| DisagreementBody {
            output: output.clone(),
            row: *row,
            served: served.clone(),
            second: second.clone(),
        };
        let live = |LiveCounts { sampled, agreed, disagreed, failed, dropped }| LiveBody {
            sampled,
            agreed,
            disagreed,
            failed,
            dropped,
        };
        Self {
            state: report.state.word().to_owned(),
            engine: report.engine.as_ref().map(EngineBody::from),
            reason: report.reason.clone(),
            rows: report.rows,
            largest_difference: report.largest_difference,
            disagreement: report.disagreement.as_ref().map(disagreement),
            live: report.live.map(live),
        }
    }
}
