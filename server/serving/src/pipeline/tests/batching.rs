//! Requests that run together: each gets its own, whatever happens to the others.
//!
//! The model gives back what it gets, so that an answer tells whose it is. Runs that begin with 13 are held or fail;
//! the clock moves by itself where a test says so.

use proptest::prelude::*;

use super::*;
use crate::batching::{BatchNote, Delay, Reason, size_of_slot};

const ROWS_MAX: u64 = 8;
const HELD: f32 = 13.0;

fn echo(head: &str) -> String {
    format!(
        "key = \"m\"\ntrigger = 13.0\n{head}\n\
         [[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\", \"width\"]\n\
         [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [\"rows\", \"width\"]\necho = \"x\"\n\
         [[outputs]]\nname = \"z\"\ndatatype = \"FP32\"\ndims = [\"rows\", \"width\"]\necho = \"x\"\n"
    )
}

/// Batches of up to eight rows of what waits, without waiting for more.
fn setup(threads: usize) -> Setup {
    let delay = Delay::Fixed(Duration::ZERO);
    let batching = BatchingSettings { rows_max: ROWS_MAX, delay, queue_max: 100, ..BatchingSettings::default() };
    Setup { threads, batching, queue_max: 200, inflight_max: 300, ..Setup::default() }
}

fn world(setup: &Setup, head: &str) -> World {
    let world = World::with_model(setup, "");
    block_on(world.put(1, &echo(head)));
    world
}

/// A request for rows of a width, filled with a number of its own.
#[derive(Debug, Clone, Copy)]
struct Ask {
    number: f32,
    rows: usize,
    width: usize,
    output: usize,
    priority: u64,
    large: bool,
}

impl Ask {
    fn of(number: f32, rows: usize) -> Self {
        Self { number, rows, width: 1, output: 0, priority: 0, large: false }
    }

    fn values(&self) -> Vec<f32> {
        // The first one decides whether a run is held; the others tell that rows are whole.
        (0..self.rows * self.width).map(|place| self.number + place as f32 / 1024.0).collect()
    }
}

impl Codec for Ask {
    type Reply = (Vec<f32>, Vec<i64>, Option<BatchNote>);

    fn body_bytes(&self) -> usize {
        if self.large { INLINE_BODY_BYTES_MAX + 1 } else { 1 }
    }

    fn decode(&mut self, _: &ReadyVersion) -> Result<InferRequest> {
        let shape = Shape::new(&[self.rows as i64, self.width as i64]).unwrap();
        let input = Tensor::new(shape, TensorData::Fp32(self.values())).unwrap();
        Ok(InferRequest { inputs: vec![input], outputs: vec![self.output], timeout: None, priority: self.priority })
    }

    fn encode(self, ran: Ran<'_>) -> Result<Self::Reply> {
        let TensorData::Fp32(values) = ran.outputs[0].data() else { panic!("not FP32") };
        Ok((values.clone(), ran.outputs[0].shape().dims().to_vec(), ran.batch))
    }
}

type Answer = Result<<Ask as Codec>::Reply>;
type Begun<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

impl World {
    fn ask(&self, ask: Ask) -> impl Future<Output = Answer> {
        self.pipeline.infer(Call { model: "m", version: None }, ask)
    }

    /// A request that waits.
    fn asked(&self, ask: Ask) -> Begun<'_> {
        let mut request: Begun<'_> = Box::pin(self.ask(ask));
        let poll = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Pending), "it is over: {poll:?}");
        request
    }

    /// Runs of the engine, by their rows.
    fn runs(&self) -> Vec<(u64, u64)> {
        let views = self.pipeline.registry().views();
        let sizes = views[0].totals.sizes.iter().enumerate().filter(|(_, size)| size.runs > 0);
        sizes.map(|(slot, size)| (size_of_slot(slot), size.runs)).collect()
    }
}

fn note(rows: u64, requests: u64, reason: Reason) -> Option<BatchNote> {
    Some(BatchNote { rows, requests, reason })
}

