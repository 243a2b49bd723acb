//! Room for a session before it is loaded, and bringing back one that had to leave.
//!
//! A version whose session has left memory is as ready as any other: it keeps its signature, its counters and its place
//! in the index, and a request for it waits for its session. The load pool asks for room before the first load; later
//! loads run on threads of their own, so that a load that waits for room keeps none from ending.

use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    thread::Builder,
    time::Duration,
};

use candor_domain::{Error, ErrorCode, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::{
    Core, Lease, ReadyVersion, Registry,
    version::{Retired, Seat},
};
use crate::{
    engines::EngineId,
    repository::FoundModel,
    residency::{
        Body, Departure, Ended, Keeper, Place, ResidencyView, Seated,
        ledger::{Grant, Need},
        weights::estimate,
    },
    result_cache::ResultCacheView,
};

/// The free memory of the process is given back whenever so much has been freed.
const TRIM_BYTES: u64 = 4 << 20;
/// How often the keeper is told the time.
const TICK: Duration = Duration::from_millis(250);

/// A place whose session comes and goes.
pub(super) struct Moving {
    pub(super) place: Arc<Place>,
    keeper: Arc<Keeper>,
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.keeper.forget(&self.place);
    }
}

/// Whether a session has come.
pub(crate) enum Came {
    /// The lease sits on it.
    Seated,
    /// Its version was replaced or taken out meanwhile: there may be another one.
    Gone,
}

/// Room for one load. Dropped before it is settled, it is given back when the memory of the failed load has been.
pub(super) struct Room {
    bytes: u64,
    kept: Option<(Moving, Grant)>,
    departures: Sender<Departure>,
    settled: bool,
}

impl Room {
    /// The load has ended well.
    pub(super) fn settle(mut self, body: Body, need: Need) -> Seat {
        self.settled = true;
        match self.kept.take() {
            None => Seat::Fixed(Arc::new(Seated::new(body, self.bytes, None, self.departures.clone()))),
            Some((moving, grant)) => {
                moving.keeper.seated(&moving.place, grant, need, body);
                Seat::Moving(moving)
            }
        }
    }
}

impl Room {
    /// Gives its bytes back on this thread, so that they are free when this returns.
    pub(super) fn give_back(mut self, core: &Core) {
        self.settled = true;
        let kept = self.kept.take();
        let grant = kept.as_ref().map(|(_, grant)| *grant);
        core.free(Departure { body: None, bytes: self.bytes, grant });
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        match self.kept.take() {
            Some((moving, grant)) => moving.keeper.failed(&moving.place, grant, self.bytes, None),
            None if !self.settled => {
                let _ = self.departures.send(Departure { body: None, bytes: self.bytes, grant: None });
            }
            None => {}
        }
    }
}

impl ReadyVersion {
    /// Lets the place of its session know whose it is.
    pub(super) fn bind(self: &Arc<Self>) {
        if let Seat::Moving(moving) = &self.seat {
            let _ = moving.place.version.set(Arc::downgrade(self));
        }
    }

    /// It is on its way out: who waits for its session is told, and nothing makes room for it any more.
    pub(super) fn forget_seat(&self) {
        if let Seat::Moving(moving) = &self.seat {
            moving.keeper.forget(&moving.place);
        }
    }
}

impl Core {
    /// What a session takes: as its owner says, as measured, or as the size of its file lets expect.
    pub(super) fn need(&self, sha256: &str, file_bytes: u64, engine: Option<&EngineId>, model: &FoundModel) -> Need {
        if let Some(bytes) = model.manifest.residency.bytes {
            return Need { load_bytes: bytes, steady_bytes: bytes, load_ms: 0 };
        }
        let known = match engine {
            Some(engine) => self.weights.of(sha256, engine),
            None => self.weights.most(sha256),
        };
        let budget = self.keeper.as_ref().map_or(u64::MAX, |keeper| keeper.settings().budget);
        // Weights are measured without copies; what a mapped copy takes comes on top. The guess has room for it.
        let beside = self.engines.beside_bytes(file_bytes);
        let with_copy = |need: Need| Need {
            load_bytes: need.load_bytes.saturating_add(beside),
            steady_bytes: need.steady_bytes.saturating_add(beside),
            ..need
        };
        known.map(|weight| with_copy(weight.need())).unwrap_or_else(|| {
            let guess = estimate(file_bytes);
            // A guess alone refuses nothing that may fit.
            let bytes = guess.load_bytes.min(budget.max(file_bytes));
            Need { load_bytes: bytes, steady_bytes: bytes, ..guess }
        })
    }

