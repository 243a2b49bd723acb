//! The breaker by example, against a plain model of it at random, and under many threads.

mod model;

use std::{collections::HashMap, sync::Mutex};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn settings() -> BreakerSettings {
    BreakerSettings {
        window: Duration::from_secs(1),
        calls_min: 4,
        failure_rate: 0.5,
        slow: Some(10 * MS),
        slow_rate: 0.75,
        open: Duration::from_secs(1),
        open_max: Duration::from_secs(5),
        trials: 3,
    }
}

/// A breaker, its time, and the changes that it told.
struct World {
    breaker: Arc<Breaker>,
    now: Tick,
    told: Arc<Mutex<Vec<BreakerChange>>>,
}

impl World {
    fn new() -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let for_breaker = Arc::clone(&told);
        let listener = Box::new(move |change: &BreakerChange| for_breaker.lock().unwrap().push(*change));
        Self { breaker: Arc::new(Breaker::new(settings(), 7, listener)), now: Tick(0), told }
    }

    fn enter(&self) -> Result<Permit, Refusal> {
        self.breaker.enter(self.now)
    }

    fn call(&self, ending: Ending, took: Duration) {
        self.enter().unwrap().end(ending, took, self.now);
    }

    fn fail(&self) {
        self.call(Ending::Failed, MS);
    }

    fn succeed(&self) {
        self.call(Ending::Succeeded, MS);
    }

    fn reading(&self) -> BreakerReading {
        self.breaker.reading(self.now)
    }

    fn state(&self) -> BreakerState {
        self.reading().state
    }

    /// Lets the open time pass, and says how long it was.
    fn wait(&mut self) -> Duration {
        let retry_at = self.reading().retry_at.unwrap();
        let span = self.now.until(retry_at);
        self.now = retry_at;
        span
    }

    /// The states that it told to have changed to.
    fn told(&self) -> Vec<BreakerState> {
        self.told.lock().unwrap().iter().map(|change| change.to).collect()
    }
}

use BreakerState::{Closed, HalfOpen, Open};

#[test]
fn it_opens_at_the_rate_and_not_before_there_are_enough_calls() {
    let world = World::new();
    (0..3).for_each(|_| world.fail());
    assert_eq!((world.state(), world.reading().failure_rate), (Closed, 1.0));
    world.succeed();
    assert_eq!(world.state(), Closed, "a good call opens nothing");
    world.fail();
    assert_eq!(world.state(), Open);
    let change = *world.told.lock().unwrap().first().unwrap();
    assert_eq!((change.from, change.to, change.calls), (Closed, Open, 5));
    assert!((change.failure_rate - 0.8).abs() < 1e-9 && change.slow_rate == 0.0);
}

#[test]
fn failures_below_the_rate_or_long_ago_open_nothing() {
    let mut world = World::new();
    for _ in 0..100 {
        world.succeed();
        world.succeed();
        world.fail();
        world.now = world.now.after(50 * MS);
    }
    assert_eq!(world.state(), Closed);
    let mut world = World::new();
    for _ in 0..100 {
        world.fail();
        world.now = world.now.after(Duration::from_millis(500));
    }
    assert_eq!(world.state(), Closed, "never four within a second");
}

#[test]
fn slow_calls_open_it_too_whatever_they_end_with() {
    let world = World::new();
    world.succeed();
    for ending in [Ending::Succeeded, Ending::Unknown, Ending::Succeeded] {
        assert_eq!(world.state(), Closed);
        world.call(ending, 10 * MS);
    }
    assert_eq!(world.state(), Open);
    assert!(world.told.lock().unwrap()[0].slow_rate >= 0.75);
}

#[test]
fn what_says_nothing_does_not_count() {
    let world = World::new();
    for _ in 0..100 {
        world.call(Ending::Unknown, 9 * MS);
        drop(world.enter().unwrap());
    }
    assert_eq!(world.reading().calls, 0);
}

