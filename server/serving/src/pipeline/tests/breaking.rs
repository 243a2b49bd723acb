//! What opens the breaker of a version, what does not, and who answers meanwhile.

use candor_domain::{BreakerSettings, BreakerState};

use super::*;
use crate::BreakerTotals;

const SLOW: Duration = Duration::from_millis(20);
const OPEN: Duration = Duration::from_secs(1);

/// Opens after four calls of which half failed, or all were slow; one trial.
fn setup() -> Setup {
    let settings = BreakerSettings {
        window: Duration::from_secs(600),
        calls_min: 4,
        failure_rate: 0.5,
        slow: Some(SLOW),
        slow_rate: 1.0,
        open: OPEN,
        open_max: 8 * OPEN,
        trials: 1,
    };
    Setup { breaker: BreakerDefaults { enabled: true, settings }, ..Setup::default() }
}

impl World {
    fn state_of(&self, version: Option<&str>) -> BreakerState {
        let registry = self.pipeline.registry();
        registry.breaker_of(&registry.lease("m", version).unwrap()).unwrap().reading.state
    }

    fn state(&self) -> BreakerState {
        self.state_of(None)
    }

    fn events(&self, version: &str) -> BreakerTotals {
        self.pipeline.registry().lease("m", Some(version)).unwrap().facts().totals().breaker
    }

    /// Four runs that fail, with and without a thread of the pool.
    async fn break_it(&self) {
        for n in 0..4 {
            self.costs(if n % 2 == 0 { 0 } else { INLINE_RUN_NANOS_MAX + 1 });
            assert_eq!(self.infer(triggering()).await.unwrap_err().code(), ErrorCode::EngineFailed);
        }
    }

    async fn infer_version(&self, version: &str, codec: TestCodec) -> Result<Reply> {
        self.pipeline.infer(Call { model: "m", version: Some(version) }, codec).await
    }

    fn manifest(&self, text: &str) {
        std::fs::write(self.folder.path().join("m/model.toml"), text).unwrap();
    }
}

#[test]
fn failures_open_it_a_good_trial_closes_it_and_a_bad_one_does_not() {
    let world = World::with_model(&setup(), "fail_run = \"no\"");
    block_on(async {
        world.break_it().await;
        assert_eq!(world.state(), BreakerState::Open);
        let runs = world.hooks.runs("m");
        for codec in [TestCodec::default(), TestCodec::default().large()] {
            let refusal = world.infer(codec).await.unwrap_err();
            assert_eq!((refusal.code(), refusal.retry_after()), (ErrorCode::BreakerOpen, Some(1)));
            assert!(refusal.what().contains("model 'm' version 1 is open"), "{refusal}");
        }
        assert_eq!(world.hooks.runs("m"), runs, "nothing has run");
        assert_eq!(world.outcomes(), [0, 0, 2, 0, 4]);
        for (codec, after) in [(triggering(), BreakerState::Open), (TestCodec::default(), BreakerState::Closed)] {
            world.clock.advance(2 * OPEN);
            let _ = world.infer(codec).await;
            assert_eq!(world.state(), after);
        }
    });
    let events = world.events("1");
    assert_eq!((events.changes, events.rejected, events.fallbacks), ([1, 2, 2], 2, 0));
}

#[test]
fn panics_count_as_failures_wherever_they_happen() {
    let world = World::with_model(&setup(), "panic_run = true");
    block_on(world.break_it());
    assert_eq!(world.state(), BreakerState::Open);
}

