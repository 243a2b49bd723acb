//! Explanations: why a version answers as it does.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use candor_domain::{Error, ErrorCode, Result};
use candor_insight::explanations::{Question, Rows, Subject};
use candor_serving::Call;

use super::{mark_fallback, predict::form, target};
use crate::{
    Api,
    body::{self, PREDICTION},
    explain::{self, Asked, Beside, ExplanationBody, Held, Own},
    native::{self, Form, ReadTable, read_table},
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
/// The same request has the same bytes for an answer.
#[utoipa::path(post, path = "/api/v1/models/{model}/explain", tag = "explanations", operation_id = "explain",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    request_body(description = "The rows, and what is asked of them.", content(
        (explain::ExplainBody = "application/json"),
        (String = "text/csv", example = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n"),
        (String = "application/jsonl",
            example = "{\"sepal_length\":5.1,\"sepal_width\":3.5,\"petal_length\":1.4,\"petal_width\":0.2}\n"))),
    responses((status = 200, description = "The explanation.", body = ExplanationBody),
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn explain(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let form = form(&request)?;
    let (body, _held) = body::read(&request, payload, &api, &PREDICTION).await?;
    let (model, version) = target(&request);
    let (lease, fallback_from) = api.pipeline.hold(Call { model, version }).await?;
    let held = Arc::new(Held::new(lease, &api.limits)?);
    let read = read(&api, &held, (body, form), BESIDE).await?;
    let in_query = form != Form::Json;
    let question = question(&request, &read, in_query)?.0;
    let ReadTable { inputs, head, filled, .. } = read;
    let subject = Arc::clone(&held) as Arc<dyn Subject>;
    let explained = api.explanations.explain(subject, question, Rows::new(inputs)).await;
    let explained = explained.map_err(|error| explain::placed(error, if in_query { Asked::Query } else { Asked::Body }))?;
    let mut response = HttpResponse::Ok();
    mark_fallback(&mut response, fallback_from.as_ref());
    let fallback_from = fallback_from.map(|version| version.to_string());
    let beside = Beside { id: head.id, fallback_from, filled };
    Ok(response.content_type(media_type).json(ExplanationBody::new(explained, beside)))
}

/// Explain predictions of one version of a model.
///
/// As without a version, which means the highest that is ready; bodies may have the same forms.
#[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/explain", tag = "explanations",
    operation_id = "explain_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    request_body(content = explain::ExplainBody, description = "As for `explain`.", content_type = "application/json"),
    responses((status = 200, description = "The explanation.", body = ExplanationBody),
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
    let pairs = pairs(request)?;
    if in_query {
        return explain::of_query(&pairs, &[]).map(|question| (question, Own::default()));
    }
    match pairs.first() {
        None => explain::of_body(&read.head),
        Some((name, _)) => Err(Error::new(ErrorCode::InvalidInput, "what is asked stands in the body")
            .at(format!("query {name}"))
            .hint("the query string is for bodies that are no JSON")),
    }
}

/// The parameters of a query string.
pub(super) fn pairs(request: &HttpRequest) -> Result<Vec<(String, String)>> {
    super::catalog::query(request)
}
