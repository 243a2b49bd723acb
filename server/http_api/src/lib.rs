//! The HTTP door: reads requests, asks serving, writes replies. The only room that knows status codes.
//!
//! Wiring builds an [`Api`] and calls [`configure`] for each worker. Behind this door lie serving's
//! public use-cases; engines and the file system are out of its sight.
//!
//! | module | what it does |
//! |---|---|
//! | [`routes`] | every route with its method and access, on one page |
//! | [`gate`] | the root middleware: who is calling, and may they |
//! | `body` | bodies within limits: size, time, compression, media type |
//! | [`wire`] | the Open Inference Protocol: tensors in and out of JSON and bytes |
//! | [`contracts`] | what clients of other servers say and expect, each optional |
//! | `native` | the native API: named features, predictions, typed documents |
//! | `explain` | explanations: versions as insight sees them, questions in, answers out |
//! | `handlers` | one file per noun |
//! | `error`, `problem` | error codes to status codes, once; RFC 9457 problems and their pages |
//! | [`metrics`], `responses` | Prometheus text; what each worker has had |
//! | [`openapi`] | the API document |

mod body;
pub mod contracts;
mod error;
mod explain;
pub mod gate;
mod handlers;
pub mod limits;
pub mod metrics;
mod native;
pub mod openapi;
mod problem;
mod responses;
pub mod routes;
pub mod wire;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use candor_domain::{Clock, Jobs, Plugins};
use candor_insight::explanations::Explanations;
use candor_serving::{Bodies, Callers, Faults, Pipeline, Readiness, Registry, Tally};

pub use contracts::{Contracts, V1};
pub use explain::ExplanationBody;
pub use gate::Gate;
pub use limits::HttpLimits;
pub use native::{Described, ModelDescription};
pub use responses::connected;

/// What the handlers of all workers share.
pub struct Api {
    pipeline: Arc<Pipeline>,
    registry: Arc<Registry>,
    readiness: Arc<Readiness>,
    callers: Arc<Callers>,
    limits: Arc<HttpLimits>,
    bodies: Arc<Bodies>,
    contracts: Contracts,
    faults: Option<Arc<Faults>>,
    plugins: Arc<dyn Plugins>,
    explanations: Arc<Explanations>,
    jobs: Arc<dyn Jobs>,
    clock: Arc<dyn Clock>,
    responses: responses::Responses,
    grpc_answers: Arc<Tally>,
    grpc_cuts: Arc<Tally>,
    documents: handlers::docs::Documents,
}

/// What an [`Api`] is made of.
pub struct ApiParts {
    /// The way of an inference.
    pub pipeline: Arc<Pipeline>,
    /// The versions in memory.
    pub registry: Arc<Registry>,
    /// Whether the server may get traffic.
    pub readiness: Arc<Readiness>,
    /// Who may do what, and how often.
    pub callers: Arc<Callers>,
    /// Limits of this door.
    pub limits: HttpLimits,
    /// The memory of all bodies, of this door and others.
    pub bodies: Arc<Bodies>,
    /// Which contracts of others are on.
    pub contracts: Contracts,
    /// Where faults are ordered; without it no order is taken.
    pub faults: Option<Arc<Faults>>,
    /// The plugins.
    pub plugins: Arc<dyn Plugins>,
    /// Who explains.
    pub explanations: Arc<Explanations>,
    /// Who does what takes longer than a request waits.
    pub jobs: Arc<dyn Jobs>,
    /// The server's clock.
    pub clock: Arc<dyn Clock>,
    /// Answers of the gRPC door by code, for the metrics.
    pub grpc_answers: Arc<Tally>,
    /// What the gRPC door has cut off, for the metrics.
    pub grpc_cuts: Arc<Tally>,
}

impl Api {
    /// The shared state of this door.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        let ApiParts {
            pipeline,
            registry,
            readiness,
            callers,
            limits,
            bodies,
            contracts,
            faults,
            plugins,
            explanations,
            jobs,
            clock,
            grpc_answers,
            grpc_cuts,
        } = parts;
        let documents = handlers::docs::Documents::new(&contracts);
        let (limits, responses) = (Arc::new(limits), responses::Responses::default());
        Self {
            pipeline,
            registry,
            readiness,
            callers,
            limits,
            bodies,
            contracts,
            faults,
            plugins,
            explanations,
            jobs,
            clock,
            responses,
            grpc_answers,
            grpc_cuts,
            documents,
        }
    }
}

/// Registers every route; called once per worker. The caller wraps the app in [`Gate`].
pub fn configure(api: &Arc<Api>, config: &mut ServiceConfig) {
    config.app_data(web::Data::from(Arc::clone(api)));
    routes::register(&api.contracts, config);
}
