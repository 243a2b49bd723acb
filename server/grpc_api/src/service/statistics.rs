//! Counters per model and version, in the form that `perf_analyzer` and `tritonclient` read.

use candor_domain::Result;
use candor_serving::{
    Registry, VersionView,
    oip::statistics::{self, Span, Spans},
};

use crate::proto::{
    InferBatchStatistics, InferStatistics, ModelStatistics, ModelStatisticsResponse, StatisticDuration,
};

/// The counters of all models, of one, or of one version.
pub(super) fn read(registry: &Registry, model: &str, version: Option<&str>) -> Result<ModelStatisticsResponse> {
    let views = match (model, version) {
        ("", None) => registry.views(),
        _ => statistics::of_model(registry, model, version)?,
    };
    Ok(ModelStatisticsResponse { model_stats: views.iter().map(of).collect() })
}

fn of(view: &VersionView) -> ModelStatistics {
    let spans = Spans::from(&view.totals);
    let duration = |span: Span| Some(StatisticDuration { count: span.count, ns: span.nanos });
    ModelStatistics {
        name: view.model.to_string(),
        version: view.version.to_string(),
        last_inference: view.totals.last_unix_ms,
        inference_count: view.totals.rows,
        execution_count: view.totals.executions,
        inference_stats: Some(InferStatistics {
            success: duration(spans.success),
            fail: duration(spans.fail),
            queue: duration(spans.queue),
            compute_input: duration(spans.compute_input),
            compute_infer: duration(spans.compute_infer),
            compute_output: duration(spans.compute_output),
            cache_hit: duration(spans.cache_hit),
            cache_miss: duration(spans.cache_miss),
        }),
        batch_stats: statistics::batches(&view.totals)
            .map(|spans| InferBatchStatistics {
                batch_size: spans.rows,
                compute_input: duration(spans.compute_input),
                compute_infer: duration(spans.compute_infer),
                compute_output: duration(spans.compute_output),
            })
            .collect(),
    }
}
