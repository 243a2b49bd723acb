//! Who finds no room: which limit, which reason, when to come back, on both doors; what bodies may take; who leaves.

use std::io::Write as _;

use candor_tests::{
    Connection, Grpc, Models, Plan, Reply, Request, TestServer,
    counters::scrape,
    grpc::{proto::ModelInferRequest, raw_request, typed_request},
    infer::{iris, path, tensor},
    until,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use tonic::Code;

use super::{
    refusal::still_answers,
    slow::{FOREVER, turns},
};

/// One thread, and a limit that begins at five: 1 × 1 thread, and 4 for bursts, where no waiting is allowed.
fn one_thread(settings: &[&str]) -> TestServer {
    let plan = Plan::with(Models::copies(&["iris", "simple_identity"]).with_fixture("long_loop"));
    let plan = plan.set("execution.threads=1").set("limits.inference_ms_max=600000");
    let plan = plan.set("overload.floor=1").set("overload.tolerance=1").set("overload.wait_ms=0");
    settings.iter().fold(plan, |plan, setting| plan.set(setting)).start()
}

fn gauge(server: &TestServer, name: &str) -> f64 {
    scrape(server).value(name, &[("model", "long_loop")])
}

fn queued(server: &TestServer) -> f64 {
    scrape(server).value("candor_inference_queue_length", &[])
}

fn refusals(server: &TestServer, model: &str, reason: &str) -> f64 {
    scrape(server).value("candor_refusals_total", &[("model", model), ("reason", reason)])
}

fn long() -> Request {
    Request::post(path("long_loop")).json(&turns(FOREVER))
}

fn long_by_grpc() -> ModelInferRequest {
    typed_request("long_loop", turns(FOREVER)["inputs"].as_array().unwrap())
}

fn begun(server: &TestServer) -> Connection {
    let mut connection = Connection::open(server.addr());
    connection.send(&long().bytes());
    connection
}

/// One that runs, which nobody lets end.
fn running(server: &TestServer) -> Connection {
    let running = begun(server);
    until("the thread is busy", || {
        (gauge(server, "candor_requests_in_flight") == 1.0 && queued(server) == 0.0).then_some(())
    });
    running
}

/// A refusal of the same kind by every door.
fn check_refusal(server: &TestServer, reason: &str, limit: &str) {
    check_refusal_of_tensors(server, reason, limit);
    // Before the body is read: rows are nothing that this model knows.
    let native = server.post("/api/v1/models/long_loop/predict", &turns(FOREVER)).expect(503);
    let problem = native.json();
    assert_eq!((&problem["type"], &problem["code"]), (&json!("/problems/overloaded"), &json!("overloaded")));
    assert_eq!((&problem["reason"], native.header("candor-reason")), (&json!(reason), Some(reason)));
    assert_eq!(problem["retry_after_s"].as_u64(), seconds(&native).map(u64::from));
    assert_eq!(refusals(server, "long_loop", reason), 3.0);
}

fn seconds(reply: &Reply) -> Option<u32> {
    reply.header("retry-after").map(|text| text.parse().unwrap())
}

fn check_refusal_of_tensors(server: &TestServer, reason: &str, limit: &str) {
    let reply = server.send(&long()).expect(503);
    assert_eq!(reply.header("candor-reason"), Some(reason));
    assert!(seconds(&reply).is_some_and(|seconds| (1..=60).contains(&seconds)), "{:?}", reply.headers);
    assert!(reply.error().contains(limit), "{}", reply.error());

    let status = Grpc::open(server.grpc_addr()).infer(long_by_grpc()).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.metadata().get("candor-reason").unwrap(), reason);
    assert!(
        status.metadata().get("retry-after").is_some() && status.metadata().get("grpc-retry-pushback-ms").is_some()
    );
    assert_eq!(refusals(server, "long_loop", reason), 2.0);
}

