//! LIME's own promises: missing bins, names, shared neighbours, groups of nothing, a model that is a line.

use candor_plugin_sdk::testing::Input;

use crate::support::{Model, Rows, ask, asked, close, integers, open};

#[test]
fn a_line_in_plain_numbers_is_found() {
    // Coefficients are of standardised numbers; the ridge shrinks them by some thousandths.
    let (background, x) = (Rows::random(50, 4, 1), Rows::random(1, 4, 2));
    let model: &Model = &|row| vec![3.0 * row[0] - 2.0 * row[1] + 0.5 * row[3] + 7.0];
    let config = r#"{"discretizer": "none", "alpha": 0}"#;
    let answer = ask(&open("candor.lime", config), model, &[x.input("x"), background.input("background")]);
    let deviation = |feature: usize| {
        let column: Vec<f64> = background.iter().map(|row| row[feature]).collect();
        let mean = column.iter().sum::<f64>() / 50.0;
        (column.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 50.0).sqrt()
    };
    let expected = [3.0 * deviation(0), -2.0 * deviation(1), 0.0, 0.5 * deviation(3)];
    close(&answer.values("attributions"), &expected, 1e-9);
    close(&answer.values("r2"), &[1.0], 1e-9);
    close(&answer.values("local_prediction"), &answer.values::<f64>("output"), 1e-9);
    assert_eq!(answer.values::<f64>("intercept"), answer.values::<f64>("base"));
}

#[test]
fn missing_is_a_bin_and_names_are_drawn_by_their_shares() {
    let nan = f64::NAN;
    let background = Rows::new(2, &[1.0, 7.0, nan, 7.0, 2.0, 9.0, nan, 7.0]);
    let x = Rows::new(2, &[nan, 9.0, 1.5, 8.0]);
    // 1 where the first is missing, and 10 where the second is 9.
    let model: &Model = &|row| vec![f64::from(u8::from(row[0].is_nan())) + if row[1] == 9.0 { 10.0 } else { 0.0 }];
    let inputs = || vec![x.input("x"), background.input("background"), integers("textual", &[1])];
    let answer = ask(&open("candor.lime", r#"{"alpha": 0.001}"#), model, &inputs());
    let shares: Vec<f64> = answer.values("attributions");
    close(&shares[..2], &[1.0, 10.0], 1e-3);
    // The second row's name is none of the background's: only the row itself has it.
    assert!(shares[3].is_finite());
    assert_eq!(answer.values::<f64>("r2")[0].round(), 1.0);
    // Neighbours have 9 as often as the background, and weights count.
    let count = std::cell::Cell::new((0_u32, 0_u32));
    let counting = |row: &[f64]| {
        let (nines, all) = count.get();
        count.set((nines + u32::from(row[1] == 9.0), all + 1));
        vec![0.5]
    };
    let seen: &dyn Fn(&[f64]) -> Vec<f64> = &counting;
    for (weights, share) in [([1.0; 4], 0.25), ([1.0, 1.0, 6.0, 2.0], 0.6)] {
        count.set((0, 0));
        let mut inputs = inputs();
        inputs.push(Input::new("weights", &[4], &weights));
        let harness = open("candor.lime", "{}");
        let lent: &candor_plugin_sdk::testing::ModelFn<'_> = &|inputs| {
            let x = inputs.need("x")?;
            let answers: Vec<f64> = x.slice::<f64>()?.chunks_exact(2).flat_map(seen).collect();
            Ok(vec![candor_plugin_sdk::testing::Output::new("y", &[answers.len() as i64, 1], &answers)])
        };
        let setup = candor_plugin_sdk::testing::Setup { model: Some(lent), ..Default::default() };
        harness.run_with(&setup, &inputs).unwrap();
        let (nines, all) = count.get();
        assert_eq!(all, 4999 + 2);
        let got = f64::from(nines) / f64::from(all);
        // Five standard deviations.
        assert!((got - share).abs() < 5.0 * (0.25_f64 / 5000.0).sqrt(), "{got}, expected {share}");
    }
}

#[test]
fn rows_share_neighbours_unless_these_are_drawn_around_them() {
    let (background, x) = (Rows::random(20, 3, 5), Rows::random(4, 3, 6));
    let model: &Model = &|row| vec![row[0] * row[1] + row[2]];
    let rows = |config: &str| {
        let inputs = [x.input("x"), background.input("background"), integers("budget", &[100])];
        let (answer, rows) = asked(&open("candor.lime", config), model, &inputs);
        (answer.unwrap().values::<i64>("evaluations"), rows)
    };
    assert_eq!(rows("{}"), (vec![100, 1, 1, 1], 103));
    assert_eq!(rows(r#"{"discretizer": "none", "sample_around_instance": true}"#), (vec![100; 4], 400));
}

#[test]
fn few_features_take_part_and_a_constant_model_has_none() {
    let (background, x) = (Rows::random(40, 8, 7), Rows::random(1, 8, 8));
    let model: &Model = &|row| vec![5.0 * row[2] + 0.1 * row[5] - 4.0 * row[6]];
    for selection in ["highest_weights", "forward_selection", "auto"] {
        let config = format!(r#"{{"features_max": 2, "feature_selection": "{selection}"}}"#);
        let shares: Vec<f64> =
            ask(&open("candor.lime", &config), model, &[x.input("x"), background.input("background")])
                .values("attributions");
        let taking: Vec<usize> = shares.iter().enumerate().filter(|(_, one)| **one != 0.0).map(|(at, _)| at).collect();
        assert_eq!(taking, [2, 6], "{selection}: {shares:?}");
    }
    let flat: &Model = &|_| vec![0.25];
    let answer = ask(&open("candor.lime", "{}"), flat, &[x.input("x"), background.input("background")]);
    assert_eq!((answer.values::<f64>("attributions"), answer.values::<f64>("r2")), (vec![0.0; 8], vec![1.0]));
    assert_eq!(answer.values::<f64>("standard_error"), vec![0.0; 8]);
}
