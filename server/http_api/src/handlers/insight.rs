//! What is asked of a model beyond shares in one answer: what would change it, where two versions part, and what it does
//! over many rows.

use std::sync::Arc;

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder,
    web::{Data, Payload},
};
use candor_domain::{Access, Error, ErrorCode, JobOrder, Principal, Result, Version};
use candor_insight::explanations::{Question, Rows, SharedBackground, Subject};
use candor_serving::{Bodies, Call, Held as Counted};

use super::{
    explain::{question, read},
    jobs::accepted,
    mark_fallback,
    predict::form,
    target,
};
use crate::{
    Api,
    body::{self, PREDICTION},
    explain::{
        self, AnchorsBody, AnchorsQuestionBody, Asked, Beside, COMPARE, CompareBody, ComparisonBody,
        CounterfactualsBody, ExplanationBody, GLOBAL, GLOBAL_KIND, GlobalBody, GlobalJob, Held, Parts, WhatIfBody,
        anchors as rules, what_if,
    },
    native::{self, Form, Head, JobBody, ReadTable},
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    problem::{Answer, Problem},
};

/// Find the smallest changes of rows that give another answer.
///
/// `wanted` is a class, or limits of a number; any other class if absent. Features that are `immutable` (also by the
/// model's manifest) stay, `ranges` and `directions` bound the others. Every answer that is told was given by the
/// version itself. The body is JSON.
#[utoipa::path(post, path = "/api/v1/models/{model}/counterfactuals", tag = "explanations",
    operation_id = "counterfactuals",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(description = "The rows, and the answer that is wanted.", content = WhatIfBody,
        content_type = "application/json"),
    responses((status = 200, description = "What was found.", body = CounterfactualsBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn counterfactuals(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let Posed { media_type, held, read, fallback_from, _counted } =
        posed(&request, payload, &api, native::Beside { more: what_if::MEMBERS, alone: false }).await?;
    let (question, own) = question(&request, &read, false)?;
    let what_if = what_if::of_own(&own)?;
    let ReadTable { inputs, head, filled, .. } = read;
    let found = api.explanations.what_if(held, (question, what_if), Rows::new(inputs)).await;
    let found = found.map_err(|error| explain::placed(error, Asked::Body))?;
    let (mut response, beside) = told(head, filled, fallback_from);
    Ok(response.content_type(media_type).json(CounterfactualsBody::new(found, beside)))
}

/// Find a rule for each row that holds its answer.
///
/// Where the few conditions of the rule are met, the version answers as for the row, with the precision that is wanted
/// (`{"options": {"precision": 0.95}}`): the same class, or for a model of one number an answer within a distance that
/// `options` has to name as `within`. The body is JSON.
#[utoipa::path(post, path = "/api/v1/models/{model}/anchors", tag = "explanations", operation_id = "anchors",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(description = "The rows, and what is asked of the rules.", content = AnchorsQuestionBody,
        content_type = "application/json"),
    responses((status = 200, description = "What was found.", body = AnchorsBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn anchors(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let Posed { media_type, held, read, fallback_from, _counted } =
        posed(&request, payload, &api, native::Beside { more: rules::MEMBERS, alone: false }).await?;
    let (question, _) = question(&request, &read, false)?;
    let ReadTable { inputs, head, filled, .. } = read;
    let found = api.explanations.anchors(held, question, Rows::new(inputs)).await;
    let found = found.map_err(|error| explain::placed(error, Asked::Body))?;
    let (mut response, beside) = told(head, filled, fallback_from);
    Ok(response.content_type(media_type).json(AnchorsBody::new(found, beside)))
}

/// Explain the same rows by two versions of a model.
///
/// With the first version's background for both, so that what differs is the versions and not what stands for "absent".
/// The body is JSON.
#[utoipa::path(post, path = "/api/v1/models/{model}/explain/compare", tag = "explanations",
    operation_id = "compare_versions",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(description = "The rows, the versions, and what is asked.", content = CompareBody,
        content_type = "application/json"),
    responses((status = 200, description = "Both explanations, and what is between them.", body = ComparisonBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn compare(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let form = json(&request)?;
    let (body, _held) = body::read(&request, payload, &api, &PREDICTION).await?;
    let (model, _) = target(&request);
    let (lease, _) = api.pipeline.hold(Call { model, version: None }).await?;
    let newest = Arc::new(Held::new(lease, &api.limits)?);
    let beside = native::Beside { more: COMPARE, alone: false };
    let read_first = read(&api, &newest, (body.clone(), form), beside).await?;
    let (question, own) = question(&request, &read_first, false)?;
    let mut explained = Vec::with_capacity(2);
    let mut shared: Option<SharedBackground> = None;
    for version in explain::versions(&own)? {
        let (lease, _) = api.pipeline.hold(Call { model, version: Some(&version) }).await?;
        let held = Arc::new(Held::new(lease, &api.limits)?);
        // Each version reads the rows by its own features.
        let ReadTable { inputs, filled, .. } = read(&api, &held, (body.clone(), form), beside).await?;
        let background = match shared.clone() {
            Some(shared) => Some(shared),
            None => background(&api, &held, &question).await,
        };
        shared.clone_from(&background);
        let rows = Rows { background, ..Rows::new(inputs) };
        let subject = held as Arc<dyn Subject>;
        let one = api.explanations.explain(subject, question.clone(), rows).await;
        let one = one.map_err(|error| explain::placed(error, Asked::Body))?;
        explained.push(ExplanationBody::new(one, Beside { filled, ..Beside::default() }));
    }
    let lost = || Error::new(ErrorCode::Internal, "an explanation was lost");
    let (other, one) = (explained.pop().ok_or_else(lost)?, explained.pop().ok_or_else(lost)?);
    Ok(HttpResponse::Ok().content_type(media_type).json(explain::compare(one, other)?))
}

/// The background that a question names for a version; what is wrong with it is told where it is needed.
async fn background(api: &Data<Api>, held: &Arc<Held>, question: &Question) -> Option<SharedBackground> {
    let (all, held, choice) = (Arc::clone(api), Arc::clone(held), question.background.clone());
    api.explanations.run(None, move |_| all.explanations.background(&*held, &choice)).await.ok()
}

/// Explain a model over many rows: a job.
///
/// Mean shares, permutation importance, partial dependence (with each row's own curve), and accumulated local effects.
/// Answers 202 with the job, whose result is one JSON document. The job holds the version until it is over. The body is
/// JSON and may do without rows: then those of the background are taken.
#[utoipa::path(post, path = "/api/v1/models/{model}/explain/global", tag = "explanations",
    operation_id = "explain_global",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(description = "The rows, and what is to be found out.", content = GlobalBody,
        content_type = "application/json"),
    responses((status = 202, description = "The job, which `Location` names too.", body = JobBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn global(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let Posed { media_type, held, read, _counted, .. } =
        posed(&request, payload, &api, native::Beside { more: GLOBAL, alone: true }).await?;
    let (question, own) = question(&request, &read, false)?;
    let (inputs, rows) = if read.head.has_table {
        (read.inputs, read.rows)
    } else {
        let (all, of, choice) = (Arc::clone(&api), Arc::clone(&held), question.background.clone());
        let shared = api.explanations.run(None, move |_| all.explanations.background(&*of, &choice)).await;
        let shared = shared.map_err(|error| explain::placed(error, Asked::Body))?;
        (shared.inputs().to_vec(), shared.view().rows)
    };
    let rows_max = api.explanations.settings().job_rows_max;
    if rows == 0 || rows > rows_max {
        let error = Error::new(ErrorCode::TooLarge, "a job takes another number of rows than this").at("/rows");
        return Err(error
            .expected(format!("1 to {rows_max} (explanations.job_rows_max)"))
            .got(rows.to_string())
            .into());
    }
    let parts = Parts::of(&own, &held, rows)?;
    let about = format!("{}/{}", held.about().model, held.about().version);
    let order = JobOrder { kind: GLOBAL_KIND, about, actor: actor(&request) };
    let explanations = Arc::clone(&api.explanations);
    let clock = Arc::clone(&api.clock);
    let job = GlobalJob { explanations, held, question, parts, inputs, rows, clock };
    Ok(accepted(api.jobs.submit(order, Box::new(job))?, media_type))
}

/// A question that was read for the version that is to answer it.
struct Posed<'a> {
    media_type: &'static str,
    held: Arc<Held>,
    read: ReadTable,
    fallback_from: Option<Version>,
    /// The body counts as held until the question is answered.
    _counted: Counted<&'a Bodies>,
}

/// Reads a question in JSON, and holds the version that is to answer it.
async fn posed<'a>(
    request: &HttpRequest,
    payload: Payload,
    api: &'a Data<Api>,
    beside: native::Beside,
) -> Result<Posed<'a>, Problem> {
    let media_type = native::accepted(request)?;
    let form = json(request)?;
    let (body, _counted) = body::read(request, payload, api, &PREDICTION).await?;
    let (model, version) = target(request);
    let (lease, fallback_from) = api.pipeline.hold(Call { model, version }).await?;
    let held = Arc::new(Held::new(lease, &api.limits)?);
    let read = read(api, &held, (body, form), beside).await?;
    Ok(Posed { media_type, held, read, fallback_from, _counted })
}

/// The answer to such a question, and what stands in it beside what was found.
fn told(head: Head, filled: Vec<String>, fallback_from: Option<Version>) -> (HttpResponseBuilder, Beside) {
    let mut response = HttpResponse::Ok();
    mark_fallback(&mut response, fallback_from.as_ref());
    (response, Beside { id: head.id, fallback_from: fallback_from.map(|version| version.to_string()), filled })
}

/// Who is calling, as the gate has found out.
fn actor(request: &HttpRequest) -> Principal {
    request.extensions().get::<Principal>().cloned().unwrap_or_else(|| Principal::anonymous(Access::Public))
}

/// These questions are asked in JSON.
fn json(request: &HttpRequest) -> Result<Form> {
    match form(request)? {
        Form::Json => Ok(Form::Json),
        Form::JsonLines | Form::Csv { .. } => {
            let error = Error::new(ErrorCode::UnsupportedMediaType, "this is asked in JSON").at("header Content-Type");
            Err(error.expected("application/json"))
        }
    }
}

macro_rules! with_version {
    ($($(#[$attribute:meta])* $name:ident)*) => {$(
        $(#[$attribute])*
        #[allow(dead_code, reason = "carries the document of the route with a version")]
        pub(crate) fn $name() {}
    )*};
}

with_version! {
    /// Find the smallest changes of rows that give another answer of one version.
    ///
    /// As without a version, which means the highest that is ready.
    #[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/counterfactuals", tag = "explanations",
        operation_id = "counterfactuals_version",
        params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
               ("version" = VersionText, Path, description = "The version.", example = "1")),
        request_body(description = "As for `counterfactuals`.", content = WhatIfBody,
            content_type = "application/json"),
        responses((status = 200, description = "What was found.", body = CounterfactualsBody),
            errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
    counterfactuals_version
    /// Find a rule for each row that holds the answer of one version.
    ///
    /// As without a version, which means the highest that is ready.
    #[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/anchors", tag = "explanations",
        operation_id = "anchors_version",
        params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
               ("version" = VersionText, Path, description = "The version.", example = "1")),
        request_body(content = AnchorsQuestionBody, description = "As for `anchors`.",
            content_type = "application/json"),
        responses((status = 200, description = "What was found.", body = AnchorsBody),
            errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
    anchors_version
    /// Explain one version over many rows: a job.
    ///
    /// As without a version, which means the highest that is ready.
    #[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/explain/global", tag = "explanations",
        operation_id = "explain_global_version",
        params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
               ("version" = VersionText, Path, description = "The version.", example = "1")),
        request_body(description = "As for `explain_global`.", content = GlobalBody,
            content_type = "application/json"),
        responses((status = 202, description = "The job, which `Location` names too.", body = JobBody),
            errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
    explain_global_version
}
