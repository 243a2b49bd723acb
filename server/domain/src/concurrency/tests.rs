//! The limit over simulated servers: seeded arrivals and work, threads that are busy or free, time that moves by hand.

mod service;

use std::sync::atomic::AtomicBool;

use service::{Load, Outcome, Server, Work};

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Settings whose resting point is small enough to be seen: little waiting is allowed.
fn tight() -> ConcurrencySettings {
    ConcurrencySettings { wait: millis(20), ..ConcurrencySettings::default() }
}

fn adaptive(settings: ConcurrencySettings) -> Arc<ConcurrencyLimit> {
    Arc::new(ConcurrencyLimit::new(settings, 4096, None, 1))
}

/// Where Little's law puts the limit of a busy server.
fn rest(settings: &ConcurrencySettings, threads: f64, work_ms: f64) -> f64 {
    let wait = settings.wait.as_secs_f64() * 1e3;
    let knee = settings.tolerance * threads * (1.0 + wait / work_ms);
    knee + knee.sqrt().max(4.0)
}

#[test]
fn no_more_than_the_limit_are_inside_and_every_place_is_given_back() {
    let limit = Arc::new(ConcurrencyLimit::fixed(3));
    let mut slots: Vec<Slot> = (0..3).map(|_| limit.enter(Tick(0)).unwrap()).collect();
    assert!(limit.is_full());
    let full = limit.enter(Tick(0)).unwrap_err();
    assert_eq!((full.inside, full.limit), (3, 3));
    // One ends in order, one is lost with a panic or a cancellation.
    slots.pop().unwrap().end(millis(1), Tick(MS));
    drop(slots.pop());
    assert_eq!(limit.reading(), ConcurrencyReading { limit: 3, inside: 1 });
    assert!(limit.enter(Tick(0)).is_ok());
}

#[test]
fn threads_that_enter_at_once_never_exceed_the_limit() {
    let limit = Arc::new(ConcurrencyLimit::fixed(5));
    let (most, refused) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..20_000 {
                    match limit.enter(Tick(turn)) {
                        Ok(slot) => {
                            most.fetch_max(limit.reading().inside, Relaxed);
                            slot.end(Duration::ZERO, Tick(turn + 1));
                        }
                        Err(full) => {
                            refused.store(true, Relaxed);
                            assert_eq!(full.limit, 5);
                        }
                    }
                }
            });
        }
    });
    assert!(most.into_inner() <= 5);
    assert_eq!(limit.reading().inside, 0);
}

#[test]
fn it_begins_where_it_would_come_to_rest() {
    let settings = tight();
    let start = |work, threads| ConcurrencyLimit::new(settings, 4096, work, threads).reading().limit;
    // 2 × 2 × (1 + 20 / 10) = 12, and 4 for bursts.
    assert_eq!(start(Some(millis(10)), 2), 16);
    assert_eq!(start(Some(millis(10_000)), 1), settings.floor);
    assert_eq!(start(Some(Duration::from_nanos(100)), 1), 4096);
    assert_eq!(start(None, 1), 4096);
    assert_eq!(start(Some(Duration::ZERO), 1), 4096);
    // Where no waiting is allowed, it does not matter how long they work.
    let none = ConcurrencySettings { wait: Duration::ZERO, floor: 1, ..settings };
    assert_eq!(ConcurrencyLimit::new(none, 4096, None, 3).reading().limit, 10);
}

#[test]
fn it_comes_to_rest_where_the_threads_are_busy_and_nobody_waits_long() {
    let settings = tight();
    for (threads, work) in [
        (1, Work::Fixed(10 * MS)),
        (2, Work::Exponential(10 * MS)),
        (4, Work::Exponential(5 * MS)),
        (2, Work::HeavyTail(10 * MS)),
    ] {
        // Once from far above, once from far below.
        for start in [None, Some(millis(100_000))] {
            let limit = Arc::new(ConcurrencyLimit::new(settings, 4096, start, threads));
            let mut server = Server::new(&limit, threads, work);
            server.run(Load::times(3.0), 20 * SECOND);
            let want = rest(&settings, threads as f64, work.mean_ms());
            let got = f64::from(limit.reading().limit);
            assert!((want * 0.6..want * 1.6).contains(&got), "{threads} {work:?} {start:?}: {got}, not near {want}");
        }
    }
}