#[test]
fn what_waits_runs_together_and_each_gets_its_own() {
    let world = world(&setup(1), "");
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        let held = world.asked(Ask::of(HELD, 1));
        assert!(gate.wait_for(1));
        let asks = [Ask::of(1.0, 2), Ask { large: true, ..Ask::of(2.0, 1) }, Ask::of(3.0, 3)];
        let waiting: Vec<_> = asks.map(|ask| world.asked(ask)).into_iter().collect();
        gate.open();
        assert_eq!(held.await.unwrap().2, note(1, 1, Reason::QueueEmpty));
        for (ask, request) in asks.iter().zip(waiting) {
            let (values, dims, batch) = request.await.unwrap();
            assert_eq!((values, dims), (ask.values(), vec![ask.rows as i64, 1]));
            assert_eq!(batch, note(6, 3, Reason::QueueEmpty));
        }
    });
    assert_eq!(world.runs(), [(1, 1), (6, 1)]);
    assert_eq!(world.outcomes(), [4, 0, 0, 0, 0]);
    let totals = world.pipeline.registry().views().remove(0).totals;
    assert_eq!((totals.executions, totals.rows, totals.batches.requests_sum), (2, 7, 4));
    assert_eq!(world.close(), [4, 0, 0, 0, 0]);
}

#[test]
fn rows_of_other_shapes_and_wishes_for_other_outputs_run_apart() {
    let world = world(&setup(1), "");
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        let held = world.asked(Ask::of(HELD, 1));
        assert!(gate.wait_for(1));
        let (wide, other) = (Ask { width: 2, ..Ask::of(2.0, 1) }, Ask { output: 1, ..Ask::of(3.0, 1) });
        let asks = [Ask::of(1.0, 1), wide, other, Ask::of(4.0, 1), Ask::of(5.0, 7), Ask::of(6.0, 20)];
        let waiting: Vec<_> = asks.map(|ask| world.asked(ask)).into_iter().collect();
        gate.open();
        held.await.unwrap();
        let wants = [
            note(2, 2, Reason::OtherShapes),
            note(1, 1, Reason::OtherOutputs),
            note(1, 1, Reason::OtherShapes),
            note(2, 2, Reason::OtherShapes),
            note(7, 1, Reason::DidNotFit),
            note(20, 1, Reason::RowsMax),
        ];
        for ((ask, want), request) in asks.iter().zip(wants).zip(waiting) {
            let (values, _, batch) = request.await.unwrap();
            assert_eq!(
                (values, batch.map(|batch| (batch.rows, batch.requests))),
                (ask.values(), want.map(|n| (n.rows, n.requests)))
            );
        }
    });
    assert_eq!(world.outcomes(), [7, 0, 0, 0, 0]);
}

#[test]
fn one_who_leaves_stops_nobody_and_all_who_leave_stop_the_run() {
    let world = world(&setup(1), "");
    block_on(async {
        for all in [false, true] {
            let first = world.hooks.hold_runs("m");
            let held = world.asked(Ask::of(HELD, 1));
            assert!(first.wait_for(1));
            let (one, other) = (world.asked(Ask::of(HELD, 2)), world.asked(Ask::of(2.0, 1)));
            let second = world.hooks.hold_runs("m");
            first.open();
            held.await.unwrap();
            assert!(second.wait_for(1), "both run together");
            drop(one);
            if all {
                // The gate stays shut: only the cancellation ends the run.
                drop(other);
                let settled = world.ask(Ask::of(3.0, 1)).await.unwrap();
                assert_eq!(settled.2, note(1, 1, Reason::QueueEmpty));
            } else {
                second.open();
                let (values, _, batch) = other.await.unwrap();
                assert_eq!((values, batch), (vec![2.0], note(3, 2, Reason::QueueEmpty)));
            }
        }
    });
    assert_eq!(world.close(), [4, 0, 0, 3, 0]);
}

#[test]
fn a_joined_run_that_fails_lets_only_the_culprit_fail() {
    let world = world(&setup(1), "fail_run = \"bad value\"");
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        let held = world.asked(Ask::of(HELD, 1));
        assert!(gate.wait_for(1));
        let (bad, good) = (world.asked(Ask::of(HELD, 1)), world.asked(Ask::of(2.0, 2)));
        gate.open();
        held.await.unwrap_err();
        assert_eq!(bad.await.unwrap_err().what(), "bad value");
        let (values, _, batch) = good.await.unwrap();
        assert_eq!((values, batch), (Ask::of(2.0, 2).values(), note(2, 1, Reason::Retried)));
        // For a while nobody runs with others.
        assert_eq!(world.ask(Ask::of(1.0, 1)).await.unwrap().2, note(1, 1, Reason::AfterFailure));
        world.clock.advance(Duration::from_secs(2));
        assert_eq!(world.ask(Ask::of(1.0, 1)).await.unwrap().2, note(1, 1, Reason::QueueEmpty));
    });
    assert_eq!(world.close(), [3, 0, 0, 0, 2]);
}

