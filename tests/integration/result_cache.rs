//! Answers that are kept, over real TCP: what headers, statistics and metrics say, through every door; and that neither a
//! full server nor a model that is not in memory keeps anybody from one.

use candor_tests::{
    Grpc, Models, Plan, Reply,
    counters::scrape,
    grpc::{self, proto::infer_parameter::ParameterChoice},
    infer::{body, iris, outputs, path, tensor},
    models::sample,
};
use serde_json::{Value, json};

const KEEP: &str = "[result_cache]\nenabled = true\n";

/// Engines give what is asked for in the same order of the same words, so replies can be compared.
fn plan(models: Models) -> Plan {
    Plan::with(models).set("engine.choice=native")
}

fn keeping() -> Models {
    Models::none()
        .with_file("kept/1/model.onnx", sample("iris", "1"))
        .with_file("kept/model.toml", KEEP)
        .with_file("other/1/model.onnx", sample("iris", "1"))
}

fn cache(reply: &Reply) -> Option<&str> {
    reply.header("candor-cache")
}

fn flowers(first: f64) -> Value {
    body(&[tensor("features", "FP32", &[1, 4], json!([first, 3.5, 1.4, 0.2]))])
}

#[test]
fn who_asks_again_gets_the_same_bytes_and_is_told_where_they_come_from() {
    let server = plan(keeping()).start();
    let first = server.post(&path("kept"), &iris()).expect(200);
    let again = server.post(&path("kept"), &iris()).expect(200);
    assert_eq!((cache(&first), cache(&again)), (Some("miss"), Some("hit")));
    assert_eq!(first.text(), again.text());
    assert_eq!(again.header("candor-batch"), None, "nothing ran");
    let other = server.post(&path("kept"), &flowers(6.0)).expect(200);
    assert_eq!(cache(&other), Some("miss"));
    for _ in 0..2 {
        assert_eq!(cache(&server.post(&path("other"), &iris()).expect(200)), None, "it keeps nothing");
    }
    let wrong = server.post(&path("kept"), &body(&[tensor("features", "FP32", &[1, 3], json!([1, 2, 3]))]));
    assert_eq!((wrong.status, cache(&wrong)), (400, None));
    let stats = &server.get("/v2/models/kept/stats").expect(200).json()["model_stats"][0];
    assert_eq!((&stats["inference_count"], &stats["execution_count"]), (&json!(2), &json!(2)), "what ran");
    let inference = &stats["inference_stats"];
    assert_eq!(inference["success"]["count"], 3);
    assert_eq!((&inference["cache_hit"]["count"], &inference["cache_miss"]["count"]), (&json!(1), &json!(2)));
    assert!(inference["cache_hit"]["ns"].as_u64() > Some(0) && inference["cache_miss"]["ns"].as_u64() > Some(0));
    assert_eq!(inference["compute_infer"]["count"], 2);
    let metrics = scrape(&server);
    let count = |outcome| {
        let labels = [("model", "kept"), ("version", "1"), ("outcome", outcome)];
        metrics.value("candor_result_cache_requests_total", &labels)
    };
    assert_eq!([count("hit"), count("miss"), count("shared"), count("bypass")], [1.0, 2.0, 0.0, 0.0]);
    assert_eq!(metrics.value("candor_result_cache_entries", &[]), 2.0);
    let (bytes, bytes_max) =
        (metrics.value("candor_result_cache_bytes", &[]), metrics.value("candor_result_cache_bytes_max", &[]));
    assert!(bytes > 100.0 && bytes < bytes_max, "{bytes} of {bytes_max}");
    assert_eq!((server.unload("kept").status, server.load("kept").status), (200, 200));
    assert_eq!(cache(&server.post(&path("kept"), &iris()).expect(200)), Some("miss"), "it was loaded anew");
    assert_eq!(scrape(&server).value("candor_result_cache_evictions_total", &[("cause", "unloaded")]), 2.0);
    server.stop_and_expect_clean();
}

