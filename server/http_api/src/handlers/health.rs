//! Is the process alive, may it get traffic, and which part says no.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use candor_serving as serving;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Live {
    /// Always true.
    #[schema(example = true)]
    live: bool,
}

/// The server may get traffic.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether it may.
    #[schema(example = true)]
    ready: bool,
}

/// The state of each part.
#[derive(Serialize, ToSchema)]
pub(crate) struct Components {
    /// Whether all required parts are well.
    #[schema(example = true)]
    ready: bool,
    /// The parts.
    components: Vec<Component>,
}

/// One part.
#[derive(Serialize, ToSchema)]
pub(crate) struct Component {
    /// Its name.
    #[schema(example = "models")]
    name: &'static str,
    /// Whether it is well.
    #[schema(example = true)]
    ready: bool,
    /// Whether the server is not ready without it.
    #[schema(example = true)]
    required: bool,
    /// What it has to say.
    #[schema(example = "8 versions ready")]
    detail: String,
}

/// Liveness: the process answers.
///
/// For an orchestrator that restarts what does not.
#[utoipa::path(get, path = "/v2/health/live", tag = "health", security(()),
    responses((status = 200, description = "The process answers.", body = Live)))]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Live { live: true })
}

/// Readiness: the server may get traffic.
///
/// The first round of loads is over and the server is not stopping. A model that failed to load does not
/// count, unless the configuration says so (`health.strict`).
#[utoipa::path(get, path = "/v2/health/ready", tag = "health", security(()), responses(
    (status = 200, description = "Send traffic.", body = Ready),
    (status = 503, description = "Starting or stopping: send no traffic.", body = Ready)))]
pub(crate) async fn ready(api: Data<Api>) -> HttpResponse {
    let ready = api.readiness.is_ready();
    HttpResponse::build(status(ready)).json(Ready { ready })
}

/// Readiness as SageMaker and MLflow ask for it: by status alone.
///
/// Only if configured (`contracts.invocations`).
#[utoipa::path(get, path = "/ping", tag = "contracts", security(()), responses(
    (status = 200, description = "Send traffic."),
    (status = 503, description = "Starting or stopping: send no traffic.")))]
pub(crate) async fn ping(api: Data<Api>) -> HttpResponse {
    HttpResponse::build(status(api.readiness.is_ready())).finish()
}

/// Readiness as Vertex AI asks for it: by status alone.
///
/// Only if configured (`contracts.vertex`), at the path that the configuration or Vertex itself says.
#[utoipa::path(get, path = "/vertex/health", tag = "contracts", security(()), responses(
    (status = 200, description = "Send traffic."),
    (status = 503, description = "Starting or stopping: send no traffic.")))]
#[allow(dead_code, reason = "carries the document of the route; the handler is the same")]
pub(crate) fn vertex() {}

/// Readiness by component.
///
/// For people: which part of the server is not well, and what it says about it.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses(
    (status = 200, description = "All required components are well.", body = Components),
    (status = 503, description = "The component with `ready: false` and `required: true` is not.", body = Components)))]
pub(crate) async fn components(api: Data<Api>) -> HttpResponse {
    let (ready, components) = api.readiness.components().await;
    let component = |component: serving::Component| {
        let serving::Component { name, ready, required, detail } = component;
        Component { name, ready, required, detail }
    };
    let components = components.into_iter().map(component).collect();
    HttpResponse::build(status(ready)).json(Components { ready, components })
}

fn status(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
