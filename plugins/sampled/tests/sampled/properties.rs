//! What holds for every game: values by definition, additivity, symmetry, dummies, seeds, batches, groups, weights.

use std::sync::atomic::AtomicU32;

use candor_plugin_sdk::{
    Status,
    testing::{Answer, Input, ModelFn, Output, Setup},
};
use proptest::prelude::*;

use crate::support::{Model, Rows, SHAP, ask, asked, brute, close, crooked, integers, open};

fn singles(features: usize) -> Vec<usize> {
    (0..features).collect()
}

/// Σ attributions + base = output, for each row and output.
fn adds_up(answer: &Answer, rows: usize, players: usize, outputs: usize) {
    let (shares, base, output) =
        (answer.values::<f64>("attributions"), answer.values::<f64>("base"), answer.values::<f64>("output"));
    for row in 0..rows {
        for at in 0..outputs {
            let own: Vec<f64> = (0..players).map(|player| shares[(row * players + player) * outputs + at]).collect();
            let (base, output) = (base[row * outputs + at], output[row * outputs + at]);
            let scale = base.abs() + own.iter().map(|own| own.abs()).sum::<f64>();
            assert!((own.iter().sum::<f64>() + base - output).abs() <= 1e-12 * scale, "{own:?} {base} {output}");
        }
    }
}

#[test]
fn enumerations_are_shapley_values_by_definition() {
    let (background, x) = (Rows::random(7, 6, 1), Rows::random(2, 6, 2));
    let weights = [1.0, 0.5, 2.0, 0.0, 1.0, 3.0, 0.25];
    for id in ["candor.exact_shap", "candor.kernel_shap"] {
        let inputs = [x.input("x"), background.input("background"), Input::new("weights", &[7], &weights)];
        let answer = ask(&open(id, "{}"), &crooked, &inputs);
        assert_eq!(answer.output("attributions").shape, [2, 6, 2]);
        adds_up(&answer, 2, 6, 2);
        for (row, got) in x.iter().zip(answer.values::<f64>("attributions").chunks_exact(12)) {
            close(got, &brute(&crooked, row, &background, &weights, &singles(6)), 1e-11);
        }
    }
}