#[test]
fn under_overload_the_threads_stay_busy_and_who_is_let_in_is_answered_soon() {
    let settings = tight();
    for threads in [1, 2, 8] {
        for work in [Work::Fixed(10 * MS), Work::Exponential(10 * MS), Work::HeavyTail(10 * MS)] {
            for times in [1.5, 2.0, 5.0, 10.0] {
                // It expects work ten times as short as it is, and so begins far too high.
                let limit = Arc::new(ConcurrencyLimit::new(settings, 4096, Some(millis(1)), threads));
                let mut server = Server::new(&limit, threads, work);
                server.run(Load::times(times), 10 * SECOND);
                let Outcome { busy, inside_ms, refused, answered } = server.run(Load::times(times), 30 * SECOND);
                assert!(busy >= 0.9, "{threads} threads, {work:?}, × {times}: busy {busy}");
                // On average 2 × (10 + 20) ms and a little for bursts; the rest is for the spread of the work.
                let (p99, bound) = (inside_ms.p99(), if matches!(work, Work::HeavyTail(_)) { 480.0 } else { 240.0 });
                assert!(p99 <= bound, "{threads} threads, {work:?}, × {times}: p99 {p99} ms");
                assert!(refused > answered / 4, "{threads} threads, {work:?}, × {times}: {refused} refused");
            }
        }
    }
}

#[test]
fn below_its_knee_hardly_anybody_is_refused() {
    for times in [0.3, 0.6, 0.8] {
        let limit = Arc::new(ConcurrencyLimit::new(tight(), 4096, Some(millis(10)), 4));
        let mut server = Server::new(&limit, 4, Work::Exponential(10 * MS));
        let outcome = server.run(Load::times(times), 60 * SECOND);
        assert!(outcome.refused * 500 <= outcome.answered, "× {times}: {} refused", outcome.refused);
    }
}

#[test]
fn a_limit_that_is_not_used_stays_where_it_is() {
    let limit = Arc::new(ConcurrencyLimit::new(tight(), 4096, Some(millis(10)), 4));
    let before = limit.reading().limit;
    let mut server = Server::new(&limit, 4, Work::Exponential(10 * MS));
    server.run(Load::times(0.1), 60 * SECOND);
    assert_eq!(limit.reading().limit, before);
}

#[test]
fn after_a_slow_while_it_is_what_it_was() {
    let settings = tight();
    let limit = adaptive(settings);
    let mut server = Server::new(&limit, 2, Work::Exponential(5 * MS));
    server.run(Load::times(2.0), 30 * SECOND);
    let before = f64::from(limit.reading().limit);
    server.work(Work::Exponential(200 * MS));
    let slow = server.run(Load::times(2.0), 60 * SECOND);
    assert!(slow.busy >= 0.9, "{}", slow.busy);
    let during = f64::from(limit.reading().limit);
    assert!(during < before, "waiting that is allowed is little beside such work: {during}, {before} before");
    server.work(Work::Exponential(5 * MS));
    server.run(Load::times(2.0), 10 * SECOND);
    let after = f64::from(limit.reading().limit);
    assert!((before * 0.6..before * 1.6).contains(&after), "{after}, {before} before");
}

#[test]
fn single_stalls_do_not_take_it_to_the_floor() {
    let settings = tight();
    let limit = Arc::new(ConcurrencyLimit::new(settings, 4096, Some(millis(5)), 2));
    let before = limit.reading().limit;
    let mut server = Server::new(&limit, 2, Work::Stalling { usual: 5 * MS, stall: 100 * MS, every: 100 });
    let outcome = server.run(Load::times(0.6), 120 * SECOND);
    let after = limit.reading().limit;
    assert!(after > 2 * settings.floor && after * 2 > before, "{after}, {before} before");
    assert!(outcome.refused * 50 <= outcome.answered, "{} of {}", outcome.refused, outcome.answered);
}

