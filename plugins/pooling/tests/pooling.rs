//! Embeddings as NumPy computes them by the formulas of sentence-transformers; what masks mean; what is refused.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use candor_plugin_pooling::MODULE;
use candor_plugin_sdk::{
    Element, Port,
    testing::{Harness, Input},
};
use proptest::prelude::*;
use serde_json::Value;

fn open(config: &str) -> Harness {
    Harness::new(&MODULE, "candor.pooling", config).unwrap()
}

fn tokens<T: Element>(shape: &[i64], data: &[T]) -> Input {
    Input::new("last_hidden_state", shape, data)
}

fn mask(shape: &[i64], data: &[i64]) -> Input {
    Input::new("attention_mask", shape, data)
}

/// As single precision.
#[allow(clippy::cast_possible_truncation, reason = "the fixtures were single precision")]
fn narrow(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&number| number as f32).collect()
}

#[test]
fn embeddings_are_those_of_the_formulas() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/poolings.json")).unwrap();
    let number = |name: &str| fixture[name].as_i64().unwrap();
    let numbers = |of: &Value| serde_json::from_value::<Vec<f64>>(of.clone()).unwrap();
    let shape = [number("rows"), number("length"), number("width")];
    let (data, marks) =
        (numbers(&fixture["tokens"]), serde_json::from_value::<Vec<i64>>(fixture["mask"].clone()).unwrap());
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let expected = numbers(&case["embedding"]);
        let answer = open(&case["config"].to_string())
            .run(&[tokens(&shape, &narrow(&data)), mask(&shape[..2], &marks)])
            .unwrap();
        assert_eq!(answer.output("embedding").shape, [shape[0], shape[2]]);
        for (got, expected) in answer.values::<f32>("embedding").into_iter().zip(&expected) {
            // The nearest single-precision number to an exact answer.
            assert!((f64::from(got) - expected).abs() <= 1e-6, "{}: {got} and {expected}", case["config"]);
        }
        let mut config = case["config"].clone();
        config["datatype"] = "FP64".into();
        let answer = open(&config.to_string()).run(&[tokens(&shape, &data), mask(&shape[..2], &marks)]).unwrap();
        for (got, expected) in answer.values::<f64>("embedding").into_iter().zip(&expected) {
            assert!((got - expected).abs() <= 1e-14, "{}: {got} and {expected}", case["config"]);
        }
    }
}

