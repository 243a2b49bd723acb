//! The health listener: the same words as at the HTTP door, while everything else is held, and until the very end.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use candor_engine_conformance::{Gate, Hooks};
use candor_tests::{
    Connection, Grpc, Models, Plan, Process, Reply, Request, TestServer,
    grpc::{proto::ModelInferRequest, typed_request},
    infer::{body, iris, path, tensor},
    until,
};
use serde_json::{Value, json};

use super::lifecycle::BINARY;

const PATHS: [&str; 5] = ["/health", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"];

/// A model whose runs stop at a gate when their first element is 13.
pub const HELD: &str = "key = \"held\"\ntrigger = 13.0\n[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\"]\n\
                        [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [\"rows\"]\necho = \"x\"\n";

fn ask(addr: SocketAddr, path: &str) -> Reply {
    Request::get(path).send(addr)
}

/// A server whose model `held` stops at a gate.
pub fn held(plan: impl FnOnce(Plan) -> Plan) -> (TestServer, Gate) {
    let hooks = Hooks::default();
    let models = Models::none().with_file("held/1/model.onnx", HELD);
    let server = plan(Plan::with(models).with_hooks(&hooks).set("limits.inference_ms_max=600000")).start();
    (server, hooks.hold_runs("held"))
}

pub fn stops() -> Value {
    body(&[tensor("x", "FP32", &[1], json!([13.0]))])
}

/// Begins a run that stops at the gate; on the pool if it is `patient`.
pub fn begin(server: &TestServer, patient: bool) -> Connection {
    let mut request = stops();
    if patient {
        request["parameters"] = json!({"timeout": 600_000_000});
    }
    let mut connection = Connection::open(server.addr());
    connection.send(&Request::post(path("held")).json(&request).bytes());
    connection
}

#[test]
fn it_says_the_same_as_the_http_door() {
    let check = |server: &TestServer| {
        for path in PATHS {
            let (door, listener) = (server.get(path), ask(server.health_addr(), path));
            assert_eq!((listener.status, listener.text()), (door.status, door.text()), "{path}");
            assert_eq!(listener.header("content-type"), door.header("content-type"), "{path}");
        }
    };
    let broken = || Models::copies(&["iris"]).with_file("broken/1/model.onnx", "not a model");
    let server = Plan::with(broken()).start();
    check(&server);
    let parts = ask(server.health_addr(), "/health/ready").expect(200).json();
    assert_eq!(parts["components"][2]["detail"], "2 versions ready; failed: broken");
    assert_eq!(parts["components"][4]["detail"], "2 models");
    // What is no folder any more cannot be looked at, and the path is nobody's business.
    std::fs::rename(server.models().root().join("iris"), server.scratch().join("iris")).unwrap();
    std::fs::rename(server.models().root().join("broken"), server.scratch().join("broken")).unwrap();
    check(&server);
    server.stop_and_expect_clean();

    let server = Plan::with(broken()).set("health.strict=true").without_waiting().start();
    let ready = |addr| ask(addr, "/v2/health/ready").status;
    until("it has failed", || {
        let parts = ask(server.health_addr(), "/health/ready").json();
        (parts["components"][1]["ready"] == true && parts["components"][2]["ready"] == false).then_some(())
    });
    assert_eq!((ready(server.health_addr()), ready(server.addr())), (503, 503));
    check(&server);
    // The model is mended, and the word changes with it.
    server.models().write("broken/1/model.onnx", candor_tests::models::sample("iris", "1"));
    assert_eq!(server.load("broken").status, 200);
    assert_eq!((ready(server.health_addr()), ready(server.addr())), (200, 200));
    check(&server);
    server.models().write("iris/3/model.onnx", "not a model");
    assert_eq!(server.load("iris").status, 400);
    assert_eq!((ready(server.health_addr()), ready(server.addr())), (503, 503));
}

#[test]
fn it_answers_while_every_other_thread_is_held() {
    let (server, gate) = held(|plan| plan.set("breaker.enabled=false"));
    // Two on the pool, one on each of the two HTTP threads and of the two gRPC threads. One after the other, or they may
    // run as one batch.
    let mut held = Vec::new();
    for on_pool in 1..=2 {
        held.push(begin(&server, true));
        assert!(gate.wait_for(on_pool));
    }
    held.extend((0..2).map(|_| begin(&server, false)));
    assert!(gate.wait_for(4));
    let grpc = Grpc::open(server.grpc_addr());
    let request: ModelInferRequest = typed_request("held", stops()["inputs"].as_array().unwrap());
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let (mut client, request) = (grpc.client(), request.clone());
            grpc.begin(async move { client.model_infer(request).await })
        })
        .collect();
    assert!(gate.wait_for(6));
    let mut waiting = Connection::open(server.addr());
    waiting.send(&Request::get("/v2/health/live").bytes());
    for _ in 0..100 {
        for path in PATHS {
            assert_eq!(ask(server.health_addr(), path).status, 200, "{path}");
        }
    }
    assert!(!waiting.has_reply(), "the HTTP threads were not held");
    gate.open();
    assert_eq!(waiting.reply().status, 200);
    held.iter_mut().for_each(|connection| assert_eq!(connection.reply().status, 200));
    calls.into_iter().for_each(|call| assert!(grpc.wait(call).unwrap().is_ok()));
    server.stop_and_expect_clean();
}

