//! Who is next, by a clock moved by hand and requests that are numbers.

use std::{sync::Arc, time::Duration};

use candor_domain::Tick;

use super::{
    lane::{Lane, Parcel},
    lanes::{Batch, Lanes, Post, QueueFull, SchedulerSettings, Step},
};
use crate::batching::{Delay, Form, Plan, Reason};

const MS: u64 = 1_000_000;
const AWAKE: Duration = Duration::from_millis(100);

/// A request by its number; from [`GONE`] on nobody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number(u64);

const GONE: u64 = 900;

impl Parcel for Number {
    fn is_cancelled(&self) -> bool {
        self.0 >= GONE
    }
}

fn form(rows: u64) -> Form {
    Form { rows, is_alone: false, shapes: 0, outputs: 0, priority: 0, timeout: None }
}

fn off() -> Arc<Lane> {
    let mut plan = Plan::for_tests(8, Delay::Adaptive, &[]);
    plan.off = Some("a test".to_owned());
    Lane::new(plan)
}

/// Batches of up to eight rows, with a fixed cost that makes large ones pay.
fn on(delay: Delay) -> Arc<Lane> {
    Lane::new(Plan::for_tests(8, delay, &[(1, 10 * MS), (8, 11 * MS)]))
}

struct World {
    lanes: Lanes<Number>,
    now: u64,
}

impl World {
    fn new(threads: usize) -> Self {
        Self::with_back(threads, 0)
    }

    fn with_back(threads: usize, back_threads: usize) -> Self {
        let settings = SchedulerSettings { threads, back_threads, queue_max: 50, awake: AWAKE, ..Default::default() };
        Self { lanes: Lanes::new(settings), now: 1_000 * MS }
    }

    fn now(&self) -> Tick {
        Tick(self.now)
    }

    fn put(&mut self, lane: &Arc<Lane>, number: u64, form: Option<Form>) -> u64 {
        self.put_until(lane, number, form, Tick(u64::MAX))
    }

    fn put_until(&mut self, lane: &Arc<Lane>, number: u64, form: Option<Form>, deadline: Tick) -> u64 {
        let arrived = self.lanes.arrive(lane, form, deadline, Number(number), self.now());
        arrived.map_err(|(full, _)| full).unwrap()
    }

    fn next(&mut self) -> Step<Number> {
        self.lanes.next(Post::Front, self.now())
    }

    fn batch(&mut self) -> Batch<Number> {
        match self.next() {
            Step::Run(batch) => batch,
            Step::Read(..) => panic!("it is to be read"),
            Step::GiveUp(late) => panic!("{} are late", late.len()),
            Step::Wait { until, .. } => panic!("nothing until {until:?}"),
        }
    }

    /// The numbers of the next batch, and why no more.
    fn taken(&mut self) -> (Vec<u64>, Reason) {
        let batch = self.batch();
        (numbers(&batch), batch.reason)
    }

    fn waits(&mut self) -> Option<Tick> {
        match self.next() {
            Step::Wait { until, .. } => until,
            Step::Run(batch) => panic!("{:?} run", numbers(&batch)),
            Step::Read(..) | Step::GiveUp(_) => panic!("there is something to do"),
        }
    }

    fn done(&mut self, batch: &Batch<Number>, nanos: u64) {
        self.lanes.done(Post::Front, batch.lane.id(), (batch.charged, nanos), self.now());
    }
}

impl World {
    /// What a thread of the back runs now, if anything.
    fn at_back(&mut self) -> Option<Batch<Number>> {
        match self.lanes.next(Post::Back, self.now()) {
            Step::Run(batch) => Some(batch),
            Step::Wait { .. } => None,
            Step::Read(..) | Step::GiveUp(_) => panic!("there is something else to do"),
        }
    }

    /// Keeps a lane busy for half a second.
    fn flood(&mut self, lane: &Arc<Lane>) {
        self.put(lane, 1, None);
        let batch = self.batch();
        self.now += 500 * MS;
        self.done(&batch, 500 * MS);
    }
}

fn numbers(batch: &Batch<Number>) -> Vec<u64> {
    std::iter::once(&batch.first).chain(&batch.rest).map(|number| number.0).collect()
}

