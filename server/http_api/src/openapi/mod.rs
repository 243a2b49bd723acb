//! The API document, made from the handlers and wire types.
//!
//! `candor openapi` prints it, `cargo xtask openapi` commits it, the server serves the same bytes. It is
//! OpenAPI 3.1; [`twin`] says the same in 3.0.3 for generators that read nothing newer.
//!
//! | module | what it does |
//! |---|---|
//! | `contracts` | routes of other servers' contracts, where they are on |
//! | `errors` | error answers that operations share |
//! | `names` | names in paths |
//! | `twin` | a 3.1 document as 3.0.3 |
//! | `schema` | a schema of 3.1 as one of 3.0.3 |

mod contracts;
pub(crate) mod errors;
pub(crate) mod names;
mod schema;
#[cfg(test)]
mod tests;
mod twin;

use std::sync::LazyLock;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        RefOr, Required,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::{contracts::Contracts, handlers, problem::ProblemBody, wire};
pub use twin::twin;

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
        handlers::explain::explain,
        handlers::explain::explain_version,
        handlers::insight::compare,
        handlers::insight::counterfactuals,
        handlers::insight::counterfactuals_version,
        handlers::insight::anchors,
        handlers::insight::anchors_version,
        handlers::insight::global,
        handlers::insight::explain_global_version,
        handlers::backgrounds::list,
        handlers::backgrounds::list_version,
        handlers::backgrounds::upload,
        handlers::backgrounds::upload_version,
        handlers::backgrounds::forget,
        handlers::jobs::list,
        handlers::jobs::show,
        handlers::jobs::result,
        handlers::jobs::cancel,
        handlers::catalog::models,
        handlers::catalog::model,
        handlers::catalog::versions,
        handlers::catalog::version,
        handlers::batching::show,
        handlers::batching::show_version,
        handlers::catalog::openapi,
        handlers::catalog::openapi_30,
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
        handlers::breaker::reset,
        handlers::breaker::order,
        handlers::breaker::show,
        handlers::breaker::take_back,
        handlers::plugins::list,
        handlers::plugins::show,
        handlers::plugins::reload,
        handlers::metrics::text,
        handlers::docs::openapi_json,
        handlers::docs::openapi_yaml,
        handlers::docs::openapi_30_json,
        handlers::problems::page,
    ),
    components(schemas(wire::ErrorBody, ProblemBody, names::ModelText, names::VersionText, names::StateText, names::PluginText, names::JobText, names::JobStateText, names::PluginStateText)),
    security(("token" = [])),
    modifiers(&BearerToken, &ErrorAnswers, &OptionalBodies),
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

struct ErrorAnswers;

impl Modify for ErrorAnswers {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        errors::write_down(document);
    }
}

/// Bodies that may be left out. (An `Option` of the body would document that it may be null.)
struct OptionalBodies;

impl Modify for OptionalBodies {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let items = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/v2/repository/"));
        for body in items.filter_map(|(_, item)| item.post.as_mut()?.request_body.as_mut()) {
            if let RefOr::T(body) = body {
                body.required = Some(Required::False);
            }
        }
    }
}

/// The document as a value, for those that are made from it.
pub(crate) fn document() -> &'static serde_json::Value {
    static DOCUMENT: LazyLock<serde_json::Value> =
        LazyLock::new(|| serde_json::to_value(Document::openapi()).unwrap_or_default());
    &DOCUMENT
}

/// The document of a server whose `contracts` are on.
pub(crate) fn document_under(contracts: &Contracts) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    contracts::add(&mut document, contracts);
    document
}

/// A document as pretty JSON with a line feed at its end.
pub(crate) fn json(document: &utoipa::openapi::OpenApi) -> String {
    with_line_feed(document.to_pretty_json().unwrap_or_default())
}

/// A document as YAML.
pub(crate) fn yaml(document: &utoipa::openapi::OpenApi) -> String {
    document.to_yaml().unwrap_or_default()
}

/// A document's twin in OpenAPI 3.0.3, as pretty JSON with a line feed at its end.
pub(crate) fn json_30(document: &utoipa::openapi::OpenApi) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    with_line_feed(serde_json::to_string_pretty(&twin(&document)).unwrap_or_default())
}

/// The document of a server as it is by default, as pretty JSON.
#[must_use]
pub fn document_json() -> String {
    json(&Document::openapi())
}

/// The same as YAML.
#[must_use]
pub fn document_yaml() -> String {
    yaml(&Document::openapi())
}

/// Its twin in OpenAPI 3.0.3, as pretty JSON.
#[must_use]
pub fn document_30_json() -> String {
    json_30(&Document::openapi())
}

fn with_line_feed(mut text: String) -> String {
    text.push('\n');
    text
}
