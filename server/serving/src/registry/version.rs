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

use candor_domain::{
    Breaker, ConcurrencyLimit, ConcurrencyReading, EngineInfo, ModelName, Result, Session, Signature, Slot, Tick,
    Version,
};
use crossbeam_channel::Sender;

use crate::{
    cross_check::CrossCheck,
    engines::{EngineId, PassedOver},
    facts::Facts,
    features::{Answers, FeatureSet},
    overload::{self, Places},
    repository::{Fingerprint, FoundModel, Manifest, Origin},
    residency::{ABSENT, Departure, Seated, Visited},
    result_cache::Keeping,
    scheduler::Lane,
    stages::Parts,
};

use super::{cold::Moving, files::VersionFiles};

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
    /// What it is made of, if that is more than a graph.
    pub parts: Parts,
    /// sha256 of its file, or of all that it is made of, in hex.
    pub sha256: String,
    /// Size of its file.
    pub file_bytes: u64,
    /// Whether it was loaded from a copy of its file that its engine keeps.
    pub is_copy: bool,
    /// How long it took to load, verify and warm up, in milliseconds.
    pub load_ms: u64,
    /// Whether a run's time can be told from the number of its rows.
    pub cost_is_per_row: bool,
    pub(super) files_sha256: String,
    pub(super) seat: Seat,
    pub(super) cross_check: Arc<CrossCheck>,
    pub(super) facts: Arc<Facts>,
    pub(super) breaker: Option<Arc<Breaker>>,
    pub(super) lane: Arc<Lane>,
    pub(super) fingerprint: Fingerprint,
    pub(super) places: Places,
    /// Its part in the cache of answers, if it keeps them.
    pub(super) keeping: Option<Keeping>,
    pub(super) files: Arc<VersionFiles>,
    /// Held by nobody else, so that others see when it goes.
    pub(super) life: Arc<()>,
    /// How it lies on disk, where its session may have to be loaded again.
    pub(super) found: Option<Arc<FoundModel>>,
    pub(super) leases: Leases,
}

/// Where a version's session is.
pub(super) enum Seat {
    /// In memory as long as the version is.
    Fixed(Arc<Seated>),
    /// In memory while there is room for it.
    Moving(Moving),
}

impl Seat {
    /// The session for a check that may wait long for its turn: one that comes and goes is not kept by it, or the
    /// checks of a first round would hold what the next loads wait for.
    pub(super) fn for_check(&self) -> Option<Visited> {
        let seated = match self {
            Self::Fixed(seated) => Arc::clone(seated),
            Self::Moving(moving) => moving.place.seated.load_full()?,
        };
        Some(Visited(Arc::downgrade(&seated)))
    }

    /// The session on its way out, if nobody else holds it.
    fn depart(self) -> Option<Departure> {
        let seated = match &self {
            Self::Fixed(seated) => Some(Arc::clone(seated)),
            Self::Moving(moving) => moving.place.seated.swap(None),
        };
        drop(self);
        seated.and_then(Arc::into_inner).map(|mut seated| seated.depart())
    }
}

/// Count of leases and what happens when the last one goes.
pub(super) struct Leases {
    count: AtomicU32,
    draining: AtomicBool,
    sent: AtomicBool,
    retired: Sender<Retired>,
}

impl Leases {
    pub(super) fn new(retired: Sender<Retired>) -> Self {
        Self { count: AtomicU32::new(0), draining: AtomicBool::new(false), sent: AtomicBool::new(false), retired }
    }
}

/// Between two looks whether the last reference has gone, and how many looks there are: ten seconds.
const FREE_RETRY: Duration = Duration::from_millis(1);
const FREE_TRIES_MAX: usize = 10_000;

/// A version on its way out, held by nobody who could still use it.
pub(super) struct Retired(Arc<ReadyVersion>);

impl Retired {
    /// Frees the version on this thread, as soon as those that have just let it go have really done so: a lease
    /// gives its count back a moment before its reference. Gives its session, if nobody else holds that.
    pub(super) fn free(self) -> Option<Departure> {
        let mut version = self.0;
        for _ in 0..FREE_TRIES_MAX {
            version = match Arc::try_unwrap(version) {
                Ok(version) => return version.seat.depart(),
                Err(version) => version,
            };
            std::thread::sleep(FREE_RETRY);
        }
        None
    }

    /// Whose state it was, to be booked as unloaded.
    pub(super) fn farewell(&self) -> Option<(ModelName, Version)> {
        Some((self.0.model.clone(), self.0.version.clone()))
    }
}

