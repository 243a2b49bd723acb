//! Jobs: which there are, how far each is, what came of it, and stopping one.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::Data,
};
use candor_domain::{Error, ErrorCode, JobState, JobView, Result, names::quoted};

use super::catalog::{page, query};
use crate::{
    Api,
    explain::{
        GLOBAL_KIND, ResultParameters,
        pictures::{self, Wanted},
    },
    native::{self, JobBody, JobList, JobListing, View},
    openapi::{errors, names::JobText},
    problem::Answer,
};

/// List jobs.
///
/// Oldest first, page by page: those that wait, those at work, and those that are over as long as they are kept.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", operation_id = "list_jobs", params(JobListing),
    responses((status = 200, description = "A page of jobs.", body = JobList), errors::Guarded, errors::OfNative))]
pub(crate) async fn list(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let listing: JobListing = query(&request)?;
    let state = listing.state.as_deref().map(state).transpose()?;
    let jobs = api.jobs.list().into_iter().filter(|job| state.is_none_or(|state| job.state == state));
    let (jobs, next_page_token) = page(jobs.map(JobBody::from), &listing.page(), |job| &job.id)?;
    Ok(HttpResponse::Ok().content_type(media_type).json(JobList { jobs, next_page_token }))
}

/// Describe a job.
///
/// `Retry-After` says when to look again, while it is not over.
#[utoipa::path(get, path = "/api/v1/jobs/{job}", tag = "jobs", operation_id = "describe_job",
    params(("job" = JobText, Path, description = "Id of the job.", example = "j018bcfe56800000001")),
    responses((status = 200, description = "The job.", body = JobBody),
        errors::Guarded, errors::OfName, errors::OfNative))]
pub(crate) async fn show(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let id = id(&request);
    let job = api.jobs.get(id).ok_or_else(|| unknown(id))?;
    let mut response = HttpResponse::Ok();
    if !job.state.is_over() {
        response.insert_header((actix_web::http::header::RETRY_AFTER, 1));
    }
    Ok(response.content_type(media_type).json(JobBody::from(job)))
}

/// Get what came of a job.
///
/// Its own problem where it failed, and a problem of type `not-ready` with `Retry-After` while it is not over. By
/// `Accept` the result of `explain_global` is numbers, a picture or a report.
#[utoipa::path(get, path = "/api/v1/jobs/{job}/result", tag = "jobs", operation_id = "job_result",
    params(("job" = JobText, Path, description = "Id of the job.", example = "j018bcfe56800000001"), ResultParameters),
    responses((status = 200, description = "The result, in the form of its kind of work.", content(
            (Object = "application/json", example = json!({"model": "iris", "version": "2"})),
            (String = "image/svg+xml", example = "<svg></svg>"),
            (String = "text/html", example = "<!doctype html>"))),
        errors::Guarded, errors::OfName, errors::OfNative, errors::OfModel))]
pub(crate) async fn result(request: HttpRequest, api: Data<Api>) -> Answer {
    let view = native::accepted_view(&request)?;
    let wanted = Wanted::of_result(super::explain::pairs(&request)?, view)?;
    let id = id(&request);
    let job = api.jobs.get(id).ok_or_else(|| unknown(id))?;
    let result = match api.jobs.result(id)? {
        Some(result) => result,
        None if job.state.is_over() => return Err(unknown(id).into()),
        None => {
            let error = Error::new(ErrorCode::NotReady, format!("the job is {}", job.state)).retry_after_s(1);
            return Err(error.got(format!("{:.0} % done", job.progress * 100.0)).into());
        }
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, HeaderValue::from_static("accept")));
    let draw = match view {
        View::Json(_) => return Ok(response.content_type(result.media_type).body(result.bytes.clone())),
        View::Svg => pictures::draw_result,
        View::Html => pictures::told_result,
    };
    if job.kind != GLOBAL_KIND {
        let error = Error::new(ErrorCode::NotAcceptable, "the result of this job is not for the eye");
        return Err(error.at("header Accept").expected(result.media_type).into());
    }
    let shown = api.explanations.run(None, move |_| draw(&result.bytes, &wanted)).await?;
    pictures::head(&mut response, view, &job.about.replace('/', "-"));
    Ok(response.body(shown))
}

/// Stop a job, or forget one that is over.
///
/// One at work stops when it looks whether it is still wanted, which is soon.
#[utoipa::path(delete, path = "/api/v1/jobs/{job}", tag = "jobs", operation_id = "cancel_job",
    params(("job" = JobText, Path, description = "Id of the job.", example = "j018bcfe56800000001")),
    responses((status = 200, description = "The job, as it is left.", body = JobBody),
        errors::Guarded, errors::OfName, errors::OfNative))]
pub(crate) async fn cancel(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let id = id(&request);
    let job = api.jobs.cancel(id).ok_or_else(|| unknown(id))?;
    Ok(HttpResponse::Ok().content_type(media_type).json(JobBody::from(job)))
}

/// The answer to who has handed in a job: where it is.
pub(super) fn accepted(job: JobView, media_type: &'static str) -> HttpResponse {
    let location = format!("/api/v1/jobs/{}", job.id);
    HttpResponse::Accepted()
        .insert_header((actix_web::http::header::LOCATION, location))
        .content_type(media_type)
        .json(JobBody::from(job))
}

fn id(request: &HttpRequest) -> &str {
    request.match_info().get("job").unwrap_or_default()
}

fn unknown(id: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no job {}", quoted(id)))
        .hint("GET /api/v1/jobs lists those that there are; what is over is forgotten after a while (jobs.kept_s)")
}

fn state(word: &str) -> Result<JobState> {
    JobState::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| {
        let words = JobState::ALL.map(JobState::word).join(", ");
        Error::invalid("there is no such state").at("query state").expected(words).got(quoted(word))
    })
}
