//! Every route on one page: path, method, access, handler.
//!
//! Adding a route means adding a line here. The gate reads the same table, so a route without an access
//! cannot exist, and a test knocks on every line of it with every kind of token.

use actix_web::{
    Resource as ActixResource, Route as ActixRoute, guard,
    http::Method,
    web::{self, ServiceConfig},
};
use candor_domain::Access;

use crate::{
    contracts::{Contract, Contracts},
    handlers::{
        backgrounds, batching, breaker, catalog, docs, explain, fallback, health, infer, insight, invocations, jobs,
        metrics, models, plugins, predict, problems, repository, server, statistics, v1,
    },
};

/// One route.
pub struct Route {
    /// Path pattern.
    pub path: &'static str,
    /// Method; `GET` answers `HEAD` too.
    pub method: Method,
    /// What a caller must hold.
    pub access: Access,
    /// Whose contract it belongs to; such a route is there only if the configuration says so.
    pub contract: Option<Contract>,
    handler: fn() -> ActixRoute,
}

impl Route {
    pub(crate) fn answers(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $handler:path $(, if $contract:ident)?;)*) => {
        /// All routes, those of clients first. Lines of one path stand together.
        pub static ROUTES: &[Route] = &[$(Route {
            path: $path,
            method: Method::$method,
            access: Access::$access,
            contract: [$(Contract::$contract,)?].first().copied(),
            handler: || web::to($handler),
        }),*];
    };
}

