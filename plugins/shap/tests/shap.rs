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

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_plugin_sdk::{
    Status,
    testing::{Answer, Harness, Input},
};
use candor_plugin_shap::{
    MODULE,
    fold::{What, what},
};
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
    trees_over_histograms_with_gaps: "hgbr" "hgbc";
    trees_of_lightgbm: "lgbr" "lgbc";
    what_is_scaled_and_imputed_before_the_trees_is_folded: "scaled";
    encoded_columns_belong_to_one_feature: "mixed";
    linear_models: "logistic" "sgd" "ridge";
}

#[test]
fn a_graph_that_cannot_be_explained_names_the_node() {
    for case in fixture("refused").as_array().unwrap() {
        let (name, word) = (case["name"].as_str().unwrap(), case["word"].as_str().unwrap());
        for component in ["candor.tree_shap", "candor.linear_shap"] {
            let config = json!({"file": {"base64": case["onnx"]}}).to_string();
            let error = Harness::new(&MODULE, component, &config).err().unwrap();
            assert_eq!(error.status(), Status::Unsupported, "{name}");
            let message = error.message();
            assert!(message.starts_with("node ") && message.contains(word), "{name}: {message}");
        }
    }
}

/// What a component says to a question that differs from a right one in one input.
fn said(case: &str, config: &Value, changed: Input, name: &str) -> String {
    let case = fixture(case);
    let mut list = inputs(&case["questions"][0]);
    let names = ["x", "background"];
    match names.iter().position(|known| *known == name) {
        Some(at) => list[at] = changed,
        None => list.push(changed),
    }
    let error = open(&case, config).run(&list).err().unwrap();
    assert_eq!(error.status(), Status::Invalid);
    error.message().to_owned()
}

#[test]
fn questions_that_are_wrong_are_told_what_is() {
    let of = |changed, name: &str| said("gbr", &json!({}), changed, name);
    let rows = |name: &str, width: i64| Input::new(name, &[1, width], &vec![0.0_f64; width as usize]);
    assert_eq!(of(rows("x", 4), "x"), "`x` has 4 features, the graph reads 5");
    assert_eq!(of(rows("background", 6), "background"), "`background` has 6 features, the graph reads 5");
    assert!(of(Input::new("x", &[5], &[0.0_f64; 5]), "x").contains("expected rows and features"));
    assert!(of(Input::new("x", &[1, 5], &[0.0_f32; 5]), "x").contains("float32"));
    let wrong = "`groups` must be 0, 1, … without a gap";
    assert_eq!(of(Input::new("groups", &[5], &[0_i64, 1, 3, 3, 0]), "groups"), wrong);
    assert!(of(Input::new("groups", &[5], &[0_i64, 1, 2, -1, 0]), "groups").contains("each of 5 features"));
    assert!(of(Input::new("outputs", &[1], &[1_i64]), "outputs").contains("the outputs 0 to 0"));
    assert!(of(Input::new("weights", &[2], &[1.0_f64, 1.0]), "weights").contains("one for each row"));
    assert!(of(Input::new("weights", &[30], &[0.0_f64; 30]), "weights").contains("not all zero"));
    assert!(of(Input::new("interactions", &[1], &[2_i64]), "interactions").contains("0 or 1"));
    assert!(of(Input::new("textual", &[1], &[0_i64]), "textual").contains("reads as numbers"));
    assert!(said("ridge", &json!({}), Input::new("x", &[1, 5], &[f64::NAN; 5]), "x").contains("no finite number"));
    let red = Input::new("x", &[1, 4], &[0.0_f64, 7.0, 0.0, 0.0]);
    assert_eq!(
        said("mixed", &json!({}), red, "x"),
        "`x`: feature 1 holds text: 7 is the code of none of the 3 `words`"
    );
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    let of = |case: &str, config: Value| {
        let case = fixture(case);
        let mut config = config;
        config["file"] = json!({"base64": case["onnx"]});
        Harness::new(&MODULE, case["component"].as_str().unwrap(), &config.to_string()).err().unwrap()
    };
    for (case, config, word) in [
        ("gbc", json!({"space": "probability", "perturbation": "path_dependent"}), "interventional"),
        ("xgbc3", json!({"space": "probability"}), "SOFTMAX"),
        ("gbr", json!({"space": "probability"}), "no probabilities"),
        ("logistic", json!({"space": "probability"}), "margins only"),
        ("gbc", json!({"space": "answer"}), "the answer is no sum"),
        ("xgbc3", json!({"space": "answer"}), "SOFTMAX"),
    ] {
        let error = of(case, config);
        assert!(error.status() == Status::Unsupported && error.message().contains(word), "{error}");
    }
    assert_eq!(of("gbr", json!({"depth": 1})).status(), Status::Invalid);
    let named = Harness::new(&MODULE, "candor.tree_shap", r#"{"file": "model.onnx"}"#).err().unwrap();
    assert_eq!(named.message(), "the host gave the name of the file `model.onnx`, not its bytes");
    let other = json!({"file": {"base64": fixture("ridge")["onnx"]}}).to_string();
    let other = Harness::new(&MODULE, "candor.tree_shap", &other).err().unwrap();
    assert!(other.message().contains("is no tree ensemble"), "{other}");
}

#[test]
fn what_a_graph_is_can_be_asked_of_its_bytes() {
    let of = |name: &str| {
        let bytes = STANDARD.decode(fixture(name)["onnx"].as_str().unwrap()).unwrap();
        what(&bytes).unwrap()
    };
    assert_eq!((of("mixed"), of("rfc"), of("sgd")), (What::Trees, What::Trees, What::Linear));
    assert!(what(b"no graph").is_err());
}

/// Groups, outputs and questions in another order change nothing of what each share is.
#[test]
fn the_same_row_has_the_same_shares_whatever_comes_along() {
    let case = fixture("rfc");
    let component = open(&case, &json!({}));
    let question = inputs(&case["questions"][0]);
    let all = component.run(&question).unwrap();
    assert_eq!(component.run(&question).unwrap().values::<f64>("attributions"), all.values::<f64>("attributions"));
    let mut some = inputs(&case["questions"][0]);
    some.push(Input::new("outputs", &[2], &[2_i64, 0]));
    some.push(Input::new("groups", &[5], &[0_i64, 1, 2, 1, 0]));
    let some = component.run(&some).unwrap();
    assert_eq!(some.output("attributions").shape, [6, 3, 2]);
    adds_up(&some, "groups");
    let (all, some) = (all.values::<f64>("output"), some.values::<f64>("output"));
    for (all, some) in all.chunks(3).zip(some.chunks(2)) {
        assert_eq!([all[2], all[0]], some);
    }
}
