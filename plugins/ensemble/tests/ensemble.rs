//! Votes, averages and stacks as scikit-learn's, by fixtures that `plugins/fixtures` makes; ties, weights, refusals.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

use candor_plugin_ensemble::MODULE;
use candor_plugin_sdk::{
    Port, Status,
    testing::{Answer, Harness, Input},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn open(id: &str, config: &Value) -> Harness {
    Harness::new(&MODULE, id, &config.to_string()).unwrap()
}

fn refused(id: &str, config: &Value) -> String {
    let error = Harness::new(&MODULE, id, &config.to_string()).err().unwrap();
    assert_eq!(error.status(), Status::Invalid);
    error.message().to_owned()
}

fn labels(member: usize, labels: &[i64]) -> Input {
    Input::new(&format!("y_{member}"), &[i64::try_from(labels.len()).unwrap()], labels)
}

fn chances(member: usize, columns: i64, numbers: &[f64]) -> Input {
    let rows = i64::try_from(numbers.len()).unwrap() / columns;
    Input::new(&format!("y_{member}"), &[rows, columns], numbers)
}

/// A fixture's array as an input.
fn input(name: &str, array: &Value) -> Input {
    let shape: Vec<i64> = serde_json::from_value(array["shape"].clone()).unwrap();
    let data = array["data"].as_array().unwrap();
    if data[0].is_string() {
        let words: Vec<&str> = data.iter().map(|word| word.as_str().unwrap()).collect();
        return Input::strings(name, &shape, &words);
    }
    if data.iter().all(Value::is_i64) {
        return Input::new(name, &shape, &data.iter().map(|number| number.as_i64().unwrap()).collect::<Vec<_>>());
    }
    Input::new(name, &shape, &data.iter().map(|number| number.as_f64().unwrap()).collect::<Vec<_>>())
}

fn close(answer: &Answer, name: &str, expected: &Value, what: &str) {
    let shape: Vec<i64> = serde_json::from_value(expected["shape"].clone()).unwrap();
    assert_eq!(answer.output(name).shape, shape, "{what}");
    let expected: Vec<f64> = serde_json::from_value(expected["data"].clone()).unwrap();
    for (got, expected) in answer.values::<f64>(name).into_iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: {got} and {expected}");
    }
}

fn same_labels(answer: &Answer, expected: &Value, what: &str) {
    let data = expected["data"].as_array().unwrap();
    let y = answer.output("y");
    if data[0].is_string() {
        let words: Vec<&[u8]> = data.iter().map(|word| word.as_str().unwrap().as_bytes()).collect();
        assert_eq!(y.strings, words, "{what}");
    } else {
        let numbers: Vec<i64> = data.iter().map(|number| number.as_i64().unwrap()).collect();
        assert_eq!(y.values::<i64>(), numbers, "{what}");
    }
}

#[test]
fn ensembles_answer_as_scikit_learn_does() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/ensembles.json")).unwrap();
    let cases = fixture.as_array().unwrap();
    assert_eq!(cases.len(), 15 + 3 + 6);
    for case in cases {
        let what = format!("{} {}", case["component"], case["config"]);
        let members = case["members"].as_array().unwrap().iter().enumerate();
        let mut inputs: Vec<Input> = members.map(|(at, array)| input(&format!("y_{at}"), array)).collect();
        if !case["x"].is_null() {
            inputs.push(input("x", &case["x"]));
        }
        let answer = open(case["component"].as_str().unwrap(), &case["config"]).run(&inputs).unwrap();
        let is_number = case["component"] == "candor.average" || case["config"]["meta"] == "linear";
        if is_number {
            close(&answer, "y", &case["y"], &what);
        } else {
            same_labels(&answer, &case["y"], &what);
        }
        if !case["probabilities"].is_null() {
            close(&answer, "probabilities", &case["probabilities"], &what);
        }
    }
}

