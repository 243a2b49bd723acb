//! Circuit breakers and faults on order, over TCP: what opens a breaker, who answers meanwhile, how it closes.
//!
//! Every failure here is a fault that the test has ordered through the API, so the tests also show that a fault is met
//! as a real failure is. Open times are long where a test looks at an open breaker and short where it waits for the end.

use std::time::Duration;

use candor_domain::Access;
use candor_tests::{
    Grpc, Models, Plan, Reply, Request, TestServer,
    counters::scrape,
    grpc::proto::ModelReadyRequest,
    infer::{iris, path, simple},
    patience::timed,
    server::token_of,
    until,
};
use serde_json::{Value, json};

use super::refusal::still_answers;

const FAULTS: &str = "/api/v1/models/simple/faults";

/// Opens at the fourth call if half of them failed.
fn plan(models: Models, open_ms: u64) -> Plan {
    let plan = Plan::with(models).set("faults.enabled=true").set("breaker.calls_min=4").set("breaker.trials=2");
    // A window that no slow machine leaves.
    plan.set("breaker.window_ms=600000").set(&format!("breaker.open_ms={open_ms}"))
}

fn server(open_ms: u64) -> TestServer {
    plan(Models::copies(&["iris", "simple"]), open_ms).start()
}

const LONG: u64 = 60_000;
const SHORT: u64 = 50;

fn order(server: &TestServer, model: &str, faults: Value) -> Value {
    let request = Request::new("PUT", format!("/api/v1/models/{model}/faults")).json(&json!({"faults": faults}));
    server.send(&request).expect(200).json()
}

fn take_back(server: &TestServer, model: &str) {
    let reply = server.send(&Request::new("DELETE", format!("/api/v1/models/{model}/faults"))).expect(200);
    assert_eq!(reply.json()["faults"], json!([]));
}

fn ask(server: &TestServer) -> Reply {
    server.post(&path("simple"), &simple(1))
}

/// Four failures of `simple`.
fn break_simple(server: &TestServer) {
    order(server, "simple", json!([{"kind": "error", "message": "the model is ill"}]));
    for _ in 0..4 {
        let reply = ask(server).expect(500);
        assert_eq!(
            (reply.error().as_str(), reply.header("candor-reason")),
            ("the model is ill", Some("engine_failed"))
        );
    }
}

fn breaker(server: &TestServer, model: &str) -> Value {
    server.get(&format!("/api/v1/models/{model}")).expect(200).json()["breaker"].clone()
}

fn state(server: &TestServer) -> String {
    breaker(server, "simple")["state"].as_str().unwrap().to_owned()
}

#[test]
fn errors_open_it_and_then_nothing_runs_and_other_models_answer() {
    let server = server(LONG);
    break_simple(&server);
    let orders = order(&server, "simple", json!([{"kind": "panic"}]));
    for _ in 0..3 {
        let reply = ask(&server).expect(503);
        assert_eq!(reply.header("candor-reason"), Some("breaker_open"));
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=LONG / 1000).contains(&seconds), "{seconds}");
        assert!(reply.error().contains("the circuit breaker of model 'simple' version 1 is open"), "{}", reply.error());
    }
    assert_eq!(orders["faults"][0]["struck"], 0);
    assert_eq!(server.get(FAULTS).expect(200).json()["faults"][0]["struck"], 0, "nothing has run");
    still_answers(server.addr());
    let shown = breaker(&server, "simple");
    assert_eq!(shown["state"], "open");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let wait = u128::from(shown["retry_at_unix_ms"].as_u64().unwrap()).saturating_sub(now);
    assert!(wait > 0 && wait <= u128::from(LONG), "{wait}");
    assert_eq!(breaker(&server, "iris")["state"], "closed");
    let parts = server.get("/health/ready").expect(200).json();
    let part = parts["components"].as_array().unwrap().iter().find(|part| part["name"] == "breakers").unwrap();
    assert_eq!((&part["ready"], &part["required"]), (&json!(false), &json!(false)));
    assert_eq!(part["detail"], "not closed: simple version 1 (open)");
    let metrics = scrape(&server);
    let simple = [("model", "simple"), ("version", "1")];
    assert_eq!(metrics.value("candor_breaker_state", &simple), 2.0);
    assert_eq!(metrics.value("candor_breaker_state", &[("model", "iris"), ("version", "2")]), 0.0);
    assert_eq!(metrics.value("candor_breaker_changes_total", &[simple[0], simple[1], ("to", "open")]), 1.0);
    assert_eq!(metrics.value("candor_breaker_rejected_total", &simple), 3.0);
    assert_eq!((metrics.requests("simple", "1", "failed"), metrics.requests("simple", "1", "rejected")), (4.0, 3.0));
    server.stop_and_expect_clean();
}

