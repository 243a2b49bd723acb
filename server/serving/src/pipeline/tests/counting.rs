//! Where a request runs, what a panic costs, and that each request is counted exactly once.

use super::*;

#[test]
fn cheap_requests_stay_on_the_callers_thread_and_dear_ones_go_to_the_pool() {
    let world = World::new(&Setup::default());
    let here = this_thread();
    block_on(async {
        // Predictions are per row, limits include their own value.
        for (nanos_per_row, rows, on_pool) in [(1000, 1, false), (1001, 1, true), (500, 2, false), (500, 3, true)] {
            world.costs(nanos_per_row);
            let reply = world.infer(TestCodec::of(&vec![1.0; rows])).await.unwrap();
            assert_eq!(reply.values, vec![7; rows]);
            assert_eq!(reply.decoded_on, here, "a small body is read at once");
            assert_eq!(reply.ran_on, if on_pool { "pool" } else { &here }, "{rows} rows at {nanos_per_row} ns");
        }
        world.costs(0);
        let large = world.infer(TestCodec::default().large()).await.unwrap();
        assert_eq!((large.decoded_on.as_str(), large.ran_on.as_str()), ("pool", "pool"));
        let limit = TestCodec { body_bytes: INLINE_BODY_BYTES_MAX, ..TestCodec::default() };
        assert_eq!(world.infer(limit).await.unwrap().decoded_on, here);
    });
    assert_eq!(world.outcomes(), [6, 0, 0, 0, 0]);
}

#[test]
fn a_model_whose_warm_up_failed_has_an_unknown_cost_and_runs_on_the_pool() {
    let world = World::new(&Setup::default());
    block_on(world.put(2, &model("m/2", "fail_run = \"no\"", 7).replace("13.0", "0.0")));
    let reply = block_on(world.infer(TestCodec::default())).unwrap();
    assert_eq!(reply.ran_on, "pool");
    let error = block_on(world.infer(TestCodec::of(&[0.0]))).unwrap_err();
    assert_eq!((error.code(), error.what()), (ErrorCode::EngineFailed, "no"));
    assert_eq!(world.outcomes(), [1, 0, 0, 0, 1]);
}

#[test]
fn a_panic_ends_one_request_wherever_it_happens_and_the_next_one_works() {
    let world = World::with_model(&Setup::default(), "panic_run = true");
    let loud = || -> Result<()> { panic!("on purpose") };
    block_on(async {
        for nanos_per_row in [0, INLINE_RUN_NANOS_MAX + 1] {
            for codec in [triggering(), TestCodec::default().on_decode(loud), TestCodec::default().on_encode(loud)] {
                world.costs(nanos_per_row);
                let error = world.infer(codec).await.unwrap_err();
                assert_eq!(error.code(), ErrorCode::EngineFailed);
                assert_eq!(error.what(), "the inference panicked; see the server's log");
                world.costs(nanos_per_row);
                assert_eq!(world.infer(TestCodec::default()).await.unwrap().values, [7]);
            }
        }
        let error = world.infer(triggering().large()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::EngineFailed);
    });
    assert_eq!(world.outcomes(), [6, 0, 0, 0, 7]);
    assert_eq!(world.pipeline.registry().lease("m", None).unwrap().inflight(), 1, "no lease was lost");
}

