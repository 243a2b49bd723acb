//! `/v1/models` in the words of TensorFlow Serving or of KServe v1, whichever the configuration says.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web::{Data, Payload},
};
use candor_domain::{Error, ErrorCode, names::quoted};
use candor_serving::Call;
use serde_json::json;

use super::{mark_batch, mark_cache, mark_fallback, target};
use crate::{
    Api, V1,
    body::{self, INFERENCE},
    contracts::{self, ContractCodec, ContractReply, Dialect, Form, ModelNames, Predictions, V1Body},
    error::Answer,
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    wire::ReplyEncoding,
};

/// Predict with TensorFlow Serving's or KServe's v1 protocol.
///
/// Only if configured (`contracts.v1`). Values are tensors by input; a model's only input or output is not named.
/// KServe's protocol knows `instances` only.
#[utoipa::path(post, path = "/v1/models/{model}:predict", tag = "contracts", operation_id = "v1_predict",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(content = V1Body, description = "The tensors.", content_type = "application/json"),
    responses((status = 200, description = "The predictions.", body = Predictions), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfFitness))]
pub(crate) async fn predict(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let (body, _held) = body::read(&request, payload, &api, &INFERENCE).await?;
    let encoding = ReplyEncoding::accepted(request.headers().get(header::ACCEPT_ENCODING));
    let dialect = if api.contracts.v1 == V1::Kserve { Dialect::Kserve } else { Dialect::TfServing };
    let codec = ContractCodec::new(body, dialect, Form::Json, encoding, Arc::clone(&api.limits));
    let (model, version) = target(&request);
    Ok(respond(api.pipeline.infer(Call { model, version }, codec).await?))
}

/// Predict with one version, as TensorFlow Serving.
///
/// Only if configured (`contracts.v1 = "tf_serving"`).
#[utoipa::path(post, path = "/v1/models/{model}/versions/{version}:predict", tag = "contracts",
    operation_id = "v1_predict_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    request_body(content = V1Body, description = "The tensors.", content_type = "application/json"),
    responses((status = 200, description = "The predictions.", body = Predictions), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfFitness))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn predict_version() {}

/// List the ready models, as KServe v1.
///
/// Only if configured (`contracts.v1 = "kserve"`).
#[utoipa::path(get, path = "/v1/models", tag = "contracts", operation_id = "v1_models",
    responses((status = 200, description = "Their names.", body = ModelNames), errors::Guarded))]
pub(crate) async fn models(api: Data<Api>) -> HttpResponse {
    let models = api.registry.ready_models().iter().map(ToString::to_string).collect();
    HttpResponse::Ok().json(ModelNames { models })
}

/// The state of a model's versions (TensorFlow Serving), or whether it is ready (KServe v1).
///
/// Only if configured (`contracts.v1`).
#[utoipa::path(get, path = "/v1/models/{model}", tag = "contracts", operation_id = "v1_model",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "`model_version_status`, or `name` and `ready`.", body = serde_json::Value),
        errors::Guarded, errors::OfModel))]
pub(crate) async fn model(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    if api.contracts.v1 == V1::Kserve {
        api.pipeline.answering(model, version)?;
        return Ok(HttpResponse::Ok().json(json!({"name": model, "ready": true})));
    }
    let mut entries = api.registry.index_of_known();
    entries.retain(|entry| {
        let wanted = |wanted| entry.version.as_ref().is_some_and(|known| known.as_str() == wanted);
        entry.model.as_str() == model && version.map_or(entry.version.is_some(), wanted)
    });
    if entries.is_empty() {
        // Says what is wrong with the name or the version.
        api.registry.lease(model, version)?;
    }
    Ok(HttpResponse::Ok().json(contracts::model_version_status(&entries)))
}

/// The state of one version, as TensorFlow Serving.
///
/// Only if configured (`contracts.v1 = "tf_serving"`).
#[utoipa::path(get, path = "/v1/models/{model}/versions/{version}", tag = "contracts", operation_id = "v1_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    responses((status = 200, description = "`model_version_status`.", body = serde_json::Value), errors::Guarded, errors::OfModel))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn version() {}

/// Inputs and outputs, as TensorFlow Serving.
///
/// Only if configured (`contracts.v1 = "tf_serving"`).
#[utoipa::path(get, path = "/v1/models/{model}/metadata", tag = "contracts", operation_id = "v1_metadata",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "`model_spec` and `metadata`.", body = serde_json::Value), errors::Guarded, errors::OfModel))]
pub(crate) async fn metadata(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    let lease = api.pipeline.describe(model, version).await?;
    Ok(HttpResponse::Ok().json(contracts::metadata(&lease)))
}

/// Inputs and outputs of one version, as TensorFlow Serving.
///
/// Only if configured (`contracts.v1 = "tf_serving"`).
#[utoipa::path(get, path = "/v1/models/{model}/versions/{version}/metadata", tag = "contracts",
    operation_id = "v1_metadata_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    responses((status = 200, description = "`model_spec` and `metadata`.", body = serde_json::Value), errors::Guarded, errors::OfModel))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn metadata_version() {}

/// What these contracts have and Candor does not.
pub(crate) async fn unsupported(request: HttpRequest, api: Data<Api>) -> Answer {
    let (model, version) = target(&request);
    api.registry.lease(model, version)?;
    let path = request.path();
    let (what, hint) = if path.contains("/labels/") {
        ("versions have no labels here", "name the version: /v1/models/{model}/versions/{version}")
    } else if path.ends_with(":explain") {
        ("there are no explainers here", "ask :predict for the predictions alone")
    } else {
        ("an ONNX graph has no signature of tf.Examples", "send its tensors to :predict")
    };
    Err(Error::new(ErrorCode::Unsupported, what).at(quoted(path)).hint(hint).into())
}

/// Gaps that were filled as the model's manifest says.
const FILLED: HeaderName = HeaderName::from_static("candor-filled");

pub(crate) fn respond(reply: ContractReply) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    if let Some(coding) = reply.coding {
        response
            .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(coding)))
            .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
    }
    if reply.filled > 0 {
        response.insert_header((FILLED, HeaderValue::from(reply.filled)));
    }
    mark_fallback(&mut response, reply.fallback_from.as_ref());
    mark_batch(&mut response, reply.batch);
    mark_cache(&mut response, reply.cache);
    response.body(reply.bytes)
}
