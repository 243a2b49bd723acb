//! The model repository: what is in it, load, unload.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use candor_domain::{Error, ErrorCode, ModelName, Result};
use candor_serving::Pending;

use super::target;
use crate::{
    Api, body,
    error::Answer,
    openapi::{errors, names::ModelText},
    wire::{IndexRequest, IndexRow, LoadRequest},
};

/// List every model and version of the repository with its state.
///
/// What is on disk and what was ever loaded, with the reason for its state. The body may be left out.
#[utoipa::path(post, path = "/v2/repository/index", tag = "repository",
    request_body(content = IndexRequest, description = "May be left out.", content_type = "application/json"),
    responses(
        (status = 200, description = "The index.", body = Vec<IndexRow>),
        errors::Guarded, errors::OfBody))]
pub(crate) async fn index(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let body = body::read(&request, payload, &api, &body::CONTROL).await?.0;
    let wish = IndexRequest::parse(&body)?;
    // It looks at the disk, which must not hold up this worker's other requests.
    let index = actix_web::web::block(move || api.registry.index()).await;
    let index = index.map_err(|_| Error::new(ErrorCode::Internal, "the look at the repository was lost"))?;
    let index = index.map_err(|error| {
        // The error holds a path, which is the operator's business and not the caller's.
        tracing::error!("{error}");
        Error::new(ErrorCode::Internal, "the model repository cannot be read; see the server's log")
    })?;
    let rows = index.into_iter().map(IndexRow::from);
    let rows: Vec<IndexRow> = rows.filter(|row| !wish.ready || row.state == "READY").collect();
    Ok(HttpResponse::Ok().json(rows))
}

/// Load a model, or load again what has changed on disk.
///
/// Answers when the model is ready. New versions are loaded before old ones are drained; if one fails, what
/// served before goes on serving. `parameters.config` may carry a `version_policy`.
#[utoipa::path(post, path = "/v2/repository/models/{model}/load", tag = "repository",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(content = LoadRequest, description = "May be left out.", content_type = "application/json"),
    responses(
        (status = 200, description = "It is ready."),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfLoading))]
pub(crate) async fn load(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let (body, _held) = body::read(&request, payload, &api, &body::CONTROL).await?;
    let policy = LoadRequest::parse(&body)?.version_policy()?;
    let name = ModelName::parse(target(&request).0)?;
    done(api.registry.load(name, policy)?).await
}

/// Take a model out of service.
///
/// Its requests in flight are answered first; its memory comes back after the last of them.
#[utoipa::path(post, path = "/v2/repository/models/{model}/unload", tag = "repository",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "diabetes")),
    request_body(content = LoadRequest, description = "May be left out.", content_type = "application/json",
        example = json!({"parameters": {"unload_dependents": false}})),
    responses(
        (status = 200, description = "It takes no new requests."),
        errors::Guarded, errors::OfModel, errors::OfBody))]
pub(crate) async fn unload(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let (body, _held) = body::read(&request, payload, &api, &body::CONTROL).await?;
    // Its only parameter, unload_dependents, concerns ensembles, which there are none of; but a body that is
    // wrong may have meant something else.
    LoadRequest::parse(&body)?;
    let name = ModelName::parse(target(&request).0)?;
    done(api.registry.unload(name)?).await
}

/// The work goes on when the caller leaves; this only waits for it.
pub(crate) async fn done(pending: Pending<Result<()>>) -> Answer {
    match pending.wait().await {
        Some(outcome) => outcome?,
        None => return Err(Error::new(ErrorCode::Internal, "the load was lost; see the server's log").into()),
    }
    Ok(HttpResponse::Ok().finish())
}