#[test]
fn each_error_is_counted_once_by_what_it_means() {
    const CODES: [(ErrorCode, Outcome); 18] = [
        (ErrorCode::InvalidInput, Outcome::Invalid),
        (ErrorCode::TooLarge, Outcome::Invalid),
        (ErrorCode::UnsupportedMediaType, Outcome::Invalid),
        (ErrorCode::BodyTimeout, Outcome::Invalid),
        (ErrorCode::NotFound, Outcome::Invalid),
        (ErrorCode::MethodNotAllowed, Outcome::Invalid),
        (ErrorCode::Unsupported, Outcome::Invalid),
        (ErrorCode::Unauthenticated, Outcome::Invalid),
        (ErrorCode::Forbidden, Outcome::Invalid),
        (ErrorCode::QuotaExceeded, Outcome::Rejected),
        (ErrorCode::Overloaded, Outcome::Rejected),
        (ErrorCode::NotReady, Outcome::Rejected),
        (ErrorCode::BreakerOpen, Outcome::Rejected),
        (ErrorCode::DeadlineExceeded, Outcome::Cancelled),
        (ErrorCode::Cancelled, Outcome::Cancelled),
        (ErrorCode::InvalidModel, Outcome::Failed),
        (ErrorCode::EngineFailed, Outcome::Failed),
        (ErrorCode::Internal, Outcome::Failed),
    ];
    let world = World::new(&Setup::default());
    let mut want = [0; 5];
    block_on(async {
        for (code, outcome) in CODES {
            let fail = move || Err(Error::new(code, "as ordered"));
            let codecs = [
                TestCodec::default().on_decode(fail),
                TestCodec::default().on_encode(fail),
                TestCodec::default().on_decode(fail).large(),
                TestCodec::default().on_encode(fail).large(),
            ];
            for codec in codecs {
                assert_eq!(world.infer(codec).await.unwrap_err().code(), code);
                want[outcome as usize] += 1;
                assert_eq!(world.outcomes(), want, "{code:?}");
            }
        }
    });
}

#[test]
fn requests_that_the_signature_or_the_manifest_refuses_are_invalid() {
    let world = World::new(&Setup::default());
    std::fs::write(world.folder.path().join("m/model.toml"), "batch_rows_max = 2\n").unwrap();
    block_on(world.put(1, &format!("{}# longer\n", model("m", "", 7))));
    block_on(async {
        for codec in [TestCodec::of(&[]), TestCodec::of(&[1.0; 3]), TestCodec::of(&[]).large()] {
            assert_eq!(world.infer(codec).await.unwrap_err().code(), ErrorCode::InvalidInput);
        }
        assert!(world.infer(TestCodec::of(&[1.0; 2])).await.is_ok());
    });
    assert_eq!(world.outcomes(), [1, 3, 0, 0, 0]);
}

#[test]
fn a_request_for_nothing_is_refused_and_counted_nowhere() {
    let world = World::new(&Setup::default());
    for (model, version) in [("n", None), ("m", Some("2")), ("m", Some("x"))] {
        let refused = block_on(world.pipeline.infer(Call { model, version }, TestCodec::default()));
        assert!(matches!(refused.unwrap_err().code(), ErrorCode::NotFound | ErrorCode::InvalidInput));
    }
    assert_eq!(world.outcomes(), [0; 5]);
}

#[test]
fn phases_are_measured_by_the_clock_that_was_handed_in() {
    let world = World::new(&Setup::default());
    let advance = |millis: u64| {
        let clock = Arc::clone(&world.clock);
        move || {
            clock.advance(Duration::from_millis(millis));
            Ok(())
        }
    };
    block_on(async {
        let codec = TestCodec::of(&[1.0, 2.0]).on_decode(advance(5)).on_encode(advance(2));
        world.infer(codec).await.unwrap();
        world.infer(TestCodec::default().on_decode(advance(100)).large()).await.unwrap();
        world.infer(TestCodec::default().on_encode(|| Err(Error::invalid("no")))).await.unwrap_err();
    });
    let totals = world.pipeline.registry().lease("m", None).unwrap().facts().totals();
    let phase = |phase| (totals.phase(phase).count(), totals.phase(phase).nanos / 1_000_000);
    assert_eq!(phase(Phase::Request), (2, 107));
    assert_eq!(phase(Phase::Decode), (2, 105));
    assert_eq!(phase(Phase::Encode), (2, 2));
    assert_eq!(phase(Phase::Run), (2, 0));
    assert_eq!(phase(Phase::Queue), (1, 0), "only one of them has queued");
    assert_eq!((totals.rows, totals.executions, totals.last_unix_ms), (3, 3, 107), "the third one ran too");
}
