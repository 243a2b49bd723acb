//! What a model is, whether it is ready, and its configuration in Triton's words.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use super::target;
use crate::{
    Api,
    error::{Answer, head},
    native::BreakerBody,
    openapi::{errors, names::ModelText},
    wire::{ModelConfig, ModelMetadata},
};

/// A model's readiness.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelReady {
    /// The model.
    #[schema(example = "iris")]
    name: String,
    /// Always true; a model that is not ready answers 503.
    #[schema(example = true)]
    ready: bool,
    /// The circuit breaker of the version that answers; not there if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    breaker: Option<BreakerBody>,
}

/// Why a model is not ready.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotReadyBody {
    /// Where, what, what was expected, what came, how to fix it.
    #[schema(example = "the circuit breaker of model 'iris' version 1 is open")]
    error: String,
    /// The circuit breaker that lets nothing through; not there if something else is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    breaker: Option<BreakerBody>,
}

/// Inputs, outputs, versions and properties of a model.
///
/// What a client needs to know before it sends tensors. `shape` has −1 for sizes that a request chooses.
#[utoipa::path(get, path = "/v2/models/{model}", tag = "models", operation_id = "model_metadata",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses(
        (status = 200, description = "What the model is.", body = ModelMetadata),
        errors::Guarded, errors::OfModel))]
pub(crate) async fn metadata(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    let lease = api.pipeline.describe(model, version).await?;
    let versions = api.registry.ready_versions(model);
    Ok(HttpResponse::Ok().json(ModelMetadata::new(&lease, &versions)))
}

/// Whether a model answers inferences.
///
/// 200 if it does; 503 while it is loaded, when it failed or was unloaded, and while its circuit breaker lets nothing
/// through and no other version stands in for it. The error says which. A model that the first inference for it will
/// load (`repository.load_at_start = "lazy"`) answers, so 200, and is not loaded by this question.
#[utoipa::path(get, path = "/v2/models/{model}/ready", tag = "health", operation_id = "model_ready",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses(
        (status = 200, description = "It does.", body = ModelReady),
        (status = 503, description = "It does not.", body = NotReadyBody, headers(
            ("candor-reason" = String, description = "Why, as one word."),
            ("Retry-After" = u32, description = "Seconds to wait before trying again."))),
        errors::Guarded, errors::OfModelName))]
pub(crate) async fn ready(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    let Some(lease) = api.pipeline.answering(model, version)? else {
        return Ok(HttpResponse::Ok().json(ModelReady { name: model.to_owned(), ready: true, breaker: None }));
    };
    let breaker = api.registry.breaker_of(&lease).map(Into::into);
    if let Err(error) = api.registry.check_breaker(&lease, version.is_some()) {
        return Ok(head(&error).json(NotReadyBody { error: error.to_string(), breaker }));
    }
    Ok(HttpResponse::Ok().json(ModelReady { name: lease.model.to_string(), ready: true, breaker }))
}

/// A model's configuration in the words of Triton's `ModelConfig`.
///
/// For clients that were written for Triton, such as `perf_analyzer`.
#[utoipa::path(get, path = "/v2/models/{model}/config", tag = "models",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "simple")),
    responses(
        (status = 200, description = "The configuration.", body = ModelConfig),
        errors::Guarded, errors::OfModel))]
pub(crate) async fn config(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    let lease = api.pipeline.describe(model, version).await?;
    Ok(HttpResponse::Ok().json(ModelConfig::new(&lease)))
}