#[test]
fn the_floor_holds_and_so_does_the_ceiling() {
    let settings = ConcurrencySettings { floor: 12, wait: Duration::ZERO, tolerance: 1.0, ..tight() };
    let limit = Arc::new(ConcurrencyLimit::new(settings, 16, None, 1));
    let mut server = Server::new(&limit, 1, Work::Exponential(10 * MS));
    server.run(Load::times(10.0), 30 * SECOND);
    assert_eq!(limit.reading().limit, 12);
    let generous = ConcurrencySettings { wait: millis(10_000), ..settings };
    let limit = Arc::new(ConcurrencyLimit::new(generous, 16, Some(Duration::from_secs(3600)), 1));
    assert_eq!(limit.reading().limit, 12);
    let mut server = Server::new(&limit, 1, Work::Exponential(10 * MS));
    server.run(Load::times(10.0), 30 * SECOND);
    assert_eq!(limit.reading().limit, 16);
    let above = ConcurrencyLimit::new(settings, 4, None, 1);
    assert_eq!(above.reading().limit, 4, "the ceiling goes before the floor");
}

#[test]
fn larger_requests_are_no_overload() {
    // Without waiting for others, work that is fifty times as long changes nothing.
    let settings = tight();
    let limit = Arc::new(ConcurrencyLimit::new(settings, 4096, Some(millis(2)), 4));
    let before = limit.reading().limit;
    let mut server = Server::new(&limit, 4, Work::Mixed { small: 2 * MS, large: 100 * MS, every: 10 });
    let outcome = server.run(Load::times(0.5), 60 * SECOND);
    assert_eq!(outcome.refused, 0);
    assert!(limit.reading().limit * 2 > before, "{} of {before}", limit.reading().limit);
}

#[test]
fn batches_may_fill_up() {
    // A run of b rows takes 8 ms + b × 0.25 ms: 32 at once give six times what one at a time gives.
    let settings = ConcurrencySettings { wait: millis(200), ..ConcurrencySettings::default() };
    let limit = Arc::new(ConcurrencyLimit::new(settings, 4096, Some(millis(8)), 1));
    let mut server = Server::new(&limit, 1, Work::Batched { fixed: 8 * MS, row: MS / 4, max: 32 });
    server.run(Load::per_second(4000.0), 10 * SECOND);
    let outcome = server.run(Load::per_second(4000.0), 20 * SECOND);
    let (rate, best) = (outcome.answered as f64 / 20.0, 32.0 / 0.016);
    assert!(rate >= 0.95 * best, "{rate} rows a second of {best}");
    assert!(outcome.inside_ms.p99() <= 1000.0, "{}", outcome.inside_ms.p99());
}

#[test]
fn requests_that_give_up_while_they_wait_count_as_having_waited() {
    // All leave after 300 ms, before their turn has come: without them in the sums nobody would ever be answered.
    let limit = adaptive(tight());
    let mut server = Server::new(&limit, 2, Work::Exponential(20 * MS)).with_patience(300 * MS);
    server.run(Load::times(10.0), 20 * SECOND);
    let outcome = server.run(Load::times(10.0), 20 * SECOND);
    assert!(outcome.busy >= 0.9, "busy {}", outcome.busy);
    assert!(limit.reading().limit < 60, "{}", limit.reading().limit);
}

#[test]
fn the_time_to_drain_is_what_was_measured() {
    let limit = Arc::new(ConcurrencyLimit::new(tight(), 4096, Some(millis(10)), 2));
    assert_eq!(limit.drain(), millis(10), "until something is measured, the work of one request");
    let mut server = Server::new(&limit, 2, Work::Fixed(500 * MS));
    server.run(Load::times(4.0), 120 * SECOND);
    let ConcurrencyReading { limit: most, .. } = limit.reading();
    let want = f64::from(most) * 0.5 / 2.0;
    let got = limit.drain().as_secs_f64();
    assert!((want * 0.7..want * 1.3).contains(&got), "{got} s, not near {want} s");
}

#[test]
fn what_is_out_of_range_takes_the_nearest_value_within() {
    let wrong = ConcurrencySettings {
        floor: 0,
        tolerance: f64::NAN,
        wait: Duration::from_secs(1 << 40),
        smoothing: 0.0,
        window: Duration::ZERO,
        calls_min: 0,
    };
    let want = ConcurrencySettings {
        floor: 1,
        tolerance: 2.0,
        wait: Duration::from_secs(600),
        smoothing: 1.0,
        window: millis(10),
        calls_min: 1,
    };
    assert_eq!(wrong.clamped(), want);
    assert_eq!(ConcurrencySettings { tolerance: 0.5, ..want }.clamped().tolerance, 1.0);
    assert_eq!(want.clamped(), want);
}
