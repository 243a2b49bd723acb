//! Which versions are in memory, in which state, and who may use them.
//!
//! Doors and wiring ask for loads and unloads; the pipeline asks for a [`Lease`]. Readers look at an immutable snapshot
//! and take no lock; changes are made by one thread per model at a time, on the load pool, and published whole: load
//! before unload, `ready` only after warm-up, a failed load leaves what was there. A version that is replaced or
//! unloaded drains: it leaves memory, on a thread of its own, when its last lease is dropped.
//!
//! | module | what it does |
//! |---|---|
//! | `version` | a ready version and its leases |
//! | `start` | the first round of loads |
//! | `load` | from files to ready: open, prove, publish |
//! | `open` | from a copy or a file to an open session; copies are made |
//! | `prove` | golden pairs, warm-up, measurements; `findings` remembers what they came to |
//! | `change` | load, unload, poll: what a model's versions become |
//! | `cold` | room for a session before it is loaded; bringing back one that had to leave |
//! | `first` | models that are loaded when they are first asked for |
//! | `members` | versions for ensembles, and for components that call models |
//! | `breakers` | the breakers of versions in memory, shown and closed by hand |
//! | `book` | the state of every version ever seen, for the index and for messages |

mod book;
mod breakers;
mod change;
mod cold;
mod files;
mod findings;
mod first;
mod load;
mod members;
mod open;
mod prove;
mod start;
mod version;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use candor_domain::{Clock, ConcurrencyReading, EngineInfo, Error, ErrorCode, ModelName, Reason, Result, Version};
use crossbeam_channel::{Sender, bounded, unbounded};

pub use book::{IndexEntry, Standing};
pub(crate) use cold::Came;
pub use findings::FindingsSettings;
pub(crate) use load::sha256_of;
pub use load::{Meaning, Opened};
pub use version::{Lease, ReadyVersion};

use crate::{
    batching::BatchingSettings,
    breaker::{BreakerDefaults, BreakerView},
    cross_check::{Checker, CrossCheckReport, CrossCheckSettings, Outbox, Subject},
    engines::{EngineRecord, Engines},
    facts::{Facts, FactsTotals},
    faults::Faults,
    overload::OverloadDefaults,
    pool::{Pending, Pool},
    repository::{Repository, VersionPolicy},
    residency::{Departure, Keeper, ResidencySettings, weights::Weights},
    result_cache::{ResultCache, ResultCacheSettings},
    scheduler::Lane,
};
use book::{Book, OpenBook};
use findings::Findings;
use first::FirstLoads;
use members::Members;
use open::CopiesWanted;
use version::Retired;

/// How the registry behaves.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// Versions served where a model's manifest does not say.
    pub version_policy: VersionPolicy,
    /// Threads that load models.
    pub load_threads: usize,
    /// Threads that run inferences, for the size of the counters.
    pub inference_threads: usize,
    /// Most requests of one model version at the same time.
    pub inflight_max: u32,
    /// Batching of models whose manifests say nothing of it.
    pub batching: BatchingSettings,
    /// Threads of the session pool, on which dear requests run.
    pub pool_threads: usize,
    /// How many models may wait for each other, each for the next; at least 2, or there are no ensembles.
    pub call_depth_max: u32,
    /// Concurrency limits of models whose manifests say nothing of them.
    pub overload: OverloadDefaults,
    /// Breakers of models whose manifests say nothing of them.
    pub breaker: BreakerDefaults,
    /// Where faults are ordered; without it there are none.
    pub faults: Option<Arc<Faults>>,
    /// File that keeps which engine ran which file; without one that is forgotten when the server ends.
    pub engine_record: Option<PathBuf>,
    /// When another engine answers too.
    pub cross_check: CrossCheckSettings,
    /// What a thread does before each load, such as to step back behind those that answer.
    pub before_load: fn(),
    /// What it does besides when the first round of loads is over and others answer; and whoever frees and checks.
    pub before_later_load: fn(),
    /// Bounds the memory that sessions take; without it every ready version stays in memory.
    pub residency: Option<ResidencySettings>,
    /// How many answers are kept, of models that ask for it.
    pub result_cache: ResultCacheSettings,
    /// Whether a request loads a model that nobody has tried to load yet.
    pub lazy: bool,
    /// Gives free memory back to the system, after sessions have been freed.
    pub trim: Option<fn() -> bool>,
    /// Where it is kept what loads find out that takes long; without that it is found out at each load.
    pub findings: Option<FindingsSettings>,
}

