//! The pages of problem types.

use actix_web::{HttpRequest, HttpResponse, http::header};
use candor_domain::{Error, ErrorCode};

use crate::{error::Answer, openapi::errors, problem::Kind};

/// What a type of problem means and what to do about it.
///
/// `type` in a problem's document is a path like this one.
#[utoipa::path(get, path = "/problems/{name}", tag = "documents", operation_id = "problem", security(()),
    params(("name" = String, Path, description = "Name of the type.", example = "invalid-input")),
    responses(
        (status = 200, description = "The page, in Markdown.", body = String, content_type = "text/plain",
            example = "# The request is wrong\n"),
        errors::OfName))]
pub(crate) async fn page(request: HttpRequest) -> Answer {
    let name = request.match_info().get("name").unwrap_or_default();
    let kinds = || ErrorCode::ALL.into_iter().map(Kind::of);
    match kinds().find(|kind| kind.name == name) {
        Some(kind) => {
            Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8")).body(kind.page))
        }
        None => {
            let names: Vec<_> = kinds().map(|kind| kind.name).collect();
            Err(Error::new(ErrorCode::NotFound, "there is no such type of problem").expected(names.join(", ")).into())
        }
    }
}