    /// Waits for room for a load of a file with this digest. What the caller holds for it is let go while it waits.
    pub(super) fn room_for(
        &self,
        model: &FoundModel,
        sha256: &str,
        file_bytes: u64,
        let_go: impl FnOnce(),
    ) -> Result<Room> {
        let room = |bytes, kept| Room { bytes, kept, departures: self.departures.clone(), settled: false };
        let Some(keeper) = &self.keeper else { return Ok(room(estimate(file_bytes).steady_bytes, None)) };
        let need = self.need(sha256, file_bytes, None, model);
        let place = keeper.place(need, model.manifest.residency.pin);
        let moving = Moving { place: Arc::clone(&place), keeper: Arc::clone(keeper) };
        let mut told = keeper.reserve(&place);
        let grant = match told.try_recv() {
            Ok(granted) => granted?,
            Err(_) => {
                let_go();
                let given_up = |_| Error::new(ErrorCode::NotReady, "the load was given up");
                told.blocking_recv().map_err(given_up)??
            }
        };
        Ok(room(need.load_bytes, Some((moving, grant))))
    }

    /// Brings a session back.
    fn reload(&self, keeper: &Keeper, place: &Place, grant: Grant) {
        let version = place.version.get().and_then(Weak::upgrade);
        let Some(version) = version else { return keeper.failed(place, grant, 0, None) };
        let began = self.clock.now();
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| self.open_again(&version)));
        let opened = opened.unwrap_or_else(|_| Err(Error::model("the engine panicked")));
        match opened {
            Ok((body, need)) => {
                let load_ms = self.clock.now().nanos_since(began) / 1_000_000;
                tracing::debug!(model = %version.model, version = %version.version, load_ms, "back in memory");
                keeper.seated(place, grant, Need { load_ms, ..need }, body);
            }
            Err(error) => {
                tracing::error!(model = %version.model, version = %version.version, "cannot be brought back into memory: {error}");
                keeper.failed(place, grant, version.file_bytes, Some(&error));
            }
        }
    }

    fn open_again(&self, version: &ReadyVersion) -> Result<(Body, Need)> {
        let lost = || Error::new(ErrorCode::Internal, "nobody knows where the version lies");
        let model = version.found.as_deref().ok_or_else(lost)?;
        let found = model.versions.iter().find(|found| found.version == version.version).ok_or_else(lost)?;
        let what = || format!("model '{}' version {}", version.model, version.version);
        let not_ready = |error: Error| error.with_code(ErrorCode::NotReady);
        let mut opened = self.open_same(model, found, version).map_err(not_ready)?;
        if opened.files_sha256 != version.files_sha256 {
            let error =
                Error::new(ErrorCode::NotReady, format!("the file of {} is another than when it was loaded", what()));
            return Err(error.hint(format!("load it anew: POST /v2/repository/models/{}/load", version.model)));
        }
        opened.read(model, found).map_err(not_ready)?;
        let engine = EngineId::from(&opened.engine);
        let need = self.need(&opened.files_sha256, opened.file_bytes, Some(&engine), model);
        Ok((self.body(model, found, Arc::from(opened.into_session())), need))
    }

    /// Frees a session and gives its memory back, then its bytes.
    fn free(&self, departure: Departure) {
        let Departure { body, bytes, grant } = departure;
        drop(body);
        let freed = self.untrimmed.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if freed >= TRIM_BYTES {
            self.trim();
        }
        if let (Some(keeper), Some(grant)) = (&self.keeper, grant) {
            keeper.released(grant);
        }
    }

    /// Gives back what the process holds and nobody uses.
    pub(super) fn trim(&self) {
        self.untrimmed.store(0, Relaxed);
        if let Some(trim) = self.settings.trim {
            let _ = trim();
        }
    }
}

