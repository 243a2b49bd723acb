//! Every way to explain, asked over HTTP of a model that it fits: an answer with numbers that can be checked from the
//! outside, and the same bytes for the same question.

use candor_tests::{Models, Plan, Request, TestServer, counters::scrape, until};
use serde_json::{Value, json};

use super::explaining::{explain, rows, server, shares};

const SETOSA: [f64; 4] = [5.1, 3.5, 1.4, 0.2];

fn outputs(explained: &Value) -> impl Iterator<Item = &Value> {
    explained["explanations"].as_array().unwrap().iter().flat_map(|row| row["outputs"].as_array().unwrap())
}

/// Asks twice; both answers have the same bytes.
fn twice(server: &TestServer, path: &str, body: &Value) -> Value {
    let one = server.post(path, body).expect(200);
    assert_eq!(server.post(path, body).expect(200).text(), one.text(), "{body}");
    one.json()
}

/// The result of an order over many rows.
fn over_many(server: &TestServer, model: &str, order: &Value) -> Value {
    let job = server.post(&format!("/api/v1/models/{model}/explain/global"), order).expect(202).json();
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    let ended = until("the job is over", || {
        let job = server.get(&path).expect(200).json();
        job.get("ended_unix_ms").is_some().then_some(job)
    });
    assert_eq!(ended["state"], "succeeded", "{ended}");
    server.get(&format!("{path}/result")).expect(200).json()
}

#[test]
fn every_method_that_shares_an_answer_adds_up_to_it() {
    let server = server();
    let cases = [
        ("iris", "auto", json!({})),
        ("breast_cancer", "auto", json!({})),
        ("iris", "linear", json!({})),
        ("breast_cancer", "tree", json!({})),
        ("breast_cancer", "tree", json!({"space": "probability", "output": "malignant"})),
        ("breast_cancer", "tree", json!({"options": {"perturbation": "path_dependent"}})),
        ("diabetes", "tree", json!({"options": {"perturbation": "path_dependent"}})),
        ("diabetes", "tree", json!({"interactions": true})),
        ("iris", "exact", json!({"interactions": true, "space": "probability"})),
        ("diabetes", "exact", json!({})),
        ("iris", "kernel", json!({"budget": 8, "space": "probability"})),
        ("diabetes", "kernel", json!({"budget": 200, "seed": 3})),
        ("diabetes", "permutation", json!({"budget": 200, "seed": 3})),
        ("iris", "permutation", json!({"space": "probability", "output": "virginica"})),
    ];
    for (model, method, more) in cases {
        let mut body = json!({"rows": rows(model)[..1], "method": method});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let explained = twice(&server, &format!("/api/v1/models/{model}/explain"), &body);
        if method != "auto" {
            assert_eq!(explained["method"]["name"], method);
        }
        assert_eq!(explained["method"]["additive"], true);
        for output in outputs(&explained) {
            let (base, value) = (output["base_value"].as_f64().unwrap(), output["value"].as_f64().unwrap());
            let shares = shares(output);
            let size = base.abs() + shares.iter().map(|share| share.abs()).sum::<f64>();
            assert!((base + shares.iter().sum::<f64>() - value).abs() <= 1e-6 * size, "{model} {body}: {output}");
            assert_ne!(output["served"]["agrees"], false, "{model} {body}: {output}");
            assert!(shares.iter().any(|share| *share != 0.0), "{model} {body}");
            let lines = output["interactions"].as_array().into_iter().flatten();
            for (line, share) in lines.zip(&shares) {
                let sum: f64 = line.as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).sum();
                assert!((sum - share).abs() <= 1e-6 * size, "{sum} {share}");
            }
            assert_eq!(output.get("interactions").is_some(), body["interactions"] == true, "{body}");
        }
    }
}

#[test]
fn methods_that_do_not_share_an_answer_say_what_they_are_for() {
    let server = server();
    // A line around the row: what raises setosa is a short petal.
    let lime = json!({"rows": [SETOSA], "method": "lime", "space": "probability", "output": "setosa", "seed": 5});
    let lime = twice(&server, "/api/v1/models/iris/explain", &lime);
    assert_eq!((&lime["method"]["additive"], &lime["method"]["sampled"]), (&json!(false), &json!(true)));
    let largest = |explained: &Value| {
        let shares = shares(outputs(explained).next().unwrap());
        let all = shares.iter().enumerate().max_by(|one, other| one.1.abs().total_cmp(&other.1.abs()));
        explained["features"][all.unwrap().0].as_str().unwrap().to_owned()
    };
    assert!(largest(&lime).starts_with("petal"), "{lime}");
    // A smooth model: gradients along the way add up nearly, and agree with Shapley's values of a line in sign.
    let gradients = json!({"rows": [SETOSA], "method": "integrated_gradients", "space": "probability",
        "output": "setosa"});
    let gradients = twice(&server, "/api/v1/models/iris/explain", &gradients);
    assert!(largest(&gradients).starts_with("petal"), "{gradients}");
    let output = outputs(&gradients).next().unwrap();
    let told = output["base_value"].as_f64().unwrap() + shares(output).iter().sum::<f64>();
    assert!((told - output["value"].as_f64().unwrap()).abs() < 0.02, "{output}");
}

