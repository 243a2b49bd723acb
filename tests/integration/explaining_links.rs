//! Models whose answers are easily explained wrongly: no link where one is usual, a link where none is, no space that was
//! asked for. What is explained is what was served, or nothing is.

use std::path::Path;

use candor_tests::{Models, Plan, TestServer, models::copy};
use serde_json::{Value, json};

use super::explaining::explain;

const MODELS: [&str; 3] = ["forest", "log_link", "scores"];

fn server() -> TestServer {
    let models = Models::copies(&["simple"]);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/explained");
    for model in MODELS {
        copy(&made.join(model), &models.path(model));
    }
    Plan::with(models).start()
}

fn outputs(explained: &Value) -> impl Iterator<Item = &Value> {
    explained["explanations"].as_array().unwrap().iter().flat_map(|row| row["outputs"].as_array().unwrap())
}

#[test]
fn trees_that_vote_are_explained_in_probabilities_that_were_served() {
    let server = server();
    let rows = json!([[0.5, -1.0, 0.25], [1.5, 1.0, -2.0]]);
    for body in
        [json!({"rows": rows}), json!({"rows": rows, "space": "probability"}), json!({"rows": rows, "output": 1})]
    {
        let explained = explain(&server, "forest", &body);
        assert_eq!(
            (&explained["method"]["name"], &explained["space"]),
            (&json!("tree"), &json!("probability")),
            "{body}"
        );
        for output in outputs(&explained) {
            assert_eq!(output["served"]["agrees"], true, "{body}: {output}");
            let (value, served) = (output["value"].as_f64().unwrap(), output["served"]["value"].as_f64().unwrap());
            assert!((value - served).abs() < 1e-6 && (0.0..=1.0).contains(&served), "{output}");
        }
    }
}

#[test]
fn a_regression_with_a_link_is_not_explained_as_the_sum_before_it() {
    let server = server();
    let body = json!({"rows": [[0.5, -1.0, 0.25]]});
    let explained = explain(&server, "log_link", &body);
    assert_eq!((&explained["method"]["name"], &explained["space"]), (&json!("exact"), &json!("raw")));
    let reason = explained["method"]["reason"].as_str().unwrap();
    assert!(reason.contains("linear: Exp after ") && reason.contains("the answer is no sum"), "{reason}");
    let output = outputs(&explained).next().unwrap();
    // exp(0.5 · 0.5 + 0.25 + 0.125 · 0.25).
    assert!((output["value"].as_f64().unwrap() - 0.53125_f64.exp()).abs() < 1e-6, "{output}");
    assert_eq!(output["served"]["agrees"], true);
    let named = json!({"rows": [[0.5, -1.0, 0.25]], "method": "linear"});
    let refused = server.post("/api/v1/models/log_link/explain", &named).expect(400).json();
    assert!(refused["detail"].as_str().unwrap().contains("the answer is no sum"), "{refused}");
}

#[test]
fn a_space_that_a_model_does_not_have_is_refused_on_every_way_and_the_server_goes_on() {
    let server = server();
    let row = vec![0; 32];
    for (model, row, space) in [
        ("simple", json!(row), "probability"),
        ("simple", json!(row), "margin"),
        ("scores", json!([1.0, 0.5, 0.0]), "probability"),
        ("log_link", json!([1.0, 0.5, 0.0]), "probability"),
    ] {
        let body = json!({"rows": [row], "space": space});
        for way in ["explain", "anchors", "counterfactuals"] {
            let reply = server.post(&format!("/api/v1/models/{model}/{way}"), &body);
            assert!([400, 501].contains(&reply.status), "{model} {way} {space}: {} {}", reply.status, reply.text());
        }
    }
    assert_eq!(server.get("/v2/health/ready").status, 200);
}

#[test]
fn shares_from_too_few_draws_to_tell_an_error_are_told_without_one() {
    let server = server();
    let row = &golden("forest")[0];
    let mut without = 0;
    for (method, budget) in [("kernel", 4), ("kernel", 6), ("permutation", 7), ("permutation", 12)] {
        let explained = explain(&server, "forest", &json!({"rows": [row], "method": method, "budget": budget}));
        for output in outputs(&explained) {
            let shares = output["attributions"].as_array().unwrap();
            assert!(shares.iter().all(|share| share["attribution"].is_number()), "{method} {budget}: {output}");
            without += usize::from(shares.iter().all(|share| share.get("standard_error").is_none()));
        }
    }
    assert!(without > 0, "one draw tells nothing of its own error");
}

/// The rows of its golden pair.
fn golden(model: &str) -> Vec<Value> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/explained").join(model).join("1/golden.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    golden["cases"][0]["inputs"][0]["data"].as_array().unwrap().chunks(3).map(|row| json!(row)).collect()
}