#[test]
fn groups_are_single_players() {
    let (background, x, groups) = (Rows::random(5, 7, 3), Rows::random(1, 7, 4), [0, 1, 0, 2, 3, 3, 1]);
    let inputs = || [x.input("x"), background.input("background"), integers("groups", &groups)];
    let expected = brute(&crooked, &x.cells, &background, &[1.0; 5], &[0, 1, 0, 2, 3, 3, 1]);
    for id in ["candor.exact_shap", "candor.kernel_shap"] {
        let answer = ask(&open(id, "{}"), &crooked, &inputs());
        assert_eq!(answer.output("attributions").shape, [1, 4, 2]);
        close(&answer.values("attributions"), &expected, 1e-11);
    }
    let answer = ask(&open("candor.permutation_shap", "{}"), &crooked, &inputs());
    adds_up(&answer, 1, 4, 2);
    let lime = ask(&open("candor.lime", r#"{"feature_selection": "none"}"#), &crooked, &inputs());
    let single = ask(&open("candor.lime", r#"{"feature_selection": "none"}"#), &crooked, &inputs()[..2]);
    let (grouped, single): (Vec<f64>, Vec<f64>) = (lime.values("attributions"), single.values("attributions"));
    let sums: Vec<f64> = [vec![0, 2], vec![1, 6], vec![3], vec![4, 5]]
        .iter()
        .flat_map(|own| [0, 1].map(|output| own.iter().map(|&at: &usize| single[at * 2 + output]).sum()))
        .collect();
    close(&grouped, &sums, 1e-12);
}

#[test]
fn interactions_of_both_kinds_sum_to_the_values() {
    let (background, x) = (Rows::random(4, 5, 5), Rows::random(1, 5, 6));
    for config in ["{}", r#"{"interaction_index": "taylor"}"#] {
        let inputs = [x.input("x"), background.input("background"), integers("interactions", &[1])];
        let answer = ask(&open("candor.exact_shap", config), &crooked, &inputs);
        let (values, pairs): (Vec<f64>, Vec<f64>) = (answer.values("attributions"), answer.values("interactions"));
        assert_eq!(answer.output("interactions").shape, [1, 5, 5, 2]);
        let sums: Vec<f64> = (0..5)
            .flat_map(|row| [0, 1].map(|output| (0..5).map(|column| pairs[(row * 5 + column) * 2 + output]).sum()))
            .collect();
        close(&sums, &values, 1e-12);
        for (row, column) in [(0, 1), (2, 4), (1, 3)] {
            assert_eq!(pairs[(row * 5 + column) * 2].to_bits(), pairs[(column * 5 + row) * 2].to_bits());
        }
    }
}

#[test]
fn what_does_not_vary_has_nothing_and_costs_nothing() {
    // Feature 1 is 4 everywhere; feature 2 is missing everywhere.
    let background = Rows::new(4, &[1.0, 4.0, f64::NAN, 0.5, 2.0, 4.0, f64::NAN, 0.25, 1.0, 4.0, f64::NAN, 0.5]);
    let x = Rows::new(4, &[3.0, 4.0, f64::NAN, 0.25, 2.0, 4.0, f64::NAN, 7.0]);
    let model: &Model = &|row| vec![row[0] * row[3] + row[1] + f64::from(u8::from(row[2].is_nan()))];
    for id in SHAP {
        let (answer, rows) = asked(&open(id, "{}"), model, &[x.input("x"), background.input("background")]);
        let answer = answer.unwrap();
        adds_up(&answer, 2, 4, 1);
        let shares: Vec<f64> = answer.values("attributions");
        assert_eq!((shares[1], shares[2], shares[5], shares[6]), (0.0, 0.0, 0.0, 0.0), "{id}");
        // Two different background rows, two rows, and {0}, {3} with each background row where they differ: 2 + 1 for
        // the first row (0.25 is as in the second background row) and 2 for the second.
        let spent: Vec<i64> = answer.values("evaluations");
        assert_eq!((spent.iter().sum::<i64>(), rows), (rows as i64, 2 + 2 + 2 + 2), "{id}");
        let errors = if id == "candor.exact_shap" { vec![0.0] } else { answer.values::<f64>("standard_error") };
        assert!(errors.iter().all(|error| *error >= 0.0), "{id}: {errors:?}");
    }
}

#[test]
fn one_player_and_none() {
    let background = Rows::new(2, &[1.0, 5.0, 3.0, 5.0]);
    let x = Rows::new(2, &[7.0, 5.0, 1.0, 5.0]);
    let model: &Model = &|row| vec![row[0] * 2.0 + row[1], -row[0]];
    for id in SHAP {
        let answer = ask(&open(id, "{}"), model, &[x.input("x"), background.input("background")]);
        close(&answer.values("attributions"), &[10.0, -5.0, 0.0, 0.0, -2.0, 1.0, 0.0, 0.0], 1e-14);
        // The row is the background: nobody plays.
        let same = Rows::new(2, &[1.0, 5.0]);
        let answer =
            ask(&open(id, "{}"), model, &[same.input("x"), same.input("background"), integers("interactions", &[1])]);
        assert_eq!(
            (answer.values::<f64>("attributions"), answer.values::<f64>("base")),
            (vec![0.0; 4], vec![7.0, -1.0])
        );
    }
}

#[test]
fn equal_players_share_equally_and_dummies_have_nothing() {
    // 0 and 4 are exchangeable, 2 is not looked at.
    let model: &Model = &|row| vec![row[0] * row[4] + (row[0] + row[4]) * row[1] + row[3] * row[3]];
    let background = Rows::new(5, &[0.0, 1.0, 5.0, -1.0, 0.0, 1.0, 0.5, 2.0, 3.0, 1.0]);
    let x = Rows::new(5, &[2.0, -1.0, 9.0, 0.5, 2.0]);
    for id in ["candor.exact_shap", "candor.kernel_shap"] {
        let shares: Vec<f64> =
            ask(&open(id, "{}"), model, &[x.input("x"), background.input("background")]).values("attributions");
        assert!((shares[0] - shares[4]).abs() < 1e-13 && shares[2].abs() < 1e-13, "{id}: {shares:?}");
    }
    // A sampled game: a dummy is never paid along an order.
    let inputs = [x.input("x"), background.input("background"), integers("budget", &[33])];
    let shares: Vec<f64> = ask(&open("candor.permutation_shap", "{}"), model, &inputs).values("attributions");
    assert_eq!(shares[2], 0.0);
}

#[test]
fn a_seed_is_an_answer_whatever_the_batches_and_the_other_rows_are() {
    let (background, x) = (Rows::random(9, 18, 8), Rows::random(3, 18, 9));
    let last = Rows::new(18, &x.cells[36..]);
    for id in ["candor.kernel_shap", "candor.permutation_shap", "candor.lime"] {
        let answer = |config: &str, x: &Rows, seed: i64| {
            let inputs =
                [x.input("x"), background.input("background"), integers("seed", &[seed]), integers("budget", &[700])];
            let answer = ask(&open(id, config), &crooked, &inputs);
            let bits = |name: &str| answer.values::<f64>(name).into_iter().map(f64::to_bits).collect::<Vec<_>>();
            (bits("attributions"), bits("standard_error"), bits("base"))
        };
        let one = answer("{}", &x, 5);
        assert_eq!(one, answer(r#"{"batch_rows_max": 7}"#, &x, 5), "{id}");
        let alone = answer("{}", &last, 5);
        assert_eq!(one.0[72..], alone.0, "{id}");
        assert_ne!(one.0, answer("{}", &x, -5).0, "{id}");
    }
}

#[test]
fn outputs_are_chosen_in_the_order_asked_for() {
    let (background, x) = (Rows::random(4, 5, 1), Rows::random(1, 5, 2));
    for id in ["candor.exact_shap", "candor.kernel_shap", "candor.permutation_shap", "candor.lime"] {
        let both = ask(&open(id, "{}"), &crooked, &[x.input("x"), background.input("background")]);
        let inputs = [x.input("x"), background.input("background"), integers("outputs", &[1, 0, 1])];
        let three = ask(&open(id, "{}"), &crooked, &inputs);
        assert_eq!(three.output("attributions").shape, [1, 5, 3]);
        let (both, three): (Vec<f64>, Vec<f64>) = (both.values("attributions"), three.values("attributions"));
        for (both, three) in both.chunks_exact(2).zip(three.chunks_exact(3)) {
            close(three, &[both[1], both[0], both[1]], 1e-14);
        }
    }
}

#[test]
fn shares_of_probabilities_add_up_as_log_odds() {
    let (background, x) = (Rows::random(6, 5, 21), Rows::random(2, 5, 22));
    let model: &Model = &|row| vec![crooked(row)[1]];
    for id in SHAP {
        let answer = ask(&open(id, r#"{"link": "logit"}"#), model, &[x.input("x"), background.input("background")]);
        adds_up(&answer, 2, 5, 1);
        let expected: Vec<f64> = x.iter().map(|row| model(row)[0]).map(|p| (p / (1.0 - p)).ln()).collect();
        close(&answer.values("output"), &expected, 1e-13);
    }
}

#[test]
fn nobody_waits_any_more() {
    let (background, x, stop) = (Rows::random(9, 18, 8), Rows::random(1, 18, 9), AtomicU32::new(0));
    for id in ["candor.kernel_shap", "candor.permutation_shap", "candor.lime"] {
        stop.store(0, std::sync::atomic::Ordering::Relaxed);
        let calls = std::cell::Cell::new(0);
        let lent: &ModelFn<'_> = &|inputs| {
            let rows = inputs.need("x")?.shape()[0];
            calls.set(calls.get() + 1);
            if calls.get() == 3 {
                stop.store(1, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(vec![Output::new("y", &[rows], &vec![0.5; rows as usize])])
        };
        let setup = Setup { model: Some(lent), cancel: Some(&stop), ..Setup::default() };
        let inputs = [x.input("x"), background.input("background")];
        let error = open(id, r#"{"batch_rows_max": 100}"#).run_with(&setup, &inputs).err().unwrap();
        assert_eq!((error.status(), calls.get()), (Status::Cancelled, 3), "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any sampled answer adds up, and what does not differ has nothing.
    #[test]
    fn sampled_shares_add_up(
        features in 2_usize..25, rows in 1_usize..6, seed in 0_i64..1000, budget in 60_i64..400, same in 0_usize..25
    ) {
        let (mut background, x) = (Rows::random(rows, features, 100 + seed as u64), Rows::random(1, features, seed as u64));
        let same = same % features;
        background.cells.chunks_exact_mut(features).for_each(|row| row[same] = x.cells[same]);
        for id in ["candor.kernel_shap", "candor.permutation_shap"] {
            let inputs = [x.input("x"), background.input("background"), integers("seed", &[seed]), integers("budget", &[budget])];
            let answer = ask(&open(id, "{}"), &crooked, &inputs);
            adds_up(&answer, 1, features, 2);
            let shares: Vec<f64> = answer.values("attributions");
            prop_assert_eq!((shares[same * 2], shares[same * 2 + 1]), (0.0, 0.0));
        }
    }
}
