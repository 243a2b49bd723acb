//! `/invocations` and `/models` of SageMaker's and MLflow's containers, and Vertex AI's predict route.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Payload},
};
use candor_domain::{Error, ErrorCode, ModelName, Result, names::quoted};
use candor_serving::Call;

use super::{repository::done, target, v1::respond};
use crate::{
    Api,
    body::{self, INFERENCE, INVOCATION},
    contracts::{
        ContractCodec, Dialect, Form, InvocationBody, LoadBody, ModelRow, ModelRows, PredictionRows, VertexBody,
    },
    error::Answer,
    openapi::{errors, names::ModelText},
    wire::ReplyEncoding,
};

/// Predict, as SageMaker's and MLflow's containers do.
///
/// Only if configured (`contracts.invocations`). The model is `contracts.default_model`, or the only one that is
/// ready. Takes JSON, CSV with or without a line of names, and JSON Lines; always answers JSON.
#[utoipa::path(post, path = "/invocations", tag = "contracts", operation_id = "invocations",
    request_body(description = "The table.", content(
        (InvocationBody = "application/json"),
        (String = "text/csv", example = "5.1,3.5,1.4,0.2\n"),
        (String = "application/jsonlines", example = "[5.1,3.5,1.4,0.2]\n"))),
    responses((status = 200, description = "The predictions.", body = PredictionRows), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfFitness))]
pub(crate) async fn invoke(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let form = form(&request)?;
    let (body, _held) = body::read(&request, payload, &api, &INVOCATION).await?;
    let encoding = ReplyEncoding::accepted(request.headers().get(header::ACCEPT_ENCODING));
    let codec = ContractCodec::new(body, Dialect::Invocations, form, encoding, Arc::clone(&api.limits));
    let model = match request.match_info().get("model") {
        Some(model) => model.into(),
        None => default_model(&api)?,
    };
    Ok(respond(api.pipeline.infer(Call { model: &model, version: None }, codec).await?))
}

/// Predict with one of several models, as SageMaker's multi-model containers do.
///
/// Only if configured (`contracts.invocations`).
#[utoipa::path(post, path = "/models/{model}/invoke", tag = "contracts", operation_id = "invoke_model",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(content = InvocationBody, description = "The table, in any form that `/invocations` takes.",
        content_type = "application/json"),
    responses((status = 200, description = "The predictions.", body = PredictionRows), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfFitness))]
#[allow(dead_code, reason = "carries the document of the route with a model")]
pub(crate) fn invoke_model() {}

/// Predict, as Vertex AI's custom containers do.
///
/// Only if configured (`contracts.vertex`), at the path that the configuration or Vertex itself says. The model is
/// `contracts.default_model`, or the only one that is ready.
#[utoipa::path(post, path = "/vertex/predict", tag = "contracts", operation_id = "vertex_predict",
    request_body(content = VertexBody, description = "The instances.", content_type = "application/json"),
    responses((status = 200, description = "The predictions.", body = PredictionRows), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfFitness))]
pub(crate) async fn vertex(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let (body, _held) = body::read(&request, payload, &api, &INFERENCE).await?;
    let encoding = ReplyEncoding::accepted(request.headers().get(header::ACCEPT_ENCODING));
    let codec = ContractCodec::new(body, Dialect::Vertex, Form::Json, encoding, Arc::clone(&api.limits));
    let model = default_model(&api)?;
    Ok(respond(api.pipeline.infer(Call { model: &model, version: None }, codec).await?))
}

/// List the ready models, as SageMaker's multi-model containers do.
///
/// Only if configured (`contracts.invocations`).
#[utoipa::path(get, path = "/models", tag = "contracts", operation_id = "sagemaker_models",
    responses((status = 200, description = "The models.", body = ModelRows), errors::Guarded))]
pub(crate) async fn models(api: Data<Api>) -> HttpResponse {
    let models = api.registry.ready_models().iter().map(|name| ModelRow::new(name.as_str())).collect();
    HttpResponse::Ok().json(ModelRows { models })
}

