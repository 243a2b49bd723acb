//! Jobs as they are shown.

use candor_domain::JobView;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Page;
use crate::{openapi::names::JobStateText, problem::ProblemDetail};

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobBody {
    /// What it is called.
    #[schema(example = "j018bcfe56800000001")]
    pub id: String,
    /// What kind of work it is.
    #[schema(example = "explain_global")]
    pub kind: String,
    /// What it is about.
    #[schema(example = "iris/2")]
    pub about: String,
    /// Who wanted it.
    #[schema(example = "anonymous")]
    pub actor: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    #[schema(example = "running")]
    pub state: String,
    /// How far the work is, from 0 to 1.
    #[schema(example = 0.25, minimum = 0, maximum = 1)]
    pub progress: f64,
    /// What it does now, or did last.
    #[schema(example = "attributions: 16 of 64 rows")]
    pub message: String,
    /// Whether somebody has asked it to stop, which it has not done yet.
    #[schema(example = false)]
    pub stopping: bool,
    /// When it was handed in, in milliseconds since the Unix epoch.
    #[schema(example = 1_795_219_200_000_u64)]
    pub created_unix_ms: u64,
    /// When work on it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub started_unix_ms: Option<u64>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ended_unix_ms: Option<u64>,
    /// When it will be forgotten, with its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_unix_ms: Option<u64>,
    /// Where its result is, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/api/v1/jobs/j018bcfe56800000001/result")]
    pub result: Option<String>,
    /// Size of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub result_bytes: Option<usize>,
    /// Why it failed: the code of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "invalid_input")]
    pub code: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<ProblemDetail>,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobList {
    /// Oldest first.
    pub jobs: Vec<JobBody>,
    /// `page_token` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_page_token: Option<String>,
}

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobListing {
    /// Only those in this state.
    #[param(value_type = JobStateText, required = false, example = "running")]
    pub(crate) state: Option<String>,
    /// Most jobs of a page.
    #[param(required = false, nullable = false, value_type = Option<u16>, minimum = 1, maximum = 500, default = 50, example = 50)]
    page_size: Option<String>,
    /// `next_page_token` of the page before.
    #[param(required = false, nullable = false, example = "j018bcfe56800000001")]
    page_token: Option<String>,
}

impl JobListing {
    pub(crate) fn page(&self) -> Page<'_> {
        Page { size: self.page_size.as_deref(), token: self.page_token.as_deref() }
    }
}

impl From<JobView> for JobBody {
    fn from(job: JobView) -> Self {
        Self {
            result: job.result_bytes.map(|_| format!("/api/v1/jobs/{}/result", job.id)),
            id: job.id,
            kind: job.kind.to_owned(),
            about: job.about,
            actor: job.actor.to_string(),
            state: job.state.word().to_owned(),
            progress: job.progress,
            message: job.message,
            stopping: job.is_stopping && !job.state.is_over(),
            created_unix_ms: job.created_unix_ms,
            started_unix_ms: job.started_unix_ms,
            ended_unix_ms: job.ended_unix_ms,
            expires_unix_ms: job.expires_unix_ms,
            result_bytes: job.result_bytes,
            code: job.error.as_ref().map(|error| error.code().word().to_owned()),
            error: job.error.as_ref().map(|error| ProblemDetail::new(&error.details())),
        }
    }
}
