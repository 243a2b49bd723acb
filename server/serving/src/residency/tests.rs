//! The ledger by hand, and under a scheduler that does everything in any order.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use candor_domain::{Error, ManualClock, Tick};

use super::{
    Ended, Keeper, ResidencySettings,
    ledger::{Change, Grant, Ledger, Need, NeverFits, SeatId, Watch},
    policy::{Policy, Usage},
};
use crate::cross_check::Dice;

#[derive(Default)]
struct Uses(RefCell<BTreeMap<SeatId, Usage>>);

impl Uses {
    fn used(&self, seat: SeatId) {
        self.0.borrow_mut().entry(seat).or_default().uses += 1;
    }

    fn busy(&self, seat: SeatId, busy: bool) {
        self.0.borrow_mut().entry(seat).or_default().busy = busy;
    }
}

impl Watch for Uses {
    fn look(&self, seat: SeatId) -> Usage {
        self.0.borrow().get(&seat).copied().unwrap_or_default()
    }
}

fn need(bytes: u64) -> Need {
    Need { load_bytes: bytes, steady_bytes: bytes, load_ms: 10 }
}

const LONG: Tick = Tick(u64::MAX);

/// A ledger of `budget` with sessions of these sizes.
fn ledger(budget: u64, sizes: &[u64]) -> (Ledger, Uses) {
    let mut ledger = Ledger::new(budget, Policy::Gdsf, None);
    for (seat, bytes) in (0..).zip(sizes) {
        ledger.know(SeatId(seat), need(*bytes), false);
    }
    (ledger, Uses::default())
}

/// Asks for a seat and ends its load well, where it may be loaded at once.
fn seat(ledger: &mut Ledger, uses: &Uses, seat: u64, now: Tick) -> Vec<Change> {
    uses.used(SeatId(seat));
    ledger.ask(SeatId(seat), LONG, now, uses);
    let changes = ledger.take_changes();
    for change in &changes {
        if let Change::Load(seat, grant) = change {
            assert!(ledger.loaded(*seat, *grant, 10, now, uses));
        }
    }
    changes
}