impl Default for RegistrySettings {
    /// One thread each, nothing kept.
    fn default() -> Self {
        Self {
            version_policy: VersionPolicy::Latest(1),
            load_threads: 1,
            inference_threads: 1,
            inflight_max: 1000,
            pool_threads: 1,
            call_depth_max: 4,
            overload: OverloadDefaults::default(),
            engine_record: None,
            cross_check: CrossCheckSettings::default(),
            batching: BatchingSettings::default(),
            breaker: BreakerDefaults::default(),
            faults: None,
            before_load: || (),
            before_later_load: || (),
            residency: None,
            result_cache: ResultCacheSettings::default(),
            lazy: false,
            trim: None,
            findings: None,
        }
    }
}

/// Loads that wait for a thread; each may be a whole repository's worth of work for a caller.
const LOADS_QUEUED_MAX: usize = 4096;

/// The versions in memory.
pub struct Registry {
    core: Arc<Core>,
    loads: Pool,
    /// Held for its end: it is joined when the registry goes.
    _checker: Option<Checker>,
}

/// What load threads and readers share.
struct Core {
    snapshot: ArcSwap<Snapshot>,
    book: Mutex<Book>,
    /// What the book comes to, for those who must not wait for it.
    standing: ArcSwap<Standing>,
    turns: Mutex<HashMap<ModelName, Arc<Mutex<()>>>>,
    engines: Arc<Engines>,
    record: EngineRecord,
    findings: Findings,
    copies_wanted: CopiesWanted,
    /// Copies that are to be made when the first round of loads is over.
    copies_postponed: Mutex<Vec<open::Wanted>>,
    checks: Option<Outbox>,
    /// Versions that were loaded before the first round of loads was over.
    postponed: Mutex<Vec<Subject>>,
    repository: Repository,
    clock: Arc<dyn Clock>,
    settings: RegistrySettings,
    retired: Sender<Retired>,
    departures: Sender<Departure>,
    keeper: Option<Arc<Keeper>>,
    weights: Weights,
    first_loads: FirstLoads,
    results: Arc<ResultCache>,
    /// Bytes that were freed since the last trimming.
    untrimmed: AtomicU64,
    /// Ends the thread that tells the keeper the time.
    _ticker: Option<Sender<()>>,
    started: AtomicBool,
}

type Versions = BTreeMap<Version, Arc<ReadyVersion>>;

/// What is ready at one moment.
#[derive(Default)]
struct Snapshot {
    models: HashMap<ModelName, Versions>,
}

/// A ready version's place and counters, for metrics and statistics.
pub struct VersionView {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// Its counters.
    pub totals: FactsTotals,
    /// Requests that hold it now; `None` when it is not ready.
    pub inflight: Option<u32>,
    /// Its concurrency limit; `None` when it is not ready.
    pub concurrency: Option<ConcurrencyReading>,
    /// Its breaker; `None` when it is not ready or has none.
    pub breaker: Option<BreakerView>,
    /// Its place in the scheduler; `None` when it is not ready.
    pub lane: Option<Arc<Lane>>,
    /// The engine that runs it; `None` when it is not ready.
    pub engine: Option<EngineInfo>,
    /// Whether its session is in memory; `None` when it is not ready.
    pub resident: Option<bool>,
    /// What another engine says to it; `None` when it is not ready.
    pub cross_check: Option<CrossCheckReport>,
}