#[test]
fn an_open_breaker_refuses_until_its_time_is_over_and_then_tries() {
    let mut world = World::new();
    (0..4).for_each(|_| world.fail());
    let refusal = world.enter().unwrap_err();
    let open = world.wait();
    assert_eq!(refusal.retry_after, open);
    world.now = Tick(world.now.0 - 1);
    assert!(world.enter().is_err() && world.breaker.refusal(world.now).is_some(), "a nanosecond too early");
    world.now = Tick(world.now.0 + 1);
    assert!(world.breaker.refusal(world.now).is_none());
    let trials: Vec<Permit> = (0..3).map(|_| world.enter().unwrap()).collect();
    assert!(trials.iter().all(Permit::is_trial) && world.state() == HalfOpen);
    assert_eq!(world.enter().unwrap_err().retry_after, TRIALS_TAKE, "three are under way");
    for trial in trials {
        assert_eq!(world.state(), HalfOpen);
        trial.end(Ending::Succeeded, MS, world.now);
    }
    assert_eq!((world.state(), world.reading().calls), (Closed, 0), "what was before is forgotten");
    assert_eq!(world.told(), [Open, HalfOpen, Closed]);
}

#[test]
fn bad_trials_open_it_for_twice_as_long_up_to_the_cap_less_the_jitter() {
    let mut world = World::new();
    (0..4).for_each(|_| world.fail());
    let mut spans = Vec::new();
    for want in [1.0, 2.0, 4.0, 5.0, 5.0, 5.0] {
        let span = world.wait().as_secs_f64();
        assert!(span <= want + 0.001 && span >= want * (1.0 - JITTER), "{span} is not about {want}");
        spans.push(span);
        world.succeed();
        assert_eq!(world.state(), HalfOpen, "one failure of three is below the rate, two are not");
        world.fail();
        assert_eq!(world.state(), HalfOpen);
        world.fail();
        assert_eq!(world.state(), Open);
    }
    spans.dedup();
    assert!(spans.len() >= 5, "the jitter differs from time to time: {spans:?}");
    world.wait();
    (0..3).for_each(|_| world.succeed());
    (0..4).for_each(|_| world.fail());
    assert!(world.wait() <= Duration::from_millis(1001), "a breaker that closed begins anew");
}

#[test]
fn the_jitter_is_the_seeds() {
    let span = |seed: u64| {
        let breaker = Arc::new(Breaker::new(settings(), seed, Box::new(|_| ())));
        (0..4).for_each(|_| breaker.enter(Tick(0)).unwrap().end(Ending::Failed, MS, Tick(0)));
        breaker.reading(Tick(0)).retry_at.unwrap()
    };
    assert_eq!(span(1), span(1));
    let spans: std::collections::BTreeSet<Tick> = (0..50).map(span).collect();
    assert!(spans.len() > 40, "{}", spans.len());
}

#[test]
fn a_trial_that_says_nothing_or_is_dropped_or_panics_gives_its_place_back() {
    let mut world = World::new();
    (0..4).for_each(|_| world.fail());
    world.wait();
    for _ in 0..10 {
        drop(world.enter().unwrap());
        world.call(Ending::Unknown, MS);
        let permit = world.enter().unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = permit;
            panic!("on purpose");
        }));
        assert!(caught.is_err());
    }
    (0..3).for_each(|_| world.succeed());
    assert_eq!(world.told(), [Open, HalfOpen, Closed]);
}

#[test]
fn calls_of_another_time_do_not_count() {
    let mut world = World::new();
    let early: Vec<Permit> = (0..8).map(|_| world.enter().unwrap()).collect();
    (0..4).for_each(|_| world.fail());
    world.wait();
    let trial = world.enter().unwrap();
    early.into_iter().for_each(|permit| permit.end(Ending::Failed, MS, world.now));
    assert_eq!((world.state(), world.reading().calls), (HalfOpen, 0));
    world.breaker.reset();
    assert_eq!(world.state(), Closed);
    trial.end(Ending::Failed, MS, world.now);
    assert_eq!((world.state(), world.reading().calls), (Closed, 0));
    assert_eq!(world.told(), [Open, HalfOpen, Closed]);
}

