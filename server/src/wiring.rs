//! Builds every part and hands each its needs: the architecture as code.
//!
//! ```text
//! Settings ─► engines ─► registry ─► pipeline ─┬─► Api ─► Gate ─► HttpServer
//!                                              └─► GrpcDoor
//!                        registry ─► readiness ─► both, and HealthDoor
//! ```

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
};
use candor_control::jobs::MemoryJobs;
use candor_domain::{Clock, Components, Error, ErrorCode, Result};
use candor_engine_native::NativeEngine;
use candor_engine_ort::{CopySettings, OrtEngine};
use candor_grpc_api::{GrpcDoor, GrpcParts};
use candor_health_api::HealthDoor;
use candor_http_api::{Api, ApiParts, Gate};
use candor_insight::explanations::Explanations;
use candor_plugin_host::Catalog;
use candor_serving::{
    Bodies, Callers, EngineChoice, Engines, Faults, FindingsSettings, Pipeline, PipelineSettings, Quota, Readiness,
    Registry, RegistrySettings, Repository, Scheduler, SchedulerSettings, Tally, Tokens, residency::ResidencySettings,
};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::{
    clock::SystemClock,
    config::Settings,
    data::{DataFolder, Serving},
    plugins, priority,
    side_door::{Place, SideDoor},
};

/// Open connections that wait to be accepted.
const BACKLOG: u32 = 1024;

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
    let repository = Repository::open(&settings.repository_dir, settings.model_bytes_max)?;
    if let Some(advice) = repository.advice() {
        tracing::warn!("{advice}");
    }
    let plugins = Arc::new(plugins::start(settings, &clock));
    let engines = with_plugins(engines()?, &plugins);
    let faults = settings.faults_enabled.then(Arc::<Faults>::default);
    if faults.is_some() {
        tracing::warn!("faults can be ordered through the API (faults.enabled)");
    }
    let registry_settings = registry_settings(settings, faults.clone());
    let registry = Registry::start(engines, repository, Arc::clone(&clock), registry_settings);
    let registry = Arc::new(registry.map_err(no_thread)?);
    let pipeline = Arc::new(pipeline(settings, &registry, &clock)?);
    let explanations = explanations(settings, &plugins, &clock)?;
    let jobs = Arc::new(MemoryJobs::start(settings.jobs.clone(), Arc::clone(&clock)).map_err(no_thread)?);
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

fn pipeline(settings: &Settings, registry: &Arc<Registry>, clock: &Arc<dyn Clock>) -> Result<Pipeline> {
    let before_work = if settings.threads.pool_steps_back { priority::run_steps_back } else { || () };
    let scheduling = SchedulerSettings { before_work, ..settings.scheduling.clone() };
    let sessions = Scheduler::start("candor-infer", scheduling, Arc::clone(clock)).map_err(no_thread)?;
    let own = PipelineSettings {
        inline_body_bytes_max: settings.inline_body_bytes_max,
        inline_run_max: settings.inline_run_max,
        inference_max: settings.inference_max,
    };
    Ok(Pipeline::new(Arc::clone(registry), sessions, Arc::clone(clock), own))
}

fn explanations(settings: &Settings, plugins: &Arc<Catalog>, clock: &Arc<dyn Clock>) -> Result<Arc<Explanations>> {
    let components: Arc<dyn Components> = Arc::<Catalog>::clone(plugins);
    let explanations = Explanations::start(components, Arc::clone(clock), settings.explanations.clone());
    explanations.map(Arc::new).map_err(no_thread)
}

/// The engines with the plugins' components; says which engines are not there.
fn with_plugins(engines: Engines, plugins: &Arc<Catalog>) -> Engines {
    for absent in engines.absent() {
        tracing::warn!("serving without the engine {}: {}", absent.name, absent.why);
    }
    let components: Arc<dyn Components> = Arc::<Catalog>::clone(plugins);
    engines.with_components(components)
}

/// Where gRPC is to be.
pub(crate) fn grpc_place(settings: &Settings) -> Place<'_> {
    Place {
        what: "gRPC",
        addrs: &settings.grpc.addrs,
        is_chosen: settings.grpc.addr_is_chosen,
        other: "--grpc-addr, or switch gRPC off with --grpc-addr off",
    }
}

/// Where the health listener is to be.
pub(crate) fn health_place(settings: &Settings) -> Place<'_> {
    Place {
        what: "health listener",
        addrs: &settings.health.addrs,
        is_chosen: settings.health.addr_is_chosen,
        other: "--health-addr, or do without the listener with --health-addr off",
    }
}

fn registry_settings(settings: &Settings, faults: Option<Arc<Faults>>) -> RegistrySettings {
    RegistrySettings {
        version_policy: settings.version_policy.clone(),
        load_threads: settings.threads.load,
        before_load: before_load(settings),
        inference_threads: settings.threads.inference(),
        inflight_max: settings.inflight_max,
        batching: settings.batching.clone(),
        pool_threads: settings.threads.pool,
        overload: settings.overload,
        breaker: settings.breaker,
        faults,
        engine_record: settings.data_dir.as_deref().map(DataFolder::engine_record),
        cross_check: settings.cross_check.clone(),
        residency: settings.residency.bound.clone().map(|residency| {
            let weights = settings.data_dir.as_deref().map(DataFolder::weights);
            ResidencySettings { weights, ..residency }
        }),
        result_cache: settings.residency.results.clone(),
        lazy: settings.residency.lazy,
        trim: Some(candor_engine_ort::trim),
        findings: settings.data_dir.as_deref().map(|folder| FindingsSettings {
            path: DataFolder::findings(folder),
            machine: format!("{}; {} threads", candor_engine_ort::processor(), settings.threads.intra_op),
            golden_nanos: u64::try_from(settings.residency.cold_start.golden.as_nanos()).unwrap_or(u64::MAX),
        }),
    }
}

