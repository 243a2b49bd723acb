//! The ledger with its hands: who asks for a session, who is told, who loads it, who takes it out.
//!
//! One lock, which no request takes that finds its session in memory. What the ledger orders is carried out here:
//! sessions are taken out of their places, loads are handed to the threads for them, and everybody who waits for a
//! load hears how it ended. Knows no file and no engine.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use candor_domain::{Clock, Error, ErrorCode, Result, Tick};
use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use super::{
    ledger::{Change, Grant, Ledger, Need, NeverFits, SeatId, Totals, Watch},
    policy::{Policy, Usage},
    seat::{Body, Departure, Place, Seated},
};
use crate::facts::{HistogramTotals, LATENCY_BUCKETS_NANOS};

/// How residency behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidencySettings {
    /// Bytes for sessions; `u64::MAX` for any number.
    pub budget: u64,
    /// Which session leaves first.
    pub policy: Policy,
    /// After how long without a use a session leaves; never, if absent.
    pub idle_ttl: Option<Duration>,
    /// How long a request, or a load, waits at most for room and for its load.
    pub load_wait_max: Duration,
    /// File that says what each file takes.
    pub weights: Option<std::path::PathBuf>,
}

/// How waiting for a session has ended.
pub(crate) enum Ended {
    /// It is there.
    Seated(Arc<Seated>),
    /// It could not be loaded.
    Failed(Error),
    /// Its version has been replaced or taken out.
    Gone,
}

/// Those who wait for one place.
enum Flight {
    /// Requests; the load is done by the threads for that.
    Requests(Vec<oneshot::Sender<Ended>>),
    /// A load that goes on by itself when there is room.
    Load(oneshot::Sender<Result<Grant>>),
}

struct Inner {
    ledger: Ledger,
    places: BTreeMap<SeatId, Arc<Place>>,
    flights: BTreeMap<SeatId, Flight>,
    /// Loads that failed, and until when they are not tried again.
    failures: BTreeMap<SeatId, Failure>,
    next: u64,
}

struct Failure {
    error: Error,
    until: Tick,
    in_a_row: u32,
}

/// How long a load that failed is not tried again; twice as long each time, up to the second of these.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The places, as the ledger looks at them.
struct Places<'a>(&'a BTreeMap<SeatId, Arc<Place>>);

impl Watch for Places<'_> {
    fn look(&self, seat: SeatId) -> Usage {
        self.0.get(&seat).map_or_else(Usage::default, |place| place.usage())
    }
}

/// Who is in memory, in the hands of the registry.
pub(crate) struct Keeper {
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
    settings: ResidencySettings,
    loads: Sender<(Arc<Place>, Grant)>,
    departures: Sender<Departure>,
    waits: Waits,
}

/// Cold starts: how many, and how long requests waited.
#[derive(Default)]
struct Waits {
    loads: AtomicU64,
    buckets: [AtomicU64; LATENCY_BUCKETS_NANOS.len() + 1],
    nanos: AtomicU64,
}

/// What residency says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResidencyView {
    /// The budget; `u64::MAX` for none.
    pub budget_bytes: u64,
    /// Bytes and counts now.
    pub totals: Totals,
    /// Sessions that were loaded because a request wanted them.
    pub cold_starts: u64,
    /// How long requests waited for them.
    pub waits: HistogramTotals,
}

impl Keeper {
    pub(crate) fn new(
        settings: ResidencySettings,
        clock: Arc<dyn Clock>,
        loads: Sender<(Arc<Place>, Grant)>,
        departures: Sender<Departure>,
    ) -> Self {
        let ledger = Ledger::new(settings.budget, settings.policy, settings.idle_ttl);
        let inner =
            Inner { ledger, places: BTreeMap::new(), flights: BTreeMap::new(), failures: BTreeMap::new(), next: 0 };
        Self { inner: Mutex::new(inner), clock, settings, loads, departures, waits: Waits::default() }
    }

    pub(crate) fn settings(&self) -> &ResidencySettings {
        &self.settings
    }

