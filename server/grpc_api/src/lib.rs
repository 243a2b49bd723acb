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
//! | `codec`, `body`, `idle` | messages within limits: size, time |
//! | `health` | `grpc.health.v1.Health` |
//! | `connections`, `closing` | a bounded number of connections; how the door closes |
//! | `driver`, `calls` | one connection from greeting to end; its calls, whose answers must be read |
//! | [`error`] | error codes to gRPC's, once |
//! | `proto` | what is generated of `proto/` |

mod body;
mod calls;
mod closing;
mod codec;
mod connections;
mod driver;
pub mod error;
mod gate;
mod health;
mod idle;
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
    time::timeout,
};
use tonic::codec::CompressionEncoding;
use tonic_health::pb::health_server::HealthServer;

pub use driver::CUTS;
pub use limits::GrpcLimits;

use connections::{Doorkeeper, Gone};
use driver::Driver;
use gate::{Gate, Services};
use health::{News, ReadinessHealth};
use methods::Service;
use proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use service::{Inference, Shared};

/// Threads for looks at the disk.
const DISK_THREADS_MAX: usize = 4;

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
    /// Where it is counted what was cut off, by [`CUTS`].
    pub cuts: Arc<Tally>,
    /// Whether clients may ask which methods there are.
    pub reflection: bool,
    /// Threads that read and write.
    pub threads: usize,
    /// What each of them does first.
    pub before_work: fn(),
}

/// A door that is open.
pub struct GrpcDoor {
    addrs: Vec<SocketAddr>,
    closing: watch::Sender<bool>,
    gone: Gone,
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
        let runtime = Builder::new_multi_thread()
            .worker_threads(parts.threads.max(1))
            .max_blocking_threads(DISK_THREADS_MAX)
            .thread_name("candor-grpc")
            .on_thread_start(parts.before_work)
            .enable_all()
            .build()?;
        let (closing, watched) = watch::channel(false);
        let (news, cuts) = (Arc::new(News::of(&parts.readiness)), Arc::clone(&parts.cuts));
        let limits = Arc::new(parts.limits.clone());
        let gate = gate(parts, &limits, &watched, &news).map_err(io::Error::other)?;
        let driver = Driver { gate, limits, closing: watched, cuts };
        let doorkeeper = Doorkeeper { driver, threads: runtime.handle().clone(), news };
        // Nobody joins its thread: it ends when the door closes.
        let (_, gone) = doorkeeper.start(listeners)?;
        Ok(Self { addrs, closing, gone, runtime: Some(runtime) })
    }

    /// The addresses that it listens on.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Takes no more calls, answers those that are under way, and closes; what takes longer than `grace` is cut off.
    pub async fn close(mut self, grace: Duration) {
        let _ = self.closing.send(true);
        if timeout(grace, self.gone.recv()).await.is_err() {
            tracing::warn!("gRPC calls were cut off after {} ms (shutdown.grace_ms)", grace.as_millis());
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

fn gate(
    parts: GrpcParts,
    limits: &Arc<GrpcLimits>,
    closing: &watch::Receiver<bool>,
    news: &Arc<News>,
) -> Result<Gate, tonic_reflection::server::Error> {
    let GrpcParts { pipeline, registry, readiness, callers, bodies, answers, cuts, reflection, .. } = parts;
    let limits = Arc::clone(limits);
    let health = HealthServer::new(ReadinessHealth::new(Arc::clone(&readiness), Arc::clone(news), closing.clone()))
        .max_decoding_message_size(HEALTH_BYTES_MAX);
    let inference = Inference::new(Shared {
        pipeline,
        registry,
        readiness,
        callers: Arc::clone(&callers),
        limits: Arc::clone(&limits),
        bodies: Arc::clone(&bodies),
        cuts: Arc::clone(&cuts),
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
    Ok(Gate::new(services, callers, limits, bodies, answers, cuts, closing.clone()))
}
