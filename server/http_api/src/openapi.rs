//! The API document, made from the handlers and wire types.
//!
//! `candor openapi` prints it, `cargo xtask openapi` commits it, the server serves the same bytes.

use utoipa::{
    Modify, OpenApi, ToResponse,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{handlers, wire};

/// An error.
#[derive(ToResponse)]
#[response(description = "What was wrong, where, what was expected, what came, and how to fix it.")]
pub(crate) struct ErrorAnswer(#[allow(dead_code, reason = "read by the derive only")] wire::ErrorBody);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Candor",
        description = "A model server that accounts for every prediction. These routes speak the Open Inference Protocol v2.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        handlers::infer::infer,
        handlers::infer::infer_version,
        handlers::server::metadata,
        handlers::models::metadata,
        handlers::models::ready,
        handlers::models::config,
        handlers::statistics::all,
        handlers::statistics::of_model,
        handlers::health::live,
        handlers::health::ready,
        handlers::health::components,
        handlers::repository::index,
        handlers::repository::load,
        handlers::repository::unload,
        handlers::metrics::text,
        handlers::docs::openapi_json,
    ),
    components(responses(ErrorAnswer), schemas(wire::ErrorBody)),
    security(("token" = [])),
    modifiers(&BearerToken),
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The document as pretty JSON with a line feed at its end.
#[must_use]
pub fn document_json() -> String {
    let mut json = Document::openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}