    /// Whether so many bytes are free now, and nobody waits for some.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        let totals = self.lock().ledger.totals();
        totals.waiting == 0 && bytes <= self.settings.budget.saturating_sub(totals.reserved_bytes)
    }

    /// A new place for a session.
    pub(crate) fn place(&self, need: Need, pinned: bool) -> Arc<Place> {
        let mut inner = self.lock();
        let place = Arc::new(Place::new(SeatId(inner.next)));
        inner.next += 1;
        inner.places.insert(place.id, Arc::clone(&place));
        inner.ledger.know(place.id, need, pinned);
        place
    }

    /// Asks for room for a load that the caller does itself, and says so with [`Self::seated`] or [`Self::failed`].
    pub(crate) fn reserve(&self, place: &Place) -> oneshot::Receiver<Result<Grant>> {
        let (tell, told) = oneshot::channel();
        self.change(|inner, now| {
            inner.flights.insert(place.id, Flight::Load(tell));
            let (ledger, watch) = inner.parts();
            ledger.ask(place.id, now.after(self.settings.load_wait_max), now, &watch);
        });
        told
    }

    /// Asks for the session of a place that has none; one load serves all who ask meanwhile.
    pub(crate) fn want(&self, place: &Place) -> oneshot::Receiver<Ended> {
        let (tell, told) = oneshot::channel();
        self.change(|inner, now| {
            // It may have come since the caller looked.
            if let Some(seated) = place.seated.load_full() {
                let _ = tell.send(Ended::Seated(seated));
            } else if !inner.places.contains_key(&place.id) {
                let _ = tell.send(Ended::Gone);
            } else if let Some(failure) = inner.failures.get(&place.id).filter(|failure| now < failure.until) {
                let _ = tell.send(Ended::Failed(failure.error.clone().retry_after_s(1)));
            } else if let Some(Flight::Requests(waiting)) = inner.flights.get_mut(&place.id) {
                waiting.push(tell);
            } else {
                self.waits.loads.fetch_add(1, Relaxed);
                inner.flights.insert(place.id, Flight::Requests(vec![tell]));
                let (ledger, watch) = inner.parts();
                ledger.ask(place.id, now.after(self.settings.load_wait_max), now, &watch);
            }
        });
        told
    }

    /// A load has ended well. Gives back the session when its place has gone meanwhile.
    pub(crate) fn seated(&self, place: &Place, grant: Grant, need: Need, body: Body) {
        let bytes = need.steady_bytes;
        let seated = Arc::new(Seated::new(body, bytes, Some(grant), self.departures.clone()));
        self.change(|inner, now| {
            let (ledger, watch) = inner.parts();
            ledger.learn(place.id, need);
            let has_place = ledger.loaded(place.id, grant, need.load_ms, now, &watch);
            let ended = || if has_place { Ended::Seated(Arc::clone(&seated)) } else { Ended::Gone };
            if has_place {
                inner.failures.remove(&place.id);
                place.seated.store(Some(Arc::clone(&seated)));
            }
            if let Some(Flight::Requests(waiting)) = inner.flights.remove(&place.id) {
                waiting.into_iter().for_each(|tell| drop(tell.send(ended())));
            }
        });
        // Without a place, its last holder is this one: it departs here.
        drop(seated);
    }

    /// A load has failed: all who wait hear why. Its bytes are given back when its memory has been.
    pub(crate) fn failed(&self, place: &Place, grant: Grant, bytes: u64, error: Option<&Error>) {
        let mut inner = self.lock();
        let now = self.clock.now();
        if let Some(error) = error.filter(|_| inner.places.contains_key(&place.id)) {
            let in_a_row = inner.failures.get(&place.id).map_or(0, |failure| failure.in_a_row);
            let rest = REST.0.saturating_mul(1 << in_a_row.min(10)).min(REST.1);
            let failure = Failure { error: error.clone(), until: now.after(rest), in_a_row: in_a_row + 1 };
            inner.failures.insert(place.id, failure);
        }
        let flight = inner.flights.remove(&place.id);
        drop(inner);
        if let Some(Flight::Requests(waiting)) = flight {
            let ended = || error.map_or(Ended::Gone, |error| Ended::Failed(error.clone()));
            waiting.into_iter().for_each(|tell| drop(tell.send(ended())));
        }
        let _ = self.departures.send(Departure { body: None, bytes, grant: Some(grant) });
    }

    /// The memory of a grant has been given back.
    pub(crate) fn released(&self, grant: Grant) {
        self.change(|inner, now| {
            let (ledger, watch) = inner.parts();
            // Between a load that failed and now the ledger hears nobody who asks for the same session.
            let unheard = ledger.released(grant, now, &watch).filter(|seat| inner.flights.contains_key(seat));
            if let Some(seat) = unheard {
                let (ledger, watch) = inner.parts();
                ledger.ask(seat, now.after(self.settings.load_wait_max), now, &watch);
            }
        });
    }

    /// A version is on its way out; who waits for its session looks for another version.
    pub(crate) fn forget(&self, place: &Place) {
        self.change(|inner, now| {
            inner.places.remove(&place.id);
            inner.failures.remove(&place.id);
            let (ledger, watch) = inner.parts();
            ledger.forget(place.id, now, &watch);
            if let Some(Flight::Requests(waiting)) = inner.flights.remove(&place.id) {
                waiting.into_iter().for_each(|tell| drop(tell.send(Ended::Gone)));
            }
        });
    }

    /// Time has passed.
    pub(crate) fn tick(&self) {
        self.change(|inner, now| {
            let (ledger, watch) = inner.parts();
            ledger.tick(now, &watch);
            let left = |flight: &Flight| match flight {
                Flight::Requests(waiting) => waiting.iter().all(oneshot::Sender::is_closed),
                Flight::Load(waiting) => waiting.is_closed(),
            };
            let deserted: Vec<SeatId> =
                inner.flights.iter().filter(|(_, flight)| left(flight)).map(|(seat, _)| *seat).collect();
            for seat in deserted {
                // One that is being loaded already is loaded to the end: somebody wanted it.
                if inner.ledger.is_waiting(seat) {
                    inner.flights.remove(&seat);
                    let (ledger, watch) = inner.parts();
                    ledger.cancel(seat, now, &watch);
                }
            }
        });
    }

    /// A request has waited so long for a session.
    pub(crate) fn waited(&self, nanos: u64) {
        let bucket = LATENCY_BUCKETS_NANOS.partition_point(|bound| *bound < nanos);
        if let Some(bucket) = self.waits.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.waits.nanos.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn view(&self) -> ResidencyView {
        let mut waits = HistogramTotals { nanos: self.waits.nanos.load(Relaxed), ..HistogramTotals::default() };
        for (sum, bucket) in waits.buckets.iter_mut().zip(&self.waits.buckets) {
            *sum = bucket.load(Relaxed);
        }
        let totals = self.lock().ledger.totals();
        let cold_starts = self.waits.loads.load(Relaxed);
        ResidencyView { budget_bytes: self.settings.budget, totals, cold_starts, waits }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and carries out what the ledger makes of it.
    fn change<T>(&self, work: impl FnOnce(&mut Inner, Tick) -> T) -> T {
        let mut inner = self.lock();
        let now = self.clock.now();
        let told = work(&mut inner, now);
        let left = self.obey(&mut inner, now);
        drop(inner);
        // Not while others wait for the lock: who is the last to hold one sends it to be freed.
        drop(left);
        told
    }

    fn obey(&self, inner: &mut Inner, now: Tick) -> Vec<Arc<Seated>> {
        let mut left = Vec::new();
        loop {
            let changes = inner.ledger.take_changes();
            if changes.is_empty() {
                return left;
            }
            for change in changes {
                match change {
                    Change::Load(seat, grant) => self.begin(inner, seat, grant, now),
                    Change::Evict(seat, _) => {
                        left.extend(inner.places.get(&seat).and_then(|place| place.seated.swap(None)));
                    }
                    Change::Refuse(seat, why) => inner.fail(seat, &never(why)),
                    Change::Expire(seat) => inner.fail(seat, &too_long(self.settings.load_wait_max)),
                }
            }
        }
    }

    /// There is room for a load.
    fn begin(&self, inner: &mut Inner, seat: SeatId, grant: Grant, now: Tick) {
        let place = inner.places.get(&seat).map(Arc::clone);
        let begun = match (inner.flights.remove(&seat), place) {
            (Some(Flight::Load(tell)), _) => tell.send(Ok(grant)).is_ok(),
            (Some(requests @ Flight::Requests(_)), Some(place)) => {
                inner.flights.insert(seat, requests);
                self.loads.send((place, grant)).is_ok()
            }
            (Some(Flight::Requests(_)) | None, _) => false,
        };
        if !begun {
            let (ledger, watch) = inner.parts();
            ledger.released(grant, now, &watch);
        }
    }
}

impl Inner {
    fn parts(&mut self) -> (&mut Ledger, Places<'_>) {
        (&mut self.ledger, Places(&self.places))
    }

    fn fail(&mut self, seat: SeatId, error: &Error) {
        match self.flights.remove(&seat) {
            Some(Flight::Requests(waiting)) => {
                waiting.into_iter().for_each(|tell| drop(tell.send(Ended::Failed(error.clone()))));
            }
            Some(Flight::Load(tell)) => drop(tell.send(Err(error.clone()))),
            None => {}
        }
    }
}

fn never(why: NeverFits) -> Error {
    let NeverFits { need_bytes, budget_bytes, pinned_bytes } = why;
    Error::new(ErrorCode::NotReady, "the model does not fit into the memory for models")
        .at("residency.budget")
        .expected(format!(
            "at most {} bytes ({budget_bytes}, of which pinned models hold {pinned_bytes})",
            budget_bytes - pinned_bytes
        ))
        .got(format!("{need_bytes} bytes while it is loaded"))
        .hint("raise residency.budget, or pin less; `candor probe` measures what a model really takes")
}

fn too_long(waited: Duration) -> Error {
    Error::new(ErrorCode::Overloaded, "there was no room in the memory for models in time")
        .at("residency.load_wait_ms_max")
        .expected(format!("room within {} ms", waited.as_millis()))
        .retry_after_s(1)
}