impl ReadyVersion {
    /// The session of a version that never leaves memory while it is ready, as requests meet it. Where sessions come
    /// and go, only a [`Lease`] that sits on one can tell.
    #[must_use]
    pub fn session(&self) -> &dyn Session {
        match &self.seat {
            Seat::Fixed(seated) => seated.session(),
            Seat::Moving(_) => &ABSENT,
        }
    }

    /// Whether its session is in memory now.
    #[must_use]
    pub fn is_resident(&self) -> bool {
        match &self.seat {
            Seat::Fixed(_) => true,
            Seat::Moving(moving) => moving.place.seated.load().is_some(),
        }
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

    /// Requests that hold it now.
    #[must_use]
    pub fn inflight(&self) -> u32 {
        self.leases.count.load(SeqCst)
    }

    /// How many of them may go through the session pool at the same time, and how many do.
    #[must_use]
    pub fn concurrency(&self) -> ConcurrencyReading {
        self.places.reading()
    }

    /// The limit over those.
    pub(crate) fn limit(&self) -> &Arc<ConcurrencyLimit> {
        self.places.limit()
    }

    /// Its part in the cache of answers, if it keeps them.
    pub(crate) fn keeping(&self) -> Option<&Keeping> {
        self.keeping.as_ref()
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
pub struct Lease {
    version: Arc<ReadyVersion>,
    /// Leases that there were before this one was taken.
    ahead: u32,
    /// The session, where it comes and goes and this lease is there to run it.
    pub(super) seated: Option<Arc<Seated>>,
}

impl Lease {
    /// A lease, unless the version is draining.
    pub(super) fn take(version: &Arc<ReadyVersion>) -> Option<Self> {
        let ahead = version.leases.count.fetch_add(1, SeqCst);
        let lease = Self { version: Arc::clone(version), ahead, seated: None };
        // Dropping gives the count back and frees the version if this was the last.
        (!version.leases.draining.load(SeqCst)).then_some(lease)
    }

    /// Takes hold of the session, so that it stays in memory as long as this lease. False when it is not there: see
    /// [`super::Registry::seat`].
    pub(crate) fn sit(&mut self) -> bool {
        match &self.version.seat {
            Seat::Fixed(_) => true,
            Seat::Moving(moving) => {
                self.seated = moving.place.take();
                self.seated.is_some()
            }
        }
    }

    /// Another lease on the same version, with the same session: for what goes on after the reply. There is one as long
    /// as this one is held, whether the version takes new ones or not.
    #[must_use]
    pub fn another(&self) -> Self {
        let ahead = self.version.leases.count.fetch_add(1, SeqCst);
        Self { version: Arc::clone(&self.version), ahead, seated: self.seated.clone() }
    }

    /// Lets go of the session, which may leave memory while the version stays ready.
    pub(crate) fn stand(&mut self) {
        self.seated = None;
    }

    /// The session that this lease sits on, as requests meet it.
    #[must_use]
    pub fn session(&self) -> &dyn Session {
        match &self.seated {
            Some(seated) => seated.session(),
            None => self.version.session(),
        }
    }

    /// Whether somebody has ordered that runs be held up.
    pub(crate) fn may_be_delayed(&self) -> bool {
        match (&self.seated, &self.version.seat) {
            (Some(seated), _) | (None, Seat::Fixed(seated)) => seated.may_be_delayed(),
            (None, Seat::Moving(_)) => false,
        }
    }

    /// Refuses when more requests hold the version than may hold it at once; and, before its body is read, a request
    /// that could only run on the pool where there is no place: one row of it would take longer than `inline_run_max`,
    /// or nobody knows how long.
    ///
    /// # Errors
    /// `Overloaded` with the limit.
    pub fn admit(&self, inline_run_max: Duration) -> Result<()> {
        self.places.check(&self.model, self.ahead)?;
        if !self.may_run_inline(inline_run_max) && self.limit().is_full() {
            return Err(overload::full(&self.model, self.limit().full()));
        }
        Ok(())
    }

    /// Refuses when more requests hold the version than may hold it at once; for those that wait for another's answer.
    ///
    /// # Errors
    /// `Overloaded` with the limit.
    pub(crate) fn admit_to_wait(&self) -> Result<()> {
        self.places.check(&self.model, self.ahead)
    }

    fn may_run_inline(&self, inline_run_max: Duration) -> bool {
        self.cost_is_per_row && u128::from(self.facts.run_nanos_per_row()) <= inline_run_max.as_nanos()
    }

    /// A place among those that go through the session pool.
    ///
    /// # Errors
    /// `Overloaded` with the limit.
    pub fn enter_pool(&self, now: Tick) -> Result<Slot> {
        self.limit().enter(now).map_err(|full| overload::full(&self.model, full))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({:?})", self.version)
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
