//! Graphs of trees, read from their files: their cuts, and the best counterfactuals that brute force found.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_onnx::{
    Limits,
    extract::{Child, TreeEnsemble},
};
use candor_plugin_what_if::cuts;
use serde_json::{Value, json};

use crate::support::{ask, list, matrix};

fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/trees.json")).unwrap()
}

fn floats(of: &Value) -> Vec<f64> {
    serde_json::from_value(of.clone()).unwrap()
}

fn read(file: &Value) -> candor_onnx::Model {
    let bytes = STANDARD.decode(file.as_str().unwrap()).unwrap();
    candor_onnx::Model::from_slice(&bytes, &Limits::default()).unwrap()
}

/// An ensemble walked in single precision.
fn answer(trees: &TreeEnsemble, x: &[f64]) -> Vec<f64> {
    let mut scores: Vec<f64> = (0..trees.targets).map(|at| trees.base_values.get(at).unwrap_or(0.0)).collect();
    for root in &trees.roots {
        let mut at: Child = *root;
        while !at.is_leaf() {
            let node = at.at();
            #[allow(clippy::cast_possible_truncation, reason = "as engines compare")]
            let holds = f64::from(x[trees.features[node] as usize] as f32) <= trees.thresholds.get(node).unwrap();
            at = if holds { trees.if_true[node] } else { trees.if_false[node] };
        }
        for vote in trees.votes_of(at.at()) {
            scores[trees.vote_targets[vote] as usize] += trees.vote_weights.get(vote).unwrap();
        }
    }
    scores
}

#[test]
fn cuts_are_the_thresholds_of_the_file() {
    let fixture = fixture();
    for case in fixture["cases"].as_array().unwrap() {
        let found = cuts(&read(&case["file"]).graph).unwrap();
        let below: Vec<Vec<f64>> = found.iter().map(|cuts| cuts.iter().map(|cut| cut.below).collect()).collect();
        let expected: Vec<Vec<f64>> = case["thresholds"].as_array().unwrap().iter().map(floats).collect();
        assert_eq!(below, expected, "{}", case["name"]);
        #[allow(clippy::cast_possible_truncation, reason = "they are single precision")]
        let next = |number: f64| f64::from((number as f32).next_up());
        assert!(found.iter().flatten().all(|cut| cut.above == next(cut.below)));
    }
    // What is scaled first has other thresholds than the file says.
    assert_eq!(cuts(&read(&fixture["scaled"]).graph), None);
}

#[test]
fn counterfactuals_are_the_best_that_brute_force_finds() {
    let fixture = fixture();
    let width = usize::try_from(fixture["features"].as_u64().unwrap()).unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let trees = TreeEnsemble::of(&read(&case["file"]).graph.nodes[0], None).unwrap();
        let config = json!({"file": {"file": "model.onnx", "base64": case["file"]}}).to_string();
        for question in case["questions"].as_array().unwrap() {
            let (name, x) = (&case["name"], floats(&question["x"]));
            for (own, expected) in answer(&trees, &x).iter().zip(floats(&question["answer"])) {
                assert!((own - expected).abs() < 1e-5, "{name}: {own} and {expected}");
            }
            let mut inputs = vec![matrix("x", width, &x), matrix("background", width, &floats(&case["background"]))];
            if let Some(low) = question["wanted_low"].as_f64() {
                inputs.push(list("wanted_low", &[low]));
            }
            let got = ask("candor.counterfactuals", &config, &|x| answer(&trees, x), &inputs).unwrap();
            assert_eq!(got.output("method").strings, [b"thresholds"]);
            assert_eq!((got.values::<i64>("proven")[0], got.values::<i64>("valid")[0]), (1, 1), "{name}");
            let changed = f64::from(i32::try_from(got.values::<i64>("changed")[0]).unwrap());
            let cost = got.values::<f64>("distance")[0] + 0.5 * changed;
            let best = question["cost"].as_f64().unwrap();
            assert!((cost - best).abs() < 1e-9, "{name}: {cost} and {best}");
        }
    }
}

#[test]
fn a_graph_that_is_not_of_trees_alone_is_searched_without_it() {
    let fixture = fixture();
    let background = floats(&fixture["cases"][0]["background"]);
    let inputs = |width: usize| [matrix("x", width, &background[..width]), matrix("background", width, &background)];
    let config = json!({"file": {"base64": fixture["scaled"]}}).to_string();
    let answer = ask("candor.counterfactuals", &config, &|x| vec![x[0]], &inputs(3)).unwrap();
    assert_eq!(answer.output("method").strings, [b"genetic"]);
    let whole = json!({"file": {"base64": fixture["cases"][0]["file"]}}).to_string();
    for (config, width, says) in [
        (whole.as_str(), 2, "the model's file is for 3 features at least, and `x` has 2"),
        (r#"{"file": "model.onnx"}"#, 3, "the host gave the name of the file `model.onnx`, not its bytes"),
        (r#"{"file": {"base64": "!"}}"#, 3, "`file` is no base64"),
        (r#"{"file": {"base64": "AQID"}}"#, 3, "`file` is no ONNX file that can be read"),
    ] {
        let error = ask("candor.counterfactuals", config, &|x| vec![x[0]], &inputs(width)).err().unwrap();
        assert!(error.message().contains(says), "{says}: {error}");
    }
}