#[test]
fn lanes_share_the_time_of_the_threads_and_not_the_turns() {
    let (mut world, slow, fast) = (World::new(1), off(), off());
    let mut turns = [0, 0];
    for number in 0..10 {
        world.put(&slow, number, None);
        world.put(&fast, number, None);
    }
    for number in 0..1100 {
        let batch = world.batch();
        let (place, nanos) = if batch.lane.id() == slow.id() { (0, 10 * MS) } else { (1, MS) };
        turns[place] += 1;
        world.now += nanos;
        world.done(&batch, nanos);
        world.put(if place == 0 { &slow } else { &fast }, number % GONE, None);
    }
    assert!((99..=101).contains(&turns[0]), "{turns:?}");
}

#[test]
fn a_lane_that_was_idle_does_not_come_back_with_time_saved_up() {
    let (mut world, busy, other) = (World::new(1), off(), off());
    for _ in 0..100 {
        world.put(&busy, 1, None);
        let batch = world.batch();
        world.now += MS;
        world.done(&batch, MS);
    }
    // Both have much to do now: they take turns.
    let mut turns = Vec::new();
    for number in 0..10 {
        world.put(&other, number, None);
        world.put(&busy, number, None);
    }
    for _ in 0..20 {
        let batch = world.batch();
        turns.push(batch.lane.id() == busy.id());
        world.done(&batch, MS);
    }
    let in_a_row = turns.chunk_by(|a, b| a == b).map(<[bool]>::len).max();
    assert!(in_a_row <= Some(2), "{turns:?}");
}

#[test]
fn no_lane_holds_all_threads_while_another_is_awake() {
    let (mut world, greedy, other) = (World::new(2), off(), off());
    (0..4).for_each(|number| {
        world.put(&greedy, number, None);
    });
    // Alone, it may have them all.
    let (one, two) = (world.batch(), world.batch());
    assert_eq!(world.waits(), None);
    world.done(&one, MS);
    world.done(&two, MS);
    world.put(&other, 7, None);
    let mut lanes = [world.batch(), world.batch()];
    lanes.sort_by_key(|batch| batch.lane.id());
    assert_eq!([lanes[0].lane.id(), lanes[1].lane.id()], [greedy.id(), other.id()]);
    // The other one has nothing to do any more, but will be back soon: its thread stays free for it.
    world.done(&lanes[1], MS);
    let until = world.waits().unwrap();
    assert_eq!(until, world.now().after(AWAKE));
    world.put(&other, 8, None);
    assert_eq!(world.taken().0, [8]);
}

#[test]
fn a_lane_gets_all_threads_again_when_the_others_have_gone_to_sleep() {
    let (mut world, greedy, other) = (World::new(2), off(), off());
    world.put(&other, 1, None);
    let batch = world.batch();
    world.done(&batch, MS);
    (0..2).for_each(|number| {
        world.put(&greedy, number, None);
    });
    let _held = world.batch();
    let until = world.waits().unwrap();
    world.now = until.0;
    assert_eq!(world.taken().0, [1]);
}

#[test]
fn one_thread_serves_all_lanes_in_turn() {
    let (mut world, one, two) = (World::new(1), off(), off());
    world.put(&one, 1, None);
    world.put(&two, 2, None);
    let batch = world.batch();
    world.done(&batch, MS);
    assert_ne!(world.batch().lane.id(), batch.lane.id());
}

#[test]
fn queues_are_bounded_each_and_together() {
    let mut plan = Plan::for_tests(8, Delay::Adaptive, &[]);
    plan.queue_max.value = 30;
    let (mut world, one, two) = (World::new(1), Lane::new(plan), off());
    let mut fill = |lane: &Arc<Lane>| {
        let now = world.now();
        (0..).find_map(|n| world.lanes.arrive(lane, None, Tick(u64::MAX), Number(n), now).err()).map(|(full, _)| full)
    };
    assert_eq!(fill(&one), Some(QueueFull::Lane(30)));
    assert_eq!(fill(&two), Some(QueueFull::All(50)));
    assert_eq!(world.lanes.queued(), 50);
}