#[test]
fn a_load_that_has_no_room_waits_until_what_leaves_has_given_its_memory_back() {
    let (mut ledger, uses) = ledger(100, &[60, 60]);
    seat(&mut ledger, &uses, 0, Tick(1));
    let changes = seat(&mut ledger, &uses, 1, Tick(2));
    let [Change::Evict(SeatId(0), grant)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!((ledger.totals().reserved_bytes, ledger.totals().waiting), (60, 1), "not before it has gone");
    ledger.released(grant, Tick(3), &uses);
    assert!(matches!(ledger.take_changes()[..], [Change::Load(SeatId(1), _)]));
    assert_eq!((ledger.totals().reserved_bytes, ledger.totals().evictions), (60, 1));
}

#[test]
fn what_can_never_fit_is_refused_with_the_numbers_and_only_that() {
    let (mut ledger, uses) = ledger(100, &[40, 101, 61, 60]);
    ledger.know(SeatId(0), need(40), true);
    seat(&mut ledger, &uses, 0, Tick(1));
    let refused = |need_bytes| NeverFits { need_bytes, budget_bytes: 100, pinned_bytes: 40 };
    assert_eq!(seat(&mut ledger, &uses, 1, Tick(1)), [Change::Refuse(SeatId(1), refused(101))]);
    assert_eq!(seat(&mut ledger, &uses, 2, Tick(1)), [Change::Refuse(SeatId(2), refused(61))]);
    assert!(matches!(seat(&mut ledger, &uses, 3, Tick(1))[..], [Change::Load(SeatId(3), _)]));
    assert_eq!(ledger.totals().evictions, 0, "a pinned session stays");
}

#[test]
fn a_load_holds_its_peak_and_keeps_what_it_needs() {
    let (mut ledger, uses) = ledger(100, &[0, 50]);
    ledger.know(SeatId(0), Need { load_bytes: 90, steady_bytes: 30, load_ms: 1 }, false);
    ledger.ask(SeatId(0), LONG, Tick(1), &uses);
    let [Change::Load(_, grant)] = ledger.take_changes()[..] else { panic!() };
    ledger.ask(SeatId(1), LONG, Tick(1), &uses);
    assert!(ledger.take_changes().is_empty(), "90 of 100 are taken, and a load cannot be put out");
    ledger.loaded(SeatId(0), grant, 7, Tick(2), &uses);
    assert!(matches!(ledger.take_changes()[..], [Change::Load(SeatId(1), _)]));
    assert_eq!((ledger.totals().reserved_bytes, ledger.totals().reserved_bytes_peak), (80, 90));
}

#[test]
fn idle_sessions_leave_before_busy_ones_and_busy_ones_before_a_request_is_refused() {
    let (mut ledger, uses) = ledger(100, &[50, 50, 50]);
    seat(&mut ledger, &uses, 0, Tick(1));
    seat(&mut ledger, &uses, 1, Tick(2));
    uses.busy(SeatId(0), true);
    let changes = seat(&mut ledger, &uses, 2, Tick(3));
    let [Change::Evict(SeatId(1), grant)] = changes[..] else { panic!("{changes:?}") };
    ledger.released(grant, Tick(4), &uses);
    let [Change::Load(seat_2, grant)] = ledger.take_changes()[..] else { panic!() };
    ledger.loaded(seat_2, grant, 10, Tick(4), &uses);
    uses.busy(SeatId(2), true);
    assert!(matches!(seat(&mut ledger, &uses, 1, Tick(5))[..], [Change::Evict(_, _)]));
}

#[test]
fn no_more_leave_than_must() {
    // The small one is worth less, but letting the large one go is needed and enough.
    let (mut ledger, uses) = ledger(100, &[10, 80, 90]);
    ledger.know(SeatId(0), Need { load_ms: 1, ..need(10) }, false);
    ledger.know(SeatId(1), Need { load_ms: 100, ..need(80) }, false);
    for (one, load_ms) in [(0, 1), (1, 100)] {
        ledger.ask(SeatId(one), LONG, Tick(1), &uses);
        let [Change::Load(id, grant)] = ledger.take_changes()[..] else { panic!() };
        ledger.loaded(id, grant, load_ms, Tick(1), &uses);
    }
    let changes = seat(&mut ledger, &uses, 2, Tick(3));
    assert!(matches!(changes[..], [Change::Evict(SeatId(1), _)]), "{changes:?}");
}

#[test]
fn who_came_first_is_served_first_and_who_waits_too_long_is_told() {
    let (mut ledger, uses) = ledger(100, &[60, 90, 5]);
    uses.busy(SeatId(0), true);
    seat(&mut ledger, &uses, 0, Tick(1));
    ledger.ask(SeatId(1), Tick(10), Tick(2), &uses);
    ledger.ask(SeatId(2), Tick(20), Tick(2), &uses);
    let [Change::Evict(_, grant)] = ledger.take_changes()[..] else {
        panic!("it leaves when its requests are answered")
    };
    ledger.tick(Tick(9), &uses);
    assert!(ledger.take_changes().is_empty(), "the small one does not pass the large one by");
    ledger.tick(Tick(10), &uses);
    let changes = ledger.take_changes();
    assert!(matches!(changes[..], [Change::Expire(SeatId(1)), Change::Load(SeatId(2), _)]), "{changes:?}");
    ledger.released(grant, Tick(11), &uses);
    assert_eq!(ledger.totals().reserved_bytes, 5);
}

#[test]
fn unused_sessions_leave_after_their_time_but_not_pinned_or_busy_ones() {
    let mut ledger = Ledger::new(u64::MAX, Policy::Gdsf, Some(Duration::from_nanos(10)));
    let uses = Uses::default();
    for one in 0..4 {
        ledger.know(SeatId(one), need(10), one == 3);
        seat(&mut ledger, &uses, one, Tick(0));
    }
    uses.busy(SeatId(1), true);
    ledger.tick(Tick(9), &uses);
    uses.used(SeatId(2));
    ledger.tick(Tick(9), &uses);
    assert!(ledger.take_changes().is_empty());
    ledger.tick(Tick(10), &uses);
    let changes = ledger.take_changes();
    assert!(matches!(changes[..], [Change::Evict(SeatId(0), _)]), "{changes:?}");
    ledger.tick(Tick(19), &uses);
    let changes = ledger.take_changes();
    assert!(matches!(changes[..], [Change::Evict(SeatId(2), _)]), "{changes:?}");
}

#[test]
fn a_seat_that_is_forgotten_frees_what_it_holds_once_it_has_gone() {
    let (mut ledger, uses) = ledger(100, &[60, 60]);
    ledger.ask(SeatId(0), LONG, Tick(1), &uses);
    let [Change::Load(_, grant)] = ledger.take_changes()[..] else { panic!() };
    ledger.ask(SeatId(1), LONG, Tick(1), &uses);
    ledger.forget(SeatId(0), Tick(2), &uses);
    assert!(!ledger.loaded(SeatId(0), grant, 1, Tick(3), &uses), "nobody has a seat for it any more");
    assert!(ledger.take_changes().is_empty());
    ledger.released(grant, Tick(4), &uses);
    assert!(matches!(ledger.take_changes()[..], [Change::Load(SeatId(1), _)]));
}

/// Everything that the owner of a ledger does, in an order drawn from a seed.
struct World {
    dice: Dice,
    ledger: Ledger,
    uses: Uses,
    now: Tick,
    seats: u64,
    loading: Vec<(SeatId, Grant)>,
    leaving: Vec<(SeatId, Grant)>,
    resident: BTreeSet<SeatId>,
    asking: BTreeSet<SeatId>,
    ended: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let policy = [Policy::Gdsf, Policy::Lru, Policy::Lfu][usize::try_from(seed % 3).unwrap()];
        let ttl = seed.is_multiple_of(2).then(|| Duration::from_nanos(3000));
        let seats = 2000;
        let mut ledger = Ledger::new(3_000 + dice.below(60_000), policy, ttl);
        for seat in 0..seats {
            let steady_bytes = 1 + dice.below(4000);
            let load_bytes = steady_bytes + dice.below(3000);
            let pinned = dice.below(500) == 0;
            ledger.know(SeatId(seat), Need { load_bytes, steady_bytes, load_ms: dice.below(500) }, pinned);
        }
        let (loading, leaving, now) = (Vec::new(), Vec::new(), Tick(0));
        let (resident, asking, ended) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { dice, ledger, uses: Uses::default(), now, seats, loading, leaving, resident, asking, ended }
    }

    fn end(&mut self, seat: SeatId, how: &'static str) {
        assert!(self.asking.remove(&seat), "{seat:?} ended twice");
        *self.ended.entry(how).or_default() += 1;
    }

    fn obey(&mut self) {
        for change in self.ledger.take_changes() {
            match change {
                Change::Load(seat, grant) => self.loading.push((seat, grant)),
                Change::Evict(seat, grant) => {
                    assert!(self.resident.remove(&seat), "{seat:?} is not there");
                    self.leaving.push((seat, grant));
                }
                Change::Refuse(seat, _) => self.end(seat, "refused"),
                Change::Expire(seat) => self.end(seat, "expired"),
            }
        }
        let totals = self.ledger.totals();
        assert!(totals.reserved_bytes <= self.ledger.budget(), "over the budget");
        assert_eq!((totals.loading, totals.leaving), (self.loading.len(), self.leaving.len()));
        assert_eq!(totals.resident, self.resident.len());
        let waiting = self.asking.len() - self.loading.len();
        assert_eq!(totals.waiting, waiting, "somebody waits whom nobody knows of");
    }

    fn pick(&mut self, from: usize) -> usize {
        usize::try_from(self.dice.below(from as u64)).unwrap()
    }

    fn finish_load(&mut self) {
        let (seat, grant) = match self.pick(self.loading.len()) {
            at if at < self.loading.len() => self.loading.swap_remove(at),
            _ => return,
        };
        if self.dice.below(4) == 0 {
            self.ledger.released(grant, self.now, &self.uses);
            self.end(seat, "failed");
        } else {
            let load_ms = self.dice.below(900);
            assert!(self.ledger.loaded(seat, grant, load_ms, self.now, &self.uses));
            self.resident.insert(seat);
            self.end(seat, "loaded");
        }
    }

    fn ask(&mut self) {
        // Small numbers are asked for more often.
        let seat = SeatId((self.dice.below(self.seats) * self.dice.below(self.seats)) / self.seats);
        self.uses.used(seat);
        if !self.resident.contains(&seat) && self.asking.insert(seat) {
            let until = Tick(self.now.0 + 50 + self.dice.below(2000));
            self.ledger.ask(seat, until, self.now, &self.uses);
        }
    }

    fn step(&mut self) {
        self.now.0 += self.dice.below(20);
        match self.dice.below(12) {
            0..=4 => self.ask(),
            5 | 6 => self.finish_load(),
            7 | 8 if !self.leaving.is_empty() => {
                let at = self.pick(self.leaving.len());
                let (_, grant) = self.leaving.swap_remove(at);
                self.ledger.released(grant, self.now, &self.uses);
            }
            9 => {
                let loading: BTreeSet<_> = self.loading.iter().map(|(seat, _)| *seat).collect();
                if let Some(seat) = self.asking.iter().copied().find(|seat| !loading.contains(seat)) {
                    self.ledger.cancel(seat, self.now, &self.uses);
                    self.end(seat, "cancelled");
                }
            }
            10 => {
                let (seat, busy) = (SeatId(self.dice.below(self.seats)), self.dice.below(2) == 0);
                self.uses.busy(seat, busy);
            }
            _ => self.ledger.tick(self.now, &self.uses),
        }
        self.obey();
    }

    /// No new wishes, and nobody gives up: everybody who waits is served.
    fn settle(&mut self) {
        while !self.asking.is_empty() {
            let before = (self.loading.len(), self.leaving.len());
            assert_ne!(before, (0, 0), "{} wait and nothing is under way", self.asking.len());
            for (seat, grant) in std::mem::take(&mut self.loading) {
                assert!(self.ledger.loaded(seat, grant, 5, self.now, &self.uses));
                self.resident.insert(seat);
                self.end(seat, "loaded");
            }
            for (_, grant) in std::mem::take(&mut self.leaving) {
                self.ledger.released(grant, self.now, &self.uses);
            }
            self.obey();
        }
    }
}

