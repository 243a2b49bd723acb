//! Backgrounds: the rows of a version that stand for "absent" in explanations.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use candor_domain::{Error, ErrorCode};
use candor_insight::explanations::Subject as _;
use candor_serving::Call;

use super::{predict::form, target};
use crate::{
    Api,
    body::{self, PREDICTION},
    explain::Held,
    native::{self, BackgroundBody, BackgroundList, PredictBody, ReadTable},
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    problem::Answer,
};

/// List the backgrounds of a model's newest version.
///
/// Its own (a file that its owner names, or else the inputs of its golden pairs) and those that were uploaded, which go
/// when the version leaves memory.
#[utoipa::path(get, path = "/api/v1/models/{model}/backgrounds", tag = "explanations",
    operation_id = "list_backgrounds",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "The backgrounds.", body = BackgroundList),
        errors::Guarded, errors::OfModel, errors::OfNative, errors::OfFitness))]
pub(crate) async fn list(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let held = held(&request, &api).await?;
    let all = Arc::clone(&api);
    let about = held.about();
    let (model, version) = (about.model.clone(), about.version.clone());
    // It may read a file.
    let found = api.explanations.run(None, move |_| Ok(all.explanations.backgrounds(&*held))).await?;
    let backgrounds = found.into_iter().map(BackgroundBody::from).collect();
    Ok(HttpResponse::Ok().content_type(media_type).json(BackgroundList { model, version, backgrounds }))
}

/// Upload a background for a model's newest version.
///
/// Rows as `predict` takes them. The same rows have the same id, and are kept once.
#[utoipa::path(post, path = "/api/v1/models/{model}/backgrounds", tag = "explanations",
    operation_id = "upload_background",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(description = "The rows.", content((PredictBody = "application/json"),
        (String = "text/csv", example = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n"),
        (String = "application/jsonl", example = "[5.1,3.5,1.4,0.2]\n"))),
    responses((status = 201, description = "The background.", body = BackgroundBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn upload(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let form = form(&request)?;
    let (body, _held) = body::read(&request, payload, &api, &PREDICTION).await?;
    let bytes_max = api.explanations.settings().background_bytes_max;
    if body.len() as u64 > bytes_max {
        return Err(Error::new(ErrorCode::TooLarge, "the body is too large for a background")
            .at("explanations.background_bytes_max")
            .expected(format!("at most {bytes_max} bytes"))
            .got(body.len().to_string())
            .into());
    }
    let held = held(&request, &api).await?;
    let ReadTable { inputs, .. } = super::explain::read(&api, &held, (body, form), native::Beside::default()).await?;
    let view = api.explanations.keep_background(&*held, inputs)?;
    let about = held.about();
    let location = format!("/api/v1/models/{}/versions/{}/backgrounds/{}", about.model, about.version, view.id);
    let mut response = HttpResponse::Created();
    response.insert_header((actix_web::http::header::LOCATION, location));
    Ok(response.content_type(media_type).json(BackgroundBody::from(view)))
}

/// Forget an uploaded background.
///
/// Those of the version's folder stay: only their owner can take them away.
#[utoipa::path(delete, path = "/api/v1/models/{model}/versions/{version}/backgrounds/{background}",
    tag = "explanations", operation_id = "forget_background",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1"),
           ("background" = String, Path, description = "Id of the background.", example = "u-5e884898da280471")),
    responses((status = 204, description = "It is forgotten."),
        errors::Guarded, errors::OfModel, errors::OfNative, errors::OfFitness))]
pub(crate) async fn forget(request: HttpRequest, api: Data<Api>) -> Answer {
    native::accepted(&request)?;
    let held = held(&request, &api).await?;
    let id = request.match_info().get("background").unwrap_or_default();
    api.explanations.forget_background(&*held, id)?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the backgrounds of one version.
///
/// As for the newest one.
#[utoipa::path(get, path = "/api/v1/models/{model}/versions/{version}/backgrounds", tag = "explanations",
    operation_id = "list_backgrounds_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    responses((status = 200, description = "The backgrounds.", body = BackgroundList),
        errors::Guarded, errors::OfModel, errors::OfNative, errors::OfFitness))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn list_version() {}

/// Upload a background for one version.
///
/// As for the newest one.
#[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/backgrounds", tag = "explanations",
    operation_id = "upload_background_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    request_body(content = PredictBody, description = "The rows, in any form that `predict` takes.",
        content_type = "application/json"),
    responses((status = 201, description = "The background.", body = BackgroundBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn upload_version() {}

/// The version that the path names, held.
async fn held(request: &HttpRequest, api: &Data<Api>) -> candor_domain::Result<Arc<Held>> {
    let (model, version) = target(request);
    let (lease, _) = api.pipeline.hold(Call { model, version }).await?;
    Held::new(lease, &api.limits).map(Arc::new)
}
