//! Cases about sessions that run: threads, size, cancellation, errors of the graph itself.

use std::{
    sync::{
        Arc, Barrier,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use candor_domain::{Cancel, Engine, Error, ErrorCode, Session, Shape, Tensor, TensorData};

use super::Case;
use crate::answers::{load, same};

pub(super) const CASES: [Case; 7] = [
    Case { name: "a_large_tensor_comes_back_whole", run: large_tensor },
    Case { name: "many_threads_share_one_session", run: many_threads },
    Case { name: "threads_get_the_same_answer_from_trees", run: same_answer },
    Case { name: "cancelled_before_it_ran", run: cancelled_before },
    Case { name: "cancelled_while_it_ran", run: cancelled_during },
    Case { name: "an_error_of_the_graph_is_an_error", run: graph_errors },
    Case { name: "properties_of_the_file_are_read", run: properties },
];

fn tensor(dims: &[i64], data: TensorData) -> Result<Tensor, String> {
    let shape = Shape::new(dims).map_err(|error| error.to_string())?;
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

fn run(session: &dyn Session, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>, String> {
    session.run(inputs, wanted, None).map_err(|error| error.to_string())
}

fn large_tensor(engine: &dyn Engine) -> Result<(), String> {
    const ELEMENTS: u16 = 1000;
    let loaded = load(engine, "arithmetic")?;
    let side = i64::from(ELEMENTS) * i64::from(ELEMENTS);
    // Products of two numbers below 1000 are exact in a float32.
    let pairs = || (0..ELEMENTS).flat_map(|a| (0..ELEMENTS).map(move |b| (f32::from(a), f32::from(b))));
    let a = tensor(&[side], TensorData::Fp32(pairs().map(|(a, _)| a).collect()))?;
    let b = tensor(&[side], TensorData::Fp32(pairs().map(|(_, b)| b).collect()))?;
    let want = [
        tensor(&[side], TensorData::Fp32(pairs().map(|(a, b)| a + b).collect()))?,
        tensor(&[side], TensorData::Fp32(pairs().map(|(a, b)| a * b).collect()))?,
    ];
    let got = run(&*loaded.session, &[a, b], &[0, 1])?;
    want.iter().zip(&got).try_for_each(|(want, got)| same(want, got))
}

/// What `linear` must give for `x`, where `x` is whole numbers, so that order of addition does not matter.
fn linear(x: &[f32]) -> Vec<f32> {
    let row = |row: &[f32]| match row {
        [a, b, c] => vec![a + 3.0 * b + 5.0 * c + 10.0, 2.0 * a + 4.0 * b + 6.0 * c + 20.0],
        _ => Vec::new(),
    };
    x.chunks(3).flat_map(row).collect()
}

fn many_threads(engine: &dyn Engine) -> Result<(), String> {
    const THREADS: u16 = 8;
    const RUNS: u16 = 500;
    let loaded = load(engine, "linear")?;
    let session = &*loaded.session;
    let together = Barrier::new(THREADS.into());
    let work = |thread: u16| {
        together.wait();
        for turn in 0..RUNS {
            // Every thread and turn has numbers of its own, and the count of rows changes.
            let rows = 1 + turn % 4;
            let first = f32::from(thread) * 1000.0 + f32::from(turn);
            let x: Vec<f32> = (0..rows * 3).map(|i| first + f32::from(i)).collect();
            let want = tensor(&[rows.into(), 2], TensorData::Fp32(linear(&x)))?;
            let got = run(session, &[tensor(&[rows.into(), 3], TensorData::Fp32(x))?], &[0])?;
            let got = got.first().ok_or("no output came")?;
            same(&want, got).map_err(|why| format!("thread {thread}, run {turn}: {why}"))?;
        }
        Ok(())
    };
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
    })
}

/// Batches of changing size on two threads: every row is answered as it is alone, to the bit.
fn same_answer(engine: &dyn Engine) -> Result<(), String> {
    const RUNS: u16 = 300;
    let loaded = load(engine, "classifier_leq")?;
    let session = &*loaded.session;
    // Right on the thresholds of the tree and around them.
    let value = |at: u16| [0.1, 0.0, -2.5, 0.2, -0.1, f32::NAN, f32::INFINITY].get(usize::from(at % 7)).copied();
    let row = |at: u16| value(at).zip(value(at / 7)).map(|(one, other)| [one, other]).unwrap_or_default();
    let alone = |at: u16| run(session, &[tensor(&[1, 2], TensorData::Fp32(row(at).to_vec()))?], &[0, 1]);
    let single: Vec<Vec<Tensor>> = (0..49).map(alone).collect::<Result<_, _>>()?;
    let work = |thread: u16| {
        for turn in 0..RUNS {
            let rows = 1 + (turn * 5 + thread) % 40;
            let x: Vec<f32> = (0..rows).flat_map(|at| row((turn + at) % 49)).collect();
            let got = run(session, &[tensor(&[rows.into(), 2], TensorData::Fp32(x))?], &[0, 1])?;
            let want = (0..rows).filter_map(|at| single.get(usize::from((turn + at) % 49)));
            let of = |at: usize| want.clone().filter_map(move |answer| answer.get(at));
            let labels: Vec<i64> = of(0).flat_map(|labels| longs(labels).to_vec()).collect();
            let scores: Vec<f32> = of(1).flat_map(|scores| singles(scores).to_vec()).collect();
            let want = [
                tensor(&[rows.into()], TensorData::Int64(labels))?,
                tensor(&[rows.into(), 3], TensorData::Fp32(scores))?,
            ];
            want.iter().zip(&got).try_for_each(|(want, got)| same(want, got))?;
        }
        Ok(())
    };
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
    })
}

