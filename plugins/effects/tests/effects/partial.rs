//! Curves as scikit-learn's `partial_dependence` gives them.

use candor_plugin_sdk::testing::Input;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{ask, curved, fixture, floats, integers, list, matrix, near, refused, rule};

const ID: &str = "candor.pdp";

#[test]
fn curves_are_those_of_scikit_learn() {
    let fixture = fixture(include_str!("../fixtures/dependence.json"));
    let x = floats(&fixture["x"]);
    let rows = x.len() / 4;
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for (at, case) in cases.iter().enumerate() {
        let what = format!("case {at}");
        let features = integers(&case["features"]);
        let mut inputs = vec![matrix("x", 4, &x), list("features", &features)];
        inputs.push(list("categorical", &integers(&case["categorical"])));
        for (axis, values) in case["values"].as_object().unwrap() {
            inputs.push(list(&format!("values_{axis}"), &floats(values)));
        }
        if !case["weights"].is_null() {
            inputs.extend([matrix("background", 4, &x), list("weights", &floats(&case["weights"]))]);
        }
        let answer = ask(ID, &case["config"].to_string(), rule(case["model"].as_str().unwrap()), &inputs).unwrap();
        let mut points = 1;
        for (axis, grid) in case["grids"].as_array().unwrap().iter().enumerate() {
            points *= floats(grid).len();
            near(&answer.values(&format!("grid_{axis}")), &floats(grid), 1e-13, &what);
        }
        near(&answer.values("average"), &floats(&case["average"]), 1e-12, &what);
        let outputs = answer.values::<f64>("average").len() / points;
        if case["individual"].is_null() {
            continue;
        }
        let individual = floats(&case["individual"]);
        near(&answer.values("individual"), &individual, 1e-12, &what);
        let centred: Vec<f64> = individual
            .chunks_exact(points * outputs)
            .flat_map(|curve| {
                curve.iter().enumerate().map(|(at, number)| number - curve[at % outputs]).collect::<Vec<_>>()
            })
            .collect();
        near(&answer.values("individual_centred"), &centred, 1e-12, &what);
        let mut shape: Vec<i64> = vec![i64::try_from(rows).unwrap()];
        shape.extend(features.iter().enumerate().map(|(axis, _)| answer.output(&format!("grid_{axis}")).shape[0]));
        shape.push(i64::try_from(outputs).unwrap());
        assert_eq!(answer.output("individual").shape, shape);
        assert_eq!(answer.output("average_centred").shape, shape[1..]);
        assert_eq!(answer.values::<i64>("evaluations"), [i64::try_from(rows * points).unwrap()]);
    }
}

