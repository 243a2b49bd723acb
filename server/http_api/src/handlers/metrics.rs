//! The scrape target of Prometheus.

use actix_web::{HttpResponse, web::Data};

use crate::{Api, metrics, openapi::errors};

/// Metrics as Prometheus text.
///
/// The target of a scrape. docs/METRICS.md says what each of them means.
#[utoipa::path(get, path = "/metrics", tag = "metrics", responses(
    (status = 200, description = "Prometheus text format 0.0.4.", content_type = "text/plain", body = String,
        example = "# TYPE candor_models_ready gauge\ncandor_models_ready 8\n"),
        errors::Guarded))]
pub(crate) async fn text(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics::render(&api))
}