impl Core {
    /// Waits for the session of a lease that found none; at most so long, and never longer than the configuration says.
    pub(super) async fn seat(&self, lease: &mut Lease, wait_max: Duration) -> Result<Came> {
        let (Some(keeper), Seat::Moving(moving)) = (&self.keeper, &lease.seat) else { return Ok(Came::Seated) };
        let began = self.clock.now();
        let wait_max = wait_max.min(keeper.settings().load_wait_max);
        let told = tokio::time::timeout(wait_max, keeper.want(&moving.place)).await;
        keeper.waited(self.clock.now().nanos_since(began));
        match told {
            Ok(Ok(Ended::Seated(seated))) => {
                lease.seated = Some(seated);
                Ok(Came::Seated)
            }
            Ok(Ok(Ended::Failed(error))) => Err(error),
            Ok(Ok(Ended::Gone) | Err(_)) => Ok(Came::Gone),
            Err(_) => Err(Error::new(ErrorCode::Overloaded, format!("model '{}' is being loaded", lease.model))
                .at("residency.load_wait_ms_max")
                .expected(format!("its session within {} ms", wait_max.as_millis()))
                .retry_after_s(1)),
        }
    }
}

impl Registry {
    /// See [`Core::seat`].
    pub(crate) async fn seat(&self, lease: &mut Lease, wait_max: Duration) -> Result<Came> {
        self.core.seat(lease, wait_max).await
    }

    /// Who is in memory, where that is bounded.
    #[must_use]
    pub fn residency(&self) -> Option<ResidencyView> {
        self.core.keeper.as_ref().map(|keeper| keeper.view())
    }

    /// What the cache of answers holds.
    #[must_use]
    pub fn result_cache(&self) -> ResultCacheView {
        self.core.results.view()
    }

    /// Tells the keeper the time, as the thread for that does.
    #[cfg(test)]
    pub(crate) fn tick(&self) {
        self.core.keeper.iter().for_each(|keeper| keeper.tick());
    }
}

/// Starts what runs beside requests and loads: freeing, bringing back, telling the time. They end when the registry and
/// all versions have.
pub(super) fn start_threads(
    core: &Arc<Core>,
    leaving: Receiver<Retired>,
    departing: Receiver<Departure>,
    wanted: Receiver<(Arc<Place>, Grant)>,
    stop: Receiver<()>,
) -> io::Result<()> {
    let weak = Arc::downgrade(core);
    let of_versions = weak.clone();
    let before_work = [core.settings.before_load, core.settings.before_later_load];
    let step_back = move || before_work.iter().for_each(|before| before());
    Builder::new().name("candor-unload".into()).spawn(move || {
        // Unmapping and trimming what a large model leaves takes as long as reading it.
        step_back();
        for retired in leaving {
            let farewell = retired.farewell();
            let departure = retired.free();
            let Some(core) = of_versions.upgrade() else { continue };
            departure.into_iter().for_each(|departure| core.free(departure));
            if let Some((model, version)) = farewell {
                core.book().departed(&model, &version);
            }
        }
    })?;
    let of_sessions = weak.clone();
    Builder::new().name("candor-free".into()).spawn(move || {
        step_back();
        for departure in departing {
            match of_sessions.upgrade() {
                Some(core) => core.free(departure),
                None => drop(departure),
            }
        }
    })?;
    if core.keeper.is_none() {
        return Ok(());
    }
    for _ in 0..core.settings.load_threads.max(1) {
        let (weak, wanted) = (weak.clone(), wanted.clone());
        Builder::new().name("candor-reload".into()).spawn(move || {
            for (place, grant) in wanted {
                if let Some(core) = weak.upgrade()
                    && let Some(keeper) = &core.keeper
                {
                    core.before_load();
                    core.reload(keeper, &place, grant);
                }
            }
        })?;
    }
    Builder::new().name("candor-residency".into()).spawn(move || {
        while stop.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            let Some(core) = weak.upgrade() else { break };
            core.keeper.iter().for_each(|keeper| keeper.tick());
        }
    })?;
    Ok(())
}
