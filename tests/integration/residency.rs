//! More models than memory, over real TCP: requests wait, none fails, and the metrics tell.

use candor_tests::{
    Models, Plan, TestServer,
    infer::{iris, path, simple},
    models::sample,
    until,
};
use serde_json::json;

/// Models that are `iris` under other names, said to take 10 MB each.
fn many(count: usize) -> Models {
    (0..count).fold(Models::none(), |models, number| {
        let models = models.with_file(&format!("m{number}/1/model.onnx"), sample("iris", "1"));
        models.with_file(&format!("m{number}/model.toml"), "[residency]\nbytes = 10_000_000\n")
    })
}

fn metric(server: &TestServer, line: &str) -> f64 {
    let text = server.get("/metrics").expect(200).text();
    let found = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{line} is not in\n{text}")).parse().unwrap()
}

fn plan(models: Models) -> Plan {
    Plan::with(models).set("residency.budget=35 MB").set("engine.choice=native")
}

#[test]
fn every_model_answers_though_a_third_of_them_fits() {
    let server = plan(many(10)).start();
    for round in 0..3 {
        for number in 0..10 {
            let model = format!("m{}", (number * 7 + round) % 10);
            let reply = server.post(&path(&model), &iris()).expect(200).json();
            assert_eq!(reply["outputs"][0]["data"], json!([0]), "{model}");
            assert!(metric(&server, "candor_residency_reserved_bytes") <= 35e6);
        }
    }
    assert_eq!(metric(&server, "candor_residency_budget_bytes"), 35e6);
    assert!(metric(&server, "candor_cold_starts_total") >= 20.0);
    assert!(metric(&server, "candor_residency_evictions_total") >= 20.0);
    assert!(metric(&server, "candor_cold_start_seconds_count") >= 20.0);
    assert!(metric(&server, "candor_process_resident_bytes") > 1e6);
    let resident: f64 = (0..10)
        .map(|number| metric(&server, &format!("candor_model_resident{{model=\"m{number}\",version=\"1\"}}")))
        .sum();
    assert!((1.0..=3.0).contains(&resident), "{resident}");
    // Whatever is not in memory is as ready as the rest, and says what it is.
    let rows = server.post("/v2/repository/index", &json!({"ready": true})).expect(200).json();
    assert_eq!(rows.as_array().unwrap().len(), 10);
    let before = metric(&server, "candor_cold_starts_total");
    for number in 0..10 {
        assert_eq!(server.get(&format!("/v2/models/m{number}/ready")).status, 200);
        assert_eq!(server.get(&format!("/v2/models/m{number}")).expect(200).json()["inputs"][0]["name"], "features");
    }
    assert_eq!(metric(&server, "candor_cold_starts_total"), before, "nobody was loaded to be described");
    server.stop_and_expect_clean();
}

#[test]
fn requests_from_many_sides_all_get_their_answers() {
    let server = plan(many(8)).start();
    std::thread::scope(|scope| {
        for thread in 0..6_usize {
            let server = &server;
            scope.spawn(move || {
                for step in 0..25_usize {
                    let model = format!("m{}", (thread * 5 + step * 3) % 8);
                    assert_eq!(server.post(&path(&model), &iris()).status, 200, "{model}");
                }
            });
        }
    });
    until("all that leaves has left", || {
        (metric(&server, "candor_residency_sessions{state=\"leaving\"}") < 0.5).then_some(())
    });
    assert!(metric(&server, "candor_residency_reserved_bytes") <= 35e6);
    server.stop_and_expect_clean();
}

#[test]
fn what_can_never_fit_is_refused_by_its_numbers_and_stops_no_other() {
    let models = many(1).with_copy("simple").with_file("simple/model.toml", "[residency]\nbytes = 40_000_000\n");
    let server = plan(models).start();
    let error = server.load("simple").error();
    for words in ["residency.budget", "35000000", "40000000", "candor probe"] {
        assert!(error.contains(words), "{error}\nlacks: {words}");
    }
    assert_eq!(server.post(&path("simple"), &simple(1)).status, 503);
    assert_eq!(server.post(&path("m0"), &iris()).status, 200);
}