#[test]
fn parts_of_an_image_are_covered_one_by_one() {
    let server = Plan::with(Models::copies(&["digits"])).start();
    let ink: Vec<Vec<f64>> =
        (0..8).map(|_| (0..8).map(|column| if (3..5).contains(&column) { 15.0 } else { 0.0 }).collect()).collect();
    let body = json!({"rows": [{"image": [ink]}], "method": "occlusion", "space": "probability", "output": "1",
        "options": {"patch": [2, 2], "cover": "value"}});
    let explained = twice(&server, "/api/v1/models/digits/explain", &body);
    assert_eq!(explained["explanations"][0]["areas"].as_array().unwrap().len(), 16);
    let shares = shares(outputs(&explained).next().unwrap());
    // Where there is nothing there is nothing to cover.
    assert_eq!((shares[0], shares[3]), (0.0, 0.0));
    assert!(shares.iter().any(|share| share.abs() > 1e-3), "{shares:?}");
}

#[test]
fn enumeration_and_sampling_agree_when_the_budget_is_large() {
    let server = server();
    let sums = |method: &str, budget: Option<u64>| -> Vec<f64> {
        let mut body = json!({"rows": rows("iris"), "method": method, "space": "probability"});
        if let Some(budget) = budget {
            body["budget"] = json!(budget);
        }
        let explained = explain(&server, "iris", &body);
        outputs(&explained).map(|output| shares(output).iter().sum()).collect()
    };
    let exact = sums("exact", None);
    for (one, other) in exact.iter().zip(sums("kernel", Some(10_000))) {
        assert!((one - other).abs() < 1e-6, "{one} {other}");
    }
    for (one, other) in exact.iter().zip(sums("permutation", Some(10_000))) {
        assert!((one - other).abs() < 1e-6, "{one} {other}");
    }
}

#[test]
fn rules_hold_the_answer_where_they_hold() {
    let server = server();
    let body = json!({"rows": [SETOSA], "seed": 2, "options": {"precision": 0.95}});
    let found = twice(&server, "/api/v1/models/iris/anchors", &body);
    assert_eq!((&found["component"], &found["version"]), (&json!("candor.anchors"), &json!("2")));
    let anchor = &found["anchors"][0];
    assert_eq!((&anchor["class"], &anchor["found"]), (&json!("setosa"), &json!(true)), "{anchor}");
    assert!(anchor["precision"].as_f64().unwrap() >= 0.95 && anchor["precision_low"].as_f64().unwrap() > 0.9);
    let conditions = anchor["conditions"].as_array().unwrap();
    assert!(!conditions.is_empty(), "{anchor}");
    let names = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    let holds = |row: &[f64]| {
        conditions.iter().all(|condition| {
            let value = row[names.iter().position(|name| condition["feature"] == *name).unwrap()];
            condition["above"].as_f64().is_none_or(|bound| value > bound)
                && condition["at_most"].as_f64().is_none_or(|bound| value <= bound)
        })
    };
    assert!(holds(&SETOSA), "{anchor}");
    // By the rows that the version's owner has named: those for which the rule holds are answered so.
    let background = std::fs::read_to_string(candor_tests::models::samples().join("iris/background.csv")).unwrap();
    let all: Vec<Vec<f64>> = background
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.trim().parse().unwrap()).collect())
        .collect();
    let held: Vec<&Vec<f64>> = all.iter().filter(|row| holds(row)).collect();
    let coverage = held.len() as f64 / all.len() as f64;
    assert!((anchor["coverage"].as_f64().unwrap() - coverage).abs() < 1e-9, "{anchor} {coverage}");
    let predicted = server.post("/api/v1/models/iris/predict", &json!({"rows": held})).expect(200).json();
    let labels = predicted["predictions"].as_array().unwrap().iter();
    assert!(labels.into_iter().all(|one| one["label"] == "setosa"), "{predicted}");
    // One version; a model of one number needs to be told what is the same.
    let one = server.post("/api/v1/models/iris/versions/1/anchors", &body).expect(200).json();
    assert_eq!(one["version"], "1");
    let number = |options: Value| json!({"rows": rows("diabetes")[..1], "options": options});
    let refused = server.post("/api/v1/models/diabetes/anchors", &number(json!({}))).expect(400).json();
    assert_eq!(refused["pointer"], "/options/within");
    let within = server.post("/api/v1/models/diabetes/anchors", &number(json!({"within": 60}))).expect(200).json();
    let anchor = &within["anchors"][0];
    assert!(anchor.get("class").is_none() && anchor["answer"].as_object().unwrap().len() == 1, "{anchor}");
    assert!((0.0..=1.0).contains(&anchor["precision"].as_f64().unwrap()));
    for (wrong, pointer) in [
        (json!({"options": {"precision": 2}}), "/options"),
        (json!({"options": {"precise": 1}}), "/options"),
        (json!({"method": "tree"}), ""),
        (json!({"budget": 0}), "/budget"),
    ] {
        let mut body = json!({"rows": [SETOSA]});
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let problem = server.post("/api/v1/models/iris/anchors", &body);
        let problem = problem.expect(400).json();
        let place = problem["pointer"].as_str().or(problem["at"].as_str()).unwrap_or_default();
        assert_eq!(place, pointer, "{wrong}: {problem}");
    }
}

