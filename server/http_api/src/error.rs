//! Error codes to status codes, exhaustively and once; bodies as clients of the Open Inference Protocol
//! read them: `{"error": "..."}`.

use std::fmt;

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use candor_domain::{Error, ErrorCode};
use serde::Serialize;

use crate::problem::Problem;

/// The status of each code: Triton's map, 503 for "not ready" (Triton says 400, KServe 503), and the
/// plain HTTP words for what only a door can see.
#[must_use]
pub const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidInput | ErrorCode::InvalidModel => StatusCode::BAD_REQUEST,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded
        | ErrorCode::NotReady
        | ErrorCode::BreakerOpen
        | ErrorCode::DeadlineExceeded
        | ErrorCode::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::EngineFailed | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error on its way out of this door.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Error);

/// What a handler gives.
pub(crate) type Answer = Result<HttpResponse, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        status(self.0.code())
    }

    fn error_response(&self) -> HttpResponse {
        head(&self.0).json(Body { error: &self.0.to_string() })
    }
}

/// Status and headers of an error, whatever its body looks like; a fault of ours is logged.
pub(crate) fn head(error: &Error) -> HttpResponseBuilder {
    let status = status(error.code());
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::NOT_IMPLEMENTED {
        tracing::error!(code = error.code().word(), "{error}");
    }
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = error.retry_after() {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    if error.code() == ErrorCode::Unauthenticated {
        response.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"candor\"")));
    }
    response.insert_header(("candor-reason", error.word()));
    response
}

/// An error that no handler met, in the form that callers of its path read.
pub(crate) fn response_at(path: &str, error: Error) -> HttpResponse {
    if path.starts_with("/api/") { Problem(error).error_response() } else { Failure(error).error_response() }
}
