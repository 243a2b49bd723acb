//! What answers when no route does.

use actix_web::{HttpRequest, HttpResponse, ResponseError as _, http::header};
use candor_domain::{Error, ErrorCode, names::quoted};

use crate::{
    error::{Answer, Failure},
    routes,
};

pub(crate) async fn not_found(request: HttpRequest) -> Answer {
    Err(Error::new(ErrorCode::NotFound, format!("there is nothing at {}", quoted(request.path())))
        .hint("the routes are listed at /docs")
        .into())
}

pub(crate) async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let pattern = request.match_pattern().unwrap_or_default();
    let allowed = routes::ROUTES.iter().filter(|route| route.path == pattern);
    let allowed: Vec<_> = allowed.map(|route| route.method.as_str()).collect();
    let allowed = allowed.join(", ");
    let error = Error::new(ErrorCode::MethodNotAllowed, "this path does not take this method")
        .expected(&*allowed)
        .got(request.method().as_str());
    let mut response = Failure(error).error_response();
    if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}
