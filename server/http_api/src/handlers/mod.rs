//! One file per noun. A handler reads the request, calls one use-case, and writes the reply; it holds no
//! state and decides nothing about models.

pub(crate) mod backgrounds;
pub(crate) mod batching;
pub(crate) mod breaker;
pub(crate) mod catalog;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod fallback;
pub(crate) mod health;
pub(crate) mod infer;
pub(crate) mod insight;
pub(crate) mod invocations;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod plugins;
pub(crate) mod predict;
pub(crate) mod problems;
pub(crate) mod repository;
pub(crate) mod server;
pub(crate) mod statistics;
pub(crate) mod v1;

use actix_web::{
    HttpRequest, HttpResponseBuilder,
    http::header::{HeaderName, HeaderValue},
};
use candor_domain::Version;
use candor_serving::{BatchNote, CacheNote};

const FALLBACK_FROM: HeaderName = HeaderName::from_static("candor-fallback-from");
const BATCH: HeaderName = HeaderName::from_static("candor-batch");
const CACHE: HeaderName = HeaderName::from_static("candor-cache");

/// Says which version would have answered if its breaker were not open.
fn mark_fallback(response: &mut HttpResponseBuilder, from: Option<&Version>) {
    if let Some(from) = from {
        response.insert_header((FALLBACK_FROM, from.as_str()));
    }
}

/// Says with how many others a request of the pool ran, and why not with more.
fn mark_batch(response: &mut HttpResponseBuilder, batch: Option<BatchNote>) {
    // Digits and words are a header's value.
    if let Some(value) = batch.and_then(|batch| HeaderValue::try_from(batch.to_string()).ok()) {
        response.insert_header((BATCH, value));
    }
}

/// Says what the cache of answers did, where the version keeps them.
fn mark_cache(response: &mut HttpResponseBuilder, cache: Option<CacheNote>) {
    if let Some(note) = cache {
        response.insert_header((CACHE, HeaderValue::from_static(note.word())));
    }
}

/// The model and version that the path names.
pub(crate) fn target(request: &HttpRequest) -> (&str, Option<&str>) {
    let path = request.match_info();
    (path.get("model").unwrap_or_default(), path.get("version"))
}