#[test]
fn readiness_says_what_a_request_would_meet() {
    let server = server(LONG);
    let grpc = Grpc::open(server.grpc_addr());
    let ready_by_grpc = || {
        let request = ModelReadyRequest { name: "simple".to_owned(), version: String::new() };
        grpc.wait(grpc.client().model_ready(request)).unwrap().into_inner().ready
    };
    assert!(ready_by_grpc());
    let ready = server.get("/v2/models/simple/ready").expect(200).json();
    assert_eq!((&ready["ready"], &ready["breaker"]["state"]), (&json!(true), &json!("closed")));
    break_simple(&server);
    let reply = server.get("/v2/models/simple/ready").expect(503);
    assert_eq!(reply.header("candor-reason"), Some("breaker_open"));
    assert!(reply.header("retry-after").is_some());
    let said = reply.json();
    let error = said["error"].as_str().unwrap();
    assert!(error.contains("the circuit breaker of model 'simple' version 1 is open"), "{said}");
    assert_eq!(said["breaker"]["state"], "open", "{said}");
    assert!(said["breaker"]["retry_at_unix_ms"].is_u64(), "{said}");
    assert!(!ready_by_grpc());
    // One model's breaker takes no traffic away from the others.
    assert_eq!(server.get("/v2/health/ready").status, 200);
    let closed = server.send(&Request::post("/api/v1/models/simple/versions/1/breaker/reset")).expect(200).json();
    assert_eq!((&closed["state"], &closed["calls"]), (&json!("closed"), &json!(0)));
    assert_eq!(server.get("/v2/models/simple/ready").status, 200);
    take_back(&server, "simple");
    assert_eq!(ask(&server).status, 200);
}

#[test]
fn trials_close_it_when_the_fault_is_gone_and_only_then() {
    let server = server(SHORT);
    break_simple(&server);
    // The first trial fails, and with it half of two: open again.
    let failed = until("a trial is let through and fails", || Some(ask(&server)).filter(|reply| reply.status == 500));
    assert_eq!(failed.error(), "the model is ill");
    assert_eq!(state(&server), "open");
    take_back(&server, "simple");
    until("a trial is let through", || (ask(&server).status == 200).then_some(()));
    assert_eq!(state(&server), "half_open");
    assert_eq!(ask(&server).status, 200);
    assert_eq!(state(&server), "closed");
    let metrics = scrape(&server);
    let changes =
        |to| metrics.value("candor_breaker_changes_total", &[("model", "simple"), ("version", "1"), ("to", to)]);
    assert_eq!((changes("open"), changes("half_open"), changes("closed")), (2.0, 2.0, 1.0));
}