/// Whether a model is ready, as SageMaker's multi-model containers say it.
///
/// Only if configured (`contracts.invocations`).
#[utoipa::path(get, path = "/models/{model}", tag = "contracts", operation_id = "sagemaker_model",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "It is.", body = ModelRow), errors::Guarded, errors::OfModel))]
pub(crate) async fn model(request: HttpRequest, api: Data<Api>) -> Answer {
    let lease = api.registry.lease(target(&request).0, None)?;
    Ok(HttpResponse::Ok().json(ModelRow::new(lease.model.as_str())))
}

/// Load a model of the repository, as SageMaker's multi-model containers do.
///
/// Only if configured (`contracts.invocations`). Answers when the model is ready.
#[utoipa::path(post, path = "/models", tag = "contracts", operation_id = "sagemaker_load",
    request_body(content = LoadBody, description = "Which.", content_type = "application/json"),
    responses((status = 200, description = "It is ready."), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfLoading))]
pub(crate) async fn load(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let (body, _held) = body::read(&request, payload, &api, &body::CONTROL).await?;
    let wish: LoadBody = serde_json::from_slice(&body).map_err(|error| {
        let error = Error::invalid(format!("the body is not the JSON that was expected: {error}"));
        error.hint("such as {\"model_name\": \"iris\"}")
    })?;
    let name = ModelName::parse(&wish.model_name)?;
    let folder = api.registry.repository().root().join(name.as_str());
    if let Some(url) = wish.url.filter(|url| url != name.as_str() && *url != folder.to_string_lossy()) {
        let error = Error::new(ErrorCode::Unsupported, "models come from the model repository and nowhere else");
        let error = error.at("/url").expected("nothing, or the model's folder in the repository").got(quoted(&url));
        return Err(error.into());
    }
    done(api.registry.load(name, None)?).await
}

/// Take a model out of service, as SageMaker's multi-model containers do.
///
/// Only if configured (`contracts.invocations`).
#[utoipa::path(delete, path = "/models/{model}", tag = "contracts", operation_id = "sagemaker_unload",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "diabetes")),
    responses((status = 200, description = "It takes no new requests."), errors::Guarded, errors::OfModel, errors::OfBody, errors::OfLoading))]
pub(crate) async fn unload(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    // A body means nothing here; reading it refuses what pages of other origins send.
    body::read(&request, payload, &api, &body::CONTROL).await?;
    let name = ModelName::parse(target(&request).0)?;
    done(api.registry.unload(name)?).await
}

/// The server's version as plain text, as MLflow's scoring server gives its own.
///
/// Only if configured (`contracts.invocations`).
#[utoipa::path(get, path = "/version", tag = "contracts", operation_id = "mlflow_version",
    responses((status = 200, description = "The version.", body = String, content_type = "text/plain"),
        errors::Guarded))]
pub(crate) async fn version() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(env!("CARGO_PKG_VERSION"))
}

/// The model behind paths that name none.
fn default_model(api: &Api) -> Result<String> {
    if let Some(model) = &api.contracts.default_model {
        return Ok(model.clone());
    }
    match api.registry.ready_models().as_slice() {
        [only] => Ok(only.to_string()),
        [] => Err(Error::new(ErrorCode::NotReady, "no model is ready")),
        several => Err(Error::invalid(format!("{} models are ready, and the path names none", several.len()))
            .hint("set contracts.default_model, or ask /models/{model}/invoke")),
    }
}

/// How the media type says that the table is written.
fn form(request: &HttpRequest) -> Result<Form> {
    let media_type = body::header_text(request, &header::CONTENT_TYPE)?.unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    Ok(match essence.as_str() {
        "text/csv" | "application/csv" => {
            let header = parts.find_map(|part| match part.to_ascii_lowercase().as_str() {
                "header=present" => Some(true),
                "header=absent" => Some(false),
                _ => None,
            });
            Form::Csv { header }
        }
        "application/jsonlines" | "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => {
            Form::JsonLines
        }
        // Others are refused where the body is read.
        _ => Form::Json,
    })
}
