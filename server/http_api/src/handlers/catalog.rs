//! What there is: models, versions, descriptions, typed documents.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Query},
};
use candor_domain::{Error, ErrorCode, Lifecycle, ModelName, Result, Version, names::quoted};
use candor_serving::IndexEntry;
use serde::de::DeserializeOwned;

use super::target;
use crate::{
    Api,
    native::{self, Listing, ModelDescription, ModelList, ModelSummary, Page, VersionList, VersionSummary},
    openapi::{
        self, errors,
        names::{ModelText, VersionText},
    },
    problem::Answer,
};

/// List the models.
///
/// In order of their names, page by page. Models that lie in the repository without being loaded are listed too.
#[utoipa::path(get, path = "/api/v1/models", tag = "models", operation_id = "list_models", params(Listing),
    responses((status = 200, description = "A page of models.", body = ModelList),
        errors::Guarded, errors::OfNative))]
pub(crate) async fn models(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let listing: Listing = query(&request)?;
    let state = listing.state.as_deref().map(state).transpose()?;
    let from_index = Data::clone(&api);
    // It looks at the disk, which must not hold up this worker's other requests.
    let index = actix_web::web::block(move || from_index.registry.index()).await;
    let index = index.map_err(|_| Error::new(ErrorCode::Internal, "the look at the repository was lost"))?;
    let index = index.map_err(|error| {
        tracing::error!("{error}");
        Error::new(ErrorCode::Internal, "the model repository cannot be read; see the server's log")
    })?;
    let wanted = listing.q.as_deref().unwrap_or_default().to_lowercase();
    let matches = |model: &ModelSummary| {
        let title = model.title.as_deref().unwrap_or_default().to_lowercase();
        (model.name.to_lowercase().contains(&wanted) || title.contains(&wanted))
            && state.is_none_or(|state| model.state == state.word())
            && listing.task.as_ref().is_none_or(|task| model.task.as_ref() == Some(task))
    };
    let all = native::summaries(index, &api.registry).into_iter().filter(matches);
    let (models, next_page_token) = page(all, &listing.page(), |model| &model.name)?;
    Ok(HttpResponse::Ok().content_type(media_type).json(ModelList { models, next_page_token }))
}

/// Describe a model: features, outputs, engine, digest.
///
/// The version that is described is the one that answers where none is named.
#[utoipa::path(get, path = "/api/v1/models/{model}", tag = "models", operation_id = "describe_model",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "What the model is.", body = ModelDescription),
        errors::Guarded, errors::OfModel, errors::OfNative))]
pub(crate) async fn model(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let (model, version) = target(&request);
    let lease = api.pipeline.describe(model, version).await?;
    let mut description = ModelDescription::new(&lease, &api.registry.ready_versions(model));
    description.breaker = api.registry.breaker_of(&lease).map(Into::into);
    Ok(HttpResponse::Ok().content_type(media_type).json(description))
}

/// Describe one version of a model.
///
/// As for a model, of which this may be any ready version.
#[utoipa::path(get, path = "/api/v1/models/{model}/versions/{version}", tag = "models",
    operation_id = "describe_version",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"),
           ("version" = VersionText, Path, description = "The version.", example = "1")),
    responses((status = 200, description = "What the version is.", body = ModelDescription),
        errors::Guarded, errors::OfModel, errors::OfNative))]
#[allow(dead_code, reason = "carries the document of the route with a version")]
pub(crate) fn version() {}

/// List the versions of a model with their states.
///
/// Lowest first, page by page; `q` and `task` have no effect.
#[utoipa::path(get, path = "/api/v1/models/{model}/versions", tag = "models", operation_id = "list_versions",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris"), Listing),
    responses((status = 200, description = "A page of versions.", body = VersionList),
        errors::Guarded, errors::OfModel, errors::OfNative))]
