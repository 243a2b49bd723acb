//! Every route on one page: path, method, access, handler.
//!
//! Adding a route means adding a line here. The gate reads the same table, so a route without an access
//! cannot exist, and a test knocks on every line of it with every kind of token.

use actix_web::{
    Resource, Route as ActixRoute, guard,
    http::Method,
    web::{self, ServiceConfig},
};
use candor_domain::Access;

use crate::handlers::{
    catalog, docs, fallback, health, infer, metrics, models, predict, problems, repository, server, statistics,
};

/// One route.
pub struct Route {
    /// Path pattern.
    pub path: &'static str,
    /// Method; `GET` answers `HEAD` too.
    pub method: Method,
    /// What a caller must hold.
    pub access: Access,
    handler: fn() -> ActixRoute,
}

impl Route {
    pub(crate) fn answers(&self, method: &Method) -> bool {
        self.method == *method || (self.method == Method::GET && *method == Method::HEAD)
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $handler:path;)*) => {
        /// All routes, those of clients first. Lines of one path stand together.
        pub static ROUTES: &[Route] = &[$(Route {
            path: $path,
            method: Method::$method,
            access: Access::$access,
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

    // What is served, in the native API's words.
    GET  "/api/v1/models"                                 Infer   catalog::models;
    GET  "/api/v1/models/{model}"                         Infer   catalog::model;
    GET  "/api/v1/models/{model}/versions"                Infer   catalog::versions;
    GET  "/api/v1/models/{model}/versions/{version}"      Infer   catalog::model;
    GET  "/api/v1/models/{model}/openapi.json"            Infer   catalog::openapi;

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

    // Health.
    GET  "/v2/health/live"                                Public  health::live;
    GET  "/v2/health/ready"                               Public  health::ready;
    GET  "/health"                                        Public  health::live;
    GET  "/health/ready"                                  Public  health::components;

    // Operators.
    POST "/v2/repository/index"                           Observe repository::index;
    POST "/v2/repository/models/{model}/load"             Operate repository::load;
    POST "/v2/repository/models/{model}/unload"           Operate repository::unload;
    GET  "/metrics"                                       Observe metrics::text;

    // Documents.
    GET  "/openapi.json"                                  Public  docs::openapi_json;
    GET  "/problems/{name}"                               Public  problems::page;
    GET  "/docs"                                          Public  docs::to_ui;
    GET  "/docs/{file:.*}"                                Public  docs::ui;
}

/// The routes of each path, in the order of [`ROUTES`].
pub fn resources() -> impl Iterator<Item = (&'static str, &'static [Route])> {
    ROUTES.chunk_by(|a, b| a.path == b.path).filter_map(|routes| Some((routes.first()?.path, routes)))
}

/// Registers every route.
pub(crate) fn register(config: &mut ServiceConfig) {
    for (path, routes) in resources() {
        let resource = routes.iter().fold(web::resource(path), add_route);
        config.service(resource.default_service(web::to(fallback::method_not_allowed)));
    }
    config.default_service(web::to(fallback::not_found));
}

fn add_route(resource: Resource, route: &'static Route) -> Resource {
    resource.route((route.handler)().guard(guard::fn_guard(|context| route.answers(&context.head().method))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn lines_of_one_path_stand_together() {
        let paths: Vec<_> = resources().map(|(path, _)| path).collect();
        let distinct: BTreeSet<_> = paths.iter().collect();
        assert_eq!(paths.len(), distinct.len());
    }

    #[test]
    fn changing_the_world_asks_for_more_than_reading_it() {
        for route in ROUTES {
            if route.method != Method::GET
                && !route.path.ends_with("/infer")
                && !route.path.ends_with("/predict")
                && !route.path.ends_with("/index")
            {
                assert!(route.access >= Access::Operate, "{}", route.path);
            }
        }
    }
}
