//! Importances as scikit-learn counts them on the same permutations.

use proptest::prelude::*;

use crate::support::{
    ask, bits, curved, fixture, floats, integers, list, matrix, near, of_three, of_two, refused, rule,
};

const ID: &str = "candor.permutation_importance";

#[test]
fn importances_are_those_of_scikit_learn() {
    let fixture = fixture(include_str!("../fixtures/importance.json"));
    let (x, repeats) = (floats(&fixture["x"]), fixture["repeats"].as_i64().unwrap());
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let scorer = case["scorer"].as_str().unwrap();
        let model = case["model"].as_str().unwrap();
        let what = format!("{scorer} of {model}");
        let orders = integers(&case["permutations"]);
        let rows = i64::try_from(x.len() / 4).unwrap();
        let inputs = [
            matrix("x", 4, &x),
            list("y", &floats(&case["y"])),
            candor_plugin_sdk::testing::Input::new("permutations", &[repeats, rows], &orders),
        ];
        let answer = ask(ID, &format!(r#"{{"scorer": "{scorer}"}}"#), rule(model), &inputs).unwrap();
        near(&answer.values("score"), &[case["score"].as_f64().unwrap()], 1e-12, &what);
        near(&answer.values("importances"), &floats(&case["importances"]), 1e-12, &what);
        near(&answer.values("mean"), &floats(&case["mean"]), 1e-12, &what);
        near(&answer.values("standard_deviation"), &floats(&case["standard_deviation"]), 1e-12, &what);
        assert_eq!(answer.output("importances").shape, [4, repeats]);
        assert_eq!(answer.output("scorer").strings, [scorer.as_bytes()]);
        assert_eq!(answer.values::<i64>("evaluations"), [rows * (1 + 4 * repeats)]);
    }
}

fn some_rows() -> (Vec<f64>, Vec<f64>) {
    let x: Vec<f64> = (0..120_u32).map(|at| f64::from(at * 37 % 101) / 50.0 - 1.0).collect();
    let y = x.chunks_exact(4).map(|row| curved(row)[0]).collect();
    (x, y)
}

#[test]
fn a_feature_that_is_not_used_falls_by_nothing_and_seeds_decide() {
    let (x, y) = some_rows();
    let ask_with = |config: &str, more: Vec<candor_plugin_sdk::testing::Input>| {
        let mut inputs = vec![matrix("x", 4, &x), list("y", &y)];
        inputs.extend(more);
        ask(ID, config, &|x| vec![x[0] * x[1] + x[2]], &inputs).unwrap()
    };
    let once = ask_with("{}", vec![]);
    assert_eq!(once.output("scorer").strings, [b"r2"]);
    assert_eq!(once.output("importances").shape, [4, 5]);
    assert_eq!(once.values::<f64>("importances")[15..], [0.0; 5]);
    assert_eq!(once.values::<f64>("mean")[3], 0.0);
    let again = ask_with(r#"{"batch_rows_max": 7}"#, vec![list("seed", &[0_i64])]);
    assert_eq!(bits(&once.values("importances")), bits(&again.values("importances")));
    let other = ask_with("{}", vec![list("seed", &[-1_i64])]);
    assert_ne!(bits(&once.values("importances")), bits(&other.values("importances")));
    // 4 features and 9 evaluations: two permutations, which are the first two of five.
    let cheap = ask_with("{}", vec![list("budget", &[9_i64])]);
    assert_eq!(cheap.output("importances").shape, [4, 2]);
    assert_eq!(cheap.values::<f64>("importances")[..2], once.values::<f64>("importances")[..2]);
    // Both factors together are one player.
    let grouped = ask_with("{}", vec![list("groups", &[0_i64, 0, 1, 2])]);
    assert_eq!(grouped.output("mean").shape, [3]);
    assert!(grouped.values::<f64>("mean")[0] > 0.0);
}

#[test]
fn classes_may_have_values_of_their_own() {
    let (x, _) = some_rows();
    let classes: Vec<f64> = x
        .chunks_exact(4)
        .map(|row| {
            let p = of_three(row);
            f64::from(u8::from(p[1] > p[0])) + f64::from(u8::from(p[2] > p[0].max(p[1])))
        })
        .collect();
    let named: Vec<f64> = classes.iter().map(|class| [7.0, -3.0, 11.5][*class as usize]).collect();
    for scorer in ["accuracy", "neg_log_loss"] {
        let config = format!(r#"{{"scorer": "{scorer}"}}"#);
        let plain = ask(ID, &config, &of_three, &[matrix("x", 4, &x), list("y", &classes)]).unwrap();
        let inputs = [matrix("x", 4, &x), list("y", &named), list("classes", &[7.0, -3.0, 11.5])];
        let named = ask(ID, &config, &of_three, &inputs).unwrap();
        assert_eq!(bits(&plain.values("importances")), bits(&named.values("importances")));
    }
}

#[test]
fn wrong_questions_are_refused() {
    let x = || matrix("x", 2, &[0.0, 1.0, 1.0, 0.0]);
    let y = || list("y", &[0.0, 1.0]);
    let auc = r#"{"scorer": "roc_auc"}"#;
    refused(
        ID,
        &|x| vec![x[0]],
        vec![
            ("{}", vec![x()], "there is no input `y`"),
            ("{}", vec![x(), list("y", &[1.0])], "`y` has 1 numbers for 2 rows"),
            ("{}", vec![x(), list("y", &[1.0, f64::NAN])], "`y` has no number in row 1"),
            (auc, vec![x(), list("y", &[1.0, 1.0])], "no row of `y` is of class 0"),
            (auc, vec![x(), list("y", &[1.0, 0.5])], "`y` is 0.5 in row 1, which is no class"),
            (auc, vec![x(), y(), list("classes", &[1.0])], "`classes` has 1 values, expected 2"),
            ("{}", vec![matrix("x", 2, &[0.0, 1.0]), list("y", &[1.0])], "not defined for fewer than two rows"),
            ("{}", vec![x(), y(), list("groups", &[0_i64])], "`groups` has 1 numbers"),
            ("{}", vec![x(), y(), list("groups", &[1_i64, 1])], "no feature of player 0"),
            ("{}", vec![x(), y(), list("groups", &[0_i64, 2])], "expected 0 to 1"),
            ("{}", vec![x(), y(), list("budget", &[2_i64])], "`budget` is 2, and 2 players take 3"),
            ("{}", vec![x(), y(), matrix("permutations", 2, &[0.0, 1.0])], "expected int64"),
            (r#"{"evaluations_max": 21}"#, vec![x(), y()], "it takes 22 evaluations"),
            (r#"{"repeats": 0}"#, vec![x(), y()], "`repeats` is 0"),
            ("{}", vec![x(), y(), list("outputs", &[1_i64])], "`outputs` has 1, and the model has outputs 0 to 0"),
        ],
    );
    let order = |order: &[i64]| candor_plugin_sdk::testing::Input::new("permutations", &[1, 2], order);
    refused(ID, &of_two, vec![("{}", vec![matrix("x", 4, &[0.0; 8]), y(), order(&[1, 1])], "has the row 1 twice")]);
    refused(ID, &|_| vec![1.0, 2.0], vec![(r#"{"scorer": "r2"}"#, vec![x(), y()], "is for models of one output")]);
    refused(ID, &|x| vec![x[0].ln()], vec![("{}", vec![x(), y()], "output 0 of the model is -inf")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the numbers are, every fall is a number, and mean and deviation are theirs.
    #[test]
    fn every_importance_is_a_number(
        x in prop::collection::vec(prop_oneof![8 => -1e6_f64..1e6, 1 => Just(f64::NAN), 1 => Just(1.0)], 6..60),
        scorer in prop_oneof![Just("r2"), Just("neg_mean_squared_error"), Just("accuracy"), Just("neg_log_loss")],
        repeats in 1_i64..4,
    ) {
        let x = &x[..x.len() / 3 * 3];
        let y: Vec<f64> = (0..x.len() / 3).map(|row| if row % 2 == 0 { 0.0 } else { 1.0 }).collect();
        let half = |x: &[f64]| vec![x.iter().map(|x| if x.is_nan() { 0.1 } else { x.tanh() / 6.0 }).sum::<f64>() + 0.5];
        let config = format!(r#"{{"scorer": "{scorer}", "repeats": {repeats}}}"#);
        let answer = ask(ID, &config, &half, &[matrix("x", 3, x), list("y", &y)]).unwrap();
        let falls = answer.values::<f64>("importances");
        prop_assert!(falls.iter().all(|fall| fall.is_finite()));
        for (falls, mean) in falls.chunks_exact(usize::try_from(repeats).unwrap()).zip(answer.values::<f64>("mean")) {
            let (low, high) = falls.iter().fold((f64::MAX, f64::MIN), |(low, high), fall| (low.min(*fall), high.max(*fall)));
            prop_assert!(low - 1e-9 <= mean && mean <= high + 1e-9);
        }
    }
}
