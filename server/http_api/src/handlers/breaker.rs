//! Breakers and faults: closed by hand, ordered by hand.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use candor_domain::{Error, ErrorCode, ModelName, Result};
use candor_serving::Faults;

use super::target;
use crate::{
    Api, body,
    native::{self, BreakerBody, FaultList, FaultOrders, FaultState},
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    problem::Answer,
};

/// Close the breaker of a version.
///
/// What it has counted is forgotten, and its next open time is the first again. Fits after a repair that needs no new
/// file; a version that is loaded again has a new breaker anyway.
#[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/breaker/reset", tag = "models",
    operation_id = "reset_breaker",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    responses((status = 200, description = "The breaker, closed.", body = BreakerBody),
        errors::Guarded, errors::OfModel, errors::OfNative, errors::OfFitness))]
pub(crate) async fn reset(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let (model, version) = target(&request);
    let view = api.registry.reset_breaker(model, version)?;
    Ok(HttpResponse::Ok().content_type(media_type).json(BreakerBody::from(view)))
}

/// Order faults for a model.
///
/// Only on a server that was started with `--enable-faults`. They take the place of those that the model had, and
/// strike inside its runs from now on, so that breakers, metrics and callers meet them as they meet real ones.
#[utoipa::path(put, path = "/api/v1/models/{model}/faults", tag = "faults", operation_id = "order_faults",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(content = FaultOrders, description = "The faults.", content_type = "application/json"),
    responses((status = 200, description = "The faults in force.", body = FaultList),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn order(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let (body, _held) = body::read(&request, payload, &api, &body::CONTROL).await?;
    let (model, faults) = (known(&api, &request)?, faults(&api)?);
    faults.set(&model, native::read_faults(&body)?);
    Ok(HttpResponse::Ok().content_type(media_type).json(list(faults, &model)))
}

/// List the faults of a model, and how often each has struck.
///
/// Only on a server that was started with `--enable-faults`.
#[utoipa::path(get, path = "/api/v1/models/{model}/faults", tag = "faults", operation_id = "list_faults",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "The faults in force.", body = FaultList),
        errors::Guarded, errors::OfModel, errors::OfNative, errors::OfFitness))]
pub(crate) async fn show(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let (model, faults) = (known(&api, &request)?, faults(&api)?);
    Ok(HttpResponse::Ok().content_type(media_type).json(list(faults, &model)))
}

/// Take back the faults of a model.
///
/// Only on a server that was started with `--enable-faults`. A run that is being delayed is delayed to its end.
#[utoipa::path(delete, path = "/api/v1/models/{model}/faults", tag = "faults", operation_id = "take_back_faults",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "No faults are in force.", body = FaultList),
        errors::Guarded, errors::OfModel, errors::OfNative, errors::OfFitness))]
pub(crate) async fn take_back(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let (model, faults) = (known(&api, &request)?, faults(&api)?);
    faults.set(&model, Vec::new());
    Ok(HttpResponse::Ok().content_type(media_type).json(list(faults, &model)))
}

fn faults(api: &Api) -> Result<&Arc<Faults>> {
    api.faults.as_ref().ok_or_else(|| {
        Error::new(ErrorCode::Unsupported, "this server takes no orders for faults")
            .at("faults.enabled")
            .hint("start it with --enable-faults, where nobody minds")
    })
}

/// The model that the path names, if it is loaded or has faults.
fn known(api: &Api, request: &HttpRequest) -> Result<ModelName> {
    let (model, _) = target(request);
    let name = ModelName::parse(model)?;
    if api.faults.as_ref().is_none_or(|faults| faults.of(&name).is_empty()) {
        api.registry.lease(model, None)?;
    }
    Ok(name)
}

fn list(faults: &Faults, model: &ModelName) -> FaultList {
    let faults = faults.of(model);
    FaultList { model: model.to_string(), faults: faults.iter().map(|live| FaultState::from(&**live)).collect() }
}
