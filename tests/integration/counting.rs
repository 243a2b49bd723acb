//! Statistics and metrics rise by exactly what was sent, and carry no name that a caller made up.

use std::collections::BTreeSet;

use candor_domain::{Outcome, Phase};
use candor_http_api::metrics;
use candor_tests::{
    Models, Plan, Request, TestServer,
    counters::{Scrape, scrape},
    infer::{body, iris, path, simple, tensor},
};
use serde_json::{Value, json};

fn server() -> TestServer {
    Plan::with(Models::copies(&["iris", "simple", "diabetes"])).start()
}

fn stats(server: &TestServer, path: &str) -> Value {
    let stats = server.get(path).expect(200).json();
    assert_eq!(stats["model_stats"].as_array().unwrap().len(), 1, "{path}");
    stats["model_stats"][0].clone()
}

fn two_flowers() -> Value {
    body(&[tensor("features", "FP32", &[2, 4], json!([5.1, 3.5, 1.4, 0.2, 6.0, 2.8, 4.9, 1.65]))])
}

#[test]
fn every_request_is_counted_once_where_it_belongs() {
    let server = server();
    let ask = |path: &str, body: &Value| server.post(path, body).status;
    for _ in 0..7 {
        assert_eq!(ask("/v2/models/iris/infer", &iris()), 200);
    }
    for _ in 0..3 {
        assert_eq!(ask("/v2/models/iris/versions/1/infer", &two_flowers()), 200);
    }
    for _ in 0..5 {
        assert_eq!(ask("/v2/models/iris/infer", &body(&[])), 400);
    }
    assert_eq!(ask("/v2/models/simple/infer", &simple(8)), 200);
    assert_eq!(ask("/v2/models/simple/infer", &simple(9)), 400);
    // Nobody's: no model has them.
    assert_eq!(ask("/v2/models/irsi/infer", &iris()), 404);
    assert_eq!(ask("/v2/models/iris/versions/9/infer", &iris()), 404);
    assert_eq!(server.send(&Request::post(path("iris")).header("Content-Type", "text/plain").body("x")).status, 415);
    let metrics = scrape(&server);
    for (model, version, success, invalid, rows) in [
        ("iris", "2", 7.0, 5.0, 7.0),
        ("iris", "1", 3.0, 0.0, 6.0),
        ("simple", "1", 1.0, 1.0, 8.0),
        ("diabetes", "1", 0.0, 0.0, 0.0),
    ] {
        let name = format!("{model}/{version}");
        assert_eq!(metrics.requests(model, version, "success"), success, "{name}");
        assert_eq!(metrics.requests(model, version, "invalid"), invalid, "{name}");
        for outcome in ["rejected", "cancelled", "failed"] {
            assert_eq!(metrics.requests(model, version, outcome), 0.0, "{name} {outcome}");
        }
        let labels = [("model", model), ("version", version)];
        assert_eq!(metrics.value("candor_rows_total", &labels), rows, "{name}");
        assert_eq!(metrics.value("candor_requests_in_flight", &labels), 0.0, "{name}");
        for phase in ["request", "decode", "run", "encode"] {
            let count = metrics.value("candor_phase_seconds_count", &[labels[0], labels[1], ("phase", phase)]);
            assert_eq!(count, success, "{name} {phase}");
        }
    }
}

#[test]
fn statistics_say_the_same_in_tritons_words() {
    let server = server();
    let before = stats(&server, "/v2/models/iris/versions/1/stats");
    assert_eq!((&before["inference_count"], &before["last_inference"]), (&json!(0), &json!(0)));
    for _ in 0..4 {
        assert_eq!(server.post("/v2/models/iris/versions/1/infer", &two_flowers()).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(server.post("/v2/models/iris/versions/1/infer", &body(&[])).status, 400);
    }
    let after = stats(&server, "/v2/models/iris/versions/1/stats");
    assert_eq!((&after["name"], &after["version"]), (&json!("iris"), &json!("1")));
    assert_eq!((&after["inference_count"], &after["execution_count"]), (&json!(8), &json!(4)));
    let counts = &after["inference_stats"];
    for (key, count) in [
        ("success", 4),
        ("fail", 3),
        ("queue", 4),
        ("compute_input", 4),
        ("compute_infer", 4),
        ("compute_output", 4),
        ("cache_hit", 0),
        ("cache_miss", 0),
    ] {
        assert_eq!(counts[key]["count"], count, "{key}");
    }
    let nanos = |key: &str| counts[key]["ns"].as_u64().unwrap();
    assert!(nanos("compute_infer") > 0 && nanos("fail") > 0);
    assert!(nanos("success") >= nanos("compute_input") + nanos("compute_infer") + nanos("compute_output"));
    // Milliseconds of the Unix epoch, and not long ago.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let ago = now - u128::from(after["last_inference"].as_u64().unwrap());
    assert!(ago < 60_000, "{ago}");
    for key in ["response_stats", "batch_stats", "memory_usage"] {
        assert!(!after[key].is_null(), "{key}");
    }
    let all = server.get("/v2/models/stats").expect(200).json();
    let versions: Vec<String> = all["model_stats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{}/{}", one["name"], one["version"]))
        .collect();
    assert_eq!(versions, ["\"diabetes\"/\"1\"", "\"iris\"/\"1\"", "\"iris\"/\"2\"", "\"simple\"/\"1\""]);
    let both = server.get("/v2/models/iris/stats").expect(200).json();
    assert_eq!(both["model_stats"].as_array().unwrap().len(), 2);
}

