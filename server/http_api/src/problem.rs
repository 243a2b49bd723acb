//! Errors of the native API: RFC 9457 problem documents of a closed list of types, each with a page.
//!
//! Types are paths of this server (RFC 9457 §3.1.1 allows relative references), so that whoever meets one
//! can open it. The pages lie in `docs/problems/`.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use candor_domain::{Details, Error, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error;

/// The media type of problems.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// An error on its way out of a route of the native API.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Error);

/// What a handler of the native API gives.
pub(crate) type Answer = Result<HttpResponse, Problem>;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        error::status(self.0.code())
    }

    fn error_response(&self) -> HttpResponse {
        error::head(&self.0).content_type(MEDIA_TYPE).body(self.body())
    }
}

impl Problem {
    fn body(&self) -> String {
        let error = &self.0;
        let kind = Kind::of(error.code());
        let details = error.details();
        let errors: Vec<ProblemDetail> = match error.others() {
            [] => Vec::new(),
            others => [error].into_iter().chain(others).map(|error| ProblemDetail::new(&error.details())).collect(),
        };
        let body = ProblemBody {
            kind: kind.path(),
            title: kind.title.to_owned(),
            status: self.status_code().as_u16(),
            code: error.code().word().to_owned(),
            reason: error.reason().map(|reason| reason.word().to_owned()),
            first: ProblemDetail::new(&details),
            errors,
            retry_after_s: error.retry_after(),
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// What went wrong (RFC 9457): what, where, what was expected, what came, and how to fix it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/invalid-input", "title": "The request is wrong", "status": 400, "code": "invalid_input",
    "detail": "feature 'sepal_length' has the wrong type; expected a number from 0 to 30 (cm), got \"5.1\"",
    "pointer": "/rows/0/sepal_length", "expected": "a number from 0 to 30 (cm)", "got": "\"5.1\""}))]
pub struct ProblemBody {
    /// The type of the problem: a path on this server, where a page explains it.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", example = "/problems/invalid-input")]
    kind: String,
    /// The same for all problems of a type.
    #[schema(example = "The request is wrong")]
    title: String,
    /// The HTTP status.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    status: u16,
    /// The type as a word, as in metrics and, where there is no `reason`, in the header `candor-reason`.
    #[schema(example = "invalid_input")]
    code: String,
    /// Why there is no room, as in metrics and in the header `candor-reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "concurrency_limit")]
    reason: Option<String>,
    #[serde(flatten)]
    first: ProblemDetail,
    /// All that was found, this one first, when there is more than one; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(nullable = false)]
    errors: Vec<ProblemDetail>,
    /// When to come back, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_s: Option<u32>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetail {
    /// One sentence for people.
    #[schema(example = "feature 'sepal_length' has the wrong type; expected a number from 0 to 30 (cm), got \"5.1\"")]
    detail: String,
    /// Where it is in a JSON body (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/rows/0/sepal_length")]
    pointer: Option<String>,
    /// Where it is elsewhere: a header, a parameter, a line, a configuration key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "line 2, column \"sepal_length\"")]
    at: Option<String>,
    /// What would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "a number from 0 to 30 (cm)")]
    expected: Option<String>,
    /// What was there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "\"5.1\"")]
    got: Option<String>,
    /// How to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "did you mean 'sepal_length'?")]
    hint: Option<String>,
}

impl ProblemDetail {
    pub(crate) fn new(details: &Details<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let detail = match (details.expected, details.got) {
            (Some(expected), Some(got)) => format!("{}; expected {expected}, got {got}", details.what),
            (Some(expected), None) => format!("{}; expected {expected}", details.what),
            (None, Some(got)) => format!("{}; got {got}", details.what),
            (None, None) => details.what.to_owned(),
        };
        let (pointer, at) = match details.at {
            Some(at) if at.starts_with('/') => (Some(at.to_owned()), None),
            at => (None, owned(at)),
        };
        let (expected, got, hint) = (owned(details.expected), owned(details.got), owned(details.hint));
        Self { detail, pointer, at, expected, got, hint }
    }
}

/// A type of problem.
pub(crate) struct Kind {
    /// The last part of its path.
    pub(crate) name: &'static str,
    /// Its title.
    pub(crate) title: &'static str,
    /// Its page.
    pub(crate) page: &'static str,
}

macro_rules! kinds {
    ($($code:ident $name:literal $title:literal;)*) => {
        impl Kind {
            /// The type of a code.
            pub(crate) fn of(code: ErrorCode) -> &'static Self {
                match code {
                    $(ErrorCode::$code => const { &Self {
                        name: $name,
                        title: $title,
                        page: include_str!(concat!("../../../docs/problems/", $name, ".md")),
                    } },)*
                }
            }
        }
    };
}

kinds! {
    InvalidInput "invalid-input" "The request is wrong";
    TooLarge "too-large" "The body is too large";
    UnsupportedMediaType "unsupported-media-type" "The body is in a form that is not read here";
    BodyTimeout "body-timeout" "The body did not arrive in time";
    NotFound "not-found" "There is no such thing";
    MethodNotAllowed "method-not-allowed" "The path does not take this method";
    NotAcceptable "not-acceptable" "The answer cannot have the form that was asked for";
    Unsupported "unsupported" "This is deliberately not done";
    Unauthenticated "unauthenticated" "This needs a token";
    Forbidden "forbidden" "The caller may not do this";
    QuotaExceeded "quota-exceeded" "The caller has used up its quota";
    Overloaded "overloaded" "There is no room now";
    NotReady "not-ready" "The model does not answer now";
    BreakerOpen "breaker-open" "The model is given a rest";
    DeadlineExceeded "deadline-exceeded" "The inference took too long";
    Cancelled "cancelled" "The caller went away";
    InvalidModel "invalid-model" "The model cannot be served";
    EngineFailed "engine-failed" "The engine failed";
    Internal "internal" "The server failed";
}

impl Kind {
    /// Where its page is.
    pub(crate) fn path(&self) -> String {
        format!("/problems/{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_page_that_begins_with_its_title_and_names_its_status() {
        for code in ErrorCode::ALL {
            let kind = Kind::of(code);
            assert!(kind.page.starts_with(&format!("# {}\n", kind.title)), "{}", kind.name);
            let facts = format!("`{}` · status {} · `{}`", kind.path(), error::status(code).as_u16(), code.word());
            assert!(kind.page.contains(&facts), "{} lacks: {facts}", kind.name);
            assert_eq!(kind.name, code.word().replace('_', "-"));
        }
    }

    #[test]
    fn a_problem_says_everything_in_its_place() {
        let other = Error::invalid("b").at("/rows/1").hint("h");
        let error = Error::invalid("a").at("header X").expected("1").got("2").with_others(vec![other]);
        let body: serde_json::Value = serde_json::from_str(&Problem(error).body()).unwrap();
        let first =
            serde_json::json!({"detail": "a; expected 1, got 2", "at": "header X", "expected": "1", "got": "2"});
        let second = serde_json::json!({"detail": "b", "pointer": "/rows/1", "hint": "h"});
        let mut want = serde_json::json!({
            "type": "/problems/invalid-input", "title": "The request is wrong", "status": 400, "code": "invalid_input",
            "errors": [first, second]});
        for (key, value) in first.as_object().unwrap() {
            want[key] = value.clone();
        }
        assert_eq!(body, want);
    }
}