#[test]
fn more_than_can_be_answered_soon_are_refused_at_once_by_every_door() {
    let server = one_thread(&[]);
    assert_eq!(gauge(&server, "candor_concurrency_limit"), 5.0);
    let inside: Vec<Connection> = (0..5).map(|_| begun(&server)).collect();
    until("all places are taken", || (gauge(&server, "candor_concurrency_in_use") == 5.0).then_some(()));
    check_refusal(&server, "concurrency_limit", "at most 5 now");
    // A request that needs no thread of the pool needs no place either, and another model has its own.
    still_answers(server.addr());
    drop(inside);
    until("the places are free again", || (gauge(&server, "candor_concurrency_in_use") == 0.0).then_some(()));
    assert_eq!(server.post(&path("long_loop"), &turns(1)).status, 200);
}

#[test]
fn a_limit_that_is_off_never_refuses_before_the_fixed_one() {
    let server = one_thread(&["overload.enabled=false", "limits.inflight_per_model_max=7"]);
    assert_eq!(gauge(&server, "candor_concurrency_limit"), 7.0);
    let _inside: Vec<Connection> = (0..7).map(|_| begun(&server)).collect();
    until("all are in flight", || (gauge(&server, "candor_requests_in_flight") == 7.0).then_some(()));
    check_refusal(&server, "inflight_limit", "limits.inflight_per_model_max");
}

#[test]
fn a_full_queue_has_a_reason_of_its_own() {
    let server = one_thread(&["limits.inference_queue_max=1"]);
    let _running = running(&server);
    let _waiting = begun(&server);
    until("one waits", || (queued(&server) == 1.0).then_some(()));
    check_refusal_of_tensors(&server, "queue_full", "limits.inference_queue_max");
}

#[test]
fn a_model_says_for_itself_what_is_too_much() {
    let models = Models::copies(&["iris"]).with_fixture("long_loop");
    models.write("long_loop/model.toml", "[overload]\nfloor = 9\n");
    let plan = Plan::with(models).set("execution.threads=1").set("overload.tolerance=1").set("overload.wait_ms=0");
    let server = plan.set("overload.floor=2").start();
    let limit = |model: &str| scrape(&server).value("candor_concurrency_limit", &[("model", model), ("version", "1")]);
    assert_eq!(limit("long_loop"), 9.0);
}

#[test]
fn a_flood_of_one_model_gets_no_request_of_another_refused() {
    // Nothing runs on the workers, so that the other model needs the pool too.
    let server = one_thread(&["execution.inline_run_us_max=0"]);
    let mut flood: Vec<Connection> = (0..40).map(|_| begun(&server)).collect();
    until("the flood is at its limit", || (refusals(&server, "long_loop", "concurrency_limit") == 35.0).then_some(()));
    let ask = || {
        let mut connection = Connection::open(server.addr());
        connection.send(&Request::post(path("iris")).json(&iris()).bytes());
        connection
    };
    let mut others: Vec<Connection> = (0..4).map(|_| ask()).collect();
    let in_use = || scrape(&server).value("candor_concurrency_in_use", &[("model", "iris"), ("version", "2")]);
    let done = || scrape(&server).requests("iris", "2", "success");
    until("they are let in", || (in_use() + done() == 4.0).then_some(()));
    flood.clear();
    for other in &mut others {
        assert_eq!(other.reply().status, 200);
    }
    assert_eq!(scrape(&server).requests("iris", "2", "rejected"), 0.0);
}

/// Leaves with a FIN, or, because there is something that it has not read, with a RST.
fn leave(mut connection: Connection, with_reset: bool) {
    if with_reset {
        until("the first answer has come", || connection.has_reply().then_some(()));
    } else {
        connection.finish_sending();
    }
}

