//! Why batches have the size that they have.

use actix_web::{HttpRequest, HttpResponse, web::Data};

use super::target;
use crate::{
    Api,
    native::{self, BatchingBody},
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    problem::Answer,
};

/// Tell how requests of a model are put together.
///
/// The settings in force and where each came from, what they rest on, how large batches were and why they were no
/// larger. The version is the one that answers where none is named.
#[utoipa::path(get, path = "/api/v1/models/{model}/batching", tag = "models", operation_id = "batching",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "Batching of the version that answers.", body = BatchingBody),
        errors::Guarded, errors::OfModel, errors::OfNative))]
pub(crate) async fn show(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let (model, version) = target(&request);
    let lease = api.registry.lease(model, version)?;
    let view = api.pipeline.batching_of(&lease);
    let body = BatchingBody::new(lease.model.to_string(), lease.version.to_string(), &view);
    Ok(HttpResponse::Ok().content_type(media_type).json(body))
}

/// Tell how requests of a version are put together.
///
/// As without a version.
#[utoipa::path(get, path = "/api/v1/models/{model}/versions/{version}/batching", tag = "models",
    operation_id = "batching_of_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    responses((status = 200, description = "Batching of the version.", body = BatchingBody),
        errors::Guarded, errors::OfModel, errors::OfNative))]
#[allow(dead_code, reason = "carries the document of the route with a version; the handler is the same")]
pub(crate) fn show_version() {}
