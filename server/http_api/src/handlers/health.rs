//! Is the process alive, may it get traffic, and which part says no.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use candor_domain::Lifecycle;
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
#[utoipa::path(get, path = "/v2/health/live", tag = "health", security(()),
    responses((status = 200, description = "The process answers.", body = Live)))]
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Live { live: true })
}

/// Readiness: the first round of loads is over and the server is not stopping.
#[utoipa::path(get, path = "/v2/health/ready", tag = "health", security(()), responses(
    (status = 200, description = "Send traffic.", body = Ready),
    (status = 503, description = "Starting or stopping: send no traffic.", body = Ready)))]
pub(crate) async fn ready(api: Data<Api>) -> HttpResponse {
    let ready = is_ready(&components_of(&api));
    HttpResponse::build(status(ready)).json(Ready { ready })
}

/// Readiness by component.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses(
    (status = 200, description = "All required components are well.", body = Components),
    (status = 503, description = "The component with `ready: false` and `required: true` is not.", body = Components)))]
pub(crate) async fn components(api: Data<Api>) -> HttpResponse {
    let components = components_of(&api);
    let ready = is_ready(&components);
    HttpResponse::build(status(ready)).json(Components { ready, components })
}

fn status(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn is_ready(components: &[Component]) -> bool {
    components.iter().all(|component| component.ready || !component.required)
}

/// Each check looks at memory or at one folder, so they need no threads to be quick.
fn components_of(api: &Api) -> Vec<Component> {
    let stopping = api.is_stopping();
    let server = Component {
        name: "server",
        ready: !stopping,
        required: true,
        detail: if stopping { "stopping".into() } else { "running".into() },
    };
    let started = api.registry.has_started();
    let startup = Component {
        name: "startup",
        ready: started,
        required: true,
        detail: if started { "all models were tried".into() } else { "models are being loaded".into() },
    };
    vec![server, startup, repository(api)]
}

fn repository(api: &Api) -> Component {
    let (ready, detail) = match api.registry.index() {
        Err(error) => (false, error.to_string()),
        Ok(index) => {
            let count = |state| index.iter().filter(|entry| entry.state == state).count();
            let failed = index.iter().filter(|entry| entry.state == Lifecycle::Failed);
            let failed: Vec<_> = failed.map(|entry| entry.model.as_str()).collect();
            let mut detail = format!("{} versions ready", count(Lifecycle::Ready));
            if !failed.is_empty() {
                detail.push_str(&format!("; failed: {}", failed.join(", ")));
            }
            (failed.is_empty(), detail)
        }
    };
    Component { name: "models", ready, required: api.strict_readiness, detail }
}
