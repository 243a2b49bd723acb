//! Error codes to status codes, exhaustively and once; bodies as clients of the Open Inference Protocol
//! read them: `{"error": "..."}`.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use candor_domain::{Error, ErrorCode};
use serde::Serialize;

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
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded | ErrorCode::NotReady | ErrorCode::DeadlineExceeded | ErrorCode::Cancelled => {
            StatusCode::SERVICE_UNAVAILABLE
        }
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
        let status = self.status_code();
        if status.is_server_error()
            && status != StatusCode::SERVICE_UNAVAILABLE
            && status != StatusCode::NOT_IMPLEMENTED
        {
            tracing::error!(code = self.0.code().word(), "{}", self.0);
        }
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.0.retry_after() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.0.code() == ErrorCode::Unauthenticated {
            response.insert_header((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"candor\"")));
        }
        response.insert_header(("candor-reason", self.0.code().word()));
        response.json(Body { error: &self.0.to_string() })
    }
}
