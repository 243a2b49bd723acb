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

/// Models, and for how many of them there is room.
const MODELS: usize = 200;
const FIT: u64 = 5;
const CALLERS: u64 = 6;
const QUESTIONS: u32 = 400;

/// The model at a place of Zipf's law, by a number of 64 bits. Neighbours in rank are not neighbours in size.
fn by_popularity(drawn: u64) -> usize {
    let whole: f64 = (1..=MODELS).map(|rank| 1.0 / rank as f64).sum();
    let mut left = (drawn >> 11) as f64 / (1_u64 << 53) as f64 * whole;
    let rank = (1..=MODELS).find(|rank| {
        left -= 1.0 / *rank as f64;
        left < 0.0
    });
    rank.unwrap_or(MODELS) * 77 % MODELS
}

/// The short twin of `cargo xtask bench hot`: what is asserted is the budget and the answers, not time.
#[test]
fn two_hundred_models_with_room_for_five_answer_everybody_within_the_budget() {
    let models = || {
        (0..MODELS).fold(Models::none(), |models, number| {
            let models = models.with_file(&format!("m{number}/1/model.onnx"), sample("iris", "1"));
            let manifest = format!("[residency]\nbytes = {}\n", 5_000_000 << (number % 3));
            models.with_file(&format!("m{number}/model.toml"), manifest)
        })
    };
    // 5, 10 and 20 MB: 35 MB for three.
    let budget = FIT * 35_000_000 / 3;
    for policy in ["gdsf", "lru"] {
        let plan = Plan::with(models());
        let plan = plan.set(&format!("residency.budget={budget}")).set(&format!("residency.policy={policy}"));
        let server = plan.set("repository.load_at_start=lazy").set("engine.choice=native").start();
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let server = &server;
                scope.spawn(move || {
                    let mut drawn = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(caller + 1);
                    for _ in 0..QUESTIONS {
                        drawn ^= drawn << 13;
                        drawn ^= drawn >> 7;
                        drawn ^= drawn << 17;
                        let model = format!("m{}", by_popularity(drawn));
                        let reply = server.post(&path(&model), &iris());
                        assert_eq!(reply.status, 200, "{policy}, {model}: {}", reply.text());
                        assert_eq!(reply.json()["outputs"][0]["data"], json!([0]), "{model}");
                    }
                });
            }
        });
        let (peak, evictions) = (
            metric(&server, "candor_residency_reserved_bytes_peak"),
            metric(&server, "candor_residency_evictions_total"),
        );
        assert!(peak <= budget as f64, "{policy}: {peak} bytes were reserved of {budget}");
        assert!(evictions > 100.0, "{policy}: {evictions} evictions show nothing");
        server.stop_and_expect_clean();
    }
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
