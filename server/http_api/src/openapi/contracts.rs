//! The routes of other servers' contracts, for documents of servers that have them on.

use utoipa::OpenApi;

use super::ErrorAnswers;
use crate::{contracts::Contracts, handlers, routes};

#[derive(OpenApi)]
#[openapi(
    paths(
        handlers::v1::predict,
        handlers::v1::predict_version,
        handlers::v1::models,
        handlers::v1::model,
        handlers::v1::version,
        handlers::v1::metadata,
        handlers::v1::metadata_version,
        handlers::invocations::invoke,
        handlers::invocations::invoke_model,
        handlers::invocations::vertex,
        handlers::invocations::models,
        handlers::invocations::model,
        handlers::invocations::load,
        handlers::invocations::unload,
        handlers::invocations::version,
        handlers::health::ping,
        handlers::health::vertex,
    ),
    modifiers(&ErrorAnswers),
)]
struct OfContracts;

/// Adds the routes that are there under `contracts`, at the paths where they are.
pub(super) fn add(document: &mut utoipa::openapi::OpenApi, contracts: &Contracts) {
    let there: Vec<&str> = routes::ROUTES
        .iter()
        .filter(|route| route.contract.is_some_and(|contract| contracts.has(contract)))
        .map(|route| route.path)
        .collect();
    if there.is_empty() {
        return;
    }
    let mut others = OfContracts::openapi();
    let paths = std::mem::take(&mut others.paths.paths);
    let kept = paths.into_iter().filter(|(path, _)| there.contains(&path.as_str()));
    others.paths.paths = kept.map(|(path, item)| (contracts.path_of(&path).to_owned(), item)).collect();
    document.merge(others);
}