/// The engines that serve, best first; the command line checks models on the same ones. A word that names an engine
/// wants it to be there; without one, an engine that is not there is done without.
pub(crate) fn engines(settings: &Settings) -> Result<Engines> {
    engines_with(settings, None)
}

/// Where copies of model files are kept, if they are. Only by a server: it alone holds its data folder.
fn copies(settings: &Settings) -> Option<CopySettings> {
    let cold_start = &settings.residency.cold_start;
    let of_data = || settings.data_dir.as_deref().map(DataFolder::copies);
    let folder = cold_start.folder.clone().or_else(of_data).filter(|_| cold_start.copies)?;
    Some(CopySettings {
        folder,
        bytes_max: cold_start.copies_bytes_max,
        model_bytes_min: cold_start.model_bytes_min,
        twin_bytes_min: cold_start.twin_bytes_min.unwrap_or(u64::MAX),
        step_back: before_load(settings),
    })
}

/// What each thread does that loads.
fn before_load(settings: &Settings) -> fn() {
    if settings.threads.load_steps_back { priority::load_steps_back } else { || () }
}

fn engines_with(settings: &Settings, copies: Option<CopySettings>) -> Result<Engines> {
    let choice = settings.engine;
    let mut engines = Engines::default();
    if choice.admits("ort") {
        let library = settings.ort_library.as_deref();
        engines = match OrtEngine::try_new(library, &library_folders(), settings.threads.intra_op) {
            Ok(engine) => engines.with(Arc::new(match copies {
                Some(copies) => engine.with_copies(copies),
                None => engine,
            })),
            Err(error) if choice == EngineChoice::Auto => engines.without("ort", error),
            Err(error) => return Err(error),
        };
    }
    if choice.admits("native") {
        engines = engines.with(Arc::new(NativeEngine::new()));
    }
    if choice.admits("tract") {
        engines = with_tract(engines, choice)?;
    }
    Ok(engines)
}

/// The same with the plugins, as a server would load them, for who looks at models on the command line.
pub(crate) fn engines_with_plugins(settings: &Settings) -> Result<Engines> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    Ok(engines(settings)?.with_components(Arc::new(plugins::start(settings, &clock))))
}

/// Whether this build has the engine tract.
pub const HAS_TRACT: bool = cfg!(feature = "tract");

#[cfg(feature = "tract")]
fn with_tract(engines: Engines, _: EngineChoice) -> Result<Engines> {
    Ok(engines.with(Arc::new(candor_engine_tract::TractEngine::new())))
}

/// A build for light work: who does not ask for tract does without it.
#[cfg(not(feature = "tract"))]
fn with_tract(engines: Engines, choice: EngineChoice) -> Result<Engines> {
    if choice == EngineChoice::Tract {
        return Err(Error::new(ErrorCode::Unsupported, "this build has no engine called tract")
            .hint("build candor with its default features, or take --engine native"));
    }
    Ok(engines)
}

/// Where an engine's library is looked for before the system's folders: beside the binary, and in `../lib`.
pub(crate) fn library_folders() -> Vec<PathBuf> {
    let binary = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    let beside = binary.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    beside.iter().cloned().chain(beside.iter().map(|folder| folder.join("../lib"))).collect()
}

pub(crate) fn read_tokens(path: &Path) -> Result<Tokens> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("the tokens file {shown} cannot be read: {error}")))?;
    Tokens::parse(&text).map_err(|error| Error::invalid(format!("the tokens file {shown}: {error}")))
}

fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorCode::Internal, format!("the system gives no thread: {error}"))
}

/// The clock that actix times a request's head by moves in steps of this length: a deadline counted from it
/// may come so much too early.
const CLOCK_STEP: Duration = Duration::from_millis(500);

fn listen(settings: &Settings, api: &Arc<Api>) -> Result<(Server, Vec<SocketAddr>)> {
    let shared = Arc::clone(api);
    let app = move || {
        let api = Arc::clone(&shared);
        App::new().wrap(Gate::new(&api)).configure(move |config| candor_http_api::configure(&api, config))
    };
    let server = HttpServer::new(app)
        .workers(settings.threads.http)
        .max_connections(settings.connections_max.div_ceil(settings.threads.http))
        .backlog(BACKLOG)
        .on_connect(candor_http_api::connected)
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.header_read_max + CLOCK_STEP)
        // A client that closes its side has gone; work for it is dropped.
        .h1_allow_half_closed(false)
        .shutdown_timeout(settings.grace.as_secs().max(1))
        .disable_signals();
    let addrs = settings.http_addrs.as_slice();
    let server = server.bind(addrs).map_err(|error| cannot_bind(addrs, &error, "--http-addr"))?;
    let bound = server.addrs();
    Ok((server.run(), bound))
}

/// Why an address cannot be listened on, and what to do: `other` is how one chooses another.
pub(crate) fn cannot_bind(addrs: &[SocketAddr], error: &io::Error, other: &str) -> Error {
    let shown = addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let problem = Error::new(ErrorCode::Internal, format!("cannot listen on {shown}: {error}"));
    let hint = [
        (io::ErrorKind::AddrInUse, "another process listens there; stop it or choose another"),
        (io::ErrorKind::PermissionDenied, "ports below 1024 need privileges; choose another"),
    ]
    .into_iter()
    .find(|(kind, _)| *kind == error.kind());
    hint.map_or(problem.clone(), |(_, hint)| problem.hint(format!("{hint} {other}")))
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
