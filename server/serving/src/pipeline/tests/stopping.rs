//! When a request is refused for want of room, given up for want of time, or stopped because nobody waits.
//!
//! A held run leaves its gate only when it is cancelled or the gate is opened. So where a test ends without
//! opening it, the run was cancelled.

use super::*;

#[test]
fn a_time_below_a_millisecond_is_told_as_it_was_given() {
    let error = too_slow(Duration::from_micros(1)).to_string();
    assert!(error.contains("expected an answer within 1 µs"), "{error}");
}

#[test]
fn an_inference_that_takes_too_long_is_given_up_and_stopped() {
    for large in [false, true] {
        let world = World::new(&Setup { inference_max: A_MOMENT, ..Setup::default() });
        let gate = world.hooks.hold_runs("m");
        world.dear();
        let codec = if large { triggering().large() } else { triggering() };
        let error = block_on(world.infer(codec)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
        assert!(error.to_string().contains("expected an answer within 30 ms"), "{error}");
        assert!(gate.wait_for(1), "it had begun to run");
        assert_eq!(world.close(), [0, 0, 0, 1, 0]);
    }
}

#[test]
fn the_callers_own_timeout_holds_wherever_the_body_is_read() {
    for large in [false, true] {
        let world = World::new(&Setup::default());
        let gate = world.hooks.hold_runs("m");
        world.dear();
        let codec = triggering().timeout(A_MOMENT);
        let error = block_on(world.infer(if large { codec.large() } else { codec })).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
        assert!(error.to_string().contains("within 30 ms"), "{error}");
        assert!(gate.wait_for(1));
        assert_eq!(world.close(), [0, 0, 0, 1, 0], "large: {large}");
    }
}

#[test]
fn the_callers_own_timeout_cannot_exceed_the_servers() {
    let world = World::new(&Setup { inference_max: A_MOMENT, ..Setup::default() });
    let _gate = world.hooks.hold_runs("m");
    world.dear();
    let error = block_on(world.infer(triggering().timeout(AN_HOUR))).unwrap_err();
    assert!(error.to_string().contains("within 30 ms"), "{error}");
    assert_eq!(world.close(), [0, 0, 0, 1, 0]);
}

#[test]
fn a_timeout_that_is_long_enough_changes_nothing() {
    let world = World::new(&Setup::default());
    block_on(async {
        for codec in [TestCodec::default(), TestCodec::default().large()] {
            world.dear();
            assert_eq!(world.infer(codec.timeout(AN_HOUR)).await.unwrap().values, [7]);
        }
    });
    assert_eq!(world.close(), [2, 0, 0, 0, 0]);
}

#[test]
fn a_request_whose_time_is_up_when_it_has_been_read_does_not_run() {
    let world = World::new(&Setup::default());
    let clock = Arc::clone(&world.clock);
    let runs = world.hooks.runs("m");
    let slow_body = TestCodec::default().timeout(A_MOMENT).large().on_decode(move || {
        clock.advance(A_MOMENT * 2);
        Ok(())
    });
    assert_eq!(block_on(world.infer(slow_body)).unwrap_err().code(), ErrorCode::DeadlineExceeded);
    assert_eq!(world.hooks.runs("m"), runs);
    assert_eq!(world.close(), [0, 0, 0, 1, 0]);
}

#[test]
fn a_queued_request_that_nobody_waits_for_never_runs() {
    let world = World::new(&Setup::default());
    let gate = world.hooks.hold_runs("m");
    let runs = world.hooks.runs("m");
    block_on(async {
        world.dear();
        let first = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let queued = [begun(&world, triggering()), begun(&world, triggering().large())];
        assert_eq!(world.pipeline.queued(), 2);
        drop(queued);
        // While the pool's thread is still held: they have left the queue, and what they held is free.
        assert_eq!(world.pipeline.queued(), 0);
        assert_eq!(world.concurrency().inside, 1);
        assert_eq!(world.outcomes(), [0, 0, 0, 2, 0]);
        gate.open();
        assert_eq!(first.await.unwrap().values, [7]);
    });
    let hooks = world.hooks.clone();
    assert_eq!(world.close(), [1, 0, 0, 2, 0]);
    assert_eq!(hooks.runs("m"), runs + 1);
}

#[test]
fn a_run_that_nobody_waits_for_any_more_is_stopped() {
    let world = World::new(&Setup::default());
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        world.dear();
        let request = begun(&world, triggering());
        assert!(gate.wait_for(1));
        drop(request);
        world.settle().await;
    });
    assert_eq!(world.close(), [1, 0, 0, 1, 0]);
}

