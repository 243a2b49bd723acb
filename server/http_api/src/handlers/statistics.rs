//! Counters per model and version, in the form that `perf_analyzer` and `tritonclient` read.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use candor_domain::ModelName;

use super::target;
use crate::{Api, error::Answer, wire::Statistics};

/// Statistics of all models.
#[utoipa::path(get, path = "/v2/models/stats", tag = "statistics", responses(
    (status = 200, description = "One entry per version.", body = Statistics),
    (status = 401, response = crate::openapi::ErrorAnswer),
    (status = 403, response = crate::openapi::ErrorAnswer)))]
pub(crate) async fn all(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok().json(Statistics::of(&api.registry.views(), |_| true))
}

/// Statistics of one model.
#[utoipa::path(get, path = "/v2/models/{model}/stats", tag = "statistics",
    params(("model" = String, Path, description = "Name of the model.", example = "iris")),
    responses(
        (status = 200, description = "One entry per version.", body = Statistics),
        (status = 400, response = crate::openapi::ErrorAnswer),
        (status = 401, response = crate::openapi::ErrorAnswer),
        (status = 403, response = crate::openapi::ErrorAnswer),
        (status = 404, response = crate::openapi::ErrorAnswer),
        (status = 503, response = crate::openapi::ErrorAnswer)))]
pub(crate) async fn of_model(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    let name = ModelName::parse(model)?;
    let views = api.registry.views();
    let statistics = Statistics::of(&views, |view| {
        view.model == name && version.is_none_or(|version| view.version.as_str() == version)
    });
    if statistics.model_stats.is_empty() {
        // Says why there is nothing to count.
        api.registry.lease(model, version)?;
    }
    Ok(HttpResponse::Ok().json(statistics))
}