#[test]
fn counters_outlive_a_reload() {
    let server = server();
    let ask = || assert_eq!(server.post(&path("simple"), &simple(1)).status, 200);
    ask();
    assert_eq!((server.unload("simple").status, server.load("simple").status), (200, 200));
    ask();
    assert_eq!(scrape(&server).requests("simple", "1", "success"), 2.0);
}

#[test]
fn responses_are_counted_by_status() {
    let server = server();
    let count = |scrape: &Scrape, status: &str| {
        let found = scrape
            .0
            .iter()
            .find(|sample| sample.name == "candor_http_responses_total" && sample.labels["status"] == status);
        found.map_or(0.0, |sample| sample.value)
    };
    let before = scrape(&server);
    for _ in 0..3 {
        assert_eq!(server.get("/nothing").status, 404);
    }
    assert_eq!(server.get("/v2/models/iris/infer").status, 405);
    assert_eq!(server.post(&path("iris"), &iris()).status, 200);
    let after = scrape(&server);
    let rise = |status: &str| count(&after, status) - count(&before, status);
    assert_eq!((rise("404"), rise("405")), (3.0, 1.0));
    // One inference, and one scrape: a scrape counts itself when it has been answered.
    assert_eq!(rise("200"), 2.0);
}

#[test]
fn no_caller_can_make_a_series() {
    let server = server();
    let names = |scrape: &Scrape| {
        let of = |sample: &candor_tests::counters::Sample| format!("{} {:?}", sample.name, sample.labels);
        scrape.0.iter().map(of).collect::<BTreeSet<String>>()
    };
    let status = |name: &String| name.starts_with("candor_http_responses_total");
    for _ in 0..2 {
        assert_eq!(server.post(&path("iris"), &iris()).status, 200);
    }
    let before = names(&scrape(&server));
    for n in 0..50 {
        let _ = server.post(&format!("/v2/models/made_up_{n}/infer"), &iris());
        let _ = server.post(&format!("/v2/models/iris/versions/{}/infer", n + 10), &iris());
        let _ = server.get(&format!("/v2/models/made_up_{n}/stats"));
        let _ = server.load(&format!("made_up_{n}"));
        let _ = server.unload(&format!("made_up_{n}"));
        let mut odd = iris();
        odd["id"] = json!(format!("made_up_{n}"));
        odd["parameters"] = json!({format!("made_up_{n}"): 1});
        let _ = server.send(&Request::post(path("iris")).header("X-Made-Up", format!("{n}")).json(&odd));
        let _ = server.send(&Request::new(&format!("MADE{n}"), "/v2"));
    }
    let after = names(&scrape(&server));
    let new: Vec<_> = after.difference(&before).filter(|name| !status(name)).collect();
    assert!(new.is_empty(), "{new:?}");
    // Status codes are a closed list too.
    assert!(after.iter().filter(|name| status(name)).count() < 20);
    assert!(!after.iter().any(|name| name.contains("made_up")));
}

#[test]
fn the_exposition_keeps_the_rules_of_its_format() {
    let server = server();
    for _ in 0..10 {
        assert_eq!(server.post(&path("iris"), &iris()).status, 200);
    }
    let text = server.get("/metrics").expect(200).text();
    let scrape = Scrape::read(&text);
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(families, metrics::all().map(|metric| metric.name).collect::<Vec<_>>());
    for metric in metrics::all() {
        let declared: BTreeSet<&str> = metric.labels.split(", ").filter(|label| !label.is_empty()).collect();
        for sample in scrape.0.iter().filter(|sample| sample.name.starts_with(metric.name)) {
            let labels: BTreeSet<&str> =
                sample.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            assert_eq!(labels, declared, "{}", sample.name);
        }
        assert_eq!(metric.name.ends_with("_total"), metric.kind == "counter", "{}", metric.name);
    }
    for outcome in Outcome::ALL {
        assert!(scrape.requests("iris", "2", outcome.word()) >= 0.0);
    }
    for phase in Phase::ALL {
        let labels = [("model", "iris"), ("version", "2"), ("phase", phase.word())];
        let has = |sample: &&candor_tests::counters::Sample| {
            labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|got| got == value))
        };
        let buckets = scrape.0.iter().filter(|sample| sample.name == "candor_phase_seconds_bucket").filter(has);
        let buckets: Vec<(f64, f64)> =
            buckets.map(|sample| (sample.labels["le"].replace("+Inf", "inf").parse().unwrap(), sample.value)).collect();
        assert!(buckets.is_sorted(), "{phase:?}: bounds and counts must rise: {buckets:?}");
        let count = scrape.value("candor_phase_seconds_count", &labels);
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{phase:?}");
        assert!(scrape.value("candor_phase_seconds_sum", &labels) >= 0.0);
    }
    assert_eq!(scrape.value("candor_ready", &[]), 1.0);
    assert_eq!(scrape.value("candor_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(scrape.value("candor_engine_info", &[("engine", "ort")]), 1.0);
    let labels = [("model", "iris"), ("version", "2"), ("engine", "ort")];
    assert_eq!(scrape.value("candor_model_info", &labels), 1.0);
}
