//! Exports of scikit-learn, XGBoost and LightGBM against shap and against Shapley's own sum, by fixtures that
//! `plugins/fixtures` makes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use std::{fs, path::Path};

use candor_plugin_sdk::testing::{Answer, Harness, Input};
use candor_plugin_shap::MODULE;
use serde_json::{Value, json};

/// Largest difference, as a share of the largest attribution.
const NEAR: f64 = 1e-6;

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn open(case: &Value, config: &Value) -> Harness {
    let mut config = config.clone();
    config["file"] = json!({"file": "model.onnx", "base64": case["onnx"]});
    Harness::new(&MODULE, case["component"].as_str().unwrap(), &config.to_string()).unwrap()
}

fn numbers(array: &Value) -> (Vec<i64>, Vec<f64>) {
    let data = array["data"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::NAN));
    (serde_json::from_value(array["shape"].clone()).unwrap(), data.collect())
}

fn inputs(question: &Value) -> Vec<Input> {
    let mut inputs: Vec<Input> = ["x", "background"]
        .map(|name| {
            let (shape, data) = numbers(&question[name]);
            Input::new(name, &shape, &data)
        })
        .into();
    for name in ["groups", "textual"] {
        if let Some(list) = question[name].as_array() {
            let list: Vec<i64> = list.iter().map(|number| number.as_i64().unwrap()).collect();
            inputs.push(Input::new(name, &[list.len() as i64], &list));
        }
    }
    if let Some(words) = question["words"].as_array() {
        let words: Vec<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        inputs.push(Input::strings("words", &[words.len() as i64], &words));
    }
    if question["interactions"].is_object() {
        inputs.push(Input::new("interactions", &[1], &[1_i64]));
    }
    inputs
}

fn close(answer: &Answer, name: &str, expected: &Value, scale: f64, what: &str) {
    let (shape, expected) = numbers(expected);
    let got = answer.values::<f64>(name);
    // A base is told for each row.
    let repeats = got.len() / expected.len();
    if name != "base" {
        assert_eq!(answer.output(name).shape, shape, "{what}: {name}");
    }
    for (at, (got, expected)) in got.iter().zip(expected.repeat(repeats)).enumerate() {
        let gap = (got - expected).abs();
        assert!(gap <= NEAR * scale, "{what}: {name} {at} is {got}, expected {expected}: {:e}", gap / scale);
    }
}

fn check(name: &str) {
    let case = fixture(name);
    for question in case["questions"].as_array().unwrap() {
        let what = format!("{name} {}", question["config"]);
        let answer = open(&case, &question["config"]).run(&inputs(question)).unwrap();
        let scale = numbers(&question["attributions"]).1.iter().fold(0.0_f64, |most, one| most.max(one.abs()));
        close(&answer, "attributions", &question["attributions"], scale, &what);
        close(&answer, "base", &question["base"], scale.max(1.0), &what);
        if question["interactions"].is_object() {
            close(&answer, "interactions", &question["interactions"], scale, &what);
        }
        adds_up(&answer, &what);
    }
}

/// Attributions and the base come to the output.
fn adds_up(answer: &Answer, what: &str) {
    let shape = answer.output("attributions").shape.clone();
    let (players, outputs) = (shape[1] as usize, shape[2] as usize);
    let (shares, base) = (answer.values::<f64>("attributions"), answer.values::<f64>("base"));
    for (at, output) in answer.values::<f64>("output").into_iter().enumerate() {
        let (row, own) = (at / outputs, at % outputs);
        let sum: f64 = (0..players).map(|player| shares[(row * players + player) * outputs + own]).sum();
        assert!(
            (base[at] + sum - output).abs() < 1e-9 * (1.0 + output.abs()),
            "{what}: {} and {output}",
            base[at] + sum
        );
    }
}

macro_rules! fixtures {
    ($($(#[$doc:meta])* $test:ident: $($name:literal)+;)+) => {
        $($(#[$doc])* #[test] fn $test() { $(check($name);)+ })+
    };
}

fixtures! {
    boosted_trees_of_scikit_learn: "gbc" "gbr";
    forests_of_scikit_learn: "rfc" "rfr";
    trees_of_xgboost: "xgbr" "xgbc3";
    missing_values_go_their_way: "gaps";
    trees_of_lightgbm: "lgbr" "lgbc";
    what_is_scaled_and_imputed_before_the_trees_is_folded: "scaled";
    encoded_columns_belong_to_one_feature: "mixed";
    linear_models: "logistic" "sgd" "ridge";
}