routes! {
    // Inference: the hot path comes first, because paths are tried in this order.
    POST "/v2/models/{model}/infer"                       Infer   infer::infer;
    POST "/v2/models/{model}/versions/{version}/infer"    Infer   infer::infer;
    POST "/api/v1/models/{model}/predict"                 Infer   predict::predict;
    POST "/api/v1/models/{model}/versions/{version}/predict" Infer predict::predict;

    // Why a version answers as it does.
    POST "/api/v1/models/{model}/explain"                 Infer   explain::explain;
    POST "/api/v1/models/{model}/versions/{version}/explain" Infer explain::explain;
    POST "/api/v1/models/{model}/explain/compare"         Infer   insight::compare;
    POST "/api/v1/models/{model}/counterfactuals"         Infer   insight::counterfactuals;
    POST "/api/v1/models/{model}/versions/{version}/counterfactuals" Infer insight::counterfactuals;
    POST "/api/v1/models/{model}/anchors"                 Infer   insight::anchors;
    POST "/api/v1/models/{model}/versions/{version}/anchors" Infer insight::anchors;
    POST "/api/v1/models/{model}/explain/global"          Operate insight::global;
    POST "/api/v1/models/{model}/versions/{version}/explain/global" Operate insight::global;
    GET  "/api/v1/models/{model}/backgrounds"             Infer   backgrounds::list;
    POST "/api/v1/models/{model}/backgrounds"             Operate backgrounds::upload;
    GET  "/api/v1/models/{model}/versions/{version}/backgrounds" Infer backgrounds::list;
    POST "/api/v1/models/{model}/versions/{version}/backgrounds" Operate backgrounds::upload;
    DELETE "/api/v1/models/{model}/versions/{version}/backgrounds/{background}" Operate backgrounds::forget;

    // Inference in the words of others. Vertex's paths can be configured, and so come before those of others.
    POST "/vertex/predict"                                Infer   invocations::vertex, if Vertex;
    GET  "/vertex/health"                                 Public  health::ping, if Vertex;
    POST "/v1/models/{model}:predict"                     Infer   v1::predict, if V1;
    POST "/v1/models/{model}/versions/{version}:predict"  Infer   v1::predict, if TfServing;
    POST "/invocations"                                   Infer   invocations::invoke, if Invocations;
    POST "/models/{model}/invoke"                         Infer   invocations::invoke, if Invocations;

    // What those contracts have and Candor does not: answered with the reason.
    POST "/v1/models/{model}:classify"                    Infer   v1::unsupported, if TfServing;
    POST "/v1/models/{model}:regress"                     Infer   v1::unsupported, if TfServing;
    POST "/v1/models/{model}/versions/{version}:classify" Infer   v1::unsupported, if TfServing;
    POST "/v1/models/{model}/versions/{version}:regress"  Infer   v1::unsupported, if TfServing;
    POST "/v1/models/{model}/labels/{label}:predict"      Infer   v1::unsupported, if TfServing;
    GET  "/v1/models/{model}/labels/{label}"              Infer   v1::unsupported, if TfServing;
    GET  "/v1/models/{model}/labels/{label}/metadata"     Infer   v1::unsupported, if TfServing;
    POST "/v1/models/{model}:explain"                     Infer   v1::unsupported, if V1;

    // What is served, in the native API's words.
    GET  "/api/v1/models"                                 Infer   catalog::models;
    GET  "/api/v1/models/{model}"                         Infer   catalog::model;
    GET  "/api/v1/models/{model}/versions"                Infer   catalog::versions;
    GET  "/api/v1/models/{model}/versions/{version}"      Infer   catalog::model;
    GET  "/api/v1/models/{model}/batching"                Observe batching::show;
    GET  "/api/v1/models/{model}/versions/{version}/batching" Observe batching::show;
    GET  "/api/v1/models/{model}/openapi.json"            Infer   catalog::openapi;
    GET  "/api/v1/models/{model}/openapi-3.0.json"        Infer   catalog::openapi_30;

    // What is served, in the Open Inference Protocol's.
    GET  "/v2"                                            Infer   server::metadata;
    GET  "/v2/"                                           Infer   server::metadata;
    GET  "/v2/models/stats"                               Observe statistics::all;
    GET  "/v2/models/{model}"                             Infer   models::metadata;
    GET  "/v2/models/{model}/versions/{version}"          Infer   models::metadata;
    GET  "/v2/models/{model}/ready"                       Infer   models::ready;
    GET  "/v2/models/{model}/versions/{version}/ready"    Infer   models::ready;
    GET  "/v2/models/{model}/config"                      Infer   models::config;
    GET  "/v2/models/{model}/versions/{version}/config"   Infer   models::config;
    GET  "/v2/models/{model}/stats"                       Observe statistics::of_model;
    GET  "/v2/models/{model}/versions/{version}/stats"    Observe statistics::of_model;

    // What is served, in the words of others.
    GET  "/v1/models"                                     Infer   v1::models, if Kserve;
    GET  "/v1/models/{model}"                             Infer   v1::model, if V1;
    GET  "/v1/models/{model}/metadata"                    Infer   v1::metadata, if TfServing;
    GET  "/v1/models/{model}/versions/{version}"          Infer   v1::model, if TfServing;
    GET  "/v1/models/{model}/versions/{version}/metadata" Infer   v1::metadata, if TfServing;
    GET  "/models"                                        Infer   invocations::models, if Invocations;
    POST "/models"                                        Operate invocations::load, if Invocations;
    GET  "/models/{model}"                                Infer   invocations::model, if Invocations;
    DELETE "/models/{model}"                              Operate invocations::unload, if Invocations;
    GET  "/version"                                       Infer   invocations::version, if Invocations;

    // Health.
    GET  "/v2/health/live"                                Public  health::live;
    GET  "/v2/health/ready"                               Public  health::ready;
    GET  "/health"                                        Public  health::live;
    GET  "/health/live"                                   Public  health::live;
    GET  "/health/ready"                                  Public  health::components;
    GET  "/ping"                                          Public  health::ping, if Invocations;

    // Operators.
    POST "/v2/repository/index"                           Observe repository::index;
    POST "/v2/repository/models/{model}/load"             Operate repository::load;
    POST "/v2/repository/models/{model}/unload"           Operate repository::unload;
    POST "/api/v1/models/{model}/versions/{version}/breaker/reset" Operate breaker::reset;
    PUT  "/api/v1/models/{model}/faults"                  Admin   breaker::order;
    GET  "/api/v1/models/{model}/faults"                  Admin   breaker::show;
    DELETE "/api/v1/models/{model}/faults"                Admin   breaker::take_back;
    GET  "/api/v1/plugins"                                Observe plugins::list;
    GET  "/api/v1/plugins/{plugin}"                       Observe plugins::show;
    POST "/api/v1/plugins/{plugin}/reload"                Admin   plugins::reload;
    GET  "/api/v1/jobs"                                   Observe jobs::list;
    GET  "/api/v1/jobs/{job}"                             Observe jobs::show;
    DELETE "/api/v1/jobs/{job}"                           Operate jobs::cancel;
    GET  "/api/v1/jobs/{job}/result"                      Observe jobs::result;
    GET  "/metrics"                                       Observe metrics::text;

    // Documents.
    GET  "/openapi.json"                                  Public  docs::openapi_json;
    GET  "/openapi.yaml"                                  Public  docs::openapi_yaml;
    GET  "/openapi-3.0.json"                              Public  docs::openapi_30_json;
    GET  "/problems/{name}"                               Public  problems::page;
    GET  "/docs"                                          Public  docs::to_ui;
    GET  "/docs/{file:.*}"                                Public  docs::ui;
}