fn longs(tensor: &Tensor) -> &[i64] {
    if let TensorData::Int64(list) = tensor.data() { list } else { &[] }
}

fn singles(tensor: &Tensor) -> &[f32] {
    if let TensorData::Fp32(list) = tensor.data() { list } else { &[] }
}

fn turns(count: i64) -> Result<Tensor, String> {
    tensor(&[], TensorData::Int64(vec![count]))
}

fn expect_cancelled(outcome: Result<Vec<Tensor>, Error>) -> Result<(), String> {
    match outcome {
        Err(error) if error.code() == ErrorCode::Cancelled => Ok(()),
        Err(error) => Err(format!("wanted Cancelled, got {:?}: {error}", error.code())),
        Ok(_) => Err("wanted Cancelled, got an answer".to_owned()),
    }
}

fn cancelled_before(engine: &dyn Engine) -> Result<(), String> {
    let loaded = load(engine, "long_loop")?;
    let cancel = Cancel::default();
    cancel.cancel();
    expect_cancelled(loaded.session.run(&[turns(3)?], &[0], Some(&cancel)))?;
    // A fresh one does not remember.
    loaded.session.run(&[turns(3)?], &[0], Some(&Cancel::default())).map(|_| ()).map_err(|error| error.to_string())
}

fn cancelled_during(engine: &dyn Engine) -> Result<(), String> {
    // Days of work, so that an answer cannot be what ends it.
    const FOR_EVER: i64 = 1_000_000_000_000;
    const STILL_RUNS_AFTER: Duration = Duration::from_millis(100);
    const ENDS_WITHIN: Duration = Duration::from_secs(20);
    let session: Arc<dyn Session> = load(engine, "long_loop")?.session.into();
    let cancel = Arc::new(Cancel::default());
    let (tell, ended) = channel();
    let (its_session, its_cancel, input) = (Arc::clone(&session), Arc::clone(&cancel), turns(FOR_EVER)?);
    // Not scoped: an engine that cannot be cancelled must fail the case, not hang it.
    let runner = thread::spawn(move || {
        let _ = tell.send(its_session.run(&[input], &[0], Some(&its_cancel)));
    });
    match ended.recv_timeout(STILL_RUNS_AFTER) {
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => return Err("the run panicked".to_owned()),
        Ok(early) => return Err(format!("the run ended before it was cancelled: {early:?}")),
    }
    cancel.cancel();
    let outcome = ended
        .recv_timeout(ENDS_WITHIN)
        .map_err(|_| format!("the run went on for {} s after it was cancelled", ENDS_WITHIN.as_secs()))?;
    expect_cancelled(outcome)?;
    runner.join().map_err(|_| "the run's thread panicked".to_owned())?;
    run(&*session, &[turns(1)?], &[0]).map(|_| ()).map_err(|why| format!("the session does not run any more: {why}"))
}

fn graph_errors(engine: &dyn Engine) -> Result<(), String> {
    let reshape = load(engine, "reshape")?;
    let rows = |count: u8| tensor(&[count.into(), 3], TensorData::Fp32(vec![1.0; usize::from(count) * 3]));
    let gather = load(engine, "gather")?;
    let index = |at: i64| tensor(&[1], TensorData::Int64(vec![at]));
    for (session, wrong, right, what) in [
        (&reshape.session, rows(1)?, rows(4)?, "three elements made into rows of four"),
        (&gather.session, index(3)?, index(1)?, "an index beyond the table"),
    ] {
        match session.run(&[wrong], &[0], None) {
            Err(error) if matches!(error.code(), ErrorCode::InvalidInput | ErrorCode::EngineFailed) => {}
            Err(error) => return Err(format!("{what}: wanted InvalidInput or EngineFailed, got {:?}", error.code())),
            Ok(_) => return Err(format!("{what} gave an answer")),
        }
        run(&**session, &[right], &[0]).map_err(|why| format!("after {what} nothing runs any more: {why}"))?;
    }
    Ok(())
}

fn properties(engine: &dyn Engine) -> Result<(), String> {
    let properties = load(engine, "linear")?.properties;
    for (key, want) in
        [("producer", "candor-fixtures"), ("description", "Conformance fixture linear."), ("suite", "conformance")]
    {
        let got = properties.get(key).map(String::as_str);
        if got != Some(want) {
            return Err(format!("'{key}' is {got:?}, wanted {want:?}"));
        }
    }
    Ok(())
}
