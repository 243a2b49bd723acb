//! Predictions from named features.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
    web::{Data, Payload},
};
use candor_domain::{Error, ErrorCode, Result, names::quoted};
use candor_insight::explanations::Question;
use candor_serving::Call;

use super::{explain::pairs, mark_batch, mark_cache, mark_fallback, target};
use crate::{
    Api,
    body::{self, PREDICTION},
    explain::{self, Beside, ExplainedCodec, ExplanationBody, Held, PredictParameters, Predicted},
    native::{self, Form, PredictBody, PredictCodec, PredictReply, PredictReplyBody},
    openapi::{
        errors,
        names::{ModelText, VersionText},
    },
    problem::Answer,
    wire::ReplyEncoding,
};

/// Predict from named features.
///
/// A row is an object of features by name, or a list of values in the order of the model's features. A table may
/// also come by `columns`, as CSV (`text/csv`; `text/csv; header=absent` without a line of names) or as JSON Lines
/// (`application/jsonl`). Features that are missing, unknown, of the wrong type, out of their declared range or
/// not a number are refused by name; gaps are filled only where the model's manifest says so, and `filled` tells.
/// With `explain=true` the reply has a member `explanation`, by the same version.
#[utoipa::path(post, path = "/api/v1/models/{model}/predict", tag = "predictions", operation_id = "predict",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"), PredictParameters),
    request_body(description = "The rows.", content(
        (PredictBody = "application/json"),
        (String = "text/csv", example = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n"),
        (String = "application/jsonl",
            example = "{\"sepal_length\":5.1,\"sepal_width\":3.5,\"petal_length\":1.4,\"petal_width\":0.2}\n"))),
    responses((status = 200, description = "The predictions.", body = PredictReplyBody), 
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
pub(crate) async fn predict(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let form = form(&request)?;
    let (body, _held) = body::read(&request, payload, &api, &PREDICTION).await?;
    let encoding = ReplyEncoding::accepted(request.headers().get(header::ACCEPT_ENCODING));
    let (model, version) = target(&request);
    if let Some(question) = wanted_explanation(&request)? {
        let codec = PredictCodec::new(body, form, ReplyEncoding::Identity, Arc::clone(&api.limits));
        let reply = explained(&api, Call { model, version }, codec, question).await?;
        return Ok(response(reply.encoded(encoding, &api.limits)?, media_type));
    }
    let codec = PredictCodec::new(body, form, encoding, Arc::clone(&api.limits));
    let reply = api.pipeline.infer(Call { model, version }, codec).await?;
    Ok(response(reply, media_type))
}

fn response(reply: PredictReply, media_type: &'static str) -> HttpResponse {
    let PredictReply { bytes, coding, fallback_from, batch, cache } = reply;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(media_type)))
        .insert_header((header::VARY, HeaderValue::from_static("accept, accept-encoding")));
    if let Some(coding) = coding {
        response.insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(coding)));
    }
    mark_fallback(&mut response, fallback_from.as_ref());
    mark_batch(&mut response, batch);
    mark_cache(&mut response, cache);
    response.body(bytes)
}

/// How to explain, if the query string wants that.
fn wanted_explanation(request: &HttpRequest) -> Result<Option<Question>> {
    // Who asks nothing pays nothing.
    if !request.query_string().contains("explain") {
        return Ok(None);
    }
    let pairs = pairs(request)?;
    match pairs.iter().find(|(name, _)| name == "explain").map(|(_, value)| value.as_str()) {
        Some("true" | "1") => explain::of_query(&pairs, &["explain"]).map(Some),
        Some("false" | "0") | None => Ok(None),
        Some(other) => {
            let error = Error::invalid("not a choice").at("query explain").got(quoted(other));
            Err(error.expected("true or false"))
        }
    }
}

/// Predicts, and explains it with the same version.
async fn explained(api: &Api, call: Call<'_>, codec: PredictCodec, question: Question) -> Result<PredictReply> {
    let codec = ExplainedCodec::new(codec, question, api.explanations.settings().rows_max);
    let Predicted { mut reply, mut lease, question, asked, rows } = api.pipeline.infer(call, codec).await?;
    api.pipeline.sit(&mut lease).await?;
    let subject = Arc::new(Held::new(lease, &api.limits)?);
    let explained = api.explanations.explain(subject, question, rows).await;
    let explained = explained.map_err(|error| explain::placed(error, asked))?;
    let body = serde_json::to_vec(&ExplanationBody::new(explained, Beside::default()));
    let body = body.map_err(|error| Error::new(ErrorCode::Internal, format!("cannot write the reply: {error}")))?;
    // The prediction is an object, and the explanation its last member.
    reply.bytes.pop();
    reply.bytes.extend_from_slice(b",\"explanation\":");
    reply.bytes.extend_from_slice(&body);
    reply.bytes.push(b'}');
    Ok(reply)
}

/// Predict from named features with one version of a model.
///
/// As without a version, which means the highest that is ready; bodies may have the same forms.
#[utoipa::path(post, path = "/api/v1/models/{model}/versions/{version}/predict", tag = "predictions",
    operation_id = "predict_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1"), PredictParameters),
    request_body(content = PredictBody, description = "The rows, in any form that `predict` takes.",
        content_type = "application/json"),
    responses((status = 200, description = "The predictions.", body = PredictReplyBody), 
        errors::Guarded, errors::OfModel, errors::OfBody, errors::OfNative, errors::OfFitness))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn predict_version() {}

/// How the media type says that the table is written.
pub(super) fn form(request: &HttpRequest) -> Result<Form> {
    let media_type = body::header_text(request, &header::CONTENT_TYPE)?.unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    Ok(match essence.as_str() {
        // RFC 4180 §3: the parameter `header` is `present` or `absent`; it may be quoted (RFC 9110 §5.6.6).
        "text/csv" | "application/csv" => {
            Form::Csv { header: !parts.any(|part| part.replace('"', "").eq_ignore_ascii_case("header=absent")) }
        }
        "application/jsonl" | "application/x-ndjson" | "application/x-jsonlines" => Form::JsonLines,
        // Others are refused where the body is read.
        _ => Form::Json,
    })
}
