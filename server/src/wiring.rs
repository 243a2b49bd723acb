//! Builds every part and hands each its needs: the architecture as code.
//!
//! ```text
//! Settings ─► engines ─► registry ─► pipeline ─┬─► Api ─► Gate ─► HttpServer
//!                                              └─► GrpcDoor
//!                        registry ─► readiness ─► both, and HealthDoor
//!             plugins ─► explanations ─► Api
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `engines` | which engines there are |
//! | `listen` | the HTTP listener |
//! | `told` | what each room is told of the settings |
//! | `workshop` | a registry for the command line |

mod engines;
mod listen;
mod told;
mod workshop;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::dev::{Server, ServerHandle};
use candor_control::jobs::MemoryJobs;
use candor_domain::{Clock, Components, Error, ErrorCode, Result};
use candor_grpc_api::{GrpcDoor, GrpcParts};
use candor_health_api::HealthDoor;
use candor_http_api::{Api, ApiParts};
use candor_insight::explanations::Explanations;
use candor_plugin_host::Catalog;
use candor_serving::{
    Bodies, Callers, Engines, Faults, Pipeline, Quota, Readiness, Registry, Repository, Scheduler, Tally,
};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use self::{
    engines::{copies, engines_with, with_plugins},
    listen::listen,
    told::{pipeline_settings, registry_settings, scheduling},
};
pub use engines::HAS_TRACT;
pub(crate) use engines::{engines, library_folders};
pub(crate) use listen::cannot_bind;
pub(crate) use told::{grpc_place, health_place, read_tokens};
pub(crate) use workshop::Workshop;

use crate::{
    clock::SystemClock,
    config::Settings,
    data::{DataFolder, Serving},
    plugins, priority,
    side_door::SideDoor,
};

/// A server that answers.
pub struct RunningServer {
    addrs: Vec<SocketAddr>,
    readiness: Arc<Readiness>,
    registry: Arc<Registry>,
    plugins: Arc<Catalog>,
    explanations: Arc<Explanations>,
    jobs: Arc<MemoryJobs>,
    handle: ServerHandle,
    grpc: SideDoor<GrpcDoor>,
    health: SideDoor<HealthDoor>,
    drain_delay: Duration,
    grace: Duration,
    data: Option<DataFolder>,
    poller: Option<Poller>,
}

/// Builds a server and binds its address. It answers as soon as the returned [`Server`] is awaited;
/// [`RunningServer::load`] then makes its models ready.
///
/// # Errors
/// Everything that can keep a server from starting, with what to do about it.
pub fn start(settings: &Settings) -> Result<(RunningServer, Server)> {
    start_with(settings, || engines_with(settings, copies(settings)))
}

/// As [`start`], with the engines of whoever calls.
///
/// # Errors
/// As [`start`].
pub fn start_with(settings: &Settings, engines: impl FnOnce() -> Result<Engines>) -> Result<(RunningServer, Server)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let data = settings.data_dir.as_deref().map(DataFolder::open).transpose()?;
    let tokens = settings.tokens_file.as_deref().map(read_tokens).transpose()?;
    let repository = repository(settings)?;
    let plugins = Arc::new(plugins::start(settings, &clock));
    let engines = with_plugins(engines()?, &plugins);
    let faults = faults(settings);
    let (registry, pipeline) = serving(settings, engines, repository, (&clock, faults.clone()))?;
    let (explanations, jobs) = insight(settings, &plugins, &clock)?;
    let readiness = Arc::new(Readiness::new(Arc::clone(&registry), settings.strict_readiness));
    let callers = Arc::new(Callers::new(tokens, settings.requests_per_second_max.map(Quota::per_second)));
    let bodies = Arc::new(Bodies::new(settings.bodies_bytes_max));
    let grpc_answers = Arc::new(Tally::of(&candor_grpc_api::error::CODES));
    let grpc_cuts = Arc::new(Tally::of(&candor_grpc_api::CUTS));
    let api = Arc::new(Api::new(ApiParts {
        pipeline: Arc::clone(&pipeline),
        registry: Arc::clone(&registry),
        readiness: Arc::clone(&readiness),
        callers: Arc::clone(&callers),
        limits: settings.http_limits.clone(),
        bodies: Arc::clone(&bodies),
        contracts: settings.contracts.clone(),
        faults,
        plugins: Arc::clone(&plugins) as _,
        explanations: Arc::clone(&explanations),
        jobs: Arc::clone(&jobs) as _,
        clock: Arc::clone(&clock),
        grpc_answers: Arc::clone(&grpc_answers),
        grpc_cuts: Arc::clone(&grpc_cuts),
    }));
    let (server, addrs) = listen(settings, &api)?;
    let grpc = GrpcParts {
        pipeline,
        registry: Arc::clone(&registry),
        readiness: Arc::clone(&readiness),
        callers,
        limits: settings.grpc.limits.clone(),
        bodies,
        answers: grpc_answers,
        cuts: grpc_cuts,
        reflection: settings.grpc.reflection,
        threads: settings.threads.grpc,
        before_work: priority::serve,
    };
    let grpc = SideDoor::open(&grpc_place(settings), |addrs| GrpcDoor::open(addrs, grpc))?;
    let health = SideDoor::open(&health_place(settings), |addrs| {
        HealthDoor::open(addrs, Arc::clone(&readiness), settings.health.limits.clone())
    })?;
    let poller =
        settings.poll.map(|every| Poller::start(Arc::clone(&registry), every)).transpose().map_err(no_thread)?;
    let (handle, drain_delay, grace) = (server.handle(), settings.drain_delay, settings.grace);
    let running = RunningServer {
        addrs,
        readiness,
        registry,
        plugins,
        explanations,
        jobs,
        handle,
        grpc,
        health,
        drain_delay,
        grace,
        data,
        poller,
    };
    Ok((running, server))
}

