//! Clients that `progenitor` makes of the committed OpenAPI 3.0 documents while this crate is compiled: the
//! whole API, and (see [`iris`]) the document of one model.

/// The whole API.
pub mod api {
    progenitor::generate_api!("../../openapi/openapi-3.0.json");
}
