//! Counters per model and version, in the form that `perf_analyzer` and `tritonclient` read.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use super::target;
use crate::{
    Api,
    error::Answer,
    openapi::{errors, names::ModelText},
    wire::Statistics,
};

/// Statistics of all models.
///
/// Counts and nanoseconds since each version was loaded, as Triton gives them.
#[utoipa::path(get, path = "/v2/models/stats", tag = "statistics", responses(
    (status = 200, description = "One entry per version.", body = Statistics),
        errors::Guarded))]
pub(crate) async fn all(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok().json(Statistics::of(&api.registry.views()))
}

/// Statistics of one model.
///
/// Counts and nanoseconds since each of its versions was loaded, as Triton gives them.
#[utoipa::path(get, path = "/v2/models/{model}/stats", tag = "statistics",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses(
        (status = 200, description = "One entry per version.", body = Statistics),
        errors::Guarded, errors::OfModel))]
pub(crate) async fn of_model(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    let views = candor_serving::oip::statistics::of_model(&api.registry, model, version)?;
    Ok(HttpResponse::Ok().json(Statistics::of(&views)))
}
