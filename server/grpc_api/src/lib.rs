//! The gRPC door: reads messages, asks serving, writes answers. The only room that knows gRPC's codes.
//!
//! Wiring opens a [`GrpcDoor`] beside the HTTP one; it has threads of its own. Behind it lie serving's public
//! use-cases, the same as behind the HTTP door: the same tokens and quota, the same admission, the same facts.
//!
//! | module | what it does |
//! |---|---|
//! | [`methods`] | every method with its access, on one page |
//! | `gate` | the root service: who is calling, may they, until when |
//! | `service` | `inference.GRPCInferenceService`, one file per noun |
//! | [`wire`] | infer messages: bytes to tensors and back |
//! | `codec`, `body` | messages within limits: size, time |
//! | `health` | `grpc.health.v1.Health` |
//! | `connections`, `closing` | a bounded number of connections; how the door closes |
//! | [`error`] | error codes to gRPC's, once |
//! | `proto` | what is generated of `proto/` |

mod body;
mod closing;
mod codec;
mod connections;
pub mod error;
mod gate;
mod health;
pub mod limits;
pub mod methods;
mod proto;
mod service;
pub mod wire;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use candor_serving::{Bodies, Callers, Pipeline, Readiness, Registry, Tally};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tonic::{codec::CompressionEncoding, transport::Server};
use tonic_health::pb::health_server::HealthServer;

pub use limits::GrpcLimits;

use closing::closed;
use gate::{Gate, Services};
use health::ReadinessHealth;
use methods::Service;
use proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use service::{Inference, Shared};

/// Threads for looks at the disk.
const DISK_THREADS_MAX: usize = 4;
/// Largest block of metadata of a call.
const METADATA_BYTES_MAX: u32 = 16 << 10;

/// Largest question about health; it names a service, and strangers may ask.
const HEALTH_BYTES_MAX: usize = 4 << 10;

/// What a door is made of.
pub struct GrpcParts {
    /// The way of an inference.
    pub pipeline: Arc<Pipeline>,
    /// The versions in memory.
    pub registry: Arc<Registry>,
    /// Whether the server may get traffic.
    pub readiness: Arc<Readiness>,
    /// Who may do what, and how often.
    pub callers: Arc<Callers>,
    /// Limits of this door.
    pub limits: GrpcLimits,
    /// The memory of all bodies, of this door and others.
    pub bodies: Arc<Bodies>,
    /// Where its answers are counted by code, which are [`error::CODES`].
    pub answers: Arc<Tally>,
    /// Whether clients may ask which methods there are.
    pub reflection: bool,
    /// Threads that read and write.
    pub threads: usize,
}

/// A door that is open.
pub struct GrpcDoor {
    addrs: Vec<SocketAddr>,
    closing: watch::Sender<bool>,
    serving: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
    runtime: Option<Runtime>,
}

impl GrpcDoor {
    /// Opens it at `addrs`.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the system gives no thread.
    pub fn open(addrs: &[SocketAddr], parts: GrpcParts) -> io::Result<Self> {
        let listeners = addrs.iter().map(TcpListener::bind).collect::<io::Result<Vec<_>>>()?;
        let addrs = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let (threads, connections_max) = (parts.threads.max(1), parts.limits.connections_max);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(DISK_THREADS_MAX)
            .thread_name("candor-grpc")
            .enable_all()
            .build()?;
        let (closing, watched) = watch::channel(false);
        let server = server(&parts.limits);
        let gate = gate(parts, &watched).map_err(io::Error::other)?;
        let connections = {
            let _within = runtime.enter();
            connections::accept(listeners, connections_max)?
        };
        let serving = server.serve_with_incoming_shutdown(gate, connections, closed(watched));
        let serving = Some(runtime.spawn(serving));
        Ok(Self { addrs, closing, serving, runtime: Some(runtime) })
    }

    /// The addresses that it listens on.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Takes no more calls, answers those that are under way, and closes; what takes longer than `grace` is cut off.
    pub async fn close(mut self, grace: Duration) {
        let _ = self.closing.send(true);
        let Some(serving) = self.serving.take() else { return };
        match timeout(grace, serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!("the gRPC server failed: {error}"),
            Ok(Err(error)) => tracing::error!("the gRPC server was lost: {error}"),
            Err(_) => tracing::warn!("gRPC calls were cut off after {} ms (shutdown.grace_ms)", grace.as_millis()),
        }
    }
}

impl Drop for GrpcDoor {
    fn drop(&mut self) {
        // Not waited for: whoever drops it may itself be within a runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn server(limits: &GrpcLimits) -> Server {
    Server::builder()
        .max_concurrent_streams(limits.calls_per_connection_max)
        .http2_max_header_list_size(METADATA_BYTES_MAX)
        .http2_keepalive_interval(Some(limits.keep_alive))
        .http2_keepalive_timeout(Some(limits.keep_alive_wait))
}

fn gate(parts: GrpcParts, closing: &watch::Receiver<bool>) -> Result<Gate, tonic_reflection::server::Error> {
    let GrpcParts { pipeline, registry, readiness, callers, limits, bodies, answers, reflection, .. } = parts;
    let limits = Arc::new(limits);
    let health = HealthServer::new(ReadinessHealth::new(Arc::clone(&readiness), closing.clone()))
        .max_decoding_message_size(HEALTH_BYTES_MAX);
    let inference = Inference::new(Shared {
        pipeline,
        registry,
        readiness,
        callers: Arc::clone(&callers),
        limits: Arc::clone(&limits),
        bodies: Arc::clone(&bodies),
        closing: closing.clone(),
    });
    let inference = GrpcInferenceServiceServer::new(inference)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .max_decoding_message_size(limits.message_bytes_max);
    let mut services = Services::default().with(Service::Inference, inference).with(Service::Health, health);
    if reflection {
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTOR)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        services = services
            .with(Service::ReflectionV1, described().build_v1()?)
            .with(Service::ReflectionV1Alpha, described().build_v1alpha()?);
    }
    Ok(Gate::new(services, callers, limits, bodies, answers, closing.clone()))
}
