//! What the server is.

use actix_web::{HttpResponse, web::Data};
use candor_serving::oip::describe::{EXTENSIONS, SERVER};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Api, native::EngineBody, openapi::errors};

/// What the server is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServerMetadata {
    /// Always `candor`.
    #[schema(example = "candor")]
    name: &'static str,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Protocol extensions that it speaks.
    #[schema(example = json!(["binary_tensor_data", "classification", "statistics"]))]
    extensions: [&'static str; EXTENSIONS.len()],
    /// The engines that run models, best first.
    engines: Vec<EngineBody>,
}

/// Name, version, protocol extensions and engines of the server.
///
/// The extensions are those of the Open Inference Protocol, which has no engines.
#[utoipa::path(get, path = "/v2", tag = "server", responses(
    (status = 200, description = "What the server is.", body = ServerMetadata),
        errors::Guarded))]
pub(crate) async fn metadata(api: Data<Api>) -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata {
        name: SERVER,
        version: env!("CARGO_PKG_VERSION"),
        extensions: EXTENSIONS,
        engines: api.registry.engines().infos().map(EngineBody::from).collect(),
    })
}
