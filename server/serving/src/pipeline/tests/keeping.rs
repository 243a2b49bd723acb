//! Requests to a version that keeps its answers: who is run, who is told, and what is counted.

use super::*;

/// A world whose model, version 2 by now, keeps its answers.
fn keeping(setup: &Setup, head: &str) -> World {
    let world = World::new(setup);
    std::fs::write(world.folder.path().join("m/model.toml"), "[result_cache]\nenabled = true\n").unwrap();
    block_on(world.put(2, &model("m2", head, 7)));
    world
}

impl World {
    /// Requests by what the cache did: hit, miss, shared, bypass.
    pub(super) fn notes(&self) -> [u64; 4] {
        let totals = self.pipeline.registry().lease("m", None).unwrap().facts().totals();
        totals.looks.map(|[count, _]| count)
    }
}

#[test]
fn who_asks_again_is_answered_without_a_run() {
    let world = keeping(&Setup::default(), "");
    let runs = world.hooks.runs("m2");
    block_on(async {
        let first = world.infer(TestCodec::of(&[1.0, 2.0])).await.unwrap();
        assert_eq!(first.values, [7, 7]);
        for round in 0..3 {
            // Wherever the model would run.
            world.costs(round * INLINE_RUN_NANOS_MAX);
            assert_eq!(world.infer(TestCodec::of(&[1.0, 2.0])).await.unwrap().values, [7, 7]);
        }
        assert_eq!(world.infer(TestCodec::of(&[1.0])).await.unwrap().values, [7], "another question");
    });
    assert_eq!(world.hooks.runs("m2") - runs, 2);
    assert_eq!(world.notes(), [3, 2, 0, 0]);
    let totals = world.pipeline.registry().lease("m", None).unwrap().facts().totals();
    assert_eq!((totals.outcome(Outcome::Success), totals.rows, totals.executions), (5, 3, 2), "rows that ran");
    let counts = Phase::ALL.map(|phase| totals.phase(phase).count());
    assert_eq!(counts, [5, 1, 2, 2, 2], "phases of what ran, and all requests");
}

#[test]
fn a_version_that_keeps_nothing_is_not_looked_up() {
    let world = World::new(&Setup::default());
    let runs = world.hooks.runs("m");
    block_on(async {
        for _ in 0..3 {
            world.infer(TestCodec::default()).await.unwrap();
        }
    });
    assert_eq!(world.hooks.runs("m") - runs, 3);
    assert_eq!(world.notes(), [0; 4]);
}

#[test]
fn those_who_ask_the_same_at_once_share_one_run() {
    let world = keeping(&Setup::default(), "");
    let (gate, runs) = (world.hooks.hold_runs("m2"), world.hooks.runs("m2"));
    world.dear();
    block_on(async {
        let leader = begun(&world, triggering());
        let followers: Vec<_> = (0..5).map(|_| begun(&world, triggering())).collect();
        assert!(gate.wait_for(1));
        gate.open();
        assert_eq!(leader.await.unwrap().values, [7]);
        for follower in followers {
            assert_eq!(follower.await.unwrap().values, [7]);
        }
    });
    assert_eq!(world.hooks.runs("m2") - runs, 1);
    assert_eq!(world.notes(), [0, 1, 5, 0]);
    assert_eq!(world.outcomes(), [6, 0, 0, 0, 0]);
}

#[test]
fn when_the_first_one_leaves_the_next_one_runs_and_answers_the_rest() {
    let world = keeping(&Setup::default(), "");
    let (gate, runs) = (world.hooks.hold_runs("m2"), world.hooks.runs("m2"));
    world.dear();
    block_on(async {
        let leader = begun(&world, triggering());
        let impatient = begun(&world, triggering());
        let followers: Vec<_> = (0..3).map(|_| begun(&world, triggering())).collect();
        assert!(gate.wait_for(1));
        drop(impatient);
        drop(leader);
        gate.open();
        for follower in followers {
            assert_eq!(follower.await.unwrap().values, [7]);
        }
    });
    assert_eq!(world.hooks.runs("m2") - runs, 2, "the leader's, which was stopped, and the next one's");
    assert_eq!(world.notes(), [0, 2, 2, 0]);
    assert_eq!(world.close(), [3, 0, 0, 2, 0]);
}

#[test]
fn errors_are_not_kept_and_everybody_gets_the_one_of_a_run_of_its_own() {
    let world = keeping(&Setup::default(), "fail_run = \"no\"");
    let (gate, runs) = (world.hooks.hold_runs("m2"), world.hooks.runs("m2"));
    world.dear();
    block_on(async {
        let all: Vec<_> = (0..4).map(|_| begun(&world, triggering())).collect();
        assert!(gate.wait_for(1));
        gate.open();
        for one in all {
            assert_eq!(one.await.unwrap_err().what(), "no");
        }
        assert_eq!(world.infer(triggering()).await.unwrap_err().what(), "no");
    });
    assert_eq!(world.hooks.runs("m2") - runs, 5);
    assert_eq!(world.notes(), [0, 5, 0, 0]);
    assert_eq!(world.outcomes(), [0, 0, 0, 0, 5]);
}

#[test]
fn a_reply_that_cannot_be_written_fails_alone() {
    let world = keeping(&Setup::default(), "");
    block_on(async {
        let refuse = || Err(Error::invalid("not in this format"));
        assert!(world.infer(TestCodec::default().on_encode(refuse)).await.is_err());
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().values, [7], "the answer itself was good");
        assert!(world.infer(TestCodec::default().on_encode(refuse)).await.is_err());
    });
    assert_eq!(world.notes(), [2, 1, 0, 0]);
}