#[test]
fn a_budget_that_is_too_small_is_refused_alike_by_every_method() {
    let server = server();
    for method in ["kernel", "permutation", "lime", "integrated_gradients"] {
        let body = json!({"rows": [SETOSA], "method": method, "space": "probability", "budget": 1});
        let reply = server.post("/api/v1/models/iris/explain", &body).expect(400);
        assert_eq!(reply.header("candor-reason"), Some("invalid_input"), "{method}");
        let problem = reply.json();
        assert_eq!(problem["pointer"], "/budget", "{method}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("`budget` is 1"), "{method}: {problem}");
    }
    let body = json!({"rows": [SETOSA], "method": "tre"});
    assert_eq!(server.post("/api/v1/models/iris/explain", &body).expect(400).json()["got"], "\"tre\"");
}

#[test]
fn effects_are_found_over_many_rows_and_counted_by_their_names() {
    let server = server();
    let order = json!({"rows": rows("diabetes"), "truth": vec![150.0; rows("diabetes").len()],
        "features": ["bmi", "s5"], "seed": 4,
        "parts": ["permutation_importance", "partial_dependence", "local_effects"]});
    let result = over_many(&server, "diabetes", &order);
    assert_eq!(over_many(&server, "diabetes", &order), result);
    let lengths = |value: &Value| value.as_array().map_or(0, Vec::len);
    let importance = &result["permutation_importance"];
    assert_eq!(lengths(&importance["features"]), 10, "{importance}");
    for (at, name) in ["bmi", "s5"].into_iter().enumerate() {
        let curve = &result["partial_dependence"][at];
        assert_eq!(curve["features"], json!([name]));
        assert_eq!(lengths(&curve["average"]), lengths(&curve["grid_0"]), "{curve}");
        assert!(lengths(&curve["grid_0"]) > 1 && curve["evaluations"].as_u64().unwrap() > 0);
        // A curve of each row (ICE), whose mean is the average.
        let each = curve["individual"].as_array().unwrap();
        assert_eq!(each.len(), rows("diabetes").len());
        let effects = &result["local_effects"][at];
        assert!(lengths(&effects["edges_0"]) > 1, "{effects}");
    }
    let flower = json!({"rows": [SETOSA], "wanted": "versicolor", "count": 1});
    let _ = server.post("/api/v1/models/iris/counterfactuals", &flower).expect(200);
    let _ = server.post("/api/v1/models/iris/anchors", &json!({"rows": [SETOSA]})).expect(200);
    let _ = server.post("/api/v1/models/iris/anchors", &json!({"rows": [SETOSA], "budget": 1_000_000})).expect(400);
    let metrics = scrape(&server);
    let counted = |method: &str, outcome: &str| {
        metrics.value("candor_explanations_total", &[("method", method), ("outcome", outcome)])
    };
    // Two jobs; curves are counted one by one.
    assert_eq!(counted("permutation_importance", "success"), 2.0);
    assert_eq!(counted("partial_dependence", "success"), 4.0);
    assert_eq!(counted("local_effects", "success"), 4.0);
    assert_eq!(counted("counterfactuals", "success"), 1.0);
    assert_eq!((counted("anchors", "success"), counted("anchors", "invalid")), (1.0, 1.0));
    assert_eq!(metrics.value("candor_explanation_seconds_count", &[]), 13.0);
    assert!(metrics.value("candor_explanation_evaluations_total", &[]) > 1000.0);
}

#[test]
fn an_upload_takes_the_place_of_the_default_background_in_every_question() {
    let server = server();
    let upload = json!({"rows": rows("iris")});
    let id = server.post("/api/v1/models/iris/backgrounds", &upload).expect(201).json()["id"].clone();
    for route in ["explain", "counterfactuals", "anchors"] {
        let body = json!({"rows": [SETOSA], "background": id});
        let told = server.post(&format!("/api/v1/models/iris/{route}"), &body).expect(200).json();
        assert_eq!((&told["background"]["id"], &told["background"]["source"]), (&id, &json!("uploaded")), "{route}");
    }
    let csv = Request::post("/api/v1/models/iris/anchors").header("Content-Type", "text/csv").body("a\n1\n");
    assert_eq!(server.send(&csv).status, 415);
}
