//! Clients that `progenitor` makes of the committed OpenAPI 3.0 documents while this crate is compiled: the
//! whole API, and (see [`iris`]) the document of one model.

/// The API of the sample model `iris`, from the document that the server makes of its features.
pub mod iris {
    progenitor::generate_api!("../../openapi/models/iris-3.0.json");
}

/// The whole API.
pub mod api {
    progenitor::generate_api!("../../openapi/openapi-3.0.json");
}

/// The Rust in openapi/README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../openapi/README.md")]
pub struct Readme;
