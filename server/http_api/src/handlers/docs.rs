//! The API document in its forms, and the page that shows it.

use std::sync::{Arc, LazyLock};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName},
    web::{Bytes, Data},
};
use candor_domain::{Error, ErrorCode};
use utoipa_swagger_ui::Config;

use crate::{Api, contracts::Contracts, error::Answer, openapi};

/// What the page may load and call: this server, and nothing else. Its components set styles in place.
const PAGE_POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The document in the forms in which it is served; made once.
pub(crate) struct Documents {
    json: Bytes,
    yaml: Bytes,
    json_30: Bytes,
}

impl Documents {
    pub(crate) fn new(contracts: &Contracts) -> Self {
        let document = openapi::document_under(contracts);
        Self {
            json: openapi::json(&document).into(),
            yaml: openapi::yaml(&document).into(),
            json_30: openapi::json_30(&document).into(),
        }
    }
}

/// The API as OpenAPI 3.1.
///
/// This document, made from the server's own types.
#[utoipa::path(get, path = "/openapi.json", tag = "documents", security(()),
    responses((status = 200, description = "This document.", content_type = "application/json",
        body = Object, example = json!({"openapi": "3.1.0"}))))]
pub(crate) async fn openapi_json(api: Data<Api>) -> HttpResponse {
    document(&api.documents.json, "application/json")
}

/// The API as OpenAPI 3.1, in YAML.
///
/// The same document for people and tools that like YAML better.
#[utoipa::path(get, path = "/openapi.yaml", tag = "documents", security(()),
    responses((status = 200, description = "This document.", content_type = "application/yaml",
        body = Object, example = json!({"openapi": "3.1.0"}))))]
pub(crate) async fn openapi_yaml(api: Data<Api>) -> HttpResponse {
    document(&api.documents.yaml, "application/yaml")
}

/// The API as OpenAPI 3.0.
///
/// A mechanical twin for generators that do not read 3.1; its `x-left-out` lists what 3.0 cannot say.
#[utoipa::path(get, path = "/openapi-3.0.json", tag = "documents", security(()),
    responses((status = 200, description = "The twin.", content_type = "application/json",
        body = Object, example = json!({"openapi": "3.0.3"}))))]
pub(crate) async fn openapi_30_json(api: Data<Api>) -> HttpResponse {
    document(&api.documents.json_30, "application/json")
}

fn document(bytes: &Bytes, media_type: &'static str) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, media_type)).body(bytes.clone())
}

pub(crate) async fn to_ui() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

pub(crate) async fn ui(request: HttpRequest) -> Answer {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/openapi.json")));
    let file = request.match_info().get("file").unwrap_or_default();
    match utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG)) {
        Ok(Some(found)) => Ok(HttpResponse::Ok()
            .content_type(found.content_type)
            .insert_header(PAGE_POLICY)
            .body(found.bytes.into_owned())),
        Ok(None) | Err(_) => Err(Error::new(ErrorCode::NotFound, "there is no such page").hint("try /docs/").into()),
    }
}
