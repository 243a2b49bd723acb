//! A second engine answers too: what is told of it, over null engines that say the same or lie.

use candor_tests::{Models, Plan, TestServer, counters::scrape, until};
use serde_json::{Value, json};

const ENGINES: [(&str, &str); 2] = [("ort", "9"), ("native", "2")];

fn model(head: &str) -> String {
    format!(
        "{head}\n[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\", 2]\n\
         [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [\"rows\"]\nconstant = 0.5\n"
    )
}

fn plan() -> Plan {
    let models = Models::none()
        .with_file("honest/1/model.onnx", model(""))
        .with_file("liar/1/model.onnx", model("lies = [\"native\"]"))
        .with_file("alone/1/model.onnx", model("not_for = [\"native\"]"));
    Plan::with(models).with_null_engines(&ENGINES)
}

/// What is known of a model when its check is over.
fn checked(server: &TestServer, model: &str) -> Value {
    until("the check is over", || {
        let check = server.get(&format!("/api/v1/models/{model}")).expect(200).json()["cross_check"].clone();
        (check["state"] != "pending").then_some(check)
    })
}

#[test]
fn after_a_load_a_second_engine_is_asked_and_what_it_says_is_told() {
    let server = plan().start();
    let second = json!({"name": "native", "version": "2"});
    let honest = checked(&server, "honest");
    assert_eq!(honest, json!({"state": "agreed", "engine": second, "rows": 20, "largest_difference": 0.0}));
    let liar = checked(&server, "liar");
    let apart = json!({"output": "y", "row": 0, "served": "0.5", "second": "1.5"});
    assert_eq!((&liar["state"], &liar["disagreement"]), (&json!("disagreed"), &apart));
    assert_eq!(liar["largest_difference"], 1.0);
    let alone = checked(&server, "alone");
    assert_eq!((&alone["state"], &alone["rows"]), (&json!("none"), &json!(0)));
    assert_eq!(alone["reason"], "'' is not for this engine");

    let properties = server.get("/v2/models/liar").expect(200).json()["properties"]["cross_check"].clone();
    assert_eq!(properties, "disagreed: native 2, 20 rows, largest difference 1.0e0; output 'y', row 0: 0.5 and 1.5");
    let answer = server.post("/api/v1/models/liar/predict", &json!({"rows": [[1, 2]]})).expect(200).json();
    assert_eq!((&answer["engine"]["name"], &answer["predictions"][0]["value"]), (&json!("ort"), &json!(0.5)));

    let scrape = scrape(&server);
    assert_eq!(scrape.value("candor_cross_check_disagreed", &[("model", "honest")]), 0.0);
    assert_eq!(scrape.value("candor_cross_check_disagreed", &[("model", "liar")]), 1.0);
    assert_eq!(scrape.value("candor_cross_check_rows_total", &[("model", "honest")]), 20.0);
    assert_eq!(scrape.value("candor_cross_check_rows_total", &[("model", "alone")]), 0.0);
    let samples = scrape.0.iter().find(|sample| sample.name == "candor_cross_check_samples_total");
    assert_eq!(samples, None, "live traffic is not checked");
}

#[test]
fn it_can_be_turned_off() {
    let server = plan().set("cross_check.at_load=false").start();
    let check = checked(&server, "honest");
    assert_eq!((&check["state"], &check["reason"]), (&json!("none"), &json!("cross_check.at_load is off")));
}

#[test]
fn samples_of_live_traffic_add_up() {
    const REQUESTS: usize = 40;
    let server = plan().set("cross_check.live_share=1.0").set("cross_check.at_load=false").start();
    for (model, outcome) in [("honest", "agreed"), ("liar", "disagreed")] {
        let before = checked(&server, model);
        assert_eq!((&before["state"], &before["live"]["sampled"]), (&json!("none"), &json!(0)));
        for _ in 0..REQUESTS {
            let tensor = json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}]});
            let _ = server.post(&format!("/v2/models/{model}/infer"), &tensor).expect(200);
        }
        let after = until("all samples are compared", || {
            let check = checked(&server, model);
            (check["live"][outcome] == REQUESTS).then_some(check)
        });
        let live = &after["live"];
        assert_eq!(live["sampled"], REQUESTS, "{live}");
        assert_eq!((&after["state"], &after["rows"]), (&json!(outcome), &json!(2 * REQUESTS)));
        let scrape = scrape(&server);
        for word in ["agreed", "disagreed", "failed", "dropped"] {
            let counted = scrape.value("candor_cross_check_samples_total", &[("model", model), ("outcome", word)]);
            assert_eq!(live[word].as_f64().unwrap(), counted, "{word}");
        }
    }
}

#[test]
fn the_engines_agree_on_the_sample_models_that_both_take() {
    let server = TestServer::start();
    for model in ["iris", "diabetes"] {
        let check = checked(&server, model);
        assert_eq!((&check["state"], &check["engine"]["name"]), (&json!("agreed"), &json!("native")), "{check}");
        assert!(check["rows"].as_u64().unwrap() > 20, "{check}");
        assert!(check["largest_difference"].as_f64().unwrap() <= 1e-5, "{check}");
    }
}
