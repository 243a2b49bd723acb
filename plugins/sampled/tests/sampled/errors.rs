//! Standard errors against what they tell: distances from exact values, and how often they are within two of them.

use crate::support::{Model, Rows, ask, brute, close, integers, open};

/// Distances in standard errors over many seeds, and the distances' root mean square over the errors'.
fn told(id: &str, model: &Model, features: usize, budget: i64, seeds: i64) -> (f64, f64, f64) {
    let (background, x) = (Rows::random(3, features, 31), Rows::random(1, features, 32));
    let exact = brute(model, &x.cells, &background, &[1.0; 3], &(0..features).collect::<Vec<_>>());
    let harness = open(id, "{}");
    let (mut within, mut count, mut off, mut error) = (0.0, 0.0, 0.0, 0.0);
    let mut bias = vec![0.0; features];
    for seed in 0..seeds {
        let inputs =
            [x.input("x"), background.input("background"), integers("seed", &[seed]), integers("budget", &[budget])];
        let answer = ask(&harness, model, &inputs);
        let (shares, errors): (Vec<f64>, Vec<f64>) = (answer.values("attributions"), answer.values("standard_error"));
        for (at, ((share, own), exact)) in shares.iter().zip(errors).zip(&exact).enumerate() {
            within += f64::from(u8::from((share - exact).abs() <= 2.0 * own + 1e-12));
            count += 1.0;
            off += (share - exact).powi(2);
            error += own * own;
            bias[at] += (share - exact) / seeds as f64;
        }
    }
    let spread = (off / count).sqrt();
    let worst = bias.iter().fold(0.0_f64, |most, one| most.max(one.abs())) / spread * (seeds as f64).sqrt();
    (within / count, spread / (error / count).sqrt(), worst)
}

/// A game of triples, one with a threshold, and a smooth one of high order.
fn games() -> [(&'static str, &'static Model); 3] {
    [
        ("triples", &|row| vec![row.windows(3).map(|own| own[0] * own[1] * own[2]).sum::<f64>() + row[0]]),
        ("steps", &|row| vec![row.chunks(3).map(|part| f64::from(u8::from(part.iter().sum::<f64>() > 0.0))).sum()]),
        ("smooth", &|row| vec![(row.iter().sum::<f64>() * 0.5).tanh() + row[1]]),
    ]
}

/// 95.4 % of normal errors lie within two of their standard deviations; estimates of them from some 100 draws, and
/// games with few different outcomes, move that by a few in a hundred.
#[test]
fn kernel_errors_cover() {
    for (name, model) in games() {
        for budget in [150, 600] {
            let (within, ratio, bias) = told("candor.kernel_shap", model, 11, budget, 60);
            assert!((0.90..=0.995).contains(&within), "{name} {budget}: {within} within two");
            assert!((0.80..=1.20).contains(&ratio), "{name} {budget}: {ratio} times the errors");
            assert!(bias < 4.0, "{name} {budget}: a bias of {bias} of its own error");
        }
    }
}

/// What only pairs of players share is found exactly by pairs of complements, and an order with its reverse: both see
/// each pair once in either order.
#[test]
fn games_of_pairs_are_exact() {
    let model: &Model = &|row| vec![row.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() + row[0]];
    let (background, x) = (Rows::random(3, 11, 31), Rows::random(1, 11, 32));
    let exact = brute(model, &x.cells, &background, &[1.0; 3], &(0..11).collect::<Vec<_>>());
    for id in ["candor.kernel_shap", "candor.permutation_shap"] {
        let inputs = [x.input("x"), background.input("background"), integers("budget", &[150])];
        let answer = ask(&open(id, "{}"), model, &inputs);
        close(&answer.values("attributions"), &exact, 1e-12);
        assert!(answer.values::<f64>("standard_error").iter().all(|error| *error < 1e-12));
    }
}

#[test]
fn permutation_errors_cover() {
    for (name, model) in games() {
        for budget in [500, 2000] {
            let (within, ratio, bias) = told("candor.permutation_shap", model, 11, budget, 60);
            assert!((0.90..=0.995).contains(&within), "{name} {budget}: {within} within two");
            assert!((0.80..=1.20).contains(&ratio), "{name} {budget}: {ratio} times the errors");
            assert!(bias < 4.0, "{name} {budget}: a bias of {bias} of its own error");
        }
    }
}

/// The errors of LIME tell how far the coefficients move from seed to seed; there is nothing exact to compare with.
#[test]
fn lime_errors_tell_how_far_seeds_differ() {
    let (background, x) = (Rows::random(40, 6, 41), Rows::random(1, 6, 42));
    for config in [r#"{"feature_selection": "none"}"#, r#"{"feature_selection": "none", "discretizer": "none"}"#] {
        let harness = open("candor.lime", config);
        let model: &Model = &|row| vec![(row.iter().sum::<f64>() * 0.5).tanh() + row[1] * row[2]];
        let answers: Vec<(Vec<f64>, Vec<f64>)> = (0..80)
            .map(|seed| {
                let inputs = [
                    x.input("x"),
                    background.input("background"),
                    integers("seed", &[seed]),
                    integers("budget", &[1000]),
                ];
                let answer = ask(&harness, model, &inputs);
                (answer.values("attributions"), answer.values("standard_error"))
            })
            .collect();
        for feature in 0..6 {
            let mean = answers.iter().map(|(own, _)| own[feature]).sum::<f64>() / 80.0;
            let spread = (answers.iter().map(|(own, _)| (own[feature] - mean).powi(2)).sum::<f64>() / 79.0).sqrt();
            let told = (answers.iter().map(|(_, own)| own[feature].powi(2)).sum::<f64>() / 80.0).sqrt();
            // The spread of 80 numbers is itself known to 8 %.
            assert!((0.75..=1.33).contains(&(spread / told)), "{config} {feature}: {spread} and {told}");
        }
    }
}
