//! The byte budget as a state machine: who may load, who must leave, who waits, who never can.
//!
//! Told what happens (asked, loaded, failed, released, given up, time passed), it says what is to be done as a list of
//! [`Change`]s. A load reserves its bytes before it begins and holds them until its memory has been given back, so
//! that the reservations bound what sessions take at every moment. Those who wait are served in the order in which
//! they came, so that a large one is not passed over for ever. Knows no session, no thread and no clock: it is handed
//! the time and a [`Watch`] that tells how sessions are used.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use candor_domain::Tick;

use super::policy::{Merit, Policy, Price, Usage};

/// The place that a session has, whether it is in memory or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatId(pub u64);

/// Bytes that are set aside for one load and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant(u64);

/// What a session takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Bytes at most while it is loaded and warmed up.
    pub load_bytes: u64,
    /// Bytes when it is ready.
    pub steady_bytes: u64,
    /// What a load takes; a guess until there was one.
    pub load_ms: u64,
}

/// Why a session can never be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeverFits {
    /// Bytes that loading it takes.
    pub need_bytes: u64,
    /// Bytes that there are.
    pub budget_bytes: u64,
    /// Bytes of it that pinned sessions hold.
    pub pinned_bytes: u64,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Load it now; ends with `loaded`, or with `released` when that fails.
    Load(SeatId, Grant),
    /// Take it out of service; ends with `released` when its memory has been given back.
    Evict(SeatId, Grant),
    /// It can never be loaded.
    Refuse(SeatId, NeverFits),
    /// It has waited too long for room.
    Expire(SeatId),
}

/// Tells how sessions are used.
pub trait Watch {
    /// How `seat` is used now.
    fn look(&self, seat: SeatId) -> Usage;
}

/// Bytes and counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes that are reserved.
    pub reserved_bytes: u64,
    /// Most bytes that were ever reserved.
    pub reserved_bytes_peak: u64,
    /// Sessions in memory.
    pub resident: usize,
    /// Sessions that are being loaded.
    pub loading: usize,
    /// Sessions that are on their way out.
    pub leaving: usize,
    /// Loads that wait for room.
    pub waiting: usize,
    /// Sessions that have been taken out of service for want of room, or because nobody used them.
    pub evictions: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Cold,
    Waiting { until: Tick },
    Loading(Grant),
    Resident(Grant),
}

struct Seat {
    need: Need,
    stage: Stage,
    merit: Merit,
}

impl Seat {
    fn price(&self) -> Price {
        Price { bytes: self.need.steady_bytes, load_ms: self.need.load_ms }
    }
}

struct Held {
    seat: SeatId,
    bytes: u64,
    /// No longer of use to its seat.
    leaving: bool,
}

/// The state machine.
pub struct Ledger {
    budget: u64,
    policy: Policy,
    idle_ttl: Option<Duration>,
    seats: BTreeMap<SeatId, Seat>,
    /// Those of the seats that are in memory, and those that are pinned.
    resident: BTreeSet<SeatId>,
    pinned: BTreeSet<SeatId>,
    held: BTreeMap<Grant, Held>,
    queue: VecDeque<SeatId>,
    changes: Vec<Change>,
    reserved: u64,
    reserved_peak: u64,
    next_grant: u64,
    evictions: u64,
    /// Worth of what left last.
    floor: f64,
}

impl Ledger {
    /// Nobody is in memory. Sessions that nobody uses for `idle_ttl` leave also when there is room.
    #[must_use]
    pub fn new(budget: u64, policy: Policy, idle_ttl: Option<Duration>) -> Self {
        Self {
            budget,
            policy,
            idle_ttl,
            seats: BTreeMap::new(),
            resident: BTreeSet::new(),
            pinned: BTreeSet::new(),
            held: BTreeMap::new(),
            queue: VecDeque::new(),
            changes: Vec::new(),
            reserved: 0,
            reserved_peak: 0,
            next_grant: 0,
            evictions: 0,
            floor: 0.0,
        }
    }

    /// What a seat needs is known better now.
    pub fn learn(&mut self, seat: SeatId, need: Need) {
        if let Some(known) = self.seats.get_mut(&seat) {
            known.need = need;
        }
    }

    /// Makes a seat known.
    pub fn know(&mut self, seat: SeatId, need: Need, pinned: bool) {
        let entry = self.seats.entry(seat);
        let known = entry.or_insert_with(|| Seat { need, stage: Stage::Cold, merit: Merit::default() });
        known.need = need;
        if pinned {
            self.pinned.insert(seat);
        } else {
            self.pinned.remove(&seat);
        }
    }

    /// Forgets a seat: it leaves memory, waits no more, and a load of it ends as if it had failed.
    pub fn forget(&mut self, seat: SeatId, now: Tick, watch: &dyn Watch) {
        self.cancel_waiting(seat);
        self.resident.remove(&seat);
        self.pinned.remove(&seat);
        if let Some(Seat { stage: Stage::Resident(grant) | Stage::Loading(grant), .. }) = self.seats.remove(&seat)
            && let Some(held) = self.held.get_mut(&grant)
        {
            held.leaving = true;
        }
        self.pump(now, watch);
    }

