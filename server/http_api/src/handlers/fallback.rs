//! What answers when no route does.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::Data,
};
use candor_domain::{Error, ErrorCode, names::quoted};

use crate::{Api, contracts, error::response_at, routes};

/// When paths without a version were declared deprecated, which was from the start: RFC 9745 §2.1, a date in
/// seconds since the Unix epoch (2026-11-21).
const DEPRECATED_SINCE: HeaderValue = HeaderValue::from_static("@1795219200");

pub(crate) async fn not_found(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    if let Some(newer) = with_version(request.path()) {
        let query = request.query_string();
        let place = if query.is_empty() { newer } else { format!("{newer}?{query}") };
        if let Ok(place) = HeaderValue::from_str(&place) {
            return HttpResponse::PermanentRedirect()
                .insert_header((header::LOCATION, place))
                .insert_header(("deprecation", DEPRECATED_SINCE))
                .finish();
        }
    }
    nothing_at(&request, &api)
}

fn nothing_at(request: &HttpRequest, api: &Api) -> HttpResponse {
    let error = Error::new(ErrorCode::NotFound, format!("there is nothing at {}", quoted(request.path())));
    let hint = contracts::hint_of_off(&api.contracts, request.path()).map(|hint| format!("{hint}; "));
    let hint = format!("{}the routes are listed at /docs", hint.unwrap_or_default());
    response_at(request.path(), error.hint(hint))
}

/// `/api/v1/x` for `/api/x`; `None` for what names a version, and for everything else.
fn with_version(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/api/")?;
    let first = rest.split('/').next().unwrap_or_default();
    let is_version =
        first.strip_prefix('v').is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()));
    (!first.is_empty() && !is_version).then(|| format!("/api/v1/{rest}"))
}

pub(crate) async fn method_not_allowed(request: HttpRequest, api: Data<Api>) -> HttpResponse {
    let pattern = request.match_pattern().unwrap_or_default();
    // A verb that there is not looks like part of a name, of which none has a colon.
    let last = request.path().rsplit('/').next().unwrap_or_default();
    if pattern.starts_with("/v1/models/") && last.contains(':') && !pattern.contains(':') {
        return nothing_at(&request, &api);
    }
    let resource = routes::resources(&api.contracts).find(|resource| resource.path == pattern);
    let routes = resource.map(|resource| resource.routes).unwrap_or_default();
    let allowed: Vec<_> = routes.iter().map(|route| route.method.as_str()).collect();
    let head = allowed.contains(&"GET").then_some("HEAD");
    let allowed: Vec<_> = allowed.into_iter().chain(head).collect();
    let allowed = allowed.join(", ");
    let error = Error::new(ErrorCode::MethodNotAllowed, "this path does not take this method")
        .expected(&*allowed)
        .got(request.method().as_str());
    let mut response = response_at(request.path(), error);
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::with_version;

    #[test]
    fn only_paths_without_a_version_get_one() {
        assert_eq!(with_version("/api/models/iris").as_deref(), Some("/api/v1/models/iris"));
        assert_eq!(with_version("/api/vision").as_deref(), Some("/api/v1/vision"));
        for other in ["/api/", "/api", "/api//evil.example", "/api/v1/nothing", "/api/v2/models", "/v2/x", "/"] {
            assert_eq!(with_version(other), None, "{other}");
        }
    }
}
