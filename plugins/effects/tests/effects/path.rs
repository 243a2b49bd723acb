//! Integrated gradients against integrals that are known, and their completeness.

use proptest::prelude::*;

use crate::support::{ask, bits, curved, fixture, floats, list, matrix, near, refused, rule};

const ID: &str = "candor.integrated_gradients";

#[test]
fn shares_are_the_integrals_of_known_gradients() {
    let fixture = fixture(include_str!("../fixtures/path.json"));
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let (x, baseline) = (floats(&case["x"]), floats(&case["baseline"]));
        let model = case["model"].as_str().unwrap();
        let ask_with =
            |config: &str| ask(ID, config, rule(model), &[matrix("x", 4, &x), list("baseline", &baseline)]).unwrap();
        let answer = ask_with("{}");
        // The error of central differences falls with the square of their size.
        near(&answer.values("attributions"), &floats(&case["attributions"]), 2e-5, model);
        near(&ask_with(r#"{"difference": 1e-5}"#).values("attributions"), &floats(&case["attributions"]), 1e-9, model);
        near(&answer.values("output"), &rule(model)(&x), 0.0, model);
        near(&answer.values("base"), &rule(model)(&baseline), 0.0, model);
        let delta = answer.values::<f64>("convergence_delta");
        assert!(delta.iter().all(|delta| delta.abs() < 2e-5), "{model}: {delta:?}");
        assert_eq!(answer.output("gradient").strings, [b"finite_differences"]);
        let moving = i64::try_from(x.iter().zip(&baseline).filter(|(x, from)| x != from).count()).unwrap();
        assert_eq!(answer.values::<i64>("evaluations"), [2 + moving * 100]);
    }
}

#[test]
fn linear_and_logistic_models_have_shares_in_closed_form() {
    let (x, from, weights) = ([1.5, -2.0, 0.5], [0.5, 1.0, 0.25], [0.8, -0.5, 1.2]);
    let score = |x: &[f64]| x.iter().zip(weights).map(|(x, weight)| x * weight).sum::<f64>() - 0.3;
    let sigmoid = |score: f64| 1.0 / (1.0 + (-score).exp());
    let inputs = [matrix("x", 3, &x), list("baseline", &from)];
    let linear = ask(ID, r#"{"steps": 1}"#, &|x| vec![score(x)], &inputs).unwrap();
    let exact: Vec<f64> = (0..3).map(|at| weights[at] * (x[at] - from[at])).collect();
    near(&linear.values("attributions"), &exact, 1e-12, "linear");
    // ∫ w d σ'(s0 + α (s1 − s0)) dα = w d (σ(s1) − σ(s0)) / (s1 − s0)
    let (low, high) = (score(&from), score(&x));
    let logistic: Vec<f64> = exact.iter().map(|share| share * (sigmoid(high) - sigmoid(low)) / (high - low)).collect();
    let answer = ask(ID, r#"{"difference": 1e-4}"#, &|x| vec![sigmoid(score(x))], &inputs).unwrap();
    near(&answer.values("attributions"), &logistic, 1e-8, "logistic");
    // In single precision, as most models compute.
    #[allow(clippy::cast_possible_truncation, reason = "it is what is tried")]
    let narrow =
        |x: &[f64]| vec![f64::from(sigmoid(score(&x.iter().map(|x| f64::from(*x as f32)).collect::<Vec<_>>())) as f32)];
    near(&ask(ID, "{}", &narrow, &inputs).unwrap().values("attributions"), &logistic, 1e-4, "single precision");
}

#[test]
fn groups_have_the_sum_and_a_budget_has_fewer_nodes() {
    let (x, from) = ([1.0, -0.5, 2.0, 0.25], [0.0, 0.5, 1.0, 0.0]);
    let with = |more: Vec<candor_plugin_sdk::testing::Input>| {
        let mut inputs = vec![matrix("x", 4, &x), list("baseline", &from)];
        inputs.extend(more);
        ask(ID, "{}", &curved, &inputs).unwrap()
    };
    let single = with(vec![]).values::<f64>("attributions");
    let grouped = with(vec![list("groups", &[1_i64, 1, 0, 2])]).values::<f64>("attributions");
    near(&grouped, &[single[2], single[0] + single[1], single[3]], 1e-5, "groups");
    let cheap = with(vec![list("budget", &[60_i64])]);
    assert_eq!((cheap.values::<i64>("steps"), cheap.values::<i64>("evaluations")), (vec![7], vec![58]));
    near(&cheap.values("attributions"), &single, 1e-4, "seven nodes");
    let alone = ask(
        ID,
        "{}",
        &curved,
        &[matrix("x", 4, &[1.0, 1.0, 1.0, 1.0]), matrix("background", 4, &[0.0, 1.0, 0.0, 1.0, 2.0, 1.0, 2.0, 1.0])],
    )
    .unwrap();
    assert_eq!(alone.values::<f64>("baseline"), [1.0; 4]);
    assert_eq!((alone.values::<f64>("attributions"), alone.values::<i64>("evaluations")), (vec![0.0; 4], vec![2]));
    let zero = ask(ID, r#"{"baseline": "zero"}"#, &curved, &[matrix("x", 4, &x)]).unwrap();
    assert_eq!(zero.values::<f64>("baseline"), [0.0; 4]);
}

#[test]
fn a_model_of_steps_is_told_by_its_delta() {
    let step = |x: &[f64]| vec![f64::from(u8::from(x[0] > 0.501))];
    let answer = ask(ID, "{}", &step, &[matrix("x", 1, &[1.0]), list("baseline", &[0.0])]).unwrap();
    assert!((answer.values::<f64>("convergence_delta")[0] + 1.0).abs() < 1e-12);
}

#[test]
fn wrong_questions_are_refused() {
    let x = || matrix("x", 2, &[0.0, 1.0]);
    refused(
        ID,
        &|x| vec![x[0]],
        vec![
            ("{}", vec![x()], "there is no `baseline` and no `background`"),
            ("{}", vec![x(), list("baseline", &[0.0])], "`baseline` has 1 numbers for 2 features"),
            ("{}", vec![x(), list("baseline", &[0.0, f64::NAN])], "feature 1 has no number"),
            ("{}", vec![matrix("x", 2, &[f64::NAN, 0.0]), list("baseline", &[0.0, 0.0])], "feature 0 has no number"),
            ("{}", vec![x(), list("baseline", &[0.0, 0.0]), list("textual", &[1_i64])], "feature 1 is text"),
            (
                "{}",
                vec![x(), list("baseline", &[0.0, 0.0]), list("budget", &[5_i64])],
                "`budget` is 5, and 2 players take 6",
            ),
            (r#"{"steps": 0}"#, vec![x()], "`steps` is 0"),
            (r#"{"difference": 0}"#, vec![x()], "`difference` is 0"),
            (r#"{"evaluations_max": 201}"#, vec![x(), list("baseline", &[0.0, 0.0])], "it takes 202 evaluations"),
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Shares sum to output − base but for the delta that is told, which is small for a smooth model.
    #[test]
    fn shares_are_complete(
        x in prop::collection::vec(-2.0_f64..2.0, 8),
        baseline in prop::collection::vec(-2.0_f64..2.0, 4),
        batch in 1_usize..70,
    ) {
        let inputs = || [matrix("x", 4, &x), list("baseline", &baseline)];
        let answer = ask(ID, "{}", &curved, &inputs()).unwrap();
        let shares = answer.values::<f64>("attributions");
        let (base, output) = (answer.values::<f64>("base"), answer.values::<f64>("output"));
        for (row, delta) in answer.values::<f64>("convergence_delta").into_iter().enumerate() {
            let sum: f64 = shares[row * 4..row * 4 + 4].iter().sum();
            prop_assert!((sum - (output[row] - base[row]) - delta).abs() < 1e-12);
            prop_assert!(delta.abs() < 1e-3, "{delta}");
        }
        let small = ask(ID, &format!(r#"{{"batch_rows_max": {batch}}}"#), &curved, &inputs()).unwrap();
        prop_assert_eq!(bits(&shares), bits(&small.values("attributions")));
    }
}