impl Registry {
    /// An empty registry over `repository`, whose versions are run by `engines`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        engines: Engines,
        repository: Repository,
        clock: Arc<dyn Clock>,
        settings: RegistrySettings,
    ) -> io::Result<Self> {
        let loads = Pool::start("candor-load", settings.load_threads, LOADS_QUEUED_MAX)?;
        let checks = &settings.cross_check;
        let is_checked = checks.is_on() && engines.present().count() > 1;
        let checker = is_checked
            .then(|| Checker::start(checks.queue_max, [settings.before_load, settings.before_later_load]))
            .transpose()?;
        let (retired, leaving) = unbounded::<Retired>();
        let (departures, departing) = unbounded::<Departure>();
        let (reloads, wanted) = unbounded();
        let keeper = settings
            .residency
            .clone()
            .map(|residency| Arc::new(Keeper::new(residency, Arc::clone(&clock), reloads, departures.clone())));
        let (ticker, stop) = bounded::<()>(0);
        let (copies_wanted, wanted_copies) = bounded(open::COPIES_QUEUED_MAX);
        let weights = settings.residency.as_ref().and_then(|residency| residency.weights.clone());
        let core = Arc::new(Core {
            snapshot: ArcSwap::default(),
            book: Mutex::default(),
            standing: ArcSwap::default(),
            turns: Mutex::default(),
            engines: Arc::new(engines),
            checks: checker.as_ref().map(|checker| checker.outbox().clone()),
            postponed: Mutex::default(),
            record: EngineRecord::open(settings.engine_record.clone()),
            results: Arc::new(ResultCache::new(settings.result_cache.clone(), Arc::clone(&clock))),
            findings: Findings::open(settings.findings.clone()),
            copies_wanted,
            copies_postponed: Mutex::default(),
            repository,
            clock,
            settings,
            retired,
            departures,
            _ticker: keeper.as_ref().map(|_| ticker),
            keeper,
            weights: Weights::new(weights),
            first_loads: FirstLoads::default(),
            untrimmed: AtomicU64::new(0),
            started: AtomicBool::new(false),
        });
        core.engines.set_members(Arc::new(Members::new(&core)));
        cold::start_threads(&core, leaving, departing, wanted, stop)?;
        open::start_thread(&core, wanted_copies)?;
        Ok(Self { core, loads, _checker: checker })
    }

    /// Loads a model as it lies on disk now: new and changed versions first, then those that the policy
    /// no longer wants are drained. The work goes on when nobody waits for it.
    ///
    /// # Errors
    /// `Overloaded` when too many loads wait; the pending result says how the load itself ended.
    pub fn load(&self, name: ModelName, policy: Option<VersionPolicy>) -> Result<Pending<Result<()>>> {
        let core = Arc::clone(&self.core);
        self.on_load_pool(move || core.load_now(&name, policy.as_ref()))
    }

    /// Takes a model out of service; its versions leave memory when their last request is answered.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn unload(&self, name: ModelName) -> Result<Pending<Result<()>>> {
        let core = Arc::clone(&self.core);
        self.on_load_pool(move || core.unload_now(&name))
    }

    /// Compares the repository with what is loaded: loads what is new or changed, unloads what is gone.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn poll(&self) -> Result<Pending<Result<()>>> {
        let core = Arc::clone(&self.core);
        self.on_load_pool(move || core.poll_now())
    }

    fn on_load_pool<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<Pending<T>> {
        let core = Arc::clone(&self.core);
        let work = move || {
            core.before_load();
            work()
        };
        self.loads.submit(work).map_err(|_| {
            Error::no_room(Reason::QueueFull, "too many loads are waiting")
                .expected(format!("at most {LOADS_QUEUED_MAX}"))
                .retry_after_s(1)
        })
    }

    /// Leases a version, the highest ready one if none is named. It stays in memory until the lease is dropped.
    ///
    /// # Errors
    /// `NotFound` when there is no such model or version, `NotReady` when it is not in memory now.
    pub fn lease(&self, name: &str, version: Option<&str>) -> Result<Lease> {
        self.core.lease(name, version)
    }

    /// Ready versions of a model, lowest first.
    #[must_use]
    pub fn ready_versions(&self, name: &str) -> Vec<Version> {
        self.core
            .snapshot
            .load()
            .models
            .get(name)
            .map(|versions| versions.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The engine that runs a version; `None` when it is not ready.
    #[must_use]
    pub fn engine_of(&self, name: &ModelName, version: &Version) -> Option<EngineInfo> {
        let snapshot = self.core.snapshot.load();
        Some(snapshot.models.get(name)?.get(version)?.engine.clone())
    }

    /// Models that have a ready version, in order of their names.
    #[must_use]
    pub fn ready_models(&self) -> Vec<ModelName> {
        let snapshot = self.core.snapshot.load();
        let ready = snapshot.models.iter().filter(|(_, versions)| !versions.is_empty());
        let mut names: Vec<ModelName> = ready.map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// Every version that is in the repository or was ever seen, with its state and the reason for it.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn index(&self) -> Result<Vec<IndexEntry>> {
        let (names, _) = self.core.names()?;
        Ok(self.core.book().index(&names))
    }

    /// The index over what was ever seen, without a look at the disk.
    #[must_use]
    pub fn index_of_known(&self) -> Vec<IndexEntry> {
        self.core.book().index(&[])
    }

    /// How many versions are ready and which models failed, without a look at the disk and without a lock.
    #[must_use]
    pub fn standing(&self) -> Arc<Standing> {
        self.core.standing.load_full()
    }

    /// Counters of every version that was ever ready, in order of name and version.
    #[must_use]
    pub fn views(&self) -> Vec<VersionView> {
        let facts = self.core.book().facts();
        let snapshot = self.core.snapshot.load();
        let view = |(model, version, facts): (ModelName, Version, Arc<Facts>)| {
            let ready = snapshot.models.get(&model).and_then(|versions| versions.get(&version));
            VersionView {
                inflight: ready.map(|ready| ready.inflight()),
                concurrency: ready.map(|ready| ready.concurrency()),
                breaker: ready.and_then(|ready| self.breaker_of(ready)),
                lane: ready.map(|ready| Arc::clone(&ready.lane)),
                engine: ready.map(|ready| ready.engine.clone()),
                resident: ready.map(|ready| ready.is_resident()),
                cross_check: ready.map(|ready| ready.cross_check.report()),
                totals: facts.totals(),
                model,
                version,
            }
        };
        facts.into_iter().map(view).collect()
    }

    /// Whether the first round of loads is over.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.core.started.load(Ordering::SeqCst)
    }

    /// The engines that sessions are made with.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.core.engines
    }

    /// The repository that models come from.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.core.repository
    }

    /// Returns when everything that is to be checked by another engine so far has been.
    #[cfg(test)]
    pub(crate) fn settle_checks(&self) {
        let (tell, told) = std::sync::mpsc::channel();
        if let Some(outbox) = &self.core.checks {
            outbox.version(move || tell.send(()).unwrap_or_default());
            told.recv().unwrap_or_default();
        }
    }

    /// Loads that wait for a thread now.
    #[must_use]
    pub fn loads_queued(&self) -> usize {
        self.loads.queued()
    }
}