#[test]
fn what_callers_do_opens_nothing() {
    let world = World::new(&Setup { queue_max: 1, inflight_max: 2, ..setup() });
    let gate = world.hooks.hold_runs("m");
    let refuse = |code| move || Err(Error::new(code, "as ordered"));
    block_on(async {
        for code in [ErrorCode::InvalidInput, ErrorCode::NotFound, ErrorCode::TooLarge, ErrorCode::Cancelled] {
            for large in [false, true] {
                let codec = TestCodec::default().on_decode(refuse(code));
                world.infer(if large { codec.large() } else { codec }).await.unwrap_err();
            }
        }
        // Callers who wait for less than a slow run takes, and callers who leave.
        for _ in 0..4 {
            world.dear();
            let error = world.infer(triggering().timeout(A_MOMENT)).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
            world.settle().await;
        }
        let arrived = gate.arrived();
        for n in 1..=4 {
            world.dear();
            let request = begun(&world, triggering());
            assert!(gate.wait_for(arrived + n));
            drop(request);
            world.settle().await;
        }
        // Callers for whom there is no room.
        world.dear();
        let (arrived, running) = (gate.arrived(), begun(&world, triggering()));
        assert!(gate.wait_for(arrived + 1));
        let inside = [running, begun(&world, TestCodec::default())];
        for _ in 0..4 {
            assert_eq!(world.infer(TestCodec::default()).await.unwrap_err().code(), ErrorCode::Overloaded);
        }
        gate.open();
        for request in inside {
            request.await.unwrap();
        }
    });
    let view = world.pipeline.registry().views().remove(0).breaker.unwrap();
    assert_eq!((view.reading.state, view.reading.failure_rate), (BreakerState::Closed, 0.0));
    assert_eq!(view.reading.slow_rate, 0.0);
}

#[test]
fn slow_runs_open_it_whoever_stops_waiting_for_them() {
    let world = World::new(&setup());
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        for n in 1..=4 {
            assert_eq!(world.state(), BreakerState::Closed);
            world.dear();
            let request = begun(&world, triggering());
            assert!(gate.wait_for(n));
            world.clock.advance(SLOW);
            // Half of them are given up by their callers.
            if n % 2 == 0 {
                drop(request);
            } else {
                assert!(tokio::time::timeout(A_MOMENT, request).await.is_err(), "the gate is shut");
            }
        }
        assert_eq!(world.state(), BreakerState::Open);
    });
    assert_eq!(world.events("1").changes, [0, 0, 1]);
}

#[test]
fn runs_that_are_slow_and_come_to_an_end_count_too() {
    let world = World::new(&setup());
    for n in 1..=4 {
        let gate = world.hooks.hold_runs("m");
        block_on(async {
            world.dear();
            let request = begun(&world, triggering());
            assert!(gate.wait_for(1));
            world.clock.advance(SLOW);
            gate.open();
            assert_eq!(request.await.unwrap().values, [7]);
        });
        assert_eq!(world.state() == BreakerState::Open, n == 4);
    }
}

#[test]
fn time_in_the_queue_says_nothing_of_the_version() {
    let setup = Setup { inference_max: A_MOMENT, ..setup() };
    let world = World::new(&setup);
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        world.dear();
        let running = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let queued: Vec<_> = (0..4).map(|_| begun(&world, TestCodec::default())).collect();
        world.clock.advance(Duration::from_secs(5));
        // They leave the queue unanswered, because the run before them is not over.
        for request in queued {
            assert_eq!(request.await.unwrap_err().code(), ErrorCode::DeadlineExceeded);
        }
        drop(running);
        gate.open();
    });
    let reading = world.pipeline.registry().views().remove(0).breaker.unwrap().reading;
    assert_eq!((reading.calls, reading.slow_rate), (1, 1.0), "only the run itself was slow");
}

#[test]
fn a_run_that_uses_up_the_servers_limit_on_time_has_failed() {
    let mut setup = Setup { inference_max: A_MOMENT, ..setup() };
    setup.breaker.settings.slow = None;
    let world = World::new(&setup);
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        for n in 1..=8 {
            assert_eq!(world.state(), BreakerState::Closed);
            world.dear();
            let running = begun(&world, triggering());
            assert!(gate.wait_for(n));
            // Of the first four the run had only the end of the time, and the queue the rest.
            if n > 4 {
                world.clock.advance(A_MOMENT / 2);
            }
            assert_eq!(running.await.unwrap_err().code(), ErrorCode::DeadlineExceeded);
        }
        assert_eq!(world.state(), BreakerState::Open);
    });
}