#[test]
fn settings_out_of_range_are_brought_into_range() {
    let wild = BreakerSettings {
        window: Duration::ZERO,
        calls_min: 0,
        failure_rate: f64::NAN,
        slow: None,
        slow_rate: -1.0,
        open: Duration::ZERO,
        open_max: Duration::ZERO,
        trials: 0,
    };
    let breaker = Arc::new(Breaker::new(wild, 0, Box::new(|_| ())));
    breaker.enter(Tick(0)).unwrap().end(Ending::Failed, MS, Tick(0));
    let retry_at = breaker.reading(Tick(0)).retry_at.unwrap();
    assert!(retry_at > Tick(0));
    breaker.enter(retry_at).unwrap().end(Ending::Succeeded, MS, retry_at);
    assert_eq!(breaker.reading(retry_at).state, Closed);
}

/// Whatever happens at once, no half-open breaker has more than its trials under way, each change is told once and
/// follows from the one before, and in the end no place is lost.
#[test]
fn many_threads_never_run_too_many_trials_and_lose_no_place() {
    const TRIALS: u16 = 3;
    let told = Arc::new(Mutex::new(Vec::new()));
    let for_breaker = Arc::clone(&told);
    let settings = BreakerSettings { open: MS, open_max: 2 * MS, trials: TRIALS, window: 100 * MS, ..settings() };
    let listener = Box::new(move |change: &BreakerChange| for_breaker.lock().unwrap().push(*change));
    let breaker = Arc::new(Breaker::new(settings, 3, listener));
    // Trials under way by epoch: counted after they have begun and until before they end, so never too high.
    let (time, running) = (AtomicU64::new(0), Mutex::new(HashMap::<u32, u16>::new()));
    let lost_a_place = |epoch: u32, change: fn(&mut u16)| {
        let mut running = running.lock().unwrap();
        let count = running.entry(epoch).or_default();
        change(count);
        *count > TRIALS
    };
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (breaker, time, lost_a_place, told) = (&breaker, &time, &lost_a_place, &told);
            scope.spawn(move || {
                for n in 0_u64.. {
                    // A thread that is set aside with a trial holds the changes up, so calls alone do not bound them.
                    if n >= 20_000 && told.lock().unwrap().len() > 100 {
                        break;
                    }
                    let now = Tick(time.fetch_add(5_000, SeqCst));
                    let Ok(permit) = breaker.enter(now) else { continue };
                    if permit.is_trial() {
                        assert!(!lost_a_place(permit.epoch, |count| *count += 1), "too many trials at once");
                        std::thread::yield_now();
                        lost_a_place(permit.epoch, |count| *count -= 1);
                    }
                    match (n * 7 + thread) % 5 {
                        0 | 1 => permit.end(Ending::Failed, MS, now),
                        2 => drop(permit),
                        _ => permit.end(Ending::Succeeded, MS, now),
                    }
                }
            });
        }
    });
    let changes: Vec<(BreakerState, BreakerState)> =
        told.lock().unwrap().iter().map(|change| (change.from, change.to)).collect();
    assert!(changes.len() > 100, "{}", changes.len());
    // Listeners of two changes may be heard the wrong way round, but each change is one of the written ones, and
    // all together lead from closed to the present.
    let count = |from, to| changes.iter().filter(|change| **change == (from, to)).count();
    let (opened, tried) = (count(Closed, Open), count(Open, HalfOpen));
    let (closed, reopened) = (count(HalfOpen, Closed), count(HalfOpen, Open));
    assert_eq!(opened + tried + closed + reopened, changes.len());
    let state = breaker.reading(Tick(0)).state;
    assert_eq!(opened - closed, usize::from(state != Closed));
    assert_eq!(opened + reopened - tried, usize::from(state == Open));
    // All trials can still be made.
    let late = Tick(u64::MAX / 2_000_000);
    if breaker.reading(late).state != Closed {
        (0..TRIALS).for_each(|_| match breaker.enter(late) {
            Ok(permit) => permit.end(Ending::Succeeded, MS, late),
            Err(_) => assert_eq!(breaker.reading(late).state, Closed),
        });
        let state = breaker.reading(late).state;
        assert!(state == Closed || state == Open, "trials were lost: {state:?}");
    }
}