    /// Somebody wants a cold seat loaded. A second asking before the first has ended changes nothing.
    pub fn ask(&mut self, seat: SeatId, until: Tick, now: Tick, watch: &dyn Watch) {
        if let Some(known) = self.seats.get_mut(&seat).filter(|known| known.stage == Stage::Cold) {
            known.stage = Stage::Waiting { until };
            self.queue.push_back(seat);
            self.pump(now, watch);
        }
    }

    /// Nobody wants a waiting seat any more.
    pub fn cancel(&mut self, seat: SeatId, now: Tick, watch: &dyn Watch) {
        self.cancel_waiting(seat);
        self.pump(now, watch);
    }

    fn cancel_waiting(&mut self, seat: SeatId) {
        if let Some(known) = self.seats.get_mut(&seat).filter(|known| matches!(known.stage, Stage::Waiting { .. })) {
            known.stage = Stage::Cold;
            self.queue.retain(|waiting| *waiting != seat);
        }
    }

    /// A load has ended well: what it does not need any more is given back. Says whether the session has a seat; one
    /// that was forgotten meanwhile has none and is to be let go.
    pub fn loaded(&mut self, seat: SeatId, grant: Grant, load_ms: u64, now: Tick, watch: &dyn Watch) -> bool {
        let floor = self.floor;
        let known = self.seats.get_mut(&seat).filter(|known| known.stage == Stage::Loading(grant));
        if let (Some(known), Some(held)) = (known, self.held.get_mut(&grant)) {
            known.need.load_ms = load_ms;
            known.stage = Stage::Resident(grant);
            self.resident.insert(seat);
            let usage = watch.look(seat);
            known.merit.seat(usage, now, floor, known.price());
            let kept = held.bytes.min(known.need.steady_bytes);
            self.reserved -= held.bytes - kept;
            held.bytes = kept;
            self.pump(now, watch);
            return true;
        }
        false
    }

    /// The memory of a grant has been given back: of a session that left, or of a load that failed. Says which seat is
    /// cold from now on: whoever asked for it since the load failed was not heard, and is to ask again.
    pub fn released(&mut self, grant: Grant, now: Tick, watch: &dyn Watch) -> Option<SeatId> {
        let mut is_cold = None;
        if let Some(held) = self.held.remove(&grant) {
            self.reserved -= held.bytes;
            let of_grant = |stage: Stage| matches!(stage, Stage::Loading(own) | Stage::Resident(own) if own == grant);
            if let Some(known) = self.seats.get_mut(&held.seat).filter(|known| of_grant(known.stage)) {
                known.stage = Stage::Cold;
                self.resident.remove(&held.seat);
                is_cold = Some(held.seat);
            }
        }
        self.pump(now, watch);
        is_cold
    }

    /// Time has passed: those who have waited too long go, and so do sessions that nobody uses.
    pub fn tick(&mut self, now: Tick, watch: &dyn Watch) {
        let late: Vec<SeatId> = self.queue.iter().copied().filter(|seat| self.is_late(*seat, now)).collect();
        for seat in late {
            self.cancel_waiting(seat);
            self.changes.push(Change::Expire(seat));
        }
        if let Some(ttl) = self.idle_ttl {
            self.look(now, watch);
            let is_idle = |seat: &SeatId| {
                let used = self.seats.get(seat).map(|known| known.merit.last_used());
                !self.pinned.contains(seat)
                    && used.is_some_and(|used| used.after(ttl) <= now)
                    && !watch.look(*seat).busy
            };
            let idle: Vec<SeatId> = self.resident.iter().copied().filter(is_idle).collect();
            idle.into_iter().for_each(|seat| self.evict(seat));
        }
        self.pump(now, watch);
    }

    fn is_late(&self, seat: SeatId, now: Tick) -> bool {
        let stage = self.seats.get(&seat).map(|known| known.stage);
        matches!(stage, Some(Stage::Waiting { until }) if until <= now)
    }

    /// Whether a seat waits for room.
    #[must_use]
    pub fn is_waiting(&self, seat: SeatId) -> bool {
        self.seats.get(&seat).is_some_and(|known| matches!(known.stage, Stage::Waiting { .. }))
    }