#[test]
fn what_does_not_count_is_not_looked_at() {
    let nan = f32::NAN;
    let inputs = || [tokens(&[2, 2, 2], &[1.0_f32, 2.0, nan, nan, nan, nan, nan, nan]), mask(&[2, 2], &[1, 0, 0, 0])];
    for mode in ["mean", "max"] {
        let pooled = open(&format!(r#"{{"mode": "{mode}"}}"#)).run(&inputs()).unwrap();
        // A text without tokens has an embedding of zeros.
        assert_eq!(pooled.values::<f32>("embedding"), [1.0, 2.0, 0.0, 0.0], "{mode}");
    }
    let normal = open(r#"{"normalize": true}"#).run(&inputs()).unwrap().values::<f32>("embedding");
    assert_eq!(normal[2..], [0.0, 0.0]);
    let seen = open(r#"{"mode": "max"}"#).run(&[tokens(&[1, 3, 1], &[1.0, nan, 2.0]), mask(&[1, 3], &[1, 1, 1])]);
    assert!(seen.unwrap().values::<f32>("embedding")[0].is_nan());
}

#[test]
fn masks_of_all_types_and_tokens_with_steps_are_read() {
    let plain = open("{}");
    let whole = || tokens(&[1, 2, 1], &[4.0_f32, 8.0]);
    for marks in [
        Input::new("attention_mask", &[1, 2], &[0_i64, 1]),
        Input::new("attention_mask", &[1, 2], &[0_i32, 1]),
        Input::new("attention_mask", &[1, 2], &[0_u8, 1]),
        Input::new("attention_mask", &[1, 2], &[0.0_f32, 1.0]),
    ] {
        assert_eq!(plain.run(&[whole(), marks]).unwrap().values::<f32>("embedding"), [8.0]);
    }
    // Columns first in memory.
    let strided = Input::strided("last_hidden_state", &[1, 2, 2], &[4, 1, 2], &[1.0_f32, 3.0, 10.0, 30.0]);
    let answer = plain.run(&[strided, mask(&[1, 2], &[1, 1])]).unwrap();
    assert_eq!(answer.values::<f32>("embedding"), [2.0, 20.0]);
}

#[test]
fn the_first_token_needs_no_mask_and_empty_requests_are_answered() {
    let cls = open(r#"{"mode": "cls", "input": "h", "output": "e"}"#);
    let answer = cls.run(&[Input::new("h", &[2, 2, 1], &[1.0_f32, 2.0, 3.0, 4.0])]).unwrap();
    assert_eq!(answer.values::<f32>("e"), [1.0, 3.0]);
    let none = open("{}").run(&[tokens::<f32>(&[0, 3, 4], &[]), mask(&[0, 3], &[])]).unwrap();
    assert_eq!(none.output("embedding").shape, [0, 4]);
    let none = open("{}").run(&[tokens::<f32>(&[2, 3, 0], &[]), mask(&[2, 3], &[0; 6])]).unwrap();
    assert_eq!(none.output("embedding").shape, [2, 0]);
}

#[test]
fn it_tells_its_inputs_and_outputs() {
    let told = open(r#"{"datatype": "FP64"}"#).describe().unwrap();
    let hidden = Port::new("last_hidden_state", "FP64", &[-1, -1, -1]);
    assert_eq!(told.inputs, [hidden, Port::new("attention_mask", "INT64", &[-1, -1])]);
    assert_eq!(told.outputs, [Port::new("embedding", "FP64", &[-1, -1])]);
    assert_eq!(open(r#"{"mode": "cls"}"#).describe().unwrap().inputs.len(), 1);
}

#[test]
fn what_cannot_be_pooled_is_refused() {
    let plain = open("{}");
    let error = |inputs: &[Input]| plain.run(inputs).err().unwrap().message().to_owned();
    let whole = || tokens(&[1, 2, 1], &[4.0_f32, 8.0]);
    assert_eq!(error(&[whole()]), "there is no input `attention_mask`; there is last_hidden_state");
    let flat = tokens(&[2], &[1.0_f32, 2.0]);
    assert!(error(&[flat, mask(&[2], &[1, 1])]).contains("has the shape [2], expected rows, tokens and columns"));
    assert_eq!(error(&[whole(), mask(&[1, 1], &[1])]), "`attention_mask` has the shape [1, 1], expected [1, 2]");
    assert_eq!(error(&[whole(), mask(&[1, 2], &[1, 2])]), "`attention_mask` has a number that is neither 0 nor 1");
    let odd = Input::new("attention_mask", &[1, 2], &[1.0_f64, 0.0]);
    assert!(error(&[whole(), odd]).contains("a type that no mask has"));
    let wide = tokens(&[1, 2, 1], &[1.0_f64, 2.0]);
    assert!(error(&[wide, mask(&[1, 2], &[1, 1])]).contains("its elements are float64, expected float32"));
    assert!(error(&[tokens::<f32>(&[1, 0, 1], &[]), mask(&[1, 0], &[])]).contains("rows without tokens"));
    for (config, says) in [
        (r#"{"mode": "median"}"#, "unknown variant `median`"),
        (r#"{"nomralize": true}"#, "unknown field `nomralize`"),
        (r#"{"mask": "last_hidden_state"}"#, "are both `last_hidden_state`"),
    ] {
        let error = Harness::new(&MODULE, "candor.pooling", config).err().unwrap();
        assert!(error.message().contains(says), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A mean lies between the smallest and the largest of what counts, and the largest is one of them.
    #[test]
    fn what_is_pooled_lies_within_what_counts(
        rows in prop::collection::vec((prop::collection::vec(-100.0_f32..100.0, 4), prop::collection::vec(0_i64..2, 4)), 1..6)
    ) {
        let n = i64::try_from(rows.len()).unwrap();
        let data: Vec<f32> = rows.iter().flat_map(|(row, _)| row.clone()).collect();
        let marks: Vec<i64> = rows.iter().flat_map(|(_, marks)| marks.clone()).collect();
        let inputs = || [tokens(&[n, 4, 1], &data), mask(&[n, 4], &marks)];
        let means = open("{}").run(&inputs()).unwrap().values::<f32>("embedding");
        let largest = open(r#"{"mode": "max"}"#).run(&inputs()).unwrap().values::<f32>("embedding");
        for ((row, marks), (mean, max)) in rows.iter().zip(means.into_iter().zip(largest)) {
            let counted: Vec<f32> = row.iter().zip(marks).filter(|(_, mark)| **mark == 1).map(|(one, _)| *one).collect();
            if counted.is_empty() {
                prop_assert_eq!((mean.to_bits(), max.to_bits()), (0, 0));
                continue;
            }
            let top = counted.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let low = counted.iter().copied().fold(f32::INFINITY, f32::min);
            prop_assert_eq!(max.to_bits(), top.to_bits());
            prop_assert!(low <= mean && mean <= top);
        }
    }

    /// A normalised embedding has the length 1, whatever it was.
    #[test]
    fn what_is_normalised_has_the_length_1(data in prop::collection::vec(-1e6_f32..1e6, 8)) {
        prop_assume!(data.iter().any(|one| one.abs() > 1e-3));
        let answer = open(r#"{"normalize": true}"#).run(&[tokens(&[1, 1, 8], &data), mask(&[1, 1], &[1])]).unwrap();
        let length: f64 = answer.values::<f32>("embedding").into_iter().map(|one| f64::from(one).powi(2)).sum();
        prop_assert!((length - 1.0).abs() < 1e-6, "{}", length);
    }
}