pub(crate) async fn versions(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let listing: Listing = query(&request)?;
    let state = listing.state.as_deref().map(state).transpose()?;
    let name = ModelName::parse(target(&request).0)?;
    let index: Vec<IndexEntry> =
        api.registry.index_of_known().into_iter().filter(|entry| entry.model == name).collect();
    if index.is_empty() {
        // Says what is wrong with the name.
        api.registry.lease(name.as_str(), None)?;
    }
    let after = listing.page_token.as_deref().map(Version::parse).transpose()?;
    let entry = |entry: IndexEntry| {
        let wanted = state.is_none_or(|state| entry.state == state);
        let version_after = after.as_ref().is_none_or(|after| entry.version.as_ref() > Some(after));
        if wanted && version_after { VersionSummary::new(&entry, &api.registry) } else { None }
    };
    let mut versions: Vec<VersionSummary> = index.into_iter().filter_map(entry).collect();
    let next_page_token = cut(&mut versions, listing.page().size()?).then(|| last(&versions, |one| &one.version));
    let list = VersionList { model: name.to_string(), versions, next_page_token: next_page_token.flatten() };
    Ok(HttpResponse::Ok().content_type(media_type).json(list))
}

/// The API of one model, typed, as OpenAPI 3.1.
///
/// Its own feature names, types, ranges and labels, so that a generated client knows them.
#[utoipa::path(get, path = "/api/v1/models/{model}/openapi.json", tag = "documents", operation_id = "model_openapi",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "The document.", body = Object, example = json!({"openapi": "3.1.0"})),
        errors::Guarded, errors::OfModel, errors::OfNative))]
pub(crate) async fn openapi(request: HttpRequest, api: Data<Api>) -> Answer {
    Ok(HttpResponse::Ok().json(document(&request, &api).await?))
}

/// The API of one model, typed, as OpenAPI 3.0.
///
/// The mechanical twin of the model's document; its `x-left-out` lists what 3.0 cannot say.
#[utoipa::path(get, path = "/api/v1/models/{model}/openapi-3.0.json", tag = "documents",
    operation_id = "model_openapi_30",
    params(("model" = ModelText, Path, description = "Name of the model.", example = "iris")),
    responses((status = 200, description = "The twin.", body = Object, example = json!({"openapi": "3.0.3"})),
        errors::Guarded, errors::OfModel, errors::OfNative))]
pub(crate) async fn openapi_30(request: HttpRequest, api: Data<Api>) -> Answer {
    Ok(HttpResponse::Ok().json(openapi::twin(&document(&request, &api).await?)))
}

async fn document(request: &HttpRequest, api: &Api) -> Result<serde_json::Value> {
    native::accepted(request)?;
    let lease = api.pipeline.describe(target(request).0, None).await?;
    Ok(native::document(&lease, openapi::document()))
}

/// A query string as what it should say, with a plain answer where it does not.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T> {
    Query::<T>::from_query(request.query_string()).map(Query::into_inner).map_err(|error| {
        // The library's own prefix says nothing to a caller.
        let text = error.to_string();
        let text = text.trim_start_matches("Query deserialize error: ").to_owned();
        Error::invalid(format!("the query string is wrong: {text}")).at("query")
    })
}

fn state(word: &str) -> Result<Lifecycle> {
    use Lifecycle::{Discovered, Draining, Failed, Loading, Ready, Unloaded};
    let all = [Discovered, Loading, Ready, Draining, Unloaded, Failed];
    all.into_iter().find(|state| state.word() == word).ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|state| state.word()).collect();
        Error::invalid("there is no such state").at("query state").expected(words.join(", ")).got(quoted(word))
    })
}

/// One page of what is sorted by `key`: what comes after the token.
pub(super) fn page<T>(
    all: impl Iterator<Item = T>,
    page: &Page<'_>,
    key: impl Fn(&T) -> &String,
) -> Result<(Vec<T>, Option<String>)> {
    let size = page.size()?;
    let after = page.token;
    let mut entries: Vec<T> =
        all.filter(|entry| after.is_none_or(|after| key(entry).as_str() > after)).take(size + 1).collect();
    let token = cut(&mut entries, size).then(|| last(&entries, key)).flatten();
    Ok((entries, token))
}

/// Cuts a page to its size; whether there was more.
fn cut<T>(entries: &mut Vec<T>, size: usize) -> bool {
    let more = entries.len() > size;
    entries.truncate(size);
    more
}

fn last<T>(entries: &[T], key: impl Fn(&T) -> &String) -> Option<String> {
    entries.last().map(|entry| key(entry).clone())
}