    /// What is to be done since the last time that this was asked.
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Bytes and counts now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let leaving = self.held.values().filter(|held| held.leaving).count();
        Totals {
            reserved_bytes: self.reserved,
            reserved_bytes_peak: self.reserved_peak,
            resident: self.resident.len(),
            loading: self.held.len() - leaving - self.resident.len(),
            leaving,
            waiting: self.queue.len(),
            evictions: self.evictions,
        }
    }

    /// The budget.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Serves those who wait, first come first served, as far as there is room; makes room for the first of them.
    fn pump(&mut self, now: Tick, watch: &dyn Watch) {
        while let Some(seat) = self.queue.front().copied() {
            let Some(need) = self.seats.get(&seat).map(|known| known.need) else {
                self.queue.pop_front();
                continue;
            };
            // A session never shrinks below what its load took at its end.
            let bytes = need.load_bytes.max(need.steady_bytes);
            let pinned = self.pinned_bytes();
            if bytes > self.budget.saturating_sub(pinned) {
                self.cancel_waiting(seat);
                let why = NeverFits { need_bytes: bytes, budget_bytes: self.budget, pinned_bytes: pinned };
                self.changes.push(Change::Refuse(seat, why));
            } else if bytes <= self.budget - self.reserved {
                self.grant(seat, bytes);
            } else {
                self.make_room(bytes, now, watch);
                break;
            }
        }
        self.check();
    }

    fn grant(&mut self, seat: SeatId, bytes: u64) {
        self.queue.pop_front();
        let grant = Grant(self.next_grant);
        self.next_grant += 1;
        if let Some(known) = self.seats.get_mut(&seat) {
            known.stage = Stage::Loading(grant);
            self.held.insert(grant, Held { seat, bytes, leaving: false });
            self.reserved += bytes;
            self.reserved_peak = self.reserved_peak.max(self.reserved);
            self.changes.push(Change::Load(seat, grant));
        }
    }

    /// Bytes that pinned sessions hold, or will hold when they are loaded.
    fn pinned_bytes(&self) -> u64 {
        let of = |known: &Seat| match known.stage {
            Stage::Cold | Stage::Waiting { .. } => 0,
            Stage::Loading(_) => known.need.steady_bytes,
            Stage::Resident(grant) => self.held.get(&grant).map_or(0, |held| held.bytes),
        };
        self.pinned.iter().filter_map(|seat| self.seats.get(seat)).map(of).sum()
    }

    /// Takes sessions out of service until, when they are gone, there will be room for `bytes`.
    fn make_room(&mut self, bytes: u64, now: Tick, watch: &dyn Watch) {
        let leaving: u64 = self.held.values().filter(|held| held.leaving).map(|held| held.bytes).sum();
        let short = bytes.saturating_sub(self.budget - self.reserved + leaving);
        if short == 0 {
            return;
        }
        self.look(now, watch);
        let mut candidates = self.candidates(now, watch);
        // Those that nobody uses go first; what is in use leaves when its last request is answered.
        candidates.sort_by(|one, other| {
            (one.busy, one.worth).partial_cmp(&(other.busy, other.worth)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let (mut sum, mut count) = (0_u64, 0);
        for candidate in &candidates {
            if sum >= short {
                break;
            }
            sum += candidate.bytes;
            count += 1;
        }
        if sum < short {
            // What is being loaded now can go, or takes less, when its load has ended; then this is tried again.
            return;
        }
        candidates.truncate(count);
        // A large one that came last may make smaller ones before it superfluous: the dearest of them stay.
        for candidate in candidates.into_iter().rev() {
            if sum - candidate.bytes >= short {
                sum -= candidate.bytes;
            } else {
                self.evict(candidate.seat);
            }
        }
    }

    fn look(&mut self, now: Tick, watch: &dyn Watch) {
        let floor = self.floor;
        for seat in &self.resident {
            if let Some(known) = self.seats.get_mut(seat) {
                let price = known.price();
                known.merit.look(watch.look(*seat), now, floor, price);
            }
        }
    }

    fn candidates(&self, now: Tick, watch: &dyn Watch) -> Vec<Candidate> {
        let candidate = |seat: &SeatId| {
            let known = self.seats.get(seat)?;
            let Stage::Resident(grant) = known.stage else { return None };
            let worth = known.merit.worth(self.policy, known.price(), now);
            let bytes = self.held.get(&grant)?.bytes;
            Some(Candidate { seat: *seat, bytes, busy: watch.look(*seat).busy, worth })
        };
        self.resident.difference(&self.pinned).filter_map(candidate).collect()
    }

    fn evict(&mut self, seat: SeatId) {
        let Some(known) = self.seats.get_mut(&seat) else { return };
        let Stage::Resident(grant) = known.stage else { return };
        self.floor = self.floor.max(known.merit.aging());
        known.merit.leave();
        known.stage = Stage::Cold;
        self.resident.remove(&seat);
        if let Some(held) = self.held.get_mut(&grant) {
            held.leaving = true;
        }
        self.evictions += 1;
        self.changes.push(Change::Evict(seat, grant));
    }

    /// What must be true after every change.
    fn check(&self) {
        debug_assert_eq!(self.reserved, self.held.values().map(|held| held.bytes).sum::<u64>(), "lost bytes");
        debug_assert!(self.reserved <= self.budget, "{} bytes of {} are reserved", self.reserved, self.budget);
        if self.reserved > self.budget {
            tracing::error!(reserved = self.reserved, budget = self.budget, "more memory is reserved than there is");
        }
    }
}

struct Candidate {
    seat: SeatId,
    bytes: u64,
    busy: bool,
    worth: f64,
}
