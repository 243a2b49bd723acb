//! Signals and draining, with the real command line in a process of its own; limits on connections.

use std::{net::SocketAddr, time::Duration};

use candor_tests::{
    Connection, Grpc, Models, Plan, Process, Request,
    grpc::{proto::ServerReadyRequest, typed_request},
    infer::{iris, outputs, path},
    patience::timed,
    until,
};
use serde_json::json;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{
    grpc_control::health,
    refusal::still_answers,
    slow::{FOREVER, turns},
};

/// The server's command line, built with these tests.
pub const BINARY: &str = env!("CARGO_BIN_EXE_candor-under-test");

/// What a slow machine may take to do nothing.
const SOON: Duration = Duration::from_secs(10);

fn models() -> Models {
    Models::copies(&["iris"]).with_fixture("long_loop")
}

fn serve(models: &Models, settings: &[&str]) -> (Process, SocketAddr) {
    // A loop takes as long as its input says, which no measurement foresees; so nothing runs on HTTP threads.
    let settings = settings.iter().copied().chain(["execution.inline_run_us_max=0"]);
    let set: Vec<&str> = settings.flat_map(|setting| ["--set", setting]).collect();
    let mut process = Process::serve(BINARY, models.root(), &set);
    let addr = process.ready();
    (process, addr)
}

fn ready(addr: SocketAddr) -> u16 {
    Request::get("/v2/health/ready").send(addr).status
}

/// Begins an inference of so many turns and waits until it runs.
fn begin(addr: SocketAddr, number: i64) -> Connection {
    let in_flight = || {
        Request::get("/metrics")
            .send(addr)
            .text()
            .contains("candor_requests_in_flight{model=\"long_loop\",version=\"1\"} 1\n")
    };
    let mut connection = Connection::open(addr);
    connection.send(&Request::post(path("long_loop")).json(&turns(number)).bytes());
    until("it runs", || in_flight().then_some(()));
    connection
}

/// Turns that take about this long here and now.
fn turns_that_take(addr: SocketAddr, long: Duration) -> i64 {
    const SAMPLE: i64 = 20_000;
    let ask = || Request::post(path("long_loop")).json(&turns(SAMPLE)).send(addr).expect(200);
    let (_, took) = timed(ask);
    SAMPLE * i64::try_from(long.as_micros() / took.as_micros().max(1)).unwrap()
}

#[test]
fn an_idle_server_stops_when_told() {
    let models = models();
    for signal in ["TERM", "INT"] {
        let (mut process, addr) = serve(&models, &[]);
        still_answers(addr);
        process.signal(signal);
        let (status, took) = process.end();
        assert_eq!(status.code(), Some(0), "{}", process.said());
        assert!(took < SOON, "{signal}: {took:?}");
        assert!(!process.announcement().exists());
        assert!(process.said().contains(&format!("SIG{signal}: draining")), "{}", process.said());
        assert!(std::net::TcpStream::connect(addr).is_err());
    }
}

