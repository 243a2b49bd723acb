//! The scrape target of Prometheus.

use actix_web::{HttpResponse, web::Data};

use crate::{Api, metrics};

/// Metrics as Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "metrics", responses(
    (status = 200, description = "Prometheus text format 0.0.4.", content_type = "text/plain", body = String),
    (status = 401, response = crate::openapi::ErrorAnswer),
    (status = 403, response = crate::openapi::ErrorAnswer)))]
pub(crate) async fn text(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics::render(&api))
}
