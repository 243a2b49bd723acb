//! The root middleware: resolves who is calling and enforces what the route asks for.
//!
//! It stands before every route, so that no alias of a route can be reached around it. It matches the
//! path with the very resource definitions that the router uses, in the same order, so the two cannot
//! disagree; what no route matches is refused to strangers too.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage as _,
    body::EitherBody,
    dev::{ResourceDef, Service, ServiceRequest, ServiceResponse, Transform},
    http::{Method, header},
};
use candor_domain::{Access, Principal, Result};
use pin_project_lite::pin_project;

use crate::{
    Api,
    error::response_at,
    responses::WorkerCounts,
    routes::{self, Route},
};

/// Makes a gate for each worker.
pub struct Gate {
    api: Arc<Api>,
}

impl Gate {
    /// A gate before the routes of `api`.
    #[must_use]
    pub fn new(api: &Arc<Api>) -> Self {
        Self { api: Arc::clone(api) }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Gate
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Transform = GateService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let resources = routes::resources(&self.api.contracts);
        let resources = resources.map(|resource| (ResourceDef::new(resource.path), resource.routes)).collect();
        let responses = self.api.responses.for_worker();
        ready(Ok(GateService { api: Arc::clone(&self.api), resources, responses, service }))
    }
}

/// The gate of one worker.
pub struct GateService<S> {
    api: Arc<Api>,
    resources: Vec<(ResourceDef, &'static [Route])>,
    responses: Arc<WorkerCounts>,
    service: S,
}

impl<S> GateService<S> {
    /// What the request's route asks for. A path that no route matches asks for what most routes ask for,
    /// and a method that its path does not have for the highest of the path's others.
    fn needed(&self, path: &str, method: &Method) -> Access {
        let Some((_, routes)) = self.resources.iter().find(|(resource, _)| resource.is_match(path)) else {
            return Access::Infer;
        };
        let exact = routes.iter().find(|route| route.answers(method)).map(|route| route.access);
        exact.or_else(|| routes.iter().map(|route| route.access).max()).unwrap_or(Access::Admin)
    }

    fn admit(&self, request: &ServiceRequest) -> Result<Principal> {
        if let Some(anybody) = self.api.callers.anybody() {
            return Ok(anybody.clone());
        }
        let needed = self.needed(request.match_info().unprocessed(), request.method());
        let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
        self.api.callers.admit(needed, authorization, request.peer_addr().map(|peer| peer.ip()))
    }
}

impl<S, B> Service<ServiceRequest> for GateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = actix_web::Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = actix_web::Error;
    type Future = Passage<S::Future, B>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match self.admit(&request) {
            Ok(principal) => {
                // Without tokens everybody is the same anonymous caller; nobody need read it.
                if self.api.callers.have_names() {
                    request.extensions_mut().insert(principal);
                }
                let responses = Arc::clone(&self.responses);
                Passage::Through { answer: self.service.call(request), responses }
            }
            Err(error) => {
                let refusal = response_at(request.path(), error).map_into_right_body();
                let responses = Arc::clone(&self.responses);
                Passage::Refused { refusal: Some(request.into_response(refusal)), responses }
            }
        }
    }
}

pin_project! {
    /// Either the route's own answer or a refusal; counts whichever it is.
    #[allow(missing_docs, reason = "the macro takes no documentation on fields")]
    #[project = PassageProjection]
    pub enum Passage<F, B> {
        /// The route answers.
        Through { #[pin] answer: F, responses: Arc<WorkerCounts> },
        /// The gate answers.
        Refused { refusal: Option<ServiceResponse<EitherBody<B>>>, responses: Arc<WorkerCounts> },
    }
}

impl<F, B> Future for Passage<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, actix_web::Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            PassageProjection::Through { answer, responses } => answer.poll(context).map(|answer| {
                let status = answer
                    .as_ref()
                    .map_or_else(|error| error.as_response_error().status_code(), ServiceResponse::status);
                responses.count(status);
                answer.map(ServiceResponse::map_into_left_body)
            }),
            PassageProjection::Refused { refusal, responses } => match refusal.take() {
                Some(refusal) => {
                    responses.count(refusal.status());
                    Poll::Ready(Ok(refusal))
                }
                None => Poll::Pending,
            },
        }
    }
}
