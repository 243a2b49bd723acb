//! Plugins: which there are, how each is, and loading one anew. By name: no path ever comes from a caller.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use candor_domain::{Error, ErrorCode, PluginState, Result, names::quoted};

use super::catalog::{page, query};
use crate::{
    Api,
    native::{self, PluginBody, PluginList, PluginListing},
    openapi::{errors, names::PluginText},
    problem::Answer,
};

/// List the plugins.
///
/// In order of their names, page by page. Those that were refused or failed are listed too, with the reason.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugins", operation_id = "list_plugins", params(PluginListing),
    responses((status = 200, description = "A page of plugins.", body = PluginList),
        errors::Guarded, errors::OfNative))]
pub(crate) async fn list(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let listing: PluginListing = query(&request)?;
    let state = listing.state.as_deref().map(state).transpose()?;
    let plugins = api.plugins.plugins().into_iter();
    let shown = plugins.filter(|plugin| state.is_none_or(|state| plugin.state == state) && listing.shows(plugin));
    let (plugins, next_page_token) = page(shown.map(PluginBody::from), &listing.page(), |plugin| &plugin.name)?;
    Ok(HttpResponse::Ok().content_type(media_type).json(PluginList { plugins, next_page_token }))
}

/// Describe a plugin: state, library, components, what has happened.
///
/// Also one that was refused or failed, with the reason.
#[utoipa::path(get, path = "/api/v1/plugins/{plugin}", tag = "plugins", operation_id = "describe_plugin",
    params(("plugin" = PluginText, Path, description = "Name of the plugin.", example = "acme-scale")),
    responses((status = 200, description = "The plugin.", body = PluginBody),
        errors::Guarded, errors::OfName, errors::OfNative))]
pub(crate) async fn show(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let name = request.match_info().get("plugin").unwrap_or_default();
    let plugin = api.plugins.plugin(name).ok_or_else(|| {
        Error::new(ErrorCode::NotFound, format!("there is no plugin {}", quoted(name)))
            .hint("GET /api/v1/plugins lists those that there are")
    })?;
    Ok(HttpResponse::Ok().content_type(media_type).json(PluginBody::from(plugin)))
}

/// Load a plugin anew from its folder.
///
/// Its library is verified, looked at in a process of its own, and tried with everything that models use of it; then
/// all is swapped, while calls under way end on the old one. Any failure keeps what was. A plugin that was refused is
/// tried again, and one that was installed since the start is found by its name; the list of what is allowed is that
/// of the start.
#[utoipa::path(post, path = "/api/v1/plugins/{plugin}/reload", tag = "plugins", operation_id = "reload_plugin",
    params(("plugin" = PluginText, Path, description = "Name of the plugin.", example = "acme-scale")),
    responses((status = 200, description = "The plugin, with its new library.", body = PluginBody),
        errors::Guarded, errors::OfName, errors::OfNative, errors::OfFitness))]
pub(crate) async fn reload(request: HttpRequest, api: Data<Api>) -> Answer {
    let media_type = native::accepted(&request)?;
    let name = request.match_info().get("plugin").unwrap_or_default().to_owned();
    let all = Data::clone(&api);
    // It starts processes and waits for them, which must not hold up this worker's other requests.
    let reloaded = actix_web::web::block(move || all.plugins.reload(&name)).await;
    let reloaded = reloaded.map_err(|_| Error::new(ErrorCode::Internal, "the reload was lost"))?;
    Ok(HttpResponse::Ok().content_type(media_type).json(PluginBody::from(reloaded?)))
}

fn state(word: &str) -> Result<PluginState> {
    PluginState::ALL.into_iter().find(|state| state.word() == word).ok_or_else(|| {
        let words = PluginState::ALL.map(PluginState::word).join(", ");
        Error::invalid("there is no such state").at("query state").expected(words).got(quoted(word))
    })
}
