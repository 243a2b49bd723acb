//! The API document, made from the handlers and wire types.
//!
//! `candor openapi` prints it, `cargo xtask openapi` commits it, the server serves the same bytes.

use std::{collections::BTreeMap, sync::LazyLock};

use utoipa::{
    IntoResponses, Modify, OpenApi, ToResponse,
    openapi::{
        Ref, RefOr, Response,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::{handlers, problem::ProblemBody, wire};

/// An error.
#[derive(ToResponse)]
#[response(description = "What was wrong, where, what was expected, what came, and how to fix it.")]
pub(crate) struct ErrorAnswer(#[allow(dead_code, reason = "read by the derive only")] wire::ErrorBody);

/// A problem of the native API (RFC 9457).
#[derive(ToResponse)]
#[response(
    description = "What was wrong, where, what was expected, what came, and how to fix it.",
    content_type = "application/problem+json"
)]
pub(crate) struct ProblemAnswer(#[allow(dead_code, reason = "read by the derive only")] ProblemBody);

/// What can go wrong with reading something.
pub(crate) struct ReadProblems;

/// What can go wrong with a request that has a body.
pub(crate) struct BodyProblems;

impl IntoResponses for ReadProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 406, 429, 500, 503])
    }
}

impl IntoResponses for BodyProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[400, 401, 403, 404, 406, 408, 413, 415, 429, 500, 501, 503])
    }
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let answer = || RefOr::Ref(Ref::from_response_name("ProblemAnswer"));
    statuses.iter().map(|status| (status.to_string(), answer())).collect()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Candor",
        description = "A model server that accounts for every prediction. `/api/v1` speaks in named features; `/v2` speaks the Open Inference Protocol v2.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        handlers::predict::predict,
        handlers::predict::predict_version,
        handlers::catalog::models,
        handlers::catalog::model,
        handlers::catalog::versions,
        handlers::catalog::version,
        handlers::catalog::openapi,
        handlers::infer::infer,
        handlers::infer::infer_version,
        handlers::server::metadata,
        handlers::models::metadata,
        handlers::models::ready,
        handlers::models::config,
        handlers::v1::predict,
        handlers::v1::predict_version,
        handlers::v1::models,
        handlers::v1::model,
        handlers::v1::version,
        handlers::v1::metadata,
        handlers::v1::metadata_version,
        handlers::invocations::invoke,
        handlers::invocations::invoke_model,
        handlers::invocations::vertex,
        handlers::invocations::models,
        handlers::invocations::model,
        handlers::invocations::load,
        handlers::invocations::unload,
        handlers::invocations::version,
        handlers::statistics::all,
        handlers::statistics::of_model,
        handlers::health::live,
        handlers::health::ready,
        handlers::health::components,
        handlers::health::ping,
        handlers::health::vertex,
        handlers::repository::index,
        handlers::repository::load,
        handlers::repository::unload,
        handlers::metrics::text,
        handlers::docs::openapi_json,
        handlers::problems::page,
    ),
    components(responses(ErrorAnswer, ProblemAnswer), schemas(wire::ErrorBody, ProblemBody)),
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

/// The document as a value, for those that are made from it.
pub(crate) fn document() -> &'static serde_json::Value {
    static DOCUMENT: LazyLock<serde_json::Value> =
        LazyLock::new(|| serde_json::to_value(Document::openapi()).unwrap_or_default());
    &DOCUMENT
}

/// The document as pretty JSON with a line feed at its end.
#[must_use]
pub fn document_json() -> String {
    let mut json = Document::openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}
