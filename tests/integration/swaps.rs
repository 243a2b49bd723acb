//! One version swapped two hundred times while it and another model are asked without a pause: no request
//! fails, and every answer is that of one of the two files, whole.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use candor_tests::{
    Connection, Models, Plan, Request, TestServer,
    infer::{iris, outputs, path, simple},
    models::sample,
    until,
};
use serde_json::Value;

const SWAPS: usize = 200;
const ASKERS_OF_EACH: usize = 2;

/// What `iris` answers when its file is the one of a sample version.
fn answer_of(server: &TestServer, version: &str) -> Vec<Value> {
    server.models().write("iris/1/model.onnx", sample("iris", version));
    let _ = server.load("iris").expect(200);
    outputs(&server.post(&path("iris"), &iris()))[1].elements()
}

/// Whether these are the same numbers; requests that ran together may differ from those alone in their last bits.
fn alike(got: &[Value], want: &[Value]) -> bool {
    let near = |(got, want): (&Value, &Value)| (got.as_f64().unwrap() - want.as_f64().unwrap()).abs() <= 1e-5;
    got.len() == want.len() && got.iter().zip(want).all(near)
}

fn ask_until(server: &TestServer, over: &AtomicBool, asked: &AtomicUsize, request: &Request, check: impl Fn(&[Value])) {
    let mut connection = Connection::open(server.addr());
    while !over.load(Ordering::SeqCst) {
        let reply = connection.ask(request);
        assert_eq!(reply.status, 200, "{}", reply.text());
        check(&outputs(&reply).last().unwrap().elements());
        asked.fetch_add(1, Ordering::SeqCst);
    }
}

/// Swaps `iris` again and again while both models are asked; `between` is done after each swap.
fn swap_under_load(server: &TestServer, swaps: usize, between: impl Fn(&TestServer, usize)) {
    let answers = [answer_of(server, "1"), answer_of(server, "2")];
    assert!(!alike(&answers[0], &answers[1]));
    let (over, of_iris, of_simple) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (asks_iris, asks_simple) =
        (Request::post(path("iris")).json(&iris()), Request::post(path("simple")).json(&simple(1)));
    let other = outputs(&server.post(&path("simple"), &simple(1)))[1].elements();
    // Ends the askers even when the swapping panics, or the scope would wait for them for ever.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread::scope(|scope| {
        let end = Over(&over);
        for _ in 0..ASKERS_OF_EACH {
            scope.spawn(|| {
                ask_until(server, &over, &of_iris, &asks_iris, |got| {
                    assert!(answers.iter().any(|answer| alike(got, answer)), "{got:?}")
                })
            });
            scope.spawn(|| ask_until(server, &over, &of_simple, &asks_simple, |got| assert_eq!(got, other)));
        }
        for swap in 0..swaps {
            server.models().write("iris/1/model.onnx", sample("iris", ["1", "2"][swap % 2]));
            between(server, swap);
        }
        drop(end);
    });
    let (of_iris, of_simple) = (of_iris.into_inner(), of_simple.into_inner());
    assert!(of_iris >= swaps && of_simple >= swaps, "only {of_iris} and {of_simple} requests: not under load");
}

fn server() -> TestServer {
    let models = Models::copies(&["simple"]).with_file("iris/1/model.onnx", sample("iris", "1"));
    Plan::with(models).start()
}

#[test]
fn no_request_fails_while_a_version_is_swapped() {
    let server = server();
    swap_under_load(&server, SWAPS, |server, swap| {
        let _ = server.load("iris").expect(200);
        // Once the load has answered, only the new file does.
        let probabilities = || -> Vec<f64> {
            let elements = outputs(&server.post(&path("iris"), &iris()))[1].elements();
            elements.iter().map(|one| one.as_f64().unwrap()).collect()
        };
        let got = probabilities();
        let sha = server.get("/v2/models/iris").json()["properties"]["sha256"].clone();
        // A run that was shared with others' rows may differ in its last digits; the two files differ by far more.
        let differs = got.iter().zip(probabilities()).any(|(got, again)| (got - again).abs() > 1e-5);
        assert!(!differs, "swap {swap}, {sha}: {got:?}");
    });
    // The old sessions are gone, not only hidden.
    until("nothing drains", || server.index_of("iris").iter().all(|row| row["state"] == "READY").then_some(()));
    server.stop_and_expect_clean();
}

#[test]
fn no_request_fails_while_another_version_fails_to_load() {
    let server = server();
    swap_under_load(&server, 50, |server, swap| {
        let _ = server.load("iris").expect(200);
        server.models().write("iris/2/model.onnx", format!("broken {swap}"));
        let _ = server.load("iris").expect(400);
        server.models().remove("iris/2");
    });
    server.stop_and_expect_clean();
}

#[test]
fn no_request_fails_while_another_model_comes_and_goes() {
    let server = server();
    server.models().write("third/1/model.onnx", sample("diabetes", "1"));
    swap_under_load(&server, 50, |server, _| {
        let _ = server.load("third").expect(200);
        let _ = server.unload("third").expect(200);
    });
    server.stop_and_expect_clean();
}
