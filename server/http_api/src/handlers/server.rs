//! What the server is.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

/// The extensions of the Open Inference Protocol that are spoken here.
pub(crate) const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "classification", "model_repository", "model_configuration", "statistics"];

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
    extensions: [&'static str; EXTENSIONS.len()],
}

/// Name, version and protocol extensions of the server.
#[utoipa::path(get, path = "/v2", tag = "server", responses(
    (status = 200, description = "What the server is.", body = ServerMetadata),
    (status = 401, response = crate::openapi::ErrorAnswer)))]
pub(crate) async fn metadata() -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata {
        name: "candor",
        version: env!("CARGO_PKG_VERSION"),
        extensions: EXTENSIONS,
    })
}