#[test]
fn averages_are_of_the_background_and_curves_of_the_rows() {
    let background = [0.0, 0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0];
    let inputs = || {
        vec![
            matrix("x", 4, &[9.0, 5.0, 0.0, 0.0]),
            matrix("background", 4, &background),
            list("weights", &[1.0, 3.0]),
            list("features", &[0_i64]),
        ]
    };
    let answer = ask(ID, "{}", &curved, &inputs()).unwrap();
    // Two values, observed in the background.
    assert_eq!(answer.values::<f64>("grid_0"), [0.0, 2.0]);
    assert_eq!(answer.values::<f64>("average"), [0.0, 0.75 * 6.0]);
    assert_eq!(answer.values::<f64>("individual"), [0.0, 10.0]);
    assert_eq!(answer.values::<i64>("evaluations"), [6]);
    let short = ask(ID, r#"{"individual": false}"#, &curved, &inputs()).unwrap();
    assert_eq!((short.values::<f64>("average"), short.values::<i64>("evaluations")), (vec![0.0, 4.5], vec![4]));
    assert!(short.outputs.iter().all(|output| !output.name.starts_with("individual")));
}

#[test]
fn percentiles_that_fall_together_give_way_to_the_whole_range() {
    let mut x = vec![1.0; 300];
    (x[0], x[299]) = (0.0, 3.0);
    let ask_for = |x: &[f64]| {
        let answer = ask(ID, r#"{"grid_resolution": 3}"#, &|x| vec![x[0]], &[matrix("x", 1, x)]).unwrap();
        answer.values::<f64>("grid_0")
    };
    assert_eq!(ask_for(&x), [0.0, 1.5, 3.0]);
    assert_eq!(ask_for(&[1.0; 8]), [1.0]);
    assert_eq!(ask_for(&[f64::NAN, 4.0]), [4.0]);
}

#[test]
fn wrong_questions_are_refused() {
    let x = || matrix("x", 2, &[0.0, 1.0, 1.0, f64::NAN]);
    let of = |features: &[i64]| list("features", features);
    refused(
        ID,
        &|x| vec![x[0]],
        vec![
            ("{}", vec![x()], "`features` has 0 numbers, expected one or two"),
            ("{}", vec![x(), of(&[0, 1, 1])], "`features` has the feature 1 twice"),
            ("{}", vec![x(), of(&[2])], "`features` has the feature 2 twice, or there is no such one"),
            ("{}", vec![x(), of(&[-1])], "there is no such one"),
            ("{}", vec![matrix("x", 2, &[f64::NAN, 1.0]), of(&[0])], "feature 0: no row has a number"),
            ("{}", vec![x(), of(&[0]), list("values_0", &[f64::NAN])], "is empty or has what is no finite number"),
            ("{}", vec![x(), of(&[0]), list("values_0", &[0.0; 1001])], "`values_0` has 1001 numbers"),
            ("{}", vec![x(), of(&[0]), x(), list("outputs", &[-1_i64])], "`outputs` has -1"),
            (r#"{"percentiles": [0.9, 0.1]}"#, vec![x()], "expected two growing numbers"),
            (r#"{"grid_resolution": 1}"#, vec![x()], "`grid_resolution` must be 2 or more"),
            (r#"{"grid_resolution": 1001}"#, vec![x()], "expected 2 to 1000"),
            (
                r#"{"evaluations_max": 3}"#,
                vec![x(), of(&[0])],
                "it takes 4 evaluations of the model, and `evaluations_max` is 3",
            ),
            (
                "{}",
                vec![x(), of(&[0]), matrix("background", 2, &[0.0, 0.0]), list("weights", &[0.0])],
                "the weights sum to 0",
            ),
            (
                "{}",
                vec![x(), of(&[0]), matrix("background", 2, &[0.0, 0.0]), list("weights", &[-1.0])],
                "what is negative",
            ),
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The average of the curves is the average, axes grow, and centred curves begin at 0.
    #[test]
    fn averages_are_averages(
        x in prop::collection::vec(prop_oneof![6 => -1e3_f64..1e3, 1 => Just(f64::NAN), 2 => Just(2.0)], 8..80),
        feature in 0_i64..4,
        resolution in 2_usize..12,
    ) {
        let x = &x[..x.len() / 4 * 4];
        let known = |x: &[f64]| curved(&x.iter().map(|x| if x.is_nan() { 0.5 } else { *x }).collect::<Vec<_>>());
        let inputs: Vec<Input> = vec![matrix("x", 4, x), list("features", &[feature])];
        let config = json!({"grid_resolution": resolution}).to_string();
        let any = x.chunks_exact(4).any(|row| !row[usize::try_from(feature).unwrap()].is_nan());
        let answer = ask(ID, &config, &known, &inputs);
        prop_assert_eq!(answer.is_ok(), any);
        let Ok(answer) = answer else { return Ok(()) };
        let grid = answer.values::<f64>("grid_0");
        prop_assert!(grid.len() <= resolution && grid.windows(2).all(|pair| pair[0] < pair[1]));
        let curves = answer.values::<f64>("individual");
        for (at, average) in answer.values::<f64>("average").into_iter().enumerate() {
            let of = curves.chunks_exact(grid.len()).map(|curve| curve[at]);
            let mean = of.sum::<f64>() / (x.len() / 4) as f64;
            prop_assert!((mean - average).abs() <= 1e-9 * mean.abs().max(1.0));
        }
        for curve in answer.values::<f64>("individual_centred").chunks_exact(grid.len()) {
            prop_assert_eq!(curve[0], 0.0);
        }
    }
}
