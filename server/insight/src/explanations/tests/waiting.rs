//! Threads, queue, deadline, cancellation, the end. What is waited for is told by channels.

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, Sender, channel},
};
use std::time::Duration;

use candor_domain::{ComponentCall, ErrorCode, Result, Tensor};

use super::super::*;
use super::fake::*;

/// An explainer that says when it begins and ends when it is told to.
struct Gate {
    scene: Scene,
    begun: Receiver<()>,
    go_on: Sender<()>,
}

fn gate(settings: ExplanationSettings) -> Gate {
    let (began, begun) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let (began, may_go_on) = (Mutex::new(began), Mutex::new(may_go_on));
    let body = move |inputs: &[(&str, &Tensor)], call: &ComponentCall<'_>| -> Result<Vec<(String, Tensor)>> {
        began.lock().unwrap().send(()).unwrap();
        let _ = may_go_on.lock().unwrap().recv();
        exact(inputs, call)
    };
    Gate { scene: Scene::with(Fakes::default().with("candor.exact_shap", body), settings), begun, go_on }
}

fn rows() -> Rows {
    Rows::new(vec![fp32(3, &[1.0, 2.0, 3.0])])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn start(explanations: &Arc<Explanations>) -> std::thread::JoinHandle<Result<Explanation>> {
    let explanations = Arc::clone(explanations);
    std::thread::spawn(move || {
        runtime().block_on(explanations.explain(Arc::new(Linear::new()), ask(Method::Exact), rows()))
    })
}

#[test]
fn a_full_queue_refuses_at_once_with_when_to_come_back() {
    let gate = gate(ExplanationSettings { threads: 1, queue_max: 1, ..ExplanationSettings::default() });
    let all = &gate.scene.explanations;
    let first = start(all);
    gate.begun.recv().unwrap();
    let second = start(all);
    while all.pool().queued == 0 {
        std::thread::yield_now();
    }
    assert_eq!(all.pool(), PoolView { threads: 1, queued: 1, running: 1 });
    let refused = start(all).join().unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.word()), (ErrorCode::Overloaded, "queue_full"));
    assert!(refused.retry_after().is_some_and(|seconds| (1..=60).contains(&seconds)));
    gate.go_on.send(()).unwrap();
    gate.go_on.send(()).unwrap();
    assert!(first.join().unwrap().is_ok() && second.join().unwrap().is_ok());
}

#[test]
fn who_stops_waiting_stops_the_work_and_what_has_not_begun_never_begins() {
    let gate = gate(ExplanationSettings { threads: 1, ..ExplanationSettings::default() });
    let all = Arc::clone(&gate.scene.explanations);
    let first = start(&all);
    gate.begun.recv().unwrap();
    // A second one waits, and its caller goes.
    runtime().block_on(async {
        let explain = all.explain(Arc::new(Linear::new()), ask(Method::Exact), rows());
        assert!(tokio::time::timeout(Duration::from_millis(20), explain).await.is_err());
    });
    assert_eq!(all.pool().queued, 1);
    gate.go_on.send(()).unwrap();
    assert!(first.join().unwrap().is_ok());
    // The thread has dropped the second one without asking the component: the next to begin is the third.
    let third = start(&all);
    gate.begun.recv().unwrap();
    gate.go_on.send(()).unwrap();
    assert!(third.join().unwrap().is_ok());
    assert!(gate.begun.try_recv().is_err());
}

#[test]
fn the_time_of_a_caller_and_of_the_server_bound_an_explanation() {
    let gate = gate(ExplanationSettings { threads: 1, ..ExplanationSettings::default() });
    let all = Arc::clone(&gate.scene.explanations);
    let question = Question { time_max: Some(Duration::from_millis(30)), ..ask(Method::Exact) };
    let late = runtime().block_on(all.explain(Arc::new(Linear::new()), question, rows())).unwrap_err();
    assert_eq!((late.code(), late.place()), (ErrorCode::DeadlineExceeded, Some("timeout_ms")));
    gate.go_on.send(()).unwrap();
    // On this thread, by the clock: a model that is asked when it is too late is not run.
    let scene = Scene::new(Fakes::default().with("candor.exact_shap", exact));
    let cancel = Cancel::default();
    let turn = Turn { clock: &*scene.clock, cancel: &cancel, deadline: Tick(5) };
    scene.clock.advance(Duration::from_nanos(6));
    let subject = Linear::new();
    let late = scene.explanations.explain_here(&subject, &ask(Method::Exact), rows(), &turn).unwrap_err();
    assert_eq!(late.code(), ErrorCode::DeadlineExceeded);
    assert_eq!(subject.runs.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn a_panic_ends_one_explanation_and_a_closed_server_begins_none() {
    let body = |_: &[(&str, &Tensor)], _: &ComponentCall<'_>| -> Result<Vec<(String, Tensor)>> { panic!("on purpose") };
    let fakes = Fakes::default().with("acme.panics", body).with("candor.exact_shap", exact);
    let scene = Scene::with(fakes, ExplanationSettings { threads: 1, ..ExplanationSettings::default() });
    let all = &scene.explanations;
    let explain = |method: Method| runtime().block_on(all.explain(Arc::new(Linear::new()), ask(method), rows()));
    assert_eq!(explain(Method::Component("acme.panics".into())).unwrap_err().code(), ErrorCode::Internal);
    assert!(explain(Method::Exact).is_ok());
    all.close();
    let closed = explain(Method::Exact).unwrap_err();
    assert_eq!((closed.code(), closed.retry_after()), (ErrorCode::NotReady, Some(1)));
}