#[test]
fn priority_goes_before_arrival_but_not_for_ever() {
    let (mut world, lane) = (World::new(1), off());
    let at = |level| Some(Form { priority: level, ..form(1) });
    world.put(&lane, 1, at(9));
    world.put(&lane, 2, at(0));
    world.put(&lane, 3, at(1));
    world.put(&lane, 4, at(11));
    for want in [3, 2, 4] {
        let batch = world.batch();
        assert_eq!(numbers(&batch), [want], "0 and what is out of range count as the default level");
        world.done(&batch, MS);
    }
    // The lowest has waited for longer than its levels are worth.
    world.now += 9_000 * MS;
    world.put(&lane, 5, at(1));
    assert_eq!(world.taken().0, [1]);
}

#[test]
fn those_who_are_late_or_gone_never_run() {
    let (mut world, lane) = (World::new(1), off());
    let soon = world.now().after(Duration::from_millis(5));
    world.put_until(&lane, 1, None, soon);
    world.put(&lane, GONE, None);
    let third = world.put(&lane, 3, None);
    world.put(&lane, 4, None);
    world.now += 6 * MS;
    let Step::GiveUp(late) = world.next() else { panic!("they are late") };
    assert_eq!(late.iter().map(|entry| entry.job.0).collect::<Vec<_>>(), [1, GONE]);
    let now = world.now();
    assert_eq!(world.lanes.remove(lane.id(), third, now).map(|job| job.0), Some(3));
    assert_eq!(world.lanes.remove(lane.id(), third, now), None);
    assert_eq!(world.lanes.queued(), 1);
    assert_eq!(world.taken().0, [4]);
    assert_eq!(world.waits(), None);
}

#[test]
fn an_idle_server_delays_nobody_and_says_why_batches_are_as_they_are() {
    let (mut world, lane) = (World::new(2), on(Delay::Adaptive));
    let other = |rows: u64, shapes, outputs| Some(Form { shapes, outputs, ..form(rows) });
    world.put(&lane, 1, Some(form(1)));
    assert_eq!(world.taken(), (vec![1], Reason::QueueEmpty));
    for (numbers, forms, reason) in [
        (vec![1, 2], vec![other(3, 0, 0), other(5, 0, 0), other(1, 0, 0)], Reason::RowsMax),
        (vec![1, 3], vec![other(3, 0, 0), other(6, 0, 0), other(2, 0, 0)], Reason::DidNotFit),
        (vec![1, 3], vec![other(1, 0, 0), other(1, 1, 0), other(1, 0, 0)], Reason::OtherShapes),
        (vec![1, 3], vec![other(1, 0, 0), other(1, 0, 1), other(1, 0, 0)], Reason::OtherOutputs),
        (vec![1], vec![other(9, 0, 0), other(1, 0, 0)], Reason::RowsMax),
        (vec![1, 2], vec![other(1, 0, 0), other(1, 0, 0)], Reason::QueueEmpty),
    ] {
        let (mut world, lane) = (World::new(1), on(Delay::Adaptive));
        (1..).zip(forms).for_each(|(number, form)| {
            world.put(&lane, number, form);
        });
        assert_eq!(world.taken(), (numbers, reason));
    }
}

#[test]
fn what_runs_alone_is_joined_to_nobody_and_nobody_to_it_and_waits_for_nobody() {
    let alone = |rows| Some(Form { is_alone: true, ..form(rows) });
    let (mut world, lane) = (World::new(4), on(Delay::Fixed(Duration::from_secs(9))));
    for (number, form) in [(1, alone(1)), (2, alone(1)), (3, Some(form(7))), (4, alone(1)), (5, Some(form(1)))] {
        world.put(&lane, number, form);
    }
    let taken: Vec<_> = (0..4).map(|_| world.taken()).collect();
    let alone = |number| (vec![number], Reason::OtherShapes);
    assert_eq!(taken, [alone(1), alone(2), (vec![3, 5], Reason::RowsMax), alone(4)]);
}