#[test]
fn a_full_queue_refuses_at_once_and_recovers() {
    let world = World::new(&Setup { queue_max: 1, ..Setup::default() });
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        world.dear();
        let running = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let waiting = begun(&world, TestCodec::default());
        for codec in [TestCodec::default(), TestCodec::default().large()] {
            let error = world.infer(codec).await.unwrap_err();
            assert_eq!((error.code(), error.retry_after()), (ErrorCode::Overloaded, Some(1)));
            assert_eq!(error.place(), Some("limits.inference_queue_max"));
        }
        assert_eq!(world.outcomes(), [0, 0, 2, 0, 0]);
        // Requests that need no pool thread still go through.
        world.costs(0);
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().ran_on, this_thread());
        gate.open();
        assert!(running.await.is_ok() && waiting.await.is_ok());
        world.settle().await;
    });
    assert_eq!(world.close(), [4, 0, 2, 0, 0]);
}

#[test]
fn more_than_can_be_answered_soon_are_refused_before_they_are_read_if_they_need_the_pool() {
    let world = World::new(&Setup { limit: true, inflight_max: 20, ..Setup::default() });
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        world.dear();
        let running = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let mut waiting: Vec<_> = (0..4).map(|_| begun(&world, TestCodec::default())).collect();
        assert_eq!((world.concurrency().limit, world.concurrency().inside), (5, 5));
        let unread = || TestCodec::default().on_decode(|| panic!("it is not read"));
        for codec in [unread(), unread().large()] {
            let error = world.infer(codec).await.unwrap_err();
            assert_eq!((error.reason(), error.retry_after()), (Some(Reason::ConcurrencyLimit), Some(1)));
        }
        // Cheap rows need no place, but many of them do.
        world.costs(INLINE_RUN_NANOS_MAX);
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().ran_on, this_thread());
        let error = world.infer(TestCodec::of(&[1.0, 1.0])).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ConcurrencyLimit));
        // Who leaves makes room, running or not.
        waiting.truncate(1);
        assert_eq!(world.concurrency().inside, 2);
        world.dear();
        waiting.push(begun(&world, TestCodec::default()));
        gate.open();
        assert!(running.await.is_ok());
        for request in waiting {
            assert!(request.await.is_ok());
        }
        world.settle().await;
        assert_eq!(world.concurrency().inside, 0);
    });
    assert_eq!(world.refusals(), [0, 3, 0, 0]);
    assert_eq!(world.close(), [5, 0, 3, 3, 0]);
}

#[test]
fn who_finds_the_queue_full_is_told_the_time_that_was_measured() {
    let world = World::new(&Setup { queue_max: 1, limit: true, ..Setup::default() });
    let clock = Arc::clone(&world.clock);
    block_on(async {
        // Ten that take three seconds each: by that, one that comes now would wait as long.
        for _ in 0..10 {
            world.dear();
            let clock = Arc::clone(&clock);
            let slow = TestCodec::default().large().on_decode(move || {
                clock.advance(Duration::from_secs(3));
                Ok(())
            });
            world.infer(slow).await.unwrap();
        }
        let gate = world.hooks.hold_runs("m");
        let running = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let waiting = begun(&world, TestCodec::default());
        let error = world.infer(TestCodec::default()).await.unwrap_err();
        assert_eq!((error.reason(), error.retry_after()), (Some(Reason::QueueFull), Some(3)));
        gate.open();
        assert!(running.await.is_ok() && waiting.await.is_ok());
        world.settle().await;
    });
    assert_eq!(world.refusals(), [1, 0, 0, 0]);
}

#[test]
fn a_model_takes_only_so_many_requests_at_once() {
    let world = World::new(&Setup { inflight_max: 2, ..Setup::default() });
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        world.dear();
        let inside = [begun(&world, triggering()), begun(&world, TestCodec::default())];
        let error = world.infer(TestCodec::default()).await.unwrap_err();
        assert_eq!((error.code(), error.retry_after()), (ErrorCode::Overloaded, Some(1)));
        assert_eq!(error.place(), Some("limits.inflight_per_model_max"));
        gate.open();
        for request in inside {
            assert!(request.await.is_ok());
        }
        world.settle().await;
    });
    assert_eq!(world.close(), [3, 0, 1, 0, 0]);
}

#[test]
fn a_request_finishes_on_the_version_that_it_began_on() {
    let world = World::new(&Setup::default());
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        world.dear();
        let request = begun(&world, triggering());
        let queued = begun(&world, TestCodec::default());
        assert!(gate.wait_for(1));
        world.put(1, &format!("{}# longer\n", model("m/new", "", 8))).await;
        world.costs(0);
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().values, [8]);
        assert_eq!(world.hooks.live_of("m"), 1, "the old session has two requests to answer");
        gate.open();
        assert_eq!((request.await.unwrap().values, queued.await.unwrap().values), (vec![7], vec![7]));
    });
    assert!(world.hooks.wait_for_live_of("m", 0));
    assert_eq!(world.close(), [3, 0, 0, 0, 0]);
}
