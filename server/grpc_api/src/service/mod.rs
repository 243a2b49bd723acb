//! `inference.GRPCInferenceService`. A method reads its message, calls one use-case and writes the answer; it
//! decides nothing about models.
//!
//! | module | what it does |
//! |---|---|
//! | `infer` | one inference, or a stream of them |
//! | `describe` | metadata and configuration |
//! | `repository` | index, load, unload |
//! | `statistics` | counters |

mod describe;
mod infer;
mod repository;
mod statistics;

use std::sync::Arc;

use bytes::Bytes;
use candor_domain::{Error, ErrorCode, Result};
use candor_serving::{Bodies, Callers, Counted, Held, Pipeline, Readiness, Registry, Tally, oip::describe as oip};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{
    GrpcLimits,
    error::status,
    proto::{
        ModelConfigRequest, ModelConfigResponse, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
        ModelReadyRequest, ModelReadyResponse, ModelStatisticsRequest, ModelStatisticsResponse, RepositoryIndexRequest,
        RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
        RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
        ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
        grpc_inference_service_server::GrpcInferenceService,
    },
    wire::InferMessage,
};

/// The service; a clone is the same service.
#[derive(Clone)]
pub(crate) struct Inference(Arc<Shared>);

/// What every call needs.
pub(crate) struct Shared {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) limits: Arc<GrpcLimits>,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) cuts: Arc<Tally>,
    pub(crate) closing: watch::Receiver<bool>,
}

impl Inference {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// A message that is whole, counted until its last byte is dropped.
    fn counted(&self, message: InferMessage) -> Result<InferMessage> {
        let InferMessage(bytes) = message;
        let mut held = Held::nothing(Arc::clone(&self.0.bodies));
        held.grow(bytes.len())?;
        Ok(InferMessage(Bytes::from_owner(Counted::new(bytes, held))))
    }
}

/// A version as a message names it: empty means the highest that is ready.
fn version(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn answer<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| status(&error))
}

#[async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.0.readiness.is_ready() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version: wanted } = request.get_ref();
        let (registry, wanted) = (&self.0.registry, version(wanted));
        let answers = self
            .0
            .pipeline
            .answering(name, wanted)
            .and_then(|lease| lease.map_or(Ok(()), |lease| registry.check_breaker(&lease, wanted.is_some())));
        answer(match answers {
            Ok(()) => Ok(ModelReadyResponse { ready: true }),
            // Clients of Triton expect an answer here and no error.
            Err(error)
                if matches!(error.code(), ErrorCode::NotReady | ErrorCode::NotFound | ErrorCode::BreakerOpen) =>
            {
                Ok(ModelReadyResponse { ready: false })
            }
            Err(error) => Err(error),
        })
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: oip::SERVER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: oip::EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version: wanted } = request.get_ref();
        let lease = self.0.pipeline.describe(name, version(wanted)).await;
        answer(lease.map(|lease| describe::metadata(&lease, &self.0.registry.ready_versions(name))))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version: wanted } = request.get_ref();
        let lease = self.0.pipeline.describe(name, version(wanted)).await;
        answer(lease.map(|lease| ModelConfigResponse { config: Some(describe::config(&lease)) }))
    }

    async fn model_infer(&self, request: Request<InferMessage>) -> Result<Response<ModelInferResponse>, Status> {
        // Its body has been dropped, and with it what was counted there.
        let message = self.counted(request.into_inner()).map_err(|error| status(&error))?;
        answer(self.infer(message).await)
    }

    type ModelStreamInferStream = infer::Answers;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<InferMessage>>,
    ) -> Result<Response<infer::Answers>, Status> {
        answer(self.infer_stream(request))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version: wanted } = request.get_ref();
        answer(statistics::read(&self.0.registry, name, version(wanted)))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        answer(repository::index(&self.0.registry, request.into_inner()).await)
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        answer(repository::load(&self.0.registry, request.into_inner()).await)
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        answer(repository::unload(&self.0.registry, request.into_inner()).await)
    }
}

fn lost(what: &'static str) -> Error {
    Error::new(ErrorCode::Internal, what)
}
