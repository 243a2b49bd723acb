//! Requests that run together, over TCP and through a real engine: each gets what it gets alone, and the server says
//! with whom it ran and why not with more.

use std::{collections::BTreeSet, sync::Barrier};

use candor_tests::{
    Models, Plan, TestServer,
    counters::scrape,
    infer::{body, outputs, path, tensor},
};
use serde_json::{Value, json};

const CLIENTS: usize = 16;
const ROUNDS: usize = 12;

/// Everything goes to the pool, where one waits for others so that there are some.
fn plan() -> Plan {
    let plan = Plan::with(Models::copies(&["iris", "simple"]));
    plan.set("execution.inline_run_us_max=0").set("execution.inline_body_bytes_max=0")
}

/// Flowers of a client's own, one to three rows of them.
fn flowers(client: usize, round: usize) -> Value {
    let rows = 1 + (client + round) % 3;
    let data: Vec<f64> = (0..rows * 4).map(|place| (client * 7 + round * 3 + place) as f64 / 16.0).collect();
    body(&[tensor("features", "FP32", &[rows as i64, 4], json!(data))])
}

fn batching(server: &TestServer, path: &str) -> Value {
    server.get(path).expect(200).json()
}

/// `rows=8, requests=5, reason=queue_empty`
fn note(header: &str) -> (u64, u64, String) {
    let parts: Vec<&str> = header.split(", ").map(|part| part.split_once('=').unwrap().1).collect();
    (parts[0].parse().unwrap(), parts[1].parse().unwrap(), parts[2].to_owned())
}

/// The shape and the elements of an output.
type Shaped = (Value, Vec<Value>);
type Answer = Vec<Shaped>;

/// Whether these are the same rows: numbers as near as a model must be for its requests to run together.
fn alike(got: &Answer, want: &Answer) -> bool {
    let near = |(got, want): (&Value, &Value)| match (got.as_f64(), want.as_f64()) {
        (Some(got), Some(want)) => (got - want).abs() <= 1e-5 * want.abs().max(1.0),
        _ => got == want,
    };
    let same = |(got, want): (&Shaped, &Shaped)| {
        got.0 == want.0 && got.1.len() == want.1.len() && got.1.iter().zip(&want.1).all(near)
    };
    got.len() == want.len() && got.iter().zip(want).all(same)
}