#[test]
fn whatever_the_order_the_budget_holds_and_everybody_who_waits_hears() {
    let mut ended = BTreeMap::new();
    for seed in 0..40 {
        let mut world = World::new(seed);
        (0..3000).for_each(|_| world.step());
        world.settle();
        assert_eq!(world.ledger.totals().waiting, 0);
        for (how, count) in world.ended {
            *ended.entry(how).or_insert(0) += count;
        }
    }
    for how in ["loaded", "failed", "refused", "expired", "cancelled"] {
        assert!(ended.get(how).is_some_and(|count| *count > 50), "{how} hardly ever happened: {ended:?}");
    }
}

/// Freeing takes its time: the memory of a load that failed may be given back later than the load may be tried again.
#[test]
fn who_asks_before_the_memory_of_a_failed_load_is_given_back_is_heard_when_it_is() {
    let clock = Arc::new(ManualClock::default());
    let (loads, wanted) = crossbeam_channel::unbounded();
    let (departures, departing) = crossbeam_channel::unbounded();
    let load_wait_max = Duration::from_secs(20);
    let settings =
        ResidencySettings { budget: 100, policy: Policy::Gdsf, idle_ttl: None, load_wait_max, weights: None };
    let keeper = Keeper::new(settings, clock.clone(), loads, departures);
    let place = keeper.place(need(60), false);
    for round in 0..3 {
        let mut told = keeper.want(&place);
        let grant = if round == 0 {
            wanted.try_recv().unwrap().1
        } else {
            assert!(wanted.try_recv().is_err() && told.try_recv().is_err(), "its memory is still taken");
            let departed = departing.try_recv().unwrap();
            keeper.released(departed.grant.unwrap());
            wanted.try_recv().expect("it is loaded now").1
        };
        keeper.failed(&place, grant, 60, Some(&Error::model("not this time")));
        assert!(matches!(told.try_recv(), Ok(Ended::Failed(_))), "round {round}");
        clock.advance(Duration::from_secs(5));
        keeper.tick();
    }
    // Nobody waits any more: nothing is loaded.
    keeper.released(departing.try_recv().unwrap().grant.unwrap());
    assert!(wanted.try_recv().is_err());
    assert_eq!(keeper.view().totals.reserved_bytes, 0);
}
