//! `grpc.health.v1.Health`: readiness, as gRPC's own load balancers and probes ask for it.

use std::{pin::Pin, sync::Arc};

use candor_domain::{Error, ErrorCode, names::quoted};
use candor_serving::Readiness;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use crate::{closing::closed, error::status};

/// The services that a client may ask for; the empty name is the whole server.
const SERVICES: [&str; 2] = ["", "inference.GRPCInferenceService"];

/// Says whether the server is ready.
pub(crate) struct ReadinessHealth {
    readiness: Arc<Readiness>,
    news: Arc<News>,
    closing: watch::Receiver<bool>,
}

/// Tells all who watch whether the server is ready: one looks for all of them, and they sleep.
pub(crate) struct News {
    readiness: Arc<Readiness>,
    is_ready: watch::Sender<bool>,
}

impl News {
    pub(crate) fn of(readiness: &Arc<Readiness>) -> Self {
        Self { readiness: Arc::clone(readiness), is_ready: watch::channel(readiness.is_ready()).0 }
    }

    /// Looks, and wakes those who watch if it is another than at the last look.
    pub(crate) fn look(&self) {
        let now = self.readiness.is_ready();
        self.is_ready.send_if_modified(|was| std::mem::replace(was, now) != now);
    }

    /// What is so now, as the first of the news.
    fn watch(&self) -> watch::Receiver<bool> {
        self.look();
        let mut news = self.is_ready.subscribe();
        news.mark_changed();
        news
    }
}

impl ReadinessHealth {
    /// Health after `readiness`; those who watch are told by `news`, until the door closes.
    pub(crate) fn new(readiness: Arc<Readiness>, news: Arc<News>, closing: watch::Receiver<bool>) -> Self {
        Self { readiness, news, closing }
    }
}

fn serving(is_ready: bool) -> ServingStatus {
    if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing }
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
        Ok(Response::new(response(serving(self.readiness.is_ready()))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if !SERVICES.contains(&request.get_ref().service.as_str()) {
            // The protocol wants no end: the service might come. Here none does.
            let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]).chain(stream::pending());
            return Ok(Response::new(unknown.take_until(closed(self.closing.clone())).boxed()));
        }
        let changes = stream::unfold((self.news.watch(), None), |(mut is_ready, last)| async move {
            loop {
                is_ready.changed().await.ok()?;
                let now = serving(*is_ready.borrow_and_update());
                if last != Some(now) {
                    return Some((Ok(response(now)), (is_ready, Some(now))));
                }
            }
        });
        Ok(Response::new(changes.take_until(closed(self.closing.clone())).boxed()))
    }
}
