//! Explanations: why a version answers as it does.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::{Bytes, Data, Payload},
};
use candor_domain::{Error, ErrorCode, Result, Tensor};
use candor_insight::explanations::{Question, Rows, Subject, Turn, WhatIf, rows_between};
use candor_serving::Call;

use super::{mark_fallback, predict::form, target};
use crate::{
    Api,
    body::{self, PREDICTION},
    explain::{
        self, Asked, Beside, CounterfactualsBody, ExplanationBody, Held, Own, PictureParameters,
        pictures::{self, Case, Wanted},
    },
    native::{self, Form, ReadTable, View, read_table},
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    problem::Answer,
};

/// Explain predictions: the share of each feature in them.
///
/// Rows as `predict` takes them, with members that say how: `method` (`auto` looks at the graph and takes what is exact
/// and cheap), `output` (a class or several; all if absent), `space`, `budget` and `seed` of sampled methods,
/// `background`, `groups`, `interactions`, `options`. Where the body is CSV or JSON Lines they stand in the query string.
/// The same request has the same bytes for an answer. By `Accept` it is numbers, or of one row a picture or a report: of
/// the class that the version chose, or of the largest of those that are explained.
#[utoipa::path(post, path = "/api/v1/models/{model}/explain", tag = "explanations", operation_id = "explain",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"), PictureParameters),
    request_body(description = "The rows, and what is asked of them.", content(
        (explain::ExplainBody = "application/json"),
        (String = "text/csv", example = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n"),
        (String = "application/jsonl",
            example = "{\"sepal_length\":5.1,\"sepal_width\":3.5,\"petal_length\":1.4,\"petal_width\":0.2}\n"))),
    responses((status = 200, description = "The explanation.", content(
            (ExplanationBody = "application/json"), (String = "image/svg+xml", example = "<svg></svg>"),
            (String = "text/html", example = "<!doctype html>"))),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn explain(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let view = native::accepted_view(&request)?;
    let form = form(&request)?;
    let mut pairs = pairs(&request)?;
    let wanted = Wanted::of_row(&mut pairs, view)?;
    let (body, _held) = body::read(&request, payload, &api, &PREDICTION).await?;
    let (model, version) = target(&request);
    let (lease, fallback_from) = api.pipeline.hold(Call { model, version }).await?;
    let held = Arc::new(Held::new(lease, &api.limits)?);
    let read = read(&api, &held, (body, form), BESIDE).await?;
    let in_query = form != Form::Json;
    let question = asked(&pairs, &read, in_query)?.0;
    let ReadTable { inputs, rows, head, filled, .. } = read;
    if let View::Svg | View::Html = view {
        wanted.check_row(rows)?;
    }
    let subject = Arc::clone(&held) as Arc<dyn Subject>;
    let explained = api.explanations.explain(subject, question.clone(), Rows::new(inputs.clone())).await;
    let explained =
        explained.map_err(|error| explain::placed(error, if in_query { Asked::Query } else { Asked::Body }))?;
    let mut response = HttpResponse::Ok();
    mark_fallback(&mut response, fallback_from.as_ref());
    response.insert_header((header::VARY, HeaderValue::from_static("accept")));
    let fallback_from = fallback_from.map(|version| version.to_string());
    let beside = Beside { id: head.id, fallback_from, filled };
    let explained = ExplanationBody::new(explained, beside);
    match view {
        View::Json(media_type) => Ok(response.content_type(media_type).json(explained)),
        View::Svg | View::Html => {
            let shown = shown(&api, held, (explained, question), (inputs, wanted), view).await?;
            pictures::head(&mut response, view, model);
            Ok(response.body(shown))
        }
    }
}

/// An explanation for the eye, made on a thread of explanations.
async fn shown(
    api: &Data<Api>,
    held: Arc<Held>,
    (explained, question): (ExplanationBody, Question),
    (inputs, wanted): (Vec<Tensor>, Wanted),
    view: View,
) -> Result<String> {
    let others = if wanted.counterfactuals {
        let rows = Rows::new(rows_between(&inputs, wanted.row, wanted.row.saturating_add(1)));
        let (seed, background) = (question.seed, question.background);
        let question = Question { seed, background, time_max: question.time_max, ..Question::default() };
        let subject = Arc::clone(&held) as Arc<dyn Subject>;
        let found = api.explanations.what_if(subject, (question, WhatIf::default()), rows).await?;
        Some(CounterfactualsBody::new(found, Beside::default()))
    } else {
        None
    };
    let draw = move |turn: &Turn<'_>| {
        let image = explained.has_heat().then(|| inputs.first()).flatten();
        let image = image.and_then(|tensor| pictures::image(tensor, wanted.row, explained.is_hwc()));
        let case = Case { image, ..held.case(inputs, wanted.row, turn)? };
        match view {
            View::Html => pictures::told(&explained, &wanted, &case, others.as_ref()),
            View::Svg | View::Json(_) => pictures::draw(&explained, &wanted, &case),
        }
    };
    api.explanations.run(question.time_max, draw).await
}

/// Explain predictions of one version of a model.
///
/// As without a version, which means the highest that is ready; bodies may have the same forms.
#[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/explain", tag = "explanations",
    operation_id = "explain_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1"), PictureParameters),
    request_body(content = explain::ExplainBody, description = "As for `explain`.", content_type = "application/json"),
    responses((status = 200, description = "The explanation.", content(
            (ExplanationBody = "application/json"), (String = "image/svg+xml", example = "<svg></svg>"),
            (String = "text/html", example = "<!doctype html>"))),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn explain_version() {}

/// What stands beside the rows.
const BESIDE: native::Beside = native::Beside { more: explain::MEMBERS, alone: false };

/// Largest body that is read on the thread that received it.
const BODY_HERE_BYTES_MAX: usize = 64 << 10;

/// Reads a table with what is asked beside it; a large one on a thread of explanations.
pub(super) async fn read(
    api: &Data<Api>,
    held: &Arc<Held>,
    (body, form): (Bytes, Form),
    beside: native::Beside,
) -> Result<ReadTable> {
    if body.len() <= BODY_HERE_BYTES_MAX {
        return read_table(held.version(), (&body, form), &api.limits, beside);
    }
    let (held, limits) = (Arc::clone(held), Arc::clone(&api.limits));
    api.explanations.run(None, move |_| read_table(held.version(), (&body, form), &limits, beside)).await
}

/// What is asked, wherever it stands.
pub(super) fn question(request: &HttpRequest, read: &ReadTable, in_query: bool) -> Result<(Question, Own)> {
    asked(&pairs(request)?, read, in_query)
}

/// What is asked, by the body or by these parameters.
fn asked(pairs: &[(String, String)], read: &ReadTable, in_query: bool) -> Result<(Question, Own)> {
    if in_query {
        return explain::of_query(pairs, &[]).map(|question| (question, Own::default()));
    }
    match pairs.first() {
        None => explain::of_body(&read.head),
        Some((name, _)) => Err(Error::new(ErrorCode::InvalidInput, "what is asked stands in the body")
            .at(format!("query {name}"))
            .hint("the query string is for bodies that are no JSON, and for what is said of a picture")),
    }
}

/// The parameters of a query string.
pub(super) fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>> {
    super::catalog::query(request)
}