#[test]
fn concurrent_requests_each_get_what_they_get_alone() {
    let server = plan().set("batching.max_queue_delay_us=20000").set("batching.max_batch_rows=8").start();
    let ask = |client, round| {
        let reply = server.post(&path("iris"), &flowers(client, round)).expect(200);
        let batch = note(reply.header("candor-batch").expect("it went through the pool"));
        let outputs: Vec<_> = outputs(&reply).iter().map(|output| (output.shape.clone(), output.elements())).collect();
        (outputs, batch)
    };
    let alone: Vec<Vec<_>> = (0..CLIENTS).map(|client| (0..ROUNDS).map(|round| ask(client, round)).collect()).collect();
    assert!(alone.iter().flatten().all(|(_, (_, requests, _))| *requests == 1));
    let barrier = Barrier::new(CLIENTS);
    let told: Vec<(bool, (u64, u64, String))> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (alone, barrier, ask) = (&alone[client], &barrier, &ask);
                scope.spawn(move || {
                    let mut batches = Vec::new();
                    for (round, (want, _)) in alone.iter().enumerate() {
                        barrier.wait();
                        let (got, batch) = ask(client, round);
                        batches.push((alike(&got, want), batch));
                    }
                    batches
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(told.iter().all(|(is_alike, _)| *is_alike), "{told:?}");
    let batches: Vec<_> = told.into_iter().map(|(_, batch)| batch).collect();
    assert!(batches.iter().all(|(rows, ..)| *rows <= 8), "{batches:?}");
    assert!(batches.iter().any(|(_, requests, _)| *requests > 1), "{batches:?}");

    // What is counted is what was told.
    let asked = (2 * CLIENTS * ROUNDS) as u64;
    let stats = server.get("/v2/models/iris/stats").expect(200).json();
    let stats = &stats["model_stats"].as_array().unwrap().iter().find(|one| one["version"] == "2").unwrap().clone();
    let (runs, rows) = (stats["execution_count"].as_u64().unwrap(), stats["inference_count"].as_u64().unwrap());
    assert_eq!(stats["inference_stats"]["success"]["count"], asked);
    assert!(runs < asked, "{runs}");
    let sizes = stats["batch_stats"].as_array().unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let sized = |size: &Value| (number(&size["batch_size"]), number(&size["compute_infer"]["count"]));
    let sizes: Vec<(u64, u64)> = sizes.iter().map(sized).collect();
    assert_eq!(sizes.iter().map(|(_, count)| count).sum::<u64>(), runs);
    assert_eq!(sizes.iter().map(|(size, count)| size * count).sum::<u64>(), rows);
    let shown = batching(&server, "/api/v1/models/iris/batching");
    let sum = |list: &str, key: &str| -> u64 {
        shown[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["count"].as_u64().unwrap() * if key.is_empty() { 1 } else { one[key].as_u64().unwrap() })
            .sum()
    };
    assert_eq!(
        (sum("rows", ""), sum("reasons", ""), sum("rows", "size"), sum("requests", "size")),
        (runs, runs, rows, asked)
    );
    let metrics = scrape(&server);
    let labels = [("model", "iris"), ("version", "2")];
    assert_eq!(metrics.value("candor_batch_rows_count", &labels), runs as f64);
    assert_eq!(metrics.value("candor_batch_rows_sum", &labels), rows as f64);
    assert_eq!(metrics.value("candor_batch_requests_sum", &labels), asked as f64);
    assert_eq!(metrics.value("candor_model_queue_length", &labels), 0.0);
}

#[test]
fn it_is_told_whether_batching_is_on_and_who_said_what() {
    let models = Models::copies(&["iris", "simple"]).with_file("iris/model.toml", "[batching]\nmax_batch_rows = 5\n");
    let server = Plan::with(models).set("batching.latency_target_ms=40").start();
    let shown = batching(&server, "/api/v1/models/iris/versions/2/batching");
    assert_eq!((&shown["model"], &shown["version"], &shown["enabled"]), (&json!("iris"), &json!("2"), &json!(true)));
    // Which of the two depends on the engine's kernels for this processor.
    assert!([json!("bit-equal"), json!("within 1e-5")].contains(&shown["batch_invariant"]), "{shown}");
    let setting =
        |key: &str| shown["settings"].as_array().unwrap().iter().find(|one| one["key"] == key).unwrap().clone();
    assert_eq!(setting("max_batch_rows"), json!({"key": "max_batch_rows", "value": 5, "source": "model.toml"}));
    assert_eq!(
        setting("latency_target_ms"),
        json!({"key": "latency_target_ms", "value": 40, "source": "configuration"})
    );
    assert_eq!(setting("enabled"), json!({"key": "enabled", "value": true, "source": "measured"}));
    assert!(shown["cost"]["per_row_us"].as_f64().unwrap() > 0.0);
    assert_eq!(shown["latency_target_us"], 40_000);
    let metadata = server.get("/v2/models/iris").expect(200).json();
    assert_eq!(metadata["properties"]["batch_invariant"], shown["batch_invariant"]);
    assert_eq!(metadata["properties"]["batching"], "on");
    let described = server.get("/api/v1/models/iris").expect(200).json();
    assert_eq!((&described["batching"], &described["batch_invariant"]), (&json!("on"), &shown["batch_invariant"]));
    let off = Plan::with(Models::copies(&["iris"])).set("batching.enabled=false").start();
    let shown = batching(&off, "/api/v1/models/iris/batching");
    assert_eq!((&shown["enabled"], &shown["why_not"]), (&json!(false), &json!("batching.enabled is off")));
    assert_eq!(server.get("/api/v1/models/nobody/batching").status, 404);
    let keys: BTreeSet<String> = shown.as_object().unwrap().keys().cloned().collect();
    assert!(keys.contains("reasons") && keys.contains("queued"));
}

#[test]
fn what_stays_on_its_thread_carries_no_batch_and_priority_is_read_everywhere() {
    let server = Plan::with(Models::copies(&["iris"])).start();
    let mut request = flowers(1, 1);
    request["parameters"] = json!({"priority": 1});
    assert_eq!(server.post(&path("iris"), &request).expect(200).header("candor-batch"), None);
    request["parameters"] = json!({"priority": "high"});
    let refusal = server.post(&path("iris"), &request).expect(400).error();
    assert!(refusal.contains("/parameters/priority"), "{refusal}");
    let row = json!({"sepal_length": 6.0, "sepal_width": 3.0, "petal_length": 5.0, "petal_width": 1.8});
    let native =
        |priority: Value| server.post("/api/v1/models/iris/predict", &json!({"rows": [row], "priority": priority}));
    let _ = native(json!(2)).expect(200);
    let refusal = native(json!(101)).expect(400).text();
    assert!(refusal.contains("/priority"), "{refusal}");
}
