//! `grpc.health.v1.Health`: readiness, as gRPC's own load balancers and probes ask for it.

use std::{pin::Pin, sync::Arc, time::Duration};

use candor_domain::{Error, ErrorCode, names::quoted};
use candor_serving::Readiness;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use crate::{closing::closed, error::status};

/// Between two looks on behalf of a watcher.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The services that a client may ask for; the empty name is the whole server.
const SERVICES: [&str; 2] = ["", "inference.GRPCInferenceService"];

/// Says whether the server is ready.
pub(crate) struct ReadinessHealth {
    readiness: Arc<Readiness>,
    closing: watch::Receiver<bool>,
}

impl ReadinessHealth {
    /// Health after `readiness`; watching ends when the door closes.
    pub(crate) fn new(readiness: Arc<Readiness>, closing: watch::Receiver<bool>) -> Self {
        Self { readiness, closing }
    }
}

fn serving(readiness: &Readiness) -> ServingStatus {
    if readiness.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[async_trait]
impl Health for ReadinessHealth {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !SERVICES.contains(&service.as_str()) {
            let unknown = Error::new(ErrorCode::NotFound, "there is no such service").got(quoted(service));
            return Err(status(&unknown.expected("inference.GRPCInferenceService, or nothing for the whole server")));
        }
        Ok(Response::new(response(serving(&self.readiness))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = SERVICES.contains(&request.get_ref().service.as_str());
        let readiness = Arc::clone(&self.readiness);
        let look = move || if known { serving(&readiness) } else { ServingStatus::ServiceUnknown };
        let changes =
            stream::unfold((look, None, tokio::time::interval(LOOK_EVERY)), |(look, last, mut ticks)| async move {
                loop {
                    ticks.tick().await;
                    let now = look();
                    if last != Some(now) {
                        return Some((Ok(response(now)), (look, Some(now), ticks)));
                    }
                }
            });
        Ok(Response::new(changes.take_until(closed(self.closing.clone())).boxed()))
    }
}