#[test]
fn no_overload_refuses_what_is_there() {
    let world = keeping(&Setup { queue_max: 1, ..Setup::default() }, "");
    world.dear();
    block_on(async {
        world.infer(TestCodec::of(&[1.0])).await.unwrap();
        let gate = world.hooks.hold_runs("m2");
        world.dear();
        let held = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let queued = begun(&world, TestCodec::of(&[2.0]));
        let refused = world.infer(TestCodec::of(&[3.0])).await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::QueueFull));
        assert_eq!(world.infer(TestCodec::of(&[1.0])).await.unwrap().values, [7]);
        gate.open();
        assert_eq!((held.await.unwrap().values, queued.await.unwrap().values), (vec![7], vec![7]));
    });
}

#[test]
fn those_who_wait_for_another_count_as_in_flight_and_leave_when_their_time_is_over() {
    let world = keeping(&Setup { inflight_max: 3, ..Setup::default() }, "");
    let gate = world.hooks.hold_runs("m2");
    world.dear();
    block_on(async {
        let leader = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let late = world.infer(triggering().timeout(A_MOMENT)).await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::DeadlineExceeded);
        let followers = [begun(&world, triggering()), begun(&world, triggering())];
        let refused = world.infer(triggering()).await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::InflightLimit));
        gate.open();
        assert_eq!(leader.await.unwrap().values, [7]);
        for follower in followers {
            assert_eq!(follower.await.unwrap().values, [7]);
        }
        assert!(world.infer(triggering()).await.is_ok(), "no lease was lost");
    });
    assert_eq!(world.outcomes(), [4, 0, 1, 1, 0]);
}

#[test]
fn a_version_that_is_loaded_anew_knows_nothing_and_the_old_ones_answers_are_gone() {
    let world = keeping(&Setup::default(), "");
    block_on(async {
        world.infer(TestCodec::default()).await.unwrap();
        assert_eq!(world.pipeline.registry().result_cache().entries, 1);
        world.put(2, &model("m2", "", 8)).await;
        assert_eq!(world.infer(TestCodec::default()).await.unwrap().values, [8]);
    });
    assert!(world.hooks.wait_for_live(2), "the old one has left");
    let view = world.pipeline.registry().result_cache();
    assert_eq!((view.entries, view.evictions[2]), (1, ("unloaded", 1)));
}

#[test]
fn what_is_too_large_to_be_looked_up_runs_as_ever() {
    let world = keeping(&Setup::default(), "");
    block_on(async {
        for _ in 0..2 {
            let reply = world.infer(TestCodec { body_bytes: (1 << 20) + 1, ..TestCodec::default() }).await.unwrap();
            assert_eq!((reply.decoded_on.as_str(), reply.ran_on.as_str()), ("pool", "pool"));
        }
        // Larger than what is otherwise read here, and looked up all the same.
        for _ in 0..2 {
            assert_eq!(world.infer(TestCodec::default().large()).await.unwrap().values, [7]);
        }
    });
    assert_eq!(world.notes(), [1, 1, 0, 2]);
}

#[test]
fn chance_is_not_kept() {
    let world = keeping(&Setup::default(), "");
    std::fs::write(world.folder.path().join("m/2/model.onnx"), model("m2", "random = true", 7)).unwrap();
    let load = world.pipeline.registry().load(ModelName::parse("m").unwrap(), None).unwrap();
    let error = block_on(load.wait()).unwrap().unwrap_err().to_string();
    assert!(error.contains("answers that are drawn by chance cannot be kept"), "{error}");
    assert!(error.contains("model.toml result_cache.enabled"), "{error}");
    assert_eq!(block_on(world.infer(TestCodec::default())).unwrap().values, [7], "the old one still answers");
}

#[test]
fn answers_of_a_batch_are_kept_each_for_its_own_request() {
    let setup = Setup { batching: BatchingSettings::default(), ..Setup::default() };
    let world = keeping(&setup, "");
    let (gate, _) = (world.hooks.hold_runs("m2"), world.dear());
    block_on(async {
        let held = begun(&world, triggering());
        assert!(gate.wait_for(1));
        let waiting: Vec<_> = (1..=4_u8).map(|rows| begun(&world, TestCodec::of(&vec![1.0; rows.into()]))).collect();
        gate.open();
        held.await.unwrap();
        for (rows, one) in (1..).zip(waiting) {
            assert_eq!(one.await.unwrap().values, vec![7; rows]);
        }
        let runs = world.hooks.runs("m2");
        for rows in 1..=4 {
            assert_eq!(world.infer(TestCodec::of(&vec![1.0; rows])).await.unwrap().values, vec![7; rows]);
        }
        assert_eq!(world.hooks.runs("m2"), runs);
    });
    assert_eq!(world.notes(), [4, 5, 0, 0]);
}

#[test]
fn a_large_answer_is_not_written_on_the_thread_that_all_wait_for() {
    let world = keeping(&Setup::default(), "");
    let (small, large) = (vec![1.0; 10], vec![1.0; INLINE_BODY_BYTES_MAX]);
    block_on(async {
        for (values, stays) in [(small, true), (large, false)] {
            world.costs(1);
            let first = world.infer(TestCodec::of(&values)).await.unwrap();
            let again = world.infer(TestCodec::of(&values)).await.unwrap();
            assert_eq!(again.values, first.values);
            assert_eq!(again.ran_on == this_thread(), stays, "{} values: {}", values.len(), again.ran_on);
        }
    });
    assert_eq!(world.notes(), [2, 2, 0, 0]);
    assert_eq!(world.outcomes(), [4, 0, 0, 0, 0]);
}
