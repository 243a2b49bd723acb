//! The API document and the page that shows it.

use std::sync::{Arc, LazyLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentType},
    web::Data,
};
use candor_domain::{Error, ErrorCode};
use utoipa_swagger_ui::Config;

use crate::{Api, error::Answer};

/// The API as OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "documents", security(()),
    responses((status = 200, description = "This document.", content_type = "application/json")))]
pub(crate) async fn openapi_json(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(api.document.clone())
}

pub(crate) async fn to_ui() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

pub(crate) async fn ui(request: HttpRequest) -> Answer {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/openapi.json")));
    let file = request.match_info().get("file").unwrap_or_default();
    match utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG)) {
        Ok(Some(found)) => Ok(HttpResponse::Ok().content_type(found.content_type).body(found.bytes.into_owned())),
        Ok(None) | Err(_) => Err(Error::new(ErrorCode::NotFound, "there is no such page").hint("try /docs/").into()),
    }
}
