//! Clients that trickle, stop half way, or leave: the server waits for none of them longer than it says.

use std::{thread, time::Duration};

use candor_tests::{
    Connection, Models, Plan, Request, TestServer,
    counters::scrape,
    infer::{body, iris, outputs, path, tensor},
    patience::timed,
    until,
};
use serde_json::{Value, json};

use super::refusal::still_answers;

fn server(settings: &[&str]) -> TestServer {
    settings.iter().fold(Plan::with(Models::copies(&["iris"])), |plan, setting| plan.set(setting)).start()
}

/// A request to multiply matrices that often: about a second for a quarter of a million.
pub fn turns(turns: i64) -> Value {
    body(&[tensor("turns", "INT64", &[], json!([turns]))])
}

/// So many turns that no test waits for their end.
pub const FOREVER: i64 = 1 << 40;

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = server(&["limits.body_read_ms_max=300"]);
    let mut connection = Connection::open(server.addr());
    connection.send(&Request::post(path("iris")).header("Content-Length", "100").head());
    connection.send(b"{\"inputs\":");
    let (reply, took) = timed(|| connection.reply());
    assert_eq!(reply.status, 408);
    let error = reply.error();
    assert!(error.contains("did not arrive in time") && error.contains("300 ms (limits.body_read_ms_max)"), "{error}");
    assert!(took >= Duration::from_millis(290) && took < Duration::from_secs(10), "{took:?}");
    // What comes late is not taken for a new request.
    connection.send(b"GET /v2/health/live HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(connection.try_reply_to("GET").is_err());
    still_answers(server.addr());
}

#[test]
fn a_body_that_trickles_is_not_waited_for() {
    let server = server(&["limits.body_read_ms_max=500"]);
    let mut connection = Connection::open(server.addr());
    connection.send(&Request::post(path("iris")).header("Transfer-Encoding", "chunked").head());
    // Each piece alone is quick; together they are too slow.
    let ((), took) = timed(|| {
        until("the server loses patience", || {
            connection.send(b"1\r\n \r\n");
            connection.has_reply().then_some(())
        });
    });
    assert_eq!(connection.reply().status, 408);
    assert!(took < Duration::from_secs(10), "{took:?}");
    still_answers(server.addr());
}

#[test]
fn a_head_that_trickles_is_not_waited_for() {
    let server = server(&["http.header_read_ms_max=1000"]);
    let mut connection = Connection::open(server.addr());
    connection.send(b"GET /v2 HTTP/1.1\r\nHost: test\r\nX: ");
    let ((), took) = timed(|| {
        until("the server loses patience", || {
            connection.send(b"y");
            connection.has_reply().then_some(())
        });
    });
    assert_eq!(connection.try_reply_to("GET").map(|reply| reply.status), Ok(408));
    assert!(took < Duration::from_secs(10), "{took:?}");
    still_answers(server.addr());
}

#[test]
fn a_hundred_who_never_finish_keep_nobody_waiting() {
    let server = server(&[]);
    let idle: Vec<Connection> = (0..100)
        .map(|n| {
            let mut connection = Connection::open(server.addr());
            match n % 3 {
                0 => connection.send(b"POST /v2/models/ir"),
                1 => connection.send(&Request::post(path("iris")).header("Content-Length", "9").head()),
                _ => {}
            }
            connection
        })
        .collect();
    let ((), took) = timed(|| (0..20).for_each(|_| still_answers(server.addr())));
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(idle);
}

#[test]
fn clients_that_leave_in_the_middle_harm_nobody() {
    let server = server(&[]);
    let request = Request::post(path("iris")).json(&iris()).bytes();
    for cut in (0..request.len()).step_by(7) {
        Connection::open(server.addr()).send(&request[..cut]);
    }
    // All of it, but nobody there to read the answer.
    for _ in 0..50 {
        Connection::open(server.addr()).send(&request);
    }
    still_answers(server.addr());
    let idle = || scrape(&server).value("candor_requests_in_flight", &[("model", "iris"), ("version", "2")]);
    until("nothing is in flight", || (idle() == 0.0).then_some(()));
    server.stop_and_expect_clean();
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let server = server(&[]);
    let mut connection = Connection::open(server.addr());
    let request = |id: usize| {
        let mut body = iris();
        body["id"] = json!(id.to_string());
        Request::post(path("iris")).json(&body).bytes()
    };
    connection.send(&(0..50).flat_map(request).collect::<Vec<_>>());
    for id in 0..50 {
        assert_eq!(connection.reply().expect(200).json()["id"], id.to_string());
    }
}

