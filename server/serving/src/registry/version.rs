//! A ready version and the leases on it.
//!
//! A lease is a count on the version. Draining is a flag beside the count: whoever raises the count after
//! the flag gives it back and looks for the next version; whoever lowers it to zero after the flag sends
//! the version to the thread that frees it. Both are sequentially consistent, so one of the two sees the
//! other.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use candor_domain::{Breaker, EngineInfo, Error, ErrorCode, ModelName, Result, Session, Signature, Version};
use crossbeam_channel::Sender;

use crate::{
    cross_check::CrossCheck,
    engines::{EngineId, PassedOver},
    facts::Facts,
    faults::FaultySession,
    features::{Answers, FeatureSet},
    repository::{Fingerprint, Manifest, Origin},
    scheduler::Lane,
};

/// One version of a model, loaded, verified and warmed up.
pub struct ReadyVersion {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// What it takes and gives.
    pub signature: Signature,
    /// What its manifest says.
    pub manifest: Manifest,
    /// How it lies on disk.
    pub origin: Origin,
    /// What people call its features; an error where rows cannot be told.
    pub features: Result<FeatureSet>,
    /// What its outputs are to people.
    pub answers: Answers,
    /// What its file says: producer, description, custom metadata.
    pub properties: BTreeMap<String, String>,
    /// The engine that runs it.
    pub engine: EngineInfo,
    /// Engines that come before that one, and why they do not run it.
    pub passed_over: Vec<PassedOver>,
    /// Another engine, or version of it, that ran the same file before.
    pub engine_was: Option<EngineId>,
    /// sha256 of its file, in hex.
    pub sha256: String,
    /// Size of its file.
    pub file_bytes: u64,
    /// How long it took to load, verify and warm up, in milliseconds.
    pub load_ms: u64,
    /// Whether a run's time can be told from the number of its rows.
    pub cost_is_per_row: bool,
    pub(super) session: Arc<dyn Session>,
    pub(super) cross_check: Arc<CrossCheck>,
    pub(super) facts: Arc<Facts>,
    pub(super) breaker: Option<Arc<Breaker>>,
    /// The session with what is ordered to go wrong, where that can be ordered.
    pub(super) faulty: Option<FaultySession>,
    pub(super) lane: Arc<Lane>,
    pub(super) fingerprint: Fingerprint,
    pub(super) leases: Leases,
}

/// Count of leases and what happens when the last one goes.
pub(super) struct Leases {
    count: AtomicU32,
    max: u32,
    draining: AtomicBool,
    sent: AtomicBool,
    retired: Sender<Retired>,
}

impl Leases {
    pub(super) fn new(max: u32, retired: Sender<Retired>) -> Self {
        Self { count: AtomicU32::new(0), max, draining: AtomicBool::new(false), sent: AtomicBool::new(false), retired }
    }
}

/// Between two looks whether the last reference has gone, and how many looks there are: ten seconds.
const FREE_RETRY: Duration = Duration::from_millis(1);
const FREE_TRIES_MAX: usize = 10_000;

/// A version on its way out, held by nobody who could still use it.
pub(super) struct Retired(Arc<ReadyVersion>);

impl Retired {
    /// Frees the version on this thread, as soon as those that have just let it go have really done so: a lease
    /// gives its count back a moment before its reference.
    pub(super) fn free(self) {
        let mut version = self.0;
        for _ in 0..FREE_TRIES_MAX {
            version = match Arc::try_unwrap(version) {
                Ok(version) => return drop(version),
                Err(version) => version,
            };
            std::thread::sleep(FREE_RETRY);
        }
    }

    /// Whose state it was, to be booked as unloaded.
    pub(super) fn farewell(&self) -> Option<(ModelName, Version)> {
        Some((self.0.model.clone(), self.0.version.clone()))
    }
}

impl ReadyVersion {
    /// The loaded session, as requests meet it.
    #[must_use]
    pub fn session(&self) -> &dyn Session {
        self.faulty.as_ref().map_or(&*self.session, |faulty| faulty)
    }

    /// What another engine says to what this one answers.
    #[must_use]
    pub fn cross_check(&self) -> &Arc<CrossCheck> {
        &self.cross_check
    }

    /// Its counters, which outlive it.
    #[must_use]
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// Its place in the scheduler, and what holds for its batches.
    #[must_use]
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Its breaker, if it has one.
    #[must_use]
    pub fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.breaker.as_ref()
    }

    /// Whether somebody has ordered that runs be held up.
    pub(crate) fn may_be_delayed(&self) -> bool {
        self.faulty.as_ref().is_some_and(FaultySession::may_delay)
    }

    /// Requests that hold it now.
    #[must_use]
    pub fn inflight(&self) -> u32 {
        self.leases.count.load(SeqCst)
    }

    /// Takes no new leases from now on; is freed when those that there are have gone.
    pub(super) fn retire(self: &Arc<Self>) {
        self.leases.draining.store(true, SeqCst);
        self.cross_check.end();
        self.free_if_unused();
    }

    fn free_if_unused(self: &Arc<Self>) {
        let unused = self.leases.draining.load(SeqCst) && self.leases.count.load(SeqCst) == 0;
        if unused && !self.leases.sent.swap(true, SeqCst) {
            // Fails only when the registry is gone, and then it is freed here.
            let _ = self.leases.retired.send(Retired(Arc::clone(self)));
        }
    }
}

impl fmt::Debug for ReadyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.version)
    }
}

/// A version that stays in memory as long as this is held.
#[derive(Debug)]
pub struct Lease {
    version: Arc<ReadyVersion>,
    /// Leases that there were before this one was taken.
    ahead: u32,
}

impl Lease {
    /// A lease, unless the version is draining.
    pub(super) fn take(version: &Arc<ReadyVersion>) -> Option<Self> {
        let ahead = version.leases.count.fetch_add(1, SeqCst);
        let lease = Self { version: Arc::clone(version), ahead };
        // Dropping gives the count back and frees the version if this was the last.
        (!version.leases.draining.load(SeqCst)).then_some(lease)
    }

    /// Refuses when more requests hold the version than it may have at once.
    ///
    /// # Errors
    /// `Overloaded` with the limit.
    pub fn admit(&self) -> Result<()> {
        let max = self.leases.max;
        if self.ahead < max {
            return Ok(());
        }
        Err(Error::new(ErrorCode::Overloaded, format!("model '{}' has too many requests in flight", self.model))
            .at("limits.inflight_per_model_max")
            .expected(format!("at most {max}"))
            .retry_after_s(1))
    }
}

impl Deref for Lease {
    type Target = ReadyVersion;

    fn deref(&self) -> &ReadyVersion {
        &self.version
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.version.leases.count.fetch_sub(1, SeqCst) == 1 {
            self.version.free_if_unused();
        }
    }
}