#[test]
fn where_rows_cost_all_that_a_run_costs_nothing_is_put_together() {
    let lane = Lane::new(Plan::for_tests(8, Delay::Adaptive, &[(1, 10 * MS), (8, 80 * MS)]));
    let mut world = World::new(1);
    (1..4).for_each(|number| {
        world.put(&lane, number, Some(form(1)));
    });
    assert_eq!(world.taken(), (vec![1], Reason::RowsEnough));
}

#[test]
fn a_fixed_delay_is_kept_whoever_is_idle_unless_the_batch_is_full() {
    let delay = Duration::from_millis(5);
    let (mut world, lane) = (World::new(2), on(Delay::Fixed(delay)));
    world.put(&lane, 1, Some(form(1)));
    let until = world.now().after(delay);
    assert_eq!(world.waits(), Some(until));
    world.now += 2 * MS;
    world.put(&lane, 2, Some(form(2)));
    assert_eq!(world.waits(), Some(until), "the oldest one counts");
    world.now = until.0;
    assert_eq!(world.taken(), (vec![1, 2], Reason::DelayOver));
    world.put(&lane, 3, Some(form(4)));
    world.put(&lane, 4, Some(form(4)));
    assert_eq!(world.taken(), (vec![3, 4], Reason::RowsMax));
    let mut plan = Plan::for_tests(8, Delay::Fixed(delay), &[(1, MS)]);
    plan.rows_full.value = 4;
    let (mut world, lane) = (World::new(2), Lane::new(plan));
    world.put(&lane, 5, Some(form(3)));
    assert!(world.waits().is_some());
    world.put(&lane, 6, Some(form(2)));
    assert_eq!(world.taken(), (vec![5, 6], Reason::FullBatch), "enough, and not as many as a batch may have");
    world.put(&lane, 7, Some(form(8)));
    assert_eq!(world.taken(), (vec![7], Reason::RowsMax));
}

#[test]
fn who_is_urgent_or_out_of_time_ends_the_waiting() {
    let delay = Delay::Fixed(Duration::from_millis(50));
    let (mut world, lane) = (World::new(2), on(delay));
    world.put(&lane, 1, Some(form(1)));
    assert!(world.waits().is_some());
    world.put(&lane, 2, Some(Form { priority: 1, ..form(1) }));
    assert_eq!(world.taken(), (vec![2, 1], Reason::Priority));
    // A run takes about 10 ms, so with 30 ms left one waits for half of them.
    let deadline = world.now().after(Duration::from_millis(30));
    world.put_until(&lane, 3, Some(form(1)), deadline);
    let until = world.waits().unwrap();
    assert!(until < deadline && until > world.now().after(Duration::from_millis(10)), "{until:?}");
    world.now = until.0;
    assert_eq!(world.taken(), (vec![3], Reason::DeadlineNear));
}

#[test]
fn what_has_not_been_read_is_read_first_and_keeps_its_place() {
    let (mut world, lane) = (World::new(2), on(Delay::Adaptive));
    world.put(&lane, 1, None);
    world.put(&lane, 2, Some(form(1)));
    let Step::Read(_, entry) = world.next() else { panic!("it has not been read") };
    assert_eq!(entry.job, Number(1));
    let now = world.now();
    world.lanes.done(Post::Front, lane.id(), (0, MS), now);
    assert!(world.lanes.put_back(&lane, entry, form(1), now).is_none());
    assert_eq!(world.taken().0, [1, 2]);
    // Who leaves meanwhile is given back, to be ended.
    world.put(&lane, 3, None);
    let Step::Read(_, mut entry) = world.next() else { panic!("it has not been read") };
    entry.job = Number(GONE);
    assert!(world.lanes.put_back(&lane, entry, form(1), now).is_some());
    assert_eq!(world.lanes.queued(), 0);
}

#[test]
fn after_a_joined_run_that_failed_requests_run_alone_for_a_while() {
    let (mut world, lane) = (World::new(1), on(Delay::Adaptive));
    let two = |world: &mut World| {
        world.put(&lane, 1, Some(form(1)));
        world.put(&lane, 2, Some(form(1)));
        let batch = world.batch();
        let taken = (numbers(&batch).len(), batch.reason);
        world.done(&batch, MS);
        if taken.0 == 1 {
            let batch = world.batch();
            world.done(&batch, MS);
        }
        taken
    };
    for seconds in [1, 2, 4] {
        assert_eq!(two(&mut world), (2, Reason::QueueEmpty));
        let now = world.now();
        world.lanes.learn(lane.id(), None, true, now);
        world.now += (seconds * 1000 - 1) * MS;
        assert_eq!(two(&mut world), (1, Reason::AfterFailure));
        world.now += MS;
    }
    assert_eq!(two(&mut world), (2, Reason::QueueEmpty));
}

