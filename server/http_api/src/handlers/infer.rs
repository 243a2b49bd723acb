//! Inference: the hot path of this door.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web::{Data, Payload},
};
use candor_serving::Call;

use super::{mark_batch, mark_cache, mark_fallback, target};
use crate::{
    Api, body,
    error::Answer,
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    wire::{InferCodec, ReplyBody, ReplyEncoding},
};

/// Where the JSON part of a body ends and tensors in bytes begin.
pub(crate) const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Run a model on tensors.
///
/// Inputs are named by the model's metadata. `data` may be nested or flat, row-major. Large tensors are
/// cheaper as bytes after the JSON (`binary_tensor_data` extension): clients such as `tritonclient` do
/// that by default.
#[utoipa::path(post, path = "/v2/models/{model}/infer", tag = "inference",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(content = crate::wire::InferBody, description = "The tensors.", content_type = "application/json"),
    responses(
        (status = 200, description = "The outputs.", body = crate::wire::InferReplyBody),
        errors::Guarded, errors::OfModel, errors::OfBody))]
pub(crate) async fn infer(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let (body, _held) = body::read(&request, payload, &api, &body::INFERENCE).await?;
    let header_length = body::header_text(&request, &HEADER_LENGTH)?;
    let encoding = ReplyEncoding::accepted(request.headers().get(header::ACCEPT_ENCODING));
    let codec = InferCodec::new(body, header_length, encoding, Arc::clone(&api.limits))?;
    let (model, version) = target(&request);
    let reply = api.pipeline.infer(Call { model, version }, codec).await?;
    Ok(respond(reply))
}

/// Run one version of a model on tensors.
///
/// As without a version, which means the highest that is ready.
#[utoipa::path(post, path = "/v2/models/{model}/versions/{version}/infer", tag = "inference",
    operation_id = "infer_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    request_body(content = crate::wire::InferBody, description = "The tensors.", content_type = "application/json"),
    responses(
        (status = 200, description = "The outputs.", body = crate::wire::InferReplyBody),
        errors::Guarded, errors::OfModel, errors::OfBody))]
#[allow(dead_code, reason = "carries the document of the route with a version; the handler is the same")]
pub(crate) fn infer_version() {}

fn respond(reply: ReplyBody) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    match reply.json_bytes {
        None => response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json"))),
        Some(json_bytes) => response
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")))
            .insert_header((HEADER_LENGTH, HeaderValue::from(json_bytes))),
    };
    if let Some(coding) = reply.coding {
        response
            .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(coding)))
            .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
    }
    mark_fallback(&mut response, reply.fallback_from.as_ref());
    mark_batch(&mut response, reply.batch);
    mark_cache(&mut response, reply.cache);
    response.body(reply.bytes)
}
