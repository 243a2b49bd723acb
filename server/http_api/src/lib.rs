//! The HTTP door: reads requests, asks serving, writes replies. The only room that knows status codes.
//!
//! Wiring builds an [`Api`] and calls [`configure`] for each worker. Behind this door lie serving's
//! public use-cases; engines and the file system are out of its sight.
//!
//! | module | what it does |
//! |---|---|
//! | [`routes`] | every route with its method and access, on one page |
//! | [`gate`] | the root middleware: who is calling, and may they |
//! | `tokens`, `quota` | static tokens; requests per second of a caller |
//! | `body` | bodies within limits: size, time, compression, media type |
//! | [`wire`] | the Open Inference Protocol: tensors in and out of JSON and bytes |
//! | [`contracts`] | what clients of other servers say and expect, each optional |
//! | `native` | the native API: named features, predictions, typed documents |
//! | `handlers` | one file per noun |
//! | `error`, `problem` | error codes to status codes, once; RFC 9457 problems and their pages |
//! | [`metrics`], `responses` | Prometheus text; responses by status |
//! | [`openapi`] | the API document |

mod body;
pub mod contracts;
mod error;
pub mod gate;
mod handlers;
pub mod limits;
pub mod metrics;
mod native;
pub mod openapi;
mod problem;
mod quota;
mod responses;
pub mod routes;
mod tokens;
pub mod wire;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix_web::web::{self, ServiceConfig};
use candor_serving::{Faults, Pipeline, Registry};

pub use contracts::{Contracts, V1};
pub use gate::Gate;
pub use limits::HttpLimits;
pub use native::{Described, ModelDescription};
pub use quota::Quota;
pub use tokens::Tokens;

/// What the handlers of all workers share.
pub struct Api {
    pipeline: Pipeline,
    registry: Arc<Registry>,
    limits: Arc<HttpLimits>,
    contracts: Contracts,
    faults: Option<Arc<Faults>>,
    tokens: Option<Tokens>,
    quota: Option<Quota>,
    strict_readiness: bool,
    stopping: AtomicBool,
    responses: responses::Responses,
    documents: handlers::docs::Documents,
}

/// What an [`Api`] is made of.
pub struct ApiParts {
    /// The way of an inference.
    pub pipeline: Pipeline,
    /// The versions in memory.
    pub registry: Arc<Registry>,
    /// Limits of this door.
    pub limits: HttpLimits,
    /// Which contracts of others are on.
    pub contracts: Contracts,
    /// Where faults are ordered; without it no order is taken.
    pub faults: Option<Arc<Faults>>,
    /// Who may do what; without it everybody may do everything.
    pub tokens: Option<Tokens>,
    /// Requests per second of one caller; without it any number.
    pub quota: Option<Quota>,
    /// Whether one model that failed to load makes the server not ready.
    pub strict_readiness: bool,
}

impl Api {
    /// The shared state of this door.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts { pipeline, registry, limits, contracts, faults, tokens, quota, strict_readiness } = parts;
        let documents = handlers::docs::Documents::new(&contracts);
        let (limits, stopping) = (Arc::new(limits), AtomicBool::new(false));
        Self {
            pipeline,
            registry,
            limits,
            contracts,
            faults,
            tokens,
            quota,
            strict_readiness,
            stopping,
            responses: responses::Responses::default(),
            documents,
        }
    }

    /// From now on the server says that it is not ready, while it still answers.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// Registers every route; called once per worker. The caller wraps the app in [`Gate`].
pub fn configure(api: &Arc<Api>, config: &mut ServiceConfig) {
    config.app_data(web::Data::from(Arc::clone(api)));
    routes::register(&api.contracts, config);
}
