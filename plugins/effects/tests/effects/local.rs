//! Accumulated local effects as PyALE counts them on the same edges; edges as NumPy's quantiles.

use proptest::prelude::*;

use crate::support::{ask, bits, curved, fixture, floats, integers, list, matrix, near, refused};

const ID: &str = "candor.ale";

#[test]
fn effects_are_those_of_pyale() {
    let fixture = fixture(include_str!("../fixtures/local.json"));
    let x = floats(&fixture["x"]);
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for (at, case) in cases.iter().enumerate() {
        let what = format!("case {at}");
        let features = integers(&case["features"]);
        let mut inputs = vec![matrix("x", 4, &x), list("features", &features)];
        let edges: Vec<Vec<f64>> = case["edges"].as_array().unwrap().iter().map(floats).collect();
        for (axis, edges) in edges.iter().enumerate() {
            inputs.push(list(&format!("edges_{axis}"), edges));
        }
        let answer = ask(ID, "{}", &curved, &inputs).unwrap();
        near(&answer.values("effect"), &floats(&case["effect"]), 1e-12, &what);
        assert_eq!(answer.values::<f64>("bin_weights").iter().sum::<f64>(), 120.0, "{what}");
        let per_row = if features.len() == 1 { 2 } else { 4 };
        assert_eq!(answer.values::<i64>("evaluations"), [120 * per_row + 1], "{what}");
        if features.len() == 1 {
            assert_eq!(answer.values::<f64>("bin_weights"), floats(&case["weights"]), "{what}");
            let config = format!(r#"{{"bins": {}}}"#, case["bins"]);
            let own = ask(ID, &config, &curved, &inputs[..2]).unwrap();
            assert_eq!(bits(&own.values("edges_0")), bits(&floats(&case["own_edges"])), "{what}");
        } else {
            let shape = [edges[0].len(), edges[1].len(), 1].map(|size| i64::try_from(size).unwrap());
            assert_eq!(answer.output("effect").shape, shape, "{what}");
        }
    }
}

#[test]
fn a_sum_of_single_effects_is_found_in_spite_of_correlation() {
    // The second feature follows the first, and the model has no interaction.
    let x: Vec<f64> = (0..200_u32)
        .flat_map(|at| {
            let first = f64::from(at) / 200.0;
            [first, first + f64::from(at * 37 % 11) / 40.0]
        })
        .collect();
    let sum = |x: &[f64]| vec![3.0 * x[0] - x[1] * x[1], 1.0];
    let answer = ask(ID, r#"{"bins": 20}"#, &sum, &[matrix("x", 2, &x), list("features", &[0_i64])]).unwrap();
    let (edges, effect) = (answer.values::<f64>("edges_0"), answer.values::<f64>("effect"));
    for (edge, effect) in edges.iter().zip(effect.chunks_exact(2)) {
        assert!((effect[0] - effect_at(&edges, *edge)).abs() < 0.02 && effect[1] == 0.0, "{edge}: {effect:?}");
    }
    let inputs = [matrix("x", 2, &x), list("features", &[0_i64, 1])];
    let both = ask(ID, "{}", &sum, &inputs).unwrap();
    assert!(both.values::<f64>("effect").iter().all(|effect| effect.abs() < 1e-12));
    let product = ask(ID, "{}", &|x| vec![x[0] * x[1]], &inputs).unwrap();
    assert!(product.values::<f64>("effect").iter().any(|effect| effect.abs() > 0.01));
}

/// 3 x, centred.
fn effect_at(edges: &[f64], at: f64) -> f64 {
    3.0 * (at - f64::midpoint(edges[0], edges[edges.len() - 1]))
}

#[test]
fn rows_may_have_weights_and_a_constant_has_no_effect() {
    let x = [0.0, 0.0, 1.0, 0.0, 2.0, 5.0];
    let rows = || matrix("x", 2, &[0.5, 0.5]);
    let square = |x: &[f64]| vec![x[0] * x[0] * (1.0 + x[1])];
    let twice = [0.0, 0.0, 1.0, 0.0, 2.0, 5.0, 2.0, 5.0];
    let ask_for = |background: &[f64], weights: &[f64]| {
        let inputs =
            [rows(), matrix("background", 2, background), list("weights", weights), list("features", &[0_i64])];
        ask(ID, r#"{"bins": 2}"#, &square, &inputs).unwrap()
    };
    let given = |weights: &[f64], background: &[f64]| {
        let edges = list("edges_0", &[0.0, 1.0, 2.0]);
        let inputs =
            [rows(), matrix("background", 2, background), list("weights", weights), list("features", &[0_i64]), edges];
        ask(ID, "{}", &square, &inputs).unwrap().values::<f64>("effect")
    };
    near(&given(&[1.0, 1.0, 2.0], &x), &given(&[1.0; 4], &twice), 1e-12, "a row of weight 2 is two rows");
    assert_eq!(ask_for(&x, &[1.0; 3]).values::<f64>("edges_0"), [0.0, 1.0, 2.0]);
    let constant =
        ask(ID, "{}", &square, &[matrix("x", 2, &[3.0, 1.0, 3.0, 2.0]), list("features", &[0_i64])]).unwrap();
    assert_eq!(constant.values::<f64>("edges_0"), [3.0]);
    assert_eq!(
        (constant.values::<f64>("effect"), constant.output("bin_weights").shape.as_slice()),
        (vec![0.0], &[0][..])
    );
}

#[test]
fn wrong_questions_are_refused() {
    let x = || matrix("x", 2, &[0.0, f64::NAN, 1.0, f64::NAN]);
    let of = |features: &[i64]| list("features", features);
    refused(
        ID,
        &|x| vec![x[0]],
        vec![
            ("{}", vec![x()], "`features` has 0 numbers"),
            ("{}", vec![x(), of(&[1])], "no row has a number for this feature"),
            ("{}", vec![x(), of(&[0]), list("textual", &[0_i64])], "feature 0 is of categories"),
            ("{}", vec![x(), of(&[0]), list("edges_0", &[1.0, 0.0])], "no growing finite numbers"),
            ("{}", vec![x(), of(&[0]), list("edges_0", &[0.0, f64::INFINITY])], "no growing finite numbers"),
            ("{}", vec![x(), of(&[0]), list("edges_0", &[0.0_f64; 0])], "no growing finite numbers"),
            ("{}", vec![x(), of(&[0]), list("edges_0", &vec![0.0; 1002])], "`edges_0` has 1002 numbers"),
            (r#"{"bins": 0}"#, vec![x()], "`bins` is 0"),
            (r#"{"evaluations_max": 4}"#, vec![x(), of(&[0])], "it takes 4 evaluations"),
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Effects are numbers whose mean over the rows is 0, whatever the rows are.
    #[test]
    fn effects_are_centred(
        x in prop::collection::vec(prop_oneof![6 => -1e3_f64..1e3, 1 => Just(f64::NAN), 2 => Just(2.0)], 8..80),
        pair in any::<bool>(),
        bins in 1_usize..9,
    ) {
        let x = &x[..x.len() / 4 * 4];
        let known = |x: &[f64]| curved(&x.iter().map(|x| if x.is_nan() { 0.5 } else { *x }).collect::<Vec<_>>());
        let features: &[i64] = if pair { &[0, 1] } else { &[0] };
        let any = features.iter().all(|&at| x.chunks_exact(4).any(|row| !row[usize::try_from(at).unwrap()].is_nan()));
        let config = format!(r#"{{"bins": {bins}, "bins_pair": {bins}}}"#);
        let answer = ask(ID, &config, &known, &[matrix("x", 4, x), list("features", features)]);
        prop_assert_eq!(answer.is_ok(), any);
        let Ok(answer) = answer else { return Ok(()) };
        let (effect, weights) = (answer.values::<f64>("effect"), answer.values::<f64>("bin_weights"));
        prop_assert!(effect.iter().all(|effect| effect.is_finite()));
        let size = effect.iter().fold(1.0_f64, |size, effect| size.max(effect.abs()));
        let mean: f64 = if pair {
            let wide = answer.values::<f64>("edges_1").len();
            let corner = |cell: usize| {
                let at = cell / (wide - 1) * wide + cell % (wide - 1);
                (effect[at] + effect[at + 1] + effect[at + wide] + effect[at + wide + 1]) / 4.0
            };
            weights.iter().enumerate().map(|(cell, weight)| weight * corner(cell)).sum()
        } else {
            weights.iter().zip(effect.windows(2)).map(|(weight, pair)| weight * (pair[0] + pair[1]) / 2.0).sum()
        };
        prop_assert!(mean.abs() <= 1e-9 * size * (1.0 + weights.iter().sum::<f64>()), "{mean}");
    }
}