fn one_thread() -> TestServer {
    let models = Models::copies(&["iris"]).with_fixture("long_loop");
    // Its warm-up is quick, but its graph has a loop: nothing need be set for it to stay off the workers.
    Plan::with(models).set("execution.threads=1").set("limits.inference_ms_max=600000").start()
}

fn long(server: &TestServer, outcome: &str) -> f64 {
    scrape(server).requests("long_loop", "1", outcome)
}

#[test]
fn who_leaves_takes_the_work_along() {
    let server = one_thread();
    let ask = |turns: i64| {
        let mut connection = Connection::open(server.addr());
        connection.send(&Request::post(path("long_loop")).json(&self::turns(turns)).bytes());
        connection
    };
    let queued = || scrape(&server).value("candor_inference_queue_length", &[]);
    let running = ask(FOREVER);
    let held = || scrape(&server).value("candor_requests_in_flight", &[("model", "long_loop")]);
    until("the thread is busy", || (held() == 1.0 && queued() == 0.0).then_some(()));
    let mut waiting: Vec<Connection> = (0..10).map(|_| ask(FOREVER)).collect();
    until("the rest waits", || (queued() == 10.0).then_some(()));
    // Those that wait leave first, then the one that runs: none of them may hold the thread any more.
    waiting.clear();
    let (_, took) = timed(|| {
        drop(running);
        until("all of it is given up", || (long(&server, "cancelled") == 11.0).then_some(()));
    });
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(outputs(&server.post(&path("long_loop"), &turns(3)))[0].shape, json!([32, 32]));
    assert_eq!((long(&server, "success"), long(&server, "failed")), (1.0, 0.0));
    server.stop_and_expect_clean();
}

#[test]
fn who_says_how_long_is_not_kept_longer() {
    let server = one_thread();
    let mut request = turns(FOREVER);
    request["parameters"] = json!({"timeout": 200_000});
    let (reply, took) = timed(|| server.post(&path("long_loop"), &request));
    let error = reply.expect(503).error();
    assert!(error.contains("took too long; expected an answer within 200 ms"), "{error}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // The run itself ends too, or the one thread would never be free again.
    assert_eq!(server.post(&path("long_loop"), &turns(1)).status, 200);
    assert_eq!(long(&server, "cancelled"), 1.0);
}

#[test]
fn the_server_has_a_limit_on_time_and_on_those_who_wait() {
    let models = Models::copies(&["iris"]).with_fixture("long_loop");
    let plan = Plan::with(models).set("execution.threads=1").set("execution.inline_run_us_max=0");
    let plan = plan.set("limits.inference_ms_max=3000").set("limits.inference_queue_max=1");
    let server = plan.start();
    let ask = || server.post(&path("long_loop"), &turns(FOREVER));
    let replies: Vec<_> = thread::scope(|scope| {
        let askers: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        askers.into_iter().map(|asker| asker.join().unwrap().expect(503)).collect()
    });
    let full: Vec<_> = replies.iter().filter(|reply| reply.error().contains("queue for inferences is full")).collect();
    let slow = replies.iter().filter(|reply| reply.error().contains("took too long")).count();
    // One runs and one waits; if the thread was late to take the first, even the second was one too many.
    assert!(full.len() + slow == 6 && full.len() >= 4 && slow >= 1, "{} full, {slow} slow", full.len());
    for reply in full {
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.header("candor-reason"), Some("queue_full"));
        assert!(reply.error().contains("limits.inference_queue_max"), "{}", reply.error());
    }
    until("the thread is free", || (server.post(&path("long_loop"), &turns(1)).status == 200).then_some(()));
    still_answers(server.addr());
}

#[test]
fn one_model_has_a_limit_on_those_in_flight() {
    let models = Models::copies(&["iris"]).with_fixture("long_loop");
    let plan = Plan::with(models).set("limits.inflight_per_model_max=2").set("execution.inline_run_us_max=0");
    // One thread more than the limit takes, so that it is the limit that refuses.
    let server = plan.set("execution.threads=3").start();
    let mut held: Vec<Connection> = (0..2).map(|_| Connection::open(server.addr())).collect();
    let request = Request::post(path("long_loop")).json(&turns(FOREVER));
    held.iter_mut().for_each(|connection| connection.send(&request.bytes()));
    let count = || scrape(&server).value("candor_requests_in_flight", &[("model", "long_loop")]);
    until("both are in flight", || (count() == 2.0).then_some(()));
    let reply = server.send(&request).expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(reply.error().contains("limits.inflight_per_model_max") && reply.error().contains("at most 2"));
    // Another model has room of its own.
    still_answers(server.addr());
    drop(held);
    until("there is room again", || (server.post(&path("long_loop"), &turns(1)).status == 200).then_some(()));
}