#[test]
fn a_trial_that_tells_nothing_leaves_its_place_to_the_next() {
    let world = World::with_model(&Setup { queue_max: 1, inflight_max: 3, ..setup() }, "fail_run = \"no\"");
    let loud = || -> Result<()> { panic!("on purpose") };
    block_on(async {
        world.break_it().await;
        world.clock.advance(2 * OPEN);
        // Wrong requests, callers who leave from the queue and from the run, and no room.
        for large in [false, true] {
            let codec = TestCodec::default().on_decode(|| Err(Error::invalid("no")));
            let codec = if large { codec.large() } else { codec };
            assert_eq!(world.infer(codec).await.unwrap_err().code(), ErrorCode::InvalidInput);
            assert_eq!(world.state(), BreakerState::HalfOpen);
        }
        let gate = world.hooks.hold_runs("m");
        world.dear();
        let trial = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let refusal = world.infer(TestCodec::default()).await.unwrap_err();
        assert_eq!((refusal.code(), refusal.retry_after()), (ErrorCode::BreakerOpen, Some(1)));
        drop(trial);
        gate.open();
        assert_eq!(world.state(), BreakerState::HalfOpen);
        // A panic is a failure, and no lost place either.
        world.infer(TestCodec::default().on_decode(loud)).await.unwrap_err();
        assert_eq!(world.state(), BreakerState::Open);
        world.clock.advance(4 * OPEN);
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().values, [7]);
        assert_eq!(world.state(), BreakerState::Closed);
    });
}