#[test]
fn who_leaves_the_queue_is_gone_while_the_thread_is_still_busy() {
    for with_reset in [false, true] {
        let server = one_thread(&[]);
        let mut running = running(&server);
        let waiting: Vec<Connection> = (0..4)
            .map(|_| {
                let mut connection = Connection::open(server.addr());
                let first = if with_reset { Request::get("/v2/health/live").bytes() } else { Vec::new() };
                connection.send(&[first, long().bytes()].concat());
                connection
            })
            .collect();
        until("the others wait", || (queued(&server) == 4.0).then_some(()));
        assert_eq!(gauge(&server, "candor_concurrency_in_use"), 5.0);
        waiting.into_iter().for_each(|connection| leave(connection, with_reset));
        until("nobody waits", || (queued(&server) == 0.0).then_some(()));
        until("their places are free", || (gauge(&server, "candor_concurrency_in_use") == 1.0).then_some(()));
        // Nothing of this is the doing of the one that runs.
        assert!(!running.has_reply());
        let metrics = scrape(&server);
        assert_eq!(metrics.requests("long_loop", "1", "cancelled"), 4.0, "with reset: {with_reset}");
        assert_eq!(metrics.value("candor_phase_seconds_count", &[("model", "long_loop"), ("phase", "run")]), 0.0);
        running.finish_sending();
        until("and that one is stopped", || (gauge(&server, "candor_requests_in_flight") == 0.0).then_some(()));
        assert_eq!(server.post(&path("long_loop"), &turns(1)).status, 200);
        server.stop_and_expect_clean();
    }
}

#[test]
fn who_leaves_the_queue_over_grpc_is_gone_too() {
    let server = one_thread(&[]);
    let running = running(&server);
    let grpc = Grpc::open(server.grpc_addr());
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let mut client = grpc.client();
            grpc.begin(async move { client.model_infer(long_by_grpc()).await })
        })
        .collect();
    let other = Grpc::open(server.grpc_addr());
    let mut client = other.client();
    other.begin(async move { client.model_infer(long_by_grpc()).await });
    until("they wait", || (queued(&server) == 3.0).then_some(()));
    // Two say that they do not want it any more, and one connection breaks.
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    drop(other);
    until("nobody waits", || (queued(&server) == 0.0).then_some(()));
    assert!(!running.has_reply());
    assert_eq!(scrape(&server).requests("long_loop", "1", "cancelled"), 3.0);
    // Who says how long, in the message or to gRPC, leaves the queue by itself.
    let late = candor_tests::grpc::within(long_by_grpc(), std::time::Duration::from_millis(50));
    assert!(matches!(grpc.infer(late).unwrap_err().code(), Code::DeadlineExceeded | Code::Cancelled));
    let mut body = turns(FOREVER);
    body["parameters"] = json!({"timeout": 50_000});
    assert!(server.post(&path("long_loop"), &body).expect(503).error().contains("within 50 ms"));
    until("nobody waits", || (queued(&server) == 0.0).then_some(()));
    assert!(!running.has_reply());
}

const KIB: usize = 1024;

/// Room for 128 KiB of bodies, of which one may take 64 KiB.
fn little_memory() -> TestServer {
    one_thread(&[
        "limits.bodies_bytes_max=128 KiB",
        "limits.body_bytes_max=64 KiB",
        "limits.decompressed_bytes_max=64 KiB",
        "grpc.message_bytes_max=64 KiB",
    ])
}

fn held(server: &TestServer) -> f64 {
    scrape(server).value("candor_bodies_bytes", &[])
}

/// Says that 60 KiB will come, and sends so many of them.
fn trickling(server: &TestServer, bytes: usize) -> Connection {
    let mut connection = Connection::open(server.addr());
    let length = (60 * KIB).to_string();
    connection.send(&Request::post(path("simple_identity")).header("Content-Length", &length).head());
    connection.send(&vec![b' '; bytes]);
    connection
}

fn text(bytes: usize) -> ModelInferRequest {
    raw_request("simple_identity", &[tensor("INPUT0", "BYTES", &[1, 1], json!(["x".repeat(bytes)]))])
}