#[test]
fn of_equal_classes_the_lowest_wins() {
    let hard = open("candor.vote", &json!({"voting": "hard"}));
    let answer = hard.run(&[labels(0, &[7, 2, 5]), labels(1, &[-3, 9, 5]), labels(2, &[100, 4, 1])]).unwrap();
    assert_eq!(answer.values::<i64>("y"), [-3, 2, 5]);
    // "Lowest" is the first of `classes` where there are some.
    let named = open("candor.vote", &json!({"voting": "hard", "classes": ["b", "a"]}));
    let words = |member: usize, word: &str| Input::strings(&format!("y_{member}"), &[1], &[word]);
    assert_eq!(named.run(&[words(0, "a"), words(1, "b")]).unwrap().output("y").strings, [b"b".to_vec()]);
    assert_eq!(named.run(&[words(0, "a"), words(1, "b"), words(2, "a")]).unwrap().output("y").strings, [b"a".to_vec()]);

    let soft = open("candor.vote", &json!({"voting": "soft", "datatype": "FP64"}));
    let answer = soft.run(&[chances(0, 3, &[0.5, 0.25, 0.25]), chances(1, 3, &[0.0, 0.5, 0.5])]).unwrap();
    assert_eq!((answer.values::<i64>("y"), answer.values::<f64>("probabilities")), (vec![1], vec![0.25, 0.375, 0.375]));
}

#[test]
fn weights_count() {
    let weighed = open("candor.vote", &json!({"voting": "hard", "weights": [3, 1, 1]}));
    let ask = || [labels(0, &[8]), labels(1, &[4]), labels(2, &[4])];
    assert_eq!(weighed.run(&ask()).unwrap().values::<i64>("y"), [8]);
    // A member of no weight decides nothing, not even between equals.
    let silent = open("candor.vote", &json!({"voting": "hard", "weights": [0, 1, 1]}));
    assert_eq!(silent.run(&[labels(0, &[1]), labels(1, &[6]), labels(2, &[5])]).unwrap().values::<i64>("y"), [5]);

    let mean = open("candor.average", &json!({"weights": [1, 3], "datatype": "FP64"}));
    let answer = mean.run(&[chances(0, 2, &[0.0, 4.0]), chances(1, 2, &[4.0, 8.0])]).unwrap();
    assert_eq!((answer.output("y").shape.as_slice(), answer.values::<f64>("y")), (&[1, 2][..], vec![3.0, 7.0]));
    let blend = open("candor.average", &json!({"mode": "blend", "weights": [1, -0.5], "intercept": 10}));
    let single = |member: usize, number: f32| Input::new(&format!("y_{member}"), &[1], &[number]);
    assert_eq!(blend.run(&[single(0, 2.0), single(1, 4.0)]).unwrap().values::<f32>("y"), [10.0]);
}