#[test]
fn slow_runs_open_it_and_their_callers_have_their_answers() {
    let plan =
        plan(Models::copies(&["iris", "simple"]), LONG).set("breaker.slow_run_ms=30").set("breaker.slow_rate=0.5");
    let server = plan.start();
    for _ in 0..4 {
        assert_eq!(ask(&server).status, 200);
    }
    order(&server, "simple", json!([{"kind": "delay", "delay_ms": 30}]));
    for n in 0..4 {
        assert_eq!(state(&server), "closed", "{n} of {} were slow", 4 + n);
        let (reply, took) = timed(|| ask(&server));
        assert!(reply.status == 200 && took >= Duration::from_millis(30), "{} after {took:?}", reply.status);
    }
    assert_eq!(ask(&server).expect(503).header("candor-reason"), Some("breaker_open"));
    still_answers(server.addr());
}

#[test]
fn panics_take_no_thread_along() {
    let server = server(LONG);
    order(&server, "iris", json!([{"kind": "panic", "count_max": 20}]));
    let off = Request::new("POST", "/api/v1/models/iris/versions/2/breaker/reset");
    for n in 0..20 {
        // Both kinds of threads: a timeout sends a request to the pool.
        let mut request = iris();
        if n % 2 == 0 {
            request["parameters"] = json!({"timeout": 60_000_000});
        }
        let reply = server.post(&path("iris"), &request).expect(500);
        assert_eq!(reply.error(), "the inference panicked; see the server's log");
        let _ = server.send(&off).expect(200);
    }
    assert_eq!(server.get("/api/v1/models/iris/faults").expect(200).json()["faults"][0]["struck"], 20);
    for _ in 0..20 {
        still_answers(server.addr());
    }
    assert_eq!(scrape(&server).value("candor_requests_in_flight", &[("model", "iris"), ("version", "2")]), 0.0);
    server.stop_and_expect_clean();
}

/// Version 2 of iris fails, and version 1 stands in for it.
fn with_fallback() -> TestServer {
    let models = Models::copies(&["iris"]);
    let manifest = std::fs::read_to_string(models.path("iris/model.toml")).unwrap();
    // Only the latest would be served but for the fallback.
    let manifest = manifest.replace("versions = \"all\"", "versions = \"latest\"");
    models.write("iris/model.toml", format!("{manifest}\n[breaker]\nfallback_version = \"1\"\n"));
    let server = plan(models, LONG).start();
    order(&server, "iris", json!([{"kind": "error", "version": "2"}]));
    for _ in 0..4 {
        assert_eq!(server.post(&path("iris"), &iris()).status, 500);
    }
    server
}

#[test]
fn another_version_stands_in_for_those_who_name_none() {
    let server = with_fallback();
    let reply = server.post(&path("iris"), &iris()).expect(200);
    assert_eq!((reply.header("candor-fallback-from"), &reply.json()["model_version"]), (Some("2"), &json!("1")));
    let row = json!({"rows": [[5.1, 3.5, 1.4, 0.2]]});
    let reply = server.post("/api/v1/models/iris/predict", &row).expect(200);
    assert_eq!(reply.header("candor-fallback-from"), Some("2"));
    assert_eq!((&reply.json()["version"], &reply.json()["fallback_from"]), (&json!("1"), &json!("2")));
    let shown = breaker(&server, "iris");
    assert_eq!((&shown["state"], &shown["fallback_version"]), (&json!("open"), &json!("1")));
    // Who names the version gets it or nothing; who names the other one gets no note.
    let named = |version: &str| server.post(&format!("/v2/models/iris/versions/{version}/infer"), &iris());
    assert_eq!(named("2").expect(503).header("candor-reason"), Some("breaker_open"));
    assert_eq!(named("1").expect(200).header("candor-fallback-from"), None);
    assert_eq!(server.get("/v2/models/iris/ready").status, 200);
    assert_eq!(server.get("/v2/models/iris/versions/2/ready").status, 503);
    let metrics = scrape(&server);
    let of = |version| [("model", "iris"), ("version", version)];
    assert_eq!(metrics.value("candor_breaker_fallbacks_total", &of("2")), 2.0);
    assert_eq!(metrics.value("candor_breaker_rejected_total", &of("2")), 1.0);
    assert_eq!(metrics.value("candor_breaker_fallbacks_total", &of("1")), 0.0);
    assert_eq!((metrics.requests("iris", "1", "success"), metrics.requests("iris", "2", "success")), (3.0, 0.0));
}