fn check_memory(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.header("candor-reason"), Some("memory"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(reply.error().contains("limits.bodies_bytes_max"), "{}", reply.error());
}

#[test]
fn bodies_that_trickle_hold_what_they_sent_and_all_together_no_more_than_they_may() {
    let server = little_memory();
    // They announce 4 MiB between them, and hold 69 KiB.
    let mut slow: Vec<Connection> = (0..69).map(|_| trickling(&server, KIB)).collect();
    until("what was sent is held", || (held(&server) == (69 * KIB) as f64).then_some(()));
    still_answers(server.addr());
    // One that would not find room is told so before it has sent anything.
    check_memory(&trickling(&server, 0).reply());
    // Those that go on while there is room are let, until there is none.
    let more = slow.iter_mut().take(32);
    more.for_each(|connection| connection.send(&vec![b' '; 2 * KIB]));
    until("somebody is refused", || slow.iter().any(Connection::has_reply).then_some(()));
    let refused: Vec<usize> = (0..slow.len()).filter(|&at| slow[at].has_reply()).collect();
    refused.iter().for_each(|&at| check_memory(&slow[at].reply()));
    assert!(held(&server) <= (128 * KIB) as f64);
    // Who leaves gives back what it held.
    drop(slow);
    until("nothing is held", || (held(&server) == 0.0).then_some(()));
    assert!(scrape(&server).value("candor_bodies_refused_total", &[]) >= 2.0);
    still_answers(server.addr());
    server.stop_and_expect_clean();
}

#[test]
fn what_is_unpacked_counts_and_so_does_what_waits_for_a_thread() {
    let server = little_memory();
    let packed = |bytes: usize| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![b' '; bytes]).unwrap();
        let request = Request::post(path("simple_identity")).header("Content-Encoding", "gzip");
        request.body(gzip.finish().unwrap())
    };
    let _slow: Vec<Connection> = (0..2).map(|_| trickling(&server, 48 * KIB)).collect();
    until("they are held", || (held(&server) == (96 * KIB) as f64).then_some(()));
    check_memory(&server.send(&packed(50 * KIB)));
    assert_eq!(server.send(&packed(20 * KIB)).status, 400, "it is read, and is no JSON");
    until("it is given back", || (held(&server) == (96 * KIB) as f64).then_some(()));
    // A request that waits for a thread keeps its body.
    let _running = running(&server);
    let waiting = begun(&server);
    until("it waits", || (queued(&server) == 1.0).then_some(()));
    let size = turns(FOREVER).to_string().len();
    assert_eq!(held(&server), (96 * KIB + 2 * size) as f64);
    drop(waiting);
    until("it is given back", || (held(&server) == (96 * KIB + size) as f64).then_some(()));
}

#[test]
fn messages_share_the_memory_with_bodies() {
    let server = little_memory();
    let grpc = Grpc::open(server.grpc_addr());
    assert!(grpc.infer(text(60 * KIB)).is_ok());
    until("it is given back", || (held(&server) == 0.0).then_some(()));
    let slow: Vec<Connection> = (0..2).map(|_| trickling(&server, 48 * KIB)).collect();
    until("they are held", || (held(&server) == (96 * KIB) as f64).then_some(()));
    let status = grpc.infer(text(60 * KIB)).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.metadata().get("candor-reason").unwrap(), "memory");
    // In a stream too, which may be much longer than the room, message after message.
    assert!(grpc.infer_all(vec![text(60 * KIB)]).is_err());
    let answers = grpc.infer_all((0..40).map(|_| text(KIB)).collect()).unwrap();
    assert_eq!(answers.len(), 40);
    drop(slow);
    until("nothing is held", || (held(&server) == 0.0).then_some(()));
    assert!(grpc.infer(text(60 * KIB)).is_ok());
    assert!(grpc.infer_all((0..40).map(|_| text(8 * KIB)).collect()).is_ok());
    until("nothing is held", || (held(&server) == 0.0).then_some(()));
    still_answers(server.addr());
}