#[test]
fn logistic_models_do_not_overflow() {
    let two =
        open("candor.stack", &json!({"meta": "logistic", "coefficients": [1], "intercept": [0], "datatype": "FP64"}));
    let answer = two.run(&[chances(0, 1, &[-2000.0, 0.0, 2000.0])]).unwrap();
    assert_eq!(answer.values::<f64>("probabilities"), [1.0, 0.0, 0.5, 0.5, 0.0, 1.0]);
    assert_eq!(answer.values::<i64>("y"), [0, 0, 1]);
    let config =
        json!({"meta": "logistic", "coefficients": [[1], [2], [3]], "intercept": [0, 0, 0], "datatype": "FP64"});
    let answer = open("candor.stack", &config).run(&[chances(0, 1, &[5000.0, -5000.0])]).unwrap();
    assert_eq!(answer.values::<i64>("y"), [2, 0]);
    assert_eq!(answer.values::<f64>("probabilities"), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn they_tell_their_inputs_and_outputs() {
    let told = open("candor.vote", &json!({"voting": "soft", "members": 2, "classes": ["a", "b"]})).describe().unwrap();
    assert_eq!(told.inputs, [Port::new("y_0", "FP32", &[-1, 2]), Port::new("y_1", "FP32", &[-1, 2])]);
    assert_eq!(told.outputs, [Port::new("y", "BYTES", &[-1]), Port::new("probabilities", "FP32", &[-1, 2])]);
    let told = open("candor.vote", &json!({"voting": "hard", "weights": [1]})).describe().unwrap();
    assert_eq!(
        (told.inputs, told.outputs),
        (vec![Port::new("y_0", "INT64", &[-1])], vec![Port::new("y", "INT64", &[-1])])
    );
    let config = json!({"meta": "linear", "coefficients": [1, 2], "intercept": [0], "members": 1, "passthrough": "x"});
    let told = open("candor.stack", &config).describe().unwrap();
    assert_eq!(told.inputs, [Port::new("y_0", "FP32", &[-1, -1]), Port::new("x", "FP32", &[-1, -1])]);
    assert_eq!(told.outputs, [Port::new("y", "FP32", &[-1])]);
    let error = open("candor.vote", &json!({"voting": "soft"})).describe().err().unwrap();
    assert!(error.status() == Status::Unsupported && error.message().contains("how many `members`"), "{error}");
    // A mean takes any rank, and a description has one.
    for config in [json!({}), json!({"members": 2}), json!({"weights": [1, 3]})] {
        let error = open("candor.average", &config).describe().err().unwrap();
        assert_eq!(error.status(), Status::Unsupported, "{config}: {error}");
    }
}

#[test]
fn a_mean_takes_any_shape_that_all_answers_have() {
    for shape in [&[6][..], &[6, 1], &[2, 3], &[1, 2, 3], &[0, 4], &[]] {
        let count = usize::try_from(shape.iter().product::<i64>()).unwrap();
        let of = |member: usize, number: f32| Input::new(&format!("y_{member}"), shape, &vec![number; count]);
        let answer = open("candor.average", &json!({"weights": [1, 3]})).run(&[of(0, 0.0), of(1, 4.0)]).unwrap();
        assert_eq!(answer.output("y").shape, shape);
        assert_eq!(answer.values::<f32>("y"), vec![3.0; count]);
    }
}

#[test]
fn answers_that_do_not_go_together_are_refused() {
    let hard = open("candor.vote", &json!({"voting": "hard"}));
    let named = open("candor.vote", &json!({"voting": "hard", "classes": [1, 2]}));
    let soft = open("candor.vote", &json!({"voting": "soft", "members": 2}));
    let mean = open("candor.average", &json!({}));
    let stack = open("candor.stack", &json!({"meta": "linear", "coefficients": [1, 2], "intercept": [0]}));
    let pair = |member: usize, numbers: &[f64]| chances(member, 2, numbers);
    for (ensemble, inputs, says) in [
        (&hard, vec![], "there is no input `y_0`"),
        (&hard, vec![labels(0, &[1]), labels(2, &[1])], "there is no input `y_1`; there is y_0, y_2"),
        (&hard, vec![labels(0, &[1]), labels(1, &[1, 2])], "`y_1` has 2 rows and `y_0` has 1"),
        (&hard, vec![pair(0, &[1.0, 0.0])], "`y_0` has the shape [1, 2], expected one label for each row"),
        (&hard, vec![Input::strings("y_0", &[1], &["a"])], "they need `classes`"),
        (&named, vec![labels(0, &[1]), labels(1, &[3])], "`y_1` has the label 3 in row 0, which is not in `classes`"),
        (&soft, vec![pair(0, &[1.0, 0.0])], "1 answers came, expected 2"),
        (&soft, vec![pair(0, &[1.0, 0.0]), chances(1, 3, &[1.0, 0.0, 0.0])], "`y_1` has 3 columns, expected 2 classes"),
        (&soft, vec![pair(0, &[1.0, 0.0]), pair(1, &[f64::NAN, 0.0])], "a probability in row 0 is no number"),
        (&mean, vec![pair(0, &[1.0, 0.0]), labels(1, &[1, 2])], "`y_1` has the shape [2] and `y_0` has [1, 2]"),
        (&stack, vec![chances(0, 3, &[1.0, 0.0, 0.0])], "3 columns together, and there are 2 coefficients"),
    ] {
        let error = ensemble.run(&inputs).err().unwrap();
        assert!(error.status() == Status::Invalid && error.message().contains(says), "{says}: {error}");
    }
}

#[test]
fn configurations_that_cannot_be_are_refused() {
    let line = |rest: Value| {
        let mut config = json!({"meta": "logistic", "coefficients": [[1], [2], [3]], "intercept": [0, 0, 0]});
        config.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        config
    };
    for (id, config, says) in [
        ("candor.vote", json!({}), "missing field `voting`"),
        ("candor.vote", json!({"voting": "soft", "from": "labels"}), "which counts probabilities"),
        ("candor.vote", json!({"voting": "hard", "weights": [1, -1]}), "one is negative"),
        ("candor.vote", json!({"voting": "hard", "weights": [0, 0]}), "their sum is 0"),
        ("candor.vote", json!({"voting": "hard", "weights": []}), "there are none"),
        ("candor.vote", json!({"voting": "hard", "weights": [1], "members": 2}), "there are 1 for 2 members"),
        ("candor.vote", json!({"voting": "hard", "members": 1000}), "expected 1 to 256"),
        ("candor.vote", json!({"voting": "hard", "classes": ["a", "b", "a"]}), "\"a\" stands twice"),
        ("candor.average", json!({"mode": "blend"}), "needs `weights`"),
        ("candor.average", json!({"intercept": 1}), "goes with the `mode` \"blend\" only"),
        ("candor.stack", line(json!({"coefficients": [[1], [2, 3]]})), "no rows of one length"),
        ("candor.stack", line(json!({"intercept": [0]})), "`intercept` has 1 numbers for 3 rows"),
        ("candor.stack", line(json!({"classes": [1, 2]})), "`classes` has 2, and the coefficients are for 3"),
        ("candor.stack", line(json!({"meta": "linear", "classes": [1, 2, 3]})), "with the `meta` \"logistic\" only"),
        ("candor.stack", line(json!({"cofficients": 1})), "unknown field `cofficients`"),
    ] {
        let message = refused(id, &config);
        assert!(message.contains(says), "{config}: {message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Who wins a hard vote was voted for, nobody has more votes, and whoever has as many is not lower.
    #[test]
    fn winners_have_most_votes_and_are_the_lowest_of_those(
        votes in prop::collection::vec(prop::collection::vec(-3_i64..4, 6), 1..7),
        weights in prop::collection::vec(1_u8..5, 7),
    ) {
        let weights: Vec<f64> = weights.iter().take(votes.len()).map(|&weight| f64::from(weight)).collect();
        let inputs: Vec<Input> = votes.iter().enumerate().map(|(member, votes)| labels(member, votes)).collect();
        let answer = open("candor.vote", &json!({"voting": "hard", "weights": weights})).run(&inputs).unwrap();
        for (row, winner) in answer.values::<i64>("y").into_iter().enumerate() {
            let count = |class: i64| -> f64 {
                votes.iter().zip(&weights).filter(|(votes, _)| votes[row] == class).map(|(_, weight)| weight).sum()
            };
            prop_assert!(count(winner) > 0.0);
            for class in -3..4 {
                prop_assert!(count(class) < count(winner) || (class >= winner && count(class) <= count(winner)));
            }
        }
    }

    /// Probabilities stay probabilities, and weights are shares: what they are multiplied by changes nothing.
    #[test]
    fn soft_votes_sum_to_1_and_weights_are_shares(
        chosen in prop::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 1..6),
        weights in prop::collection::vec(0.125_f64..8.0, 6),
    ) {
        let members: Vec<Vec<f64>> = chosen.iter().map(|(a, b)| vec![a * b, a * (1.0 - b), 1.0 - a]).collect();
        let inputs = || members.iter().enumerate().map(|(member, row)| chances(member, 3, row)).collect::<Vec<_>>();
        let ask = |factor: f64| {
            let weights: Vec<f64> = weights.iter().take(members.len()).map(|weight| weight * factor).collect();
            let config = json!({"voting": "soft", "weights": weights, "datatype": "FP64"});
            open("candor.vote", &config).run(&inputs()).unwrap().values::<f64>("probabilities")
        };
        let (once, twice) = (ask(1.0), ask(2.0));
        prop_assert!((once.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for (column, (one, two)) in once.iter().zip(&twice).enumerate() {
            prop_assert!((one - two).abs() < 1e-12);
            let of = members.iter().map(|row| row[column]);
            let (low, top) = (of.clone().fold(1.0, f64::min), of.fold(0.0, f64::max));
            prop_assert!(low - 1e-12 <= *one && *one <= top + 1e-12);
        }
    }
}