#[test]
fn what_it_serves_is_said_at_the_start() {
    let models = models();
    let (process, addr) = serve(&models, &[]);
    let said = until("the banner", || Some(process.said()).filter(|said| said.contains("/docs/")));
    for words in [
        concat!("candor ", env!("CARGO_PKG_VERSION")),
        "engine   ort ",
        "libonnxruntime.so",
        "sha256 ",
        "iris                     2        ready",
        &format!("serving  http://{addr}/v2"),
        &format!("docs     http://{addr}/docs/"),
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn while_it_drains_it_is_not_ready_and_still_answers() {
    let models = models();
    let (mut process, addr) = serve(&models, &["shutdown.drain_delay_ms=2000"]);
    assert_eq!(ready(addr), 200);
    let mut in_flight = begin(addr, turns_that_take(addr, Duration::from_secs(3)));
    process.signal("TERM");
    until("it is not ready", || (ready(addr) == 503).then_some(()));
    // Load balancers take a while to notice, so that new requests still come and are still answered.
    let parts = Request::get("/health/ready").send(addr).expect(503).json();
    let server = parts["components"].as_array().unwrap().iter().find(|part| part["name"] == "server").unwrap();
    assert_eq!((&server["ready"], &server["detail"]), (&json!(false), &json!("stopping")));
    assert_eq!(Request::get("/v2/health/live").send(addr).status, 200);
    assert!(Request::get("/metrics").send(addr).text().contains("\ncandor_ready 0\n"));
    still_answers(addr);
    // What was in flight is answered after the door has closed.
    assert_eq!(outputs(&in_flight.reply())[0].shape, json!([32, 32]));
    let (status, _) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
}

#[test]
fn while_it_drains_the_grpc_door_is_not_ready_and_still_answers() {
    let models = models();
    let (mut process, addr) = serve(&models, &["shutdown.drain_delay_ms=2000"]);
    let grpc = Grpc::open(process.grpc_addr());
    let serving = |grpc: &Grpc| health(grpc, "").unwrap() == i32::from(ServingStatus::Serving);
    assert!(serving(&grpc));
    let asked = |model: &str, body: &serde_json::Value| typed_request(model, body["inputs"].as_array().unwrap());
    let long = asked("long_loop", &turns(turns_that_take(addr, Duration::from_secs(3))));
    let mut client = grpc.client();
    let in_flight = grpc.begin(async move { client.model_infer(long).await });
    let runs = "candor_requests_in_flight{model=\"long_loop\",version=\"1\"} 1\n";
    until("it runs", || Request::get("/metrics").send(addr).text().contains(runs).then_some(()));
    process.signal("TERM");
    until("it is not ready", || (!serving(&grpc)).then_some(()));
    let ready = grpc.wait(grpc.client().server_ready(ServerReadyRequest {})).unwrap().into_inner();
    assert!(!ready.ready);
    // A new connection too: load balancers take a while to notice.
    let new = Grpc::open(process.grpc_addr());
    assert!(new.infer(asked("iris", &iris())).is_ok());
    assert!(!in_flight.is_finished(), "it was answered too early to show anything");
    assert!(grpc.wait(in_flight).unwrap().is_ok());
    drop((grpc, new));
    let (status, _) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
}

#[test]
fn what_is_in_flight_is_answered_and_nothing_new_is_taken() {
    let models = models();
    let (mut process, addr) = serve(&models, &[]);
    let mut in_flight = begin(addr, turns_that_take(addr, Duration::from_secs(2)));
    process.signal("TERM");
    until("the door is closed", || std::net::TcpStream::connect(addr).is_err().then_some(()));
    assert!(!in_flight.has_reply(), "it was answered too early to show anything");
    assert_eq!(in_flight.reply().status, 200);
    let (status, _) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
}

#[test]
fn idle_connections_do_not_keep_it_from_stopping() {
    let models = models();
    let (mut process, addr) = serve(&models, &["shutdown.grace_ms=2000"]);
    let idle: Vec<Connection> = (0..20)
        .map(|n| {
            let mut connection = Connection::open(addr);
            if n % 2 == 0 {
                assert_eq!(connection.ask(&Request::get("/v2")).status, 200);
            }
            connection
        })
        .collect();
    process.signal("TERM");
    let (status, took) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
    assert!(took < Duration::from_secs(2) + SOON, "{took:?}");
    drop(idle);
}

#[test]
fn what_does_not_end_is_ended_after_the_grace() {
    let models = models();
    let (mut process, addr) = serve(&models, &["shutdown.grace_ms=1000", "limits.inference_ms_max=600000"]);
    let mut in_flight = begin(addr, FOREVER);
    process.signal("TERM");
    let (status, took) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
    assert!(took < Duration::from_secs(1) + SOON, "{took:?}");
    assert!(in_flight.try_reply_to("POST").is_err());
}

#[test]
fn a_second_signal_ends_at_once() {
    let models = models();
    let (mut process, addr) = serve(&models, &["shutdown.grace_ms=600000", "limits.inference_ms_max=600000"]);
    let in_flight = begin(addr, FOREVER);
    process.signal("TERM");
    until("it drains", || process.said().contains("once more").then_some(()));
    // Those that come within a second of the first are the same one.
    let (status, took) = timed(|| {
        until("it ends", || {
            process.signal("TERM");
            process.ended()
        })
    });
    assert_eq!(status.code(), Some(1), "{}", process.said());
    assert!(took > Duration::from_millis(500), "{took:?}");
    assert!(took < SOON, "{took:?}");
    assert!(process.said().contains("SIGTERM: ended without draining"), "{}", process.said());
    drop(in_flight);
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one_signal() {
    let models = models();
    for second in ["TERM", "INT"] {
        let (mut process, addr) = serve(&models, &["limits.inference_ms_max=600000"]);
        let mut in_flight = begin(addr, turns_that_take(addr, Duration::from_secs(2)));
        process.signal("TERM");
        process.signal(second);
        assert_eq!(in_flight.reply().status, 200, "{second}");
        let (status, _) = process.end();
        assert_eq!(status.code(), Some(0), "{second}: {}", process.said());
    }
}

#[test]
fn a_load_that_takes_long_does_not_keep_it_from_stopping() {
    // So many turns that the golden pair is never done.
    let models = super::registry::slow_to_load(Models::copies(&["iris"]), FOREVER);
    let mut process = Process::serve(BINARY, models.root(), &[]);
    until("it loads", || process.said().contains("ready model=iris").then_some(()));
    process.signal("TERM");
    let (status, took) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_load_that_polling_began_does_not_keep_it_from_stopping() {
    let models = Models::copies(&["iris"]);
    let (mut process, _) = serve(&models, &["repository.poll_s=1"]);
    let _models = super::registry::slow_to_load(models, FOREVER);
    let addr = process.ready();
    let loads = || Request::post("/v2/repository/index").send(addr).text().contains("\"state\":\"LOADING\"");
    until("it loads", || loads().then_some(()));
    process.signal("TERM");
    let (status, took) = process.end();
    assert_eq!(status.code(), Some(0), "{}", process.said());
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_signal_at_any_moment_of_the_start_is_heard() {
    let models = models();
    // From before it listens to well after it is ready.
    for wait_ms in (0..400).step_by(20) {
        let mut process = Process::serve(BINARY, models.root(), &[]);
        std::thread::sleep(Duration::from_millis(wait_ms));
        process.signal("TERM");
        let (status, took) = process.end();
        // Killed before it could listen to signals, or stopped in order after that.
        let orderly = status.code() == Some(0) || status.code().is_none();
        assert!(orderly, "after {wait_ms} ms: {status} {}", process.said());
        assert!(took < SOON, "after {wait_ms} ms: {took:?}");
    }
}

#[test]
fn more_connections_than_the_limit_wait_for_their_turn() {
    let plan = Plan::with(Models::copies(&["iris"])).set("http.workers=1").set("http.connections_max=3");
    let server = plan.start();
    let ask = |connection: &mut Connection| connection.ask(&Request::post(path("iris")).json(&iris())).status;
    // The connections of the start may linger a moment.
    let mut held: Vec<Connection> = (0..3).map(|_| Connection::open(server.addr())).collect();
    for connection in &mut held {
        assert_eq!(ask(connection), 200);
    }
    let mut waiting = Connection::open(server.addr());
    waiting.send(&Request::get("/v2/health/live").bytes());
    // Those that are in go on being answered; the one outside is not, until one leaves.
    for _ in 0..20 {
        assert!(held.iter_mut().all(|connection| ask(connection) == 200));
        assert!(!waiting.has_reply());
    }
    held.pop();
    assert_eq!(waiting.reply().status, 200);
}