#[test]
fn a_trial_tells_its_end_also_when_nobody_asks_for_the_answer() {
    let world = World::with_model(&setup(), "fail_run = \"no\"");
    block_on(async {
        world.break_it().await;
        world.clock.advance(2 * OPEN);
        let gate = world.hooks.hold_runs("m");
        world.dear();
        // As in a stream whose client does not read: asked for once, and neither waited for nor given up.
        let unread = begun(&world, triggering());
        assert!(gate.wait_for(1));
        assert_eq!(world.state(), BreakerState::HalfOpen);
        gate.open();
        let ended = async {
            while world.state() == BreakerState::HalfOpen {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the trial has kept its place");
        assert_eq!(world.state(), BreakerState::Open);
        assert_eq!(unread.await.unwrap_err().code(), ErrorCode::EngineFailed);
    });
}

#[test]
fn the_version_that_the_manifest_names_stands_in_for_those_who_name_none() {
    let world = World::with_model(&setup(), "");
    world.manifest("[breaker]\nfallback_version = \"1\"\n");
    let failing = |key: &str| model(key, "fail_run = \"no\"", 8);
    block_on(async {
        world.put(2, &failing("m/2")).await;
        world.break_it().await;
        let reply = world.infer(triggering()).await.unwrap();
        assert_eq!((reply.values, reply.fallback_from.as_deref()), (vec![7], Some("2")));
        assert_eq!(world.infer(TestCodec::default().large()).await.unwrap().fallback_from.as_deref(), Some("2"));
        let registry = world.pipeline.registry();
        let named = registry.lease("m", Some("2")).unwrap();
        assert!(registry.check_breaker(&named, false).is_ok() && registry.check_breaker(&named, true).is_err());
        // Who names a version gets it or nothing.
        assert_eq!(world.infer_version("2", triggering()).await.unwrap_err().code(), ErrorCode::BreakerOpen);
        assert_eq!(world.infer_version("1", triggering()).await.unwrap().fallback_from, None);
        // The failures of version 2 are not version 1's.
        assert_eq!(world.state_of(Some("1")), BreakerState::Closed);
        let (second, first) = (world.events("2"), world.events("1"));
        assert_eq!((second.fallbacks, second.rejected, first), (2, 1, BreakerTotals::default()));
        // The trial goes to the version that is asked for.
        world.clock.advance(2 * OPEN);
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().values, [8]);
        assert_eq!(world.state(), BreakerState::Closed);
    });
}

#[test]
fn a_stand_in_has_a_breaker_of_its_own_and_no_stand_in() {
    let world = World::with_model(&setup(), "fail_run = \"no\"");
    world.manifest("[breaker]\nfallback_version = \"1\"\n");
    block_on(async {
        world.put(2, &model("m/2", "fail_run = \"no\"", 8)).await;
        world.break_it().await;
        for _ in 0..4 {
            assert_eq!(world.infer(triggering()).await.unwrap_err().code(), ErrorCode::EngineFailed);
        }
        assert_eq!(world.state_of(Some("1")), BreakerState::Open);
        let refusal = world.infer(TestCodec::default()).await.unwrap_err();
        assert!(refusal.what().contains("version 2 is open"), "of the version that was meant: {refusal}");
        let lease = world.pipeline.registry().lease("m", None).unwrap();
        assert!(world.pipeline.registry().check_breaker(&lease, false).is_err());
    });
    assert_eq!((world.events("2").rejected, world.events("2").fallbacks, world.events("1").rejected), (1, 4, 0));
}

#[test]
fn a_version_that_takes_something_else_does_not_stand_in() {
    let world = World::with_model(&setup(), "");
    world.manifest("[breaker]\nfallback_version = \"1\"\n");
    block_on(async {
        world.put(2, &model("m/2", "fail_run = \"no\"", 8).replace("INT64", "INT32")).await;
        for _ in 0..4 {
            world.infer(triggering()).await.unwrap_err();
        }
        assert_eq!(world.infer(triggering()).await.unwrap_err().code(), ErrorCode::BreakerOpen);
    });
}

#[test]
fn a_version_that_is_loaded_again_has_a_new_breaker_and_the_counters_stay() {
    let world = World::with_model(&setup(), "fail_run = \"no\"");
    block_on(async {
        world.break_it().await;
        world.put(1, &format!("{}# longer\n", model("m", "", 9))).await;
        assert_eq!((world.state(), world.events("1").changes), (BreakerState::Closed, [0, 0, 1]));
        assert_eq!(world.infer(triggering()).await.unwrap().values, [9]);
    });
}

#[test]
fn it_is_closed_by_hand_and_is_not_there_where_nobody_wants_it() {
    let world = World::with_model(&setup(), "fail_run = \"no\"");
    block_on(async {
        world.break_it().await;
        let view = world.pipeline.registry().reset_breaker("m", Some("1")).unwrap();
        assert_eq!((view.reading.state, view.reading.calls), (BreakerState::Closed, 0));
        assert!(world.infer(TestCodec::default()).await.is_ok());
        world.manifest("[breaker]\nenabled = false\n");
        world.put(1, &format!("{}# longer\n", model("m", "fail_run = \"no\"", 7))).await;
        for _ in 0..10 {
            assert_eq!(world.infer(triggering()).await.unwrap_err().code(), ErrorCode::EngineFailed);
        }
        let refusal = world.pipeline.registry().reset_breaker("m", None).unwrap_err();
        assert_eq!(refusal.code(), ErrorCode::Unsupported);
        assert!(world.pipeline.registry().views()[0].breaker.is_none());
    });
}

#[test]
fn what_the_manifest_says_of_breakers_is_checked_at_load() {
    let world = World::new(&setup());
    let load = |text: &str| {
        world.manifest(text);
        let load = world.pipeline.registry().load(ModelName::parse("m").unwrap(), None).unwrap();
        load.wait_blocking().unwrap().unwrap_err().to_string()
    };
    let error = load("[breaker]\nfallback_version = \"3\"\n");
    assert_eq!(error, "model.toml breaker.fallback_version: version 3 is not in the repository; expected 1");
    let error = load("[breaker]\ntrials = 0\n");
    assert!(error.contains("model.toml breaker.trials: out of range; expected 1 to 1023, got 0"), "{error}");
}
