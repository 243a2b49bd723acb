//! Is the process alive, may it get traffic, and which part says no.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use candor_domain::{BreakerState, Lifecycle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;

/// Longest look at the model repository.
const REPOSITORY_LOOK_MAX: Duration = Duration::from_millis(500);

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
    let components = components_of(&api).await;
    let ready = is_ready(&components);
    HttpResponse::build(status(ready)).json(Components { ready, components })
}

fn status(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn is_ready(components: &[Component]) -> bool {
    components.iter().all(|component| component.ready || !component.required)
}

/// Asks all components at the same time. Those that look at memory answer at once; the one that looks at a
/// disk, which may hang, does so on a thread of its own and not for long.
async fn components_of(api: &Data<Api>) -> Vec<Component> {
    let repository = repository(Data::clone(api)).await;
    vec![server(api), startup(api), models(api), breakers(api), repository]
}

fn server(api: &Api) -> Component {
    let stopping = api.readiness.is_stopping();
    let detail = if stopping { "stopping" } else { "running" };
    Component { name: "server", ready: !stopping, required: true, detail: detail.into() }
}

fn startup(api: &Api) -> Component {
    let started = api.registry.has_started();
    let detail = if started { "all models were tried" } else { "models are being loaded" };
    Component { name: "startup", ready: started, required: true, detail: detail.into() }
}

fn models(api: &Api) -> Component {
    let index = api.registry.index_of_known();
    let ready = index.iter().filter(|entry| entry.state == Lifecycle::Ready).count();
    let failed = index.iter().filter(|entry| entry.state == Lifecycle::Failed);
    let failed: BTreeSet<_> = failed.map(|entry| entry.model.as_str()).collect();
    let mut detail = format!("{ready} versions ready");
    if !failed.is_empty() {
        let failed: Vec<_> = failed.iter().copied().collect();
        detail.push_str(&format!("; failed: {}", failed.join(", ")));
    }
    Component { name: "models", ready: failed.is_empty(), required: api.readiness.is_strict(), detail }
}

/// Not required: other versions answer, and this one will be tried again.
fn breakers(api: &Api) -> Component {
    let open = |state: BreakerState| match state {
        BreakerState::Closed => None,
        BreakerState::HalfOpen | BreakerState::Open => Some(state.word().replace('_', "-")),
    };
    let views = api.registry.views();
    let shut: Vec<String> = views
        .iter()
        .filter_map(|view| {
            let state = open(view.breaker.as_ref()?.reading.state)?;
            Some(format!("{} version {} ({state})", view.model, view.version))
        })
        .collect();
    let detail = if shut.is_empty() { "all closed".to_owned() } else { format!("not closed: {}", shut.join(", ")) };
    Component { name: "breakers", ready: shut.is_empty(), required: false, detail }
}

/// Not required: versions in memory answer without their files.
async fn repository(api: Data<Api>) -> Component {
    let look = actix_web::web::block(move || api.registry.repository().models().map(|(names, _)| names.len()));
    let (ready, detail) = match tokio::time::timeout(REPOSITORY_LOOK_MAX, look).await {
        Ok(Ok(Ok(models))) => (true, format!("{models} models")),
        Ok(Ok(Err(error))) => {
            // The error holds a path, and this route is open to everybody.
            tracing::warn!("{error}");
            (false, "cannot be read; see the server's log".to_owned())
        }
        Ok(Err(_)) | Err(_) => (false, format!("did not answer within {} ms", REPOSITORY_LOOK_MAX.as_millis())),
    };
    Component { name: "repository", ready, required: false, detail }
}