#[test]
fn lanes_of_versions_that_are_gone_are_forgotten() {
    let mut world = World::new(1);
    for number in 0..100 {
        let lane = off();
        world.put(&lane, number, None);
        let batch = world.batch();
        world.done(&batch, MS);
    }
    assert!(world.lanes.known() <= 2);
}

#[test]
fn who_is_hardly_ever_idle_goes_to_the_back_and_leaves_the_front_to_others() {
    let (mut world, flood, other) = (World::with_back(2, 2), off(), off());
    world.flood(&flood);
    (1..=5).for_each(|number| {
        world.put(&flood, number, None);
    });
    assert!(world.lanes.is_for_back(flood.id(), world.now()));
    assert!(matches!(world.next(), Step::Wait { is_for_back: true, .. }));
    // Alone it has all threads there.
    let (one, two) = (world.at_back().unwrap(), world.at_back().unwrap());
    assert!(world.at_back().is_none());
    // Another one comes and waits for nobody, with whatever it has.
    world.put(&other, 7, None);
    world.put(&other, 8, None);
    let (first, second) = (world.batch(), world.batch());
    assert_eq!([numbers(&first), numbers(&second)], [[7], [8]]);
    // One of the processors is left to it also when it has nothing to do.
    world.done(&first, MS);
    world.done(&second, MS);
    world.lanes.done(Post::Back, flood.id(), (one.charged, MS), world.now());
    assert!(world.at_back().is_none());
    world.lanes.done(Post::Back, flood.id(), (two.charged, MS), world.now());
    assert_eq!(world.at_back().map(|batch| numbers(&batch)), Some(vec![3]));
    // After a pause it is one of many again.
    let now = world.now();
    let left: Vec<_> = (0..20).filter_map(|number| world.lanes.remove(flood.id(), number, now)).collect();
    assert_eq!(left, [Number(4), Number(5)]);
    world.lanes.done(Post::Back, flood.id(), (0, MS), now);
    world.now += 50 * MS;
    world.put(&flood, 10, None);
    assert_eq!(world.taken().0, [10]);
}

#[test]
fn a_thread_of_the_back_begins_no_second_run_while_as_many_run_as_there_are_threads() {
    let (mut world, flood, other) = (World::with_back(3, 3), off(), off());
    world.flood(&flood);
    world.put(&other, 1, None);
    let first = world.batch();
    (1..=4).for_each(|number| {
        world.put(&flood, number, None);
    });
    assert_eq!(world.at_back().map(|batch| numbers(&batch)), Some(vec![1]));
    world.put(&other, 2, None);
    let second = world.batch();
    assert!(world.at_back().is_none());
    world.done(&second, MS);
    assert_eq!(world.at_back().map(|batch| numbers(&batch)), Some(vec![2]));
    world.done(&first, MS);
    assert!(world.at_back().is_none(), "one thread's worth is left");
}

#[test]
fn a_flood_is_not_put_off_for_ever_and_two_share_the_back() {
    let (mut world, one, two, other) = (World::with_back(2, 2), off(), off(), off());
    world.put(&two, 1, None);
    let early = world.batch();
    world.flood(&one);
    world.done(&early, 500 * MS);
    for lane in [&other, &one, &two, &one, &two] {
        world.put(lane, 1, None);
        world.put(lane, 2, None);
    }
    let _held = (world.batch(), world.batch());
    let mut lanes = [world.at_back().unwrap(), world.at_back().unwrap()].map(|batch| batch.lane.id());
    lanes.sort_unstable();
    assert_eq!(lanes, [one.id(), two.id()], "each has one run, also while the front has all processors");
    assert!(world.at_back().is_none());
}