impl Core {
    /// See [`Registry::lease`].
    fn lease(&self, name: &str, version: Option<&str>) -> Result<Lease> {
        loop {
            let snapshot = self.snapshot.load();
            let versions = snapshot.models.get(name);
            let found = versions.and_then(|versions| match version {
                None => versions.last_key_value().map(|(_, ready)| ready),
                Some(wanted) => versions.iter().find(|(known, _)| known.as_str() == wanted).map(|(_, ready)| ready),
            });
            let Some(found) = found else { return Err(self.why_not(name, version)) };
            // A version that began to drain since the snapshot was read has been replaced or removed in
            // the snapshot before that, so looking again ends.
            if let Some(lease) = Lease::take(found) {
                return Ok(lease);
            }
        }
    }

    fn book(&self) -> OpenBook<'_> {
        OpenBook::new(self.book.lock().unwrap_or_else(PoisonError::into_inner), &self.standing)
    }

    /// Names in the repository, which the book remembers so that no request need look at the disk.
    fn names(&self) -> Result<(Vec<ModelName>, Vec<String>)> {
        let found = self.repository.models()?;
        self.book().in_repository(&found.0);
        Ok(found)
    }

    /// Why a model or version cannot be leased.
    fn why_not(&self, name: &str, version: Option<&str>) -> Error {
        let name = match ModelName::parse(name) {
            Ok(name) => name,
            Err(error) => return error,
        };
        let version = match version.map(Version::parse).transpose() {
            Ok(version) => version,
            Err(error) => return error,
        };
        if let Some(error) = self.book().why_not(&name, version.as_ref()) {
            return error;
        }
        let snapshot = self.snapshot.load();
        if let (Some(versions), Some(version)) = (snapshot.models.get(&name), &version) {
            let ready: Vec<_> = versions.keys().map(Version::as_str).collect();
            return Error::new(ErrorCode::NotFound, format!("model '{name}' has no version {version}"))
                .expected(format!("one of its ready versions: {}", ready.join(", ")));
        }
        if self.book().is_in_repository(&name) {
            return Error::new(ErrorCode::NotReady, format!("model '{name}' is not loaded"))
                .hint(format!("load it: POST /v2/repository/models/{name}/load"));
        }
        let unknown = Error::new(ErrorCode::NotFound, format!("there is no model '{name}'"));
        match crate::likeness::closest(name.as_str(), snapshot.models.keys().map(ModelName::as_str)) {
            Some(known) => unknown.hint(format!("did you mean '{known}'?")),
            None => unknown,
        }
    }
}

#[cfg(test)]
mod tests;