#[test]
fn a_reload_begins_with_a_closed_breaker() {
    let server = with_fallback();
    assert_eq!(breaker(&server, "iris")["state"], "open");
    assert_eq!((server.unload("iris").status, server.load("iris").status), (200, 200));
    assert_eq!((&breaker(&server, "iris")["state"], &breaker(&server, "iris")["calls"]), (&json!("closed"), &json!(0)));
    let changes = [("model", "iris"), ("version", "2"), ("to", "open")];
    assert_eq!(scrape(&server).value("candor_breaker_changes_total", &changes), 1.0, "counters stay");
    // So do orders.
    assert_eq!(server.post(&path("iris"), &iris()).status, 500);
}

#[test]
fn no_breaker_is_shown_where_there_is_none() {
    let server =
        Plan::with(Models::copies(&["simple"])).set("breaker.enabled=false").set("faults.enabled=true").start();
    order(&server, "simple", json!([{"kind": "error"}]));
    for _ in 0..30 {
        assert_eq!(ask(&server).status, 500);
    }
    assert_eq!(breaker(&server, "simple"), Value::Null);
    assert!(scrape(&server).0.iter().all(|sample| sample.name != "candor_breaker_state"));
    let reply = server.send(&Request::post("/api/v1/models/simple/versions/1/breaker/reset")).expect(501);
    assert!(reply.json()["detail"].as_str().unwrap().contains("has no breaker"), "{}", reply.text());
}

#[test]
fn faults_are_not_ordered_where_nobody_has_enabled_them() {
    let server = Plan::with(Models::copies(&["simple"])).start();
    for method in ["PUT", "GET", "DELETE"] {
        let request = Request::new(method, FAULTS).json(&json!({"faults": [{"kind": "panic"}]}));
        let reply = server.send(&request).expect(501);
        assert_eq!(reply.json()["at"], "faults.enabled", "{}", reply.text());
    }
    assert_eq!(ask(&server).status, 200);
    let beyond = Plan::with(Models::copies(&["simple"])).set("http.addr=0.0.0.0:0").set("auth.insecure=true");
    let error = beyond.set("faults.enabled=true").try_start().unwrap_err();
    assert!(error.contains("faults.enabled = true: beyond loopback needs auth.tokens_file"), "{error}");
}

#[test]
fn only_an_admin_orders_faults() {
    let server = plan(Models::copies(&["simple"]), LONG).with_tokens().start();
    let order = |access| {
        let request = Request::new("PUT", FAULTS).json(&json!({"faults": [{"kind": "error"}]}));
        server.send(&request.token(&token_of(access))).status
    };
    assert_eq!((order(Access::Operate), order(Access::Admin)), (403, 200));
}

#[test]
fn wrong_orders_change_nothing() {
    let server = server(LONG);
    order(&server, "simple", json!([{"kind": "error", "every": 2}]));
    for (body, pointer) in [
        (json!({"faults": [{"kind": "error"}, {"kind": "crash"}]}), "/faults/1/kind"),
        (json!({"faults": [{"kind": "delay"}]}), "/faults/0/delay_ms"),
        (json!({"faults": [{"kind": "panic", "probability": 2}]}), "/faults/0/probability"),
    ] {
        let reply = server.send(&Request::new("PUT", FAULTS).json(&body)).expect(400);
        assert_eq!(reply.json()["pointer"], pointer, "{}", reply.text());
    }
    assert_eq!(server.send(&Request::new("PUT", FAULTS).json(&json!([]))).status, 400);
    assert_eq!(server.get(FAULTS).expect(200).json()["faults"][0]["order"]["every"], 2);
    let statuses: Vec<u16> = (0..4).map(|_| ask(&server).status).collect();
    assert_eq!(statuses, [200, 500, 200, 500]);
}