fn repository(settings: &Settings) -> Result<Repository> {
    let repository = Repository::open(&settings.repository_dir, settings.repository_limits)?;
    if let Some(advice) = repository.advice() {
        tracing::warn!("{advice}");
    }
    Ok(repository)
}

/// Who holds the models, and the way of a request to them.
fn serving(
    settings: &Settings,
    engines: Engines,
    repository: Repository,
    (clock, faults): (&Arc<dyn Clock>, Option<Arc<Faults>>),
) -> Result<(Arc<Registry>, Arc<Pipeline>)> {
    let registry = Registry::start(engines, repository, Arc::clone(clock), registry_settings(settings, faults));
    let registry = Arc::new(registry.map_err(no_thread)?);
    let sessions = Scheduler::start("candor-infer", scheduling(settings), Arc::clone(clock)).map_err(no_thread)?;
    let pipeline = Pipeline::new(Arc::clone(&registry), sessions, Arc::clone(clock), pipeline_settings(settings));
    Ok((registry, Arc::new(pipeline)))
}

/// Who explains, and where long work waits.
fn insight(
    settings: &Settings,
    plugins: &Arc<Catalog>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<Explanations>, Arc<MemoryJobs>)> {
    let components: Arc<dyn Components> = Arc::<Catalog>::clone(plugins);
    let explanations = Explanations::start(components, Arc::clone(clock), settings.explanations.clone());
    let jobs = MemoryJobs::start(settings.jobs.clone(), Arc::clone(clock));
    Ok((Arc::new(explanations.map_err(no_thread)?), Arc::new(jobs.map_err(no_thread)?)))
}

fn faults(settings: &Settings) -> Option<Arc<Faults>> {
    let faults = settings.faults_enabled.then(Arc::<Faults>::default);
    if faults.is_some() {
        tracing::warn!("faults can be ordered through the API (faults.enabled)");
    }
    faults
}

fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorCode::Internal, format!("the system gives no thread: {error}"))
}

impl RunningServer {
    /// Loads the models, after which the server is ready, and announces it in the data folder.
    ///
    /// # Errors
    /// When the repository cannot be read. A model that cannot be loaded is no error here.
    pub async fn load(&self, all: bool) -> Result<()> {
        if all {
            self.registry.load_all().await?;
        } else {
            self.registry.start_empty();
        }
        match (&self.data, self.addrs.first()) {
            (Some(data), Some(http)) => {
                data.announce(&Serving::new(*http, self.grpc_addrs().first(), self.health_addrs().first()))
            }
            _ => Ok(()),
        }
    }

    /// The addresses that it listens on.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The addresses that it listens on for gRPC; none when that is off.
    #[must_use]
    pub fn grpc_addrs(&self) -> &[SocketAddr] {
        self.grpc.door().map_or(&[], GrpcDoor::addrs)
    }

    /// Why there is no gRPC although nobody has switched it off.
    #[must_use]
    pub fn grpc_trouble(&self) -> Option<&str> {
        self.grpc.trouble()
    }

    /// The addresses of the health listener; none when that is off.
    #[must_use]
    pub fn health_addrs(&self) -> &[SocketAddr] {
        self.health.door().map_or(&[], HealthDoor::addrs)
    }

    /// Why there is no health listener although nobody has switched it off.
    #[must_use]
    pub fn health_trouble(&self) -> Option<&str> {
        self.health.trouble()
    }

    /// The versions in memory.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The plugins.
    #[must_use]
    pub fn plugins(&self) -> &Catalog {
        &self.plugins
    }

    /// Lets the process end while a load still runs. A load cannot be cancelled and may take minutes; dropping
    /// the registry would wait for it, so one handle to it is never dropped.
    pub fn abandon_loads(&self) {
        std::mem::forget(Arc::clone(&self.registry));
    }

    /// Not ready, then drain, then stop: answers what is in flight before it returns.
    pub async fn stop(mut self) {
        self.readiness.begin_stopping();
        self.poller = None;
        tokio::time::sleep(self.drain_delay).await;
        self.explanations.close();
        self.jobs.close();
        let grpc = async {
            if let SideDoor::Open(door) = self.grpc {
                door.close(self.grace).await;
            }
        };
        tokio::join!(self.handle.stop(true), grpc);
        // Last of all: until here it says that the process is alive.
        drop(self.health);
    }
}

/// Looks at the repository again and again until it is dropped.
struct Poller {
    _stop: Sender<()>,
}

impl Poller {
    fn start(registry: Arc<Registry>, every: Duration) -> io::Result<Self> {
        let (stop, stopped) = bounded::<()>(0);
        // Nobody joins it: it may be waiting for a load, for which nobody who stops the server should wait.
        std::thread::Builder::new().name("candor-poll".into()).spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                match registry.poll().map(candor_serving::Pending::wait_blocking) {
                    Ok(Some(Ok(())) | None) => {}
                    Ok(Some(Err(error))) | Err(error) => {
                        tracing::error!("polling the model repository failed: {error}")
                    }
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}
