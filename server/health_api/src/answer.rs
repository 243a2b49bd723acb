//! Paths to answers: the same paths, statuses and bodies as at the HTTP door.

use bytes::Bytes;
use candor_serving::{Component, Readiness};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// What can be asked.
const PATHS: &str = "/health, /health/live, /health/ready, /v2/health/live, /v2/health/ready";

/// Answers one request; its body is nobody's business.
pub(crate) async fn answer<B>(request: &Request<B>, readiness: &Readiness) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        _ if request.method() != Method::GET && request.method() != Method::HEAD => {
            (StatusCode::METHOD_NOT_ALLOWED, json!({"error": "health is asked for with GET"}))
        }
        "/health" | "/health/live" | "/v2/health/live" => (StatusCode::OK, json!({"live": true})),
        "/v2/health/ready" => {
            let ready = readiness.is_ready();
            (status(ready), json!({"ready": ready}))
        }
        "/health/ready" => {
            let (ready, components) = readiness.components().await;
            let components: Vec<Value> = components.into_iter().map(component).collect();
            (status(ready), json!({"ready": ready, "components": components}))
        }
        _ => (StatusCode::NOT_FOUND, json!({"error": format!("the health listener has {PATHS}, and nothing else")})),
    };
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn status(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn component(component: Component) -> Value {
    let Component { name, ready, required, detail } = component;
    json!({"name": name, "ready": ready, "required": required, "detail": detail})
}