#[test]
fn it_is_alive_and_not_ready_until_the_end_of_a_shutdown() {
    let (server, gate) = held(|plan| plan);
    let (door, health) = (server.addr(), server.health_addr());
    let mut in_flight = begin(&server, true);
    assert!(gate.wait_for(1));
    let ending = thread::spawn(move || server.stop_and_expect_clean());
    until("the door is closed", || TcpStream::connect(door).is_err().then_some(()));
    assert_eq!(ask(health, "/v2/health/live").expect(200).json(), json!({"live": true}));
    assert_eq!(ask(health, "/v2/health/ready").expect(503).json(), json!({"ready": false}));
    let parts = ask(health, "/health/ready").expect(503).json();
    assert_eq!(
        parts["components"][0],
        json!({"name": "server", "ready": false, "required": true, "detail": "stopping"})
    );
    gate.open();
    assert_eq!(in_flight.reply().status, 200);
    ending.join().unwrap();
    assert!(TcpStream::connect(health).is_err());
}

#[test]
fn whoever_says_nothing_or_too_much_is_turned_away() {
    let server = Plan::default().empty().set("health.connections_max=3").set("health.exchange_ms_max=60000").start();
    let addr = server.health_addr();
    // Those who say nothing drive each other out, and nobody else.
    let mut silent: Vec<Connection> = (0..20).map(|_| Connection::open(addr)).collect();
    assert_eq!(ask(addr, "/v2/health/live").status, 200);
    silent.iter_mut().take(17).for_each(|connection| {
        until("it is closed", || connection.is_closed_by_server().then_some(()));
    });
    assert_eq!(
        ask(addr, "/nowhere").expect(404).error(),
        format!("the health listener has {}, and nothing else", PATHS.join(", "))
    );
    let refused = Request::post("/v2/health/live").send(addr).expect(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    assert_eq!(Request::get("/v2/health/live").header("X", "x".repeat(20_000)).send(addr).status, 431);
    let mut connection = Connection::open(addr);
    connection.send(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(connection.reply().status, 200);
    assert!(connection.is_closed_by_server());

    let server = Plan::default().empty().set("health.exchange_ms_max=200").start();
    let mut slow = Connection::open(server.health_addr());
    slow.send(b"GET /v2/health/live HT");
    until("it is cut off", || slow.is_closed_by_server().then_some(()));
}

#[test]
fn an_address_that_is_taken_is_an_error_if_somebody_chose_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let plan = || Plan::with(Models::copies(&["iris"])).set(&format!("health.addr={addr}"));
    let server = plan().change(|settings| settings.health.addr_is_chosen = false).start();
    assert_eq!(server.post(&path("iris"), &iris()).status, 200);
    server.stop_and_expect_clean();
    let error = plan().try_start().unwrap_err();
    let says = "another process listens there; stop it or choose another --health-addr, or do without the listener with \
                --health-addr off";
    assert!(error.contains(&format!("cannot listen on {addr}")) && error.contains(says), "{error}");
}

#[test]
fn it_is_announced_or_off() {
    let models = Models::copies(&["iris"]);
    let mut process = Process::serve(BINARY, models.root(), &[]);
    process.ready();
    let announced = |process: &Process| -> Value {
        serde_json::from_str(&std::fs::read_to_string(process.announcement()).unwrap()).unwrap()
    };
    let addr: SocketAddr = announced(&process)["health"].as_str().unwrap().parse().unwrap();
    assert_eq!(ask(addr, "/v2/health/ready").status, 200);
    until("it says so", || process.said().contains(&format!("health   http://{addr}/health/live")).then_some(()));
    assert!(process.said().contains("\n  threads  "), "{}", process.said());
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0), "{}", process.said());

    let mut process = Process::serve(BINARY, models.root(), &["--set", "health.addr=off"]);
    process.ready();
    assert_eq!(announced(&process).get("health"), None);
    process.signal("TERM");
    assert_eq!(process.end().0.code(), Some(0), "{}", process.said());
}