#[test]
fn all_doors_share_what_is_kept_and_each_writes_it_in_its_own_form() {
    let models = Models::copies(&["iris"]);
    let manifest = std::fs::read_to_string(models.path("iris/model.toml")).unwrap() + "\n" + KEEP;
    models.write("iris/model.toml", manifest);
    let server = plan(models).start();
    let features = tensor("features", "FP32", &[1, 4], json!([5.1, 3.5, 1.4, 0.2]));
    let first = server.post(&path("iris"), &body(std::slice::from_ref(&features))).expect(200);
    assert_eq!(cache(&first), Some("miss"));
    // The same through gRPC, typed and raw.
    let client = Grpc::open(server.grpc_addr());
    for request in [
        grpc::typed_request("iris", std::slice::from_ref(&features)),
        grpc::raw_request("iris", std::slice::from_ref(&features)),
    ] {
        let answer = client.infer(request).unwrap();
        let note = answer.parameters["candor_cache"].parameter_choice.clone();
        assert_eq!(note, Some(ParameterChoice::StringParam("hit".to_owned())));
        let elements: Vec<_> = grpc::outputs(&answer).iter().map(|output| output["data"].clone()).collect();
        assert_eq!(elements.len(), 2);
        for (got, want) in elements.iter().zip(outputs(&first)) {
            assert_eq!(got.as_array().unwrap().len(), want.elements().len());
        }
    }
    // By the names of its features, and in a table.
    let row = json!({"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2});
    let reply = server.post("/api/v1/models/iris/predict", &json!({"rows": [row]})).expect(200);
    assert_eq!((cache(&reply), &reply.json()["predictions"][0]["label"]), (Some("hit"), &json!("setosa")));
    // One output of the two is another question; how it is written is not.
    let wanted = |params: Value| {
        let mut request = body(std::slice::from_ref(&features));
        request["outputs"] = json!([{"name": "probabilities", "parameters": params}]);
        server.post(&path("iris"), &request).expect(200)
    };
    assert_eq!(cache(&wanted(json!({}))), Some("miss"));
    let best = wanted(json!({"classification": 1}));
    assert_eq!(cache(&best), Some("hit"));
    assert!(outputs(&best)[0].elements()[0].as_str().unwrap().ends_with("setosa"), "{}", best.text());
    server.stop_and_expect_clean();
}

#[test]
fn tritons_word_for_it_is_read_and_the_servers_bounds_hold() {
    let models = keeping().with_file("triton/1/model.onnx", sample("iris", "1"));
    models.write("triton/config.pbtxt", "backend: \"onnxruntime\"\nresponse_cache { enable: true }\n");
    let server = plan(models).set("result_cache.request_bytes_max=150").start();
    for want in ["miss", "hit"] {
        assert_eq!(cache(&server.post(&path("triton"), &iris()).expect(200)), Some(want));
    }
    let mut large = iris();
    large["id"] = json!("x".repeat(150));
    assert_eq!(cache(&server.post(&path("triton"), &large).expect(200)), Some("bypass"));
    server.models().write("triton/config.pbtxt", "backend: \"onnxruntime\"\nresponse_cache { enabled: true }\n");
    let error = server.load("triton").error();
    assert!(error.contains("config.pbtxt:2") && error.contains("did you mean enable?"), "{error}");
    server.stop_and_expect_clean();
    // Without room nothing is kept, and nothing is said of it.
    let server = plan(keeping()).set("result_cache.bytes_max=0").start();
    for _ in 0..2 {
        assert_eq!(cache(&server.post(&path("kept"), &iris()).expect(200)), None);
    }
    server.stop_and_expect_clean();
}

#[test]
fn what_is_kept_needs_no_session() {
    let room = "[residency]\nbytes = 10_000_000\n";
    let models = keeping().with_file("other/model.toml", room);
    models.write("kept/model.toml", format!("{KEEP}{room}"));
    // One of the two fits.
    let server = plan(models).set("residency.budget=15 MB").start();
    let metric = |name: &str, labels: &[(&str, &str)]| scrape(&server).value(name, labels);
    assert_eq!(cache(&server.post(&path("kept"), &iris()).expect(200)), Some("miss"));
    assert_eq!(server.post(&path("other"), &iris()).status, 200);
    let resident = [("model", "kept"), ("version", "1")];
    assert_eq!(metric("candor_model_resident", &resident), 0.0);
    let colds = metric("candor_cold_starts_total", &[]);
    for _ in 0..3 {
        assert_eq!(cache(&server.post(&path("kept"), &iris()).expect(200)), Some("hit"));
    }
    assert_eq!(metric("candor_cold_starts_total", &[]), colds, "nobody had to make room for it");
    assert_eq!(metric("candor_model_resident", &resident), 0.0);
    assert_eq!(cache(&server.post(&path("kept"), &flowers(7.0)).expect(200)), Some("miss"), "this one had to be run");
    assert_eq!(metric("candor_cold_starts_total", &[]), colds + 1.0);
    server.stop_and_expect_clean();
}