/// The routes of one path.
pub struct Resource {
    /// Path pattern.
    pub path: String,
    /// Its routes, one for each method.
    pub routes: &'static [Route],
}

/// The routes that are there under `contracts`, path by path, in the order of [`ROUTES`].
pub fn resources(contracts: &Contracts) -> impl Iterator<Item = Resource> {
    // A path's lines belong to one contract, or to none.
    let lines = ROUTES.chunk_by(|a, b| a.path == b.path);
    lines.filter_map(move |routes| {
        let first = routes.first()?;
        let on = first.contract.is_none_or(|contract| contracts.has(contract));
        on.then(|| Resource { path: contracts.path_of(first.path).to_owned(), routes })
    })
}

/// Registers every route that is there under `contracts`.
pub(crate) fn register(contracts: &Contracts, config: &mut ServiceConfig) {
    for Resource { path, routes } in resources(contracts) {
        let resource = routes.iter().fold(web::resource(path), add_route);
        config.service(resource.default_service(web::to(fallback::method_not_allowed)));
    }
    config.default_service(web::to(fallback::not_found));
}

fn add_route(resource: ActixResource, route: &'static Route) -> ActixResource {
    resource.route((route.handler)().guard(guard::fn_guard(|context| route.answers(&context.head().method))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn lines_of_one_path_stand_together_and_belong_together() {
        let lines: Vec<_> = ROUTES.chunk_by(|a, b| a.path == b.path).collect();
        let distinct: BTreeSet<_> = ROUTES.iter().map(|route| route.path).collect();
        assert_eq!(lines.len(), distinct.len());
        for routes in lines {
            assert!(routes.iter().all(|route| route.contract == routes[0].contract), "{}", routes[0].path);
        }
    }

    #[test]
    fn contracts_are_off_until_somebody_turns_them_on() {
        assert!(resources(&Contracts::default()).all(|resource| resource.routes[0].contract.is_none()));
    }

    #[test]
    fn changing_the_world_asks_for_more_than_reading_it() {
        const READING: [&str; 14] = [
            "/infer",
            "/predict",
            "/explain",
            "/explain/compare",
            "/counterfactuals",
            "/anchors",
            "/index",
            ":predict",
            ":classify",
            ":regress",
            ":explain",
            "/invocations",
            "/invoke",
            "/vertex/predict",
        ];
        for route in ROUTES {
            if route.method != Method::GET && !READING.iter().any(|reading| route.path.ends_with(reading)) {
                assert!(route.access >= Access::Operate, "{}", route.path);
            }
        }
    }
}