/// The place that the refusal of a version names whose queue has room for one.
fn refused_by_its_queue(world: World) -> Option<String> {
    let gate = world.hooks.hold_runs("m");
    let place = block_on(async {
        let held = world.asked(Ask::of(HELD, 1));
        assert!(gate.wait_for(1));
        let waiting = world.asked(Ask::of(1.0, 1));
        let refusal = world.ask(Ask::of(2.0, 1)).await.unwrap_err();
        assert_eq!((refusal.code(), refusal.retry_after()), (ErrorCode::Overloaded, Some(1)));
        assert!(refusal.to_string().ends_with("expected at most 1 that wait"), "{refusal}");
        gate.open();
        assert!(held.await.is_ok() && waiting.await.is_ok());
        refusal.place().map(str::to_owned)
    });
    assert_eq!(world.close(), [2, 0, 1, 0, 0]);
    place
}

#[test]
fn a_version_has_a_queue_of_its_own() {
    let mut setup = setup(1);
    setup.batching.queue_max = 1;
    assert_eq!(refused_by_its_queue(world(&setup, "")).as_deref(), Some("limits.queue_per_model_max"));
}

#[test]
fn a_full_queue_names_the_limit_of_the_file_that_set_it() {
    for (file, text, place) in [
        ("model.toml", "[batching]\nqueue_max = 1\n", "model.toml batching.queue_max"),
        (
            "config.pbtxt",
            "max_batch_size: 8 dynamic_batching { default_queue_policy { max_queue_size: 1 } }",
            "config.pbtxt max_queue_size",
        ),
    ] {
        let world = World::with_model(&setup(1), "");
        std::fs::write(world.folder.path().join("m").join(file), text).unwrap();
        block_on(world.put(1, &echo("")));
        assert_eq!(refused_by_its_queue(world).as_deref(), Some(place));
    }
}

#[test]
fn the_urgent_go_first() {
    let mut setup = setup(1);
    setup.batching.enabled = false;
    let world = world(&setup, "");
    let gate = world.hooks.hold_runs("m");
    let runs = world.hooks.runs("m");
    block_on(async {
        let held = world.asked(Ask::of(HELD, 1));
        assert!(gate.wait_for(1));
        let later = world.asked(Ask { priority: 9, ..Ask::of(1.0, 1) });
        let sooner = world.asked(Ask { priority: 1, ..Ask::of(HELD, 1) });
        let second = world.hooks.hold_runs("m");
        gate.open();
        held.await.unwrap();
        assert!(second.wait_for(1));
        assert_eq!(world.hooks.runs("m"), runs + 2, "the one that came later runs, and the other waits");
        second.open();
        sooner.await.unwrap();
        assert_eq!(later.await.unwrap().2, note(1, 1, Reason::Off));
    });
}

/// Two numbers to add, as rows that nothing says belong together.
#[derive(Debug, Clone)]
struct Add(Vec<f32>, Vec<f32>);

impl Codec for Add {
    type Reply = (Vec<f32>, Option<u64>);

    fn body_bytes(&self) -> usize {
        1
    }

    fn decode(&mut self, _: &ReadyVersion) -> Result<InferRequest> {
        let tensor = |values: &[f32]| {
            let shape = Shape::new(&[values.len() as i64, 1]).unwrap();
            Tensor::new(shape, TensorData::Fp32(values.to_vec())).unwrap()
        };
        let inputs = vec![tensor(&self.0), tensor(&self.1)];
        Ok(InferRequest { inputs, outputs: vec![0], timeout: None, priority: 0 })
    }

    fn encode(self, ran: Ran<'_>) -> Result<Self::Reply> {
        let TensorData::Fp32(values) = ran.outputs[0].data() else { panic!("not FP32") };
        Ok((values.clone(), ran.batch.map(|batch| batch.requests)))
    }
}

/// Inputs whose rows the graph does not tie together: that all inputs have four rows in sum says nothing of whose they
/// are, and a request must not get those of another, now or from what is kept.
#[test]
fn requests_whose_inputs_have_different_rows_run_alone_and_keep_their_own_answer() {
    let text = "key = \"m\"\ntrigger = 13.0\n\
         [[inputs]]\nname = \"a\"\ndatatype = \"FP32\"\ndims = [-1, 1]\n\
         [[inputs]]\nname = \"b\"\ndatatype = \"FP32\"\ndims = [-1, 1]\n\
         [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [-1, 1]\nsum = [\"a\", \"b\"]\n";
    let world = World::with_model(&setup(1), "");
    std::fs::write(world.folder.path().join("m/model.toml"), "[result_cache]\nenabled = true\n").unwrap();
    block_on(world.put(1, text));
    world.dear();
    let ask = |a: &[f32], b: &[f32]| world.pipeline.infer(Call { model: "m", version: None }, Add(a.into(), b.into()));
    let gate = world.hooks.hold_runs("m");
    block_on(async {
        let mut all: Vec<_> = [
            (vec![HELD], vec![0.0]),
            (vec![0.0, 0.0], vec![1.0]),
            (vec![100.0], vec![5.0]),
            (vec![0.0], vec![7000.0, 7001.0]),
            (vec![200.0], vec![6.0]),
        ]
        .map(|(a, b)| Box::pin(ask(&a, &b)))
        .into_iter()
        .collect();
        for (place, request) in all.iter_mut().enumerate() {
            assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert!(place > 0 || gate.wait_for(1), "the others wait for the first one");
        }
        gate.open();
        let mut told = Vec::new();
        for request in all {
            told.push(request.await.unwrap());
        }
        let wants = [
            (vec![13.0], Some(1)),
            (vec![1.0, 1.0], Some(1)),
            (vec![105.0], Some(2)),
            (vec![7000.0, 7001.0], Some(1)),
            (vec![206.0], Some(2)),
        ];
        assert_eq!(told, wants, "those with even rows run together, the others alone");
        assert_eq!(ask(&[100.0], &[5.0]).await.unwrap(), (vec![105.0], None), "what is kept is its own");
    });
    assert_eq!(world.notes(), [1, 5, 0, 0]);
    assert_eq!(world.outcomes(), [6, 0, 0, 0, 0]);
}

/// What a request of a property is to go through.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Wait,
    Leave,
}

fn asks() -> impl Strategy<Value = Vec<(Ask, Fate)>> {
    let one = (1_usize..5, 1_usize..3, 0_usize..2, 0_u64..12, any::<bool>(), 0..10);
    proptest::collection::vec(one, 1..40).prop_map(|all| {
        let ask = |(place, (rows, width, output, priority, large, fate)): (usize, (_, _, usize, _, _, i32))| {
            // A few begin with the number on which runs fail.
            let number = if fate == 0 { HELD } else { 100.0 + place as f32 };
            let output = output * usize::from(fate == 1);
            let fate = if fate == 2 { Fate::Leave } else { Fate::Wait };
            (Ask { number, rows, width, output, priority, large }, fate)
        };
        all.into_iter().enumerate().map(ask).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn whoever_comes_with_whom_each_gets_exactly_what_it_gets_alone(
        asks in asks(), threads in 1_usize..4, delay_us in 0_u64..3000, fails: bool,
    ) {
        let mut setup = setup(threads);
        setup.batching.delay = Delay::Fixed(Duration::from_micros(delay_us));
        let world = world(&setup, if fails { "fail_run = \"bad value\"" } else { "" });
        block_on(async {
            let all = async {
                let begun: Vec<_> = asks.iter().map(|(ask, _)| {
                    let mut request: Begun<'_> = Box::pin(world.ask(*ask));
                    let poll = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    (request, poll)
                }).collect();
                for ((request, poll), (ask, fate)) in begun.into_iter().zip(&asks) {
                    if let Fate::Leave = fate {
                        continue;
                    }
                    let answer = match poll {
                        Poll::Ready(answer) => answer,
                        Poll::Pending => request.await,
                    };
                    match answer {
                        Ok((values, dims, batch)) => {
                            assert_eq!(values, ask.values(), "rows of others");
                            assert_eq!(dims, [ask.rows as i64, ask.width as i64]);
                            let batch = batch.expect("it went through the pool");
                            assert!(batch.rows <= ROWS_MAX && batch.rows >= ask.rows as u64, "{batch}");
                        }
                        Err(error) => assert!(fails && ask.number == HELD, "{error}"),
                    }
                }
            };
            let moving = async {
                loop {
                    world.clock.advance(Duration::from_millis(1));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                () = all => {}
                () = moving => {}
                () = tokio::time::sleep(Duration::from_secs(60)) => panic!("a request was lost"),
            }
        });
        let registry = Arc::clone(&world.pipeline.registry);
        let outcomes = world.close();
        prop_assert_eq!(outcomes.iter().sum::<u64>(), asks.len() as u64, "each is counted once");
        let views = registry.views();
        let sizes = views[0].totals.sizes.iter().enumerate().filter(|(_, size)| size.runs > 0);
        prop_assert!(sizes.map(|(slot, _)| size_of_slot(slot)).all(|rows| rows <= ROWS_MAX));
        prop_assert_eq!(views[0].totals.outcome(Outcome::Rejected), 0);
        let lease = registry.lease("m", None).unwrap();
        prop_assert_eq!(lease.inflight(), 1, "no lease was lost");
    }
}
