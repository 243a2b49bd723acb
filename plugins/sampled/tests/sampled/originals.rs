//! Against `shap` and `lime`: whole answers where everything is enumerated, fits where it is drawn.

use candor_plugin_sampled::{
    coalition::Coalitions,
    kernel::{Fit, Plan},
    lime::{Column, Cut, Selection, Settings, Space, View, explain, normal},
};
use candor_plugin_sdk::testing::Input;
use serde_json::Value;

use crate::{
    support::{Model, Rows, ask, close, integers, open},
    trees::{self, Trees, numbers},
};

fn enumerated() -> Value {
    serde_json::from_str(include_str!("../fixtures/enumerated.json")).unwrap()
}

fn lime() -> Value {
    serde_json::from_str(include_str!("../fixtures/lime.json")).unwrap()
}

/// Of the largest attribution.
const BOUND: f64 = 1e-9;

#[test]
fn enumerations_are_those_of_shap() {
    let fixture = enumerated();
    let of = |name: &str| numbers(&fixture[name]);
    let model = Trees::of(&fixture["model"]);
    let (rows, background) = (Rows::new(6, &of("rows")), Rows::new(6, &of("background")));
    let both = || vec![rows.input("x"), background.input("background")];
    let margin_and_chance: &Model = &move |row| model.answer(row);
    let answers: Vec<f64> = rows.iter().flat_map(margin_and_chance).collect();
    close(&answers, &of("answers"), 1e-13);
    for (config, index) in [("{}", "shapley"), (r#"{"interaction_index": "taylor"}"#, "taylor")] {
        let inputs = [both(), vec![integers("interactions", &[1])]].into_iter().flatten().collect::<Vec<_>>();
        let answer = ask(&open("candor.exact_shap", config), margin_and_chance, &inputs);
        close(&answer.values("attributions"), &of("exact"), BOUND);
        close(&answer.values("interactions"), &of(index), BOUND);
        close(&answer.values("output"), &of("answers"), 1e-13);
    }
    for id in ["candor.exact_shap", "candor.kernel_shap"] {
        let answer = ask(&open(id, "{}"), margin_and_chance, &both());
        close(&answer.values("attributions"), &of("kernel"), BOUND);
        close(&answer.values::<f64>("base")[..2], &of("base"), BOUND);
        let groups: Vec<i64> = trees::integers(&fixture["groups"]);
        let more = vec![Input::new("weights", &[12], &of("weights")), integers("groups", &groups)];
        let inputs: Vec<Input> = [both(), more].into_iter().flatten().collect();
        close(&ask(&open(id, "{}"), margin_and_chance, &inputs).values("attributions"), &of("grouped"), BOUND);
        let inputs: Vec<Input> = [both(), vec![integers("outputs", &[1])]].into_iter().flatten().collect();
        let answer = ask(&open(id, r#"{"link": "logit"}"#), margin_and_chance, &inputs);
        close(&answer.values("attributions"), &of("logit"), BOUND);
        close(&answer.values::<f64>("base")[..1], &[fixture["logit_base"].as_f64().unwrap()], BOUND);
    }
}

/// The coalitions that `shap.KernelExplainer` drew, its weights and worths: the same shares.
#[test]
fn fits_of_drawn_coalitions_are_those_of_shap() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/sampled.json")).unwrap();
    let of = |name: &str| numbers(&fixture[name]);
    let mut coalitions = Coalitions::new(14);
    for set in trees::integers(&fixture["coalitions"]) {
        assert!(coalitions.insert(&[set as u64]).1);
    }
    let plan = Plan::of(coalitions, of("weights"), Vec::new());
    let shares = Fit::new(&plan).shares(&plan, &of("worths"), &of("nobody"), &of("everyone"));
    close(&shares.values, &of("values"), 1e-8);
}

fn table(fixture: &Value) -> (Vec<f64>, Vec<f64>, [bool; 6]) {
    (numbers(&fixture["table"]), numbers(&fixture["row"]), [false, false, false, false, true, false])
}

#[test]
fn bins_names_and_spreads_are_those_of_lime() {
    let fixture = lime();
    let (rows, _, named) = table(&fixture);
    let Space(columns) = Space::new(&rows, None, &named, Cut::Quartile).unwrap();
    for expected in fixture["columns"].as_array().unwrap() {
        let Column::Binned { bounds, bins, shares, .. } = &columns[expected["feature"].as_u64().unwrap() as usize]
        else {
            panic!("numbers are cut")
        };
        assert_eq!(*bounds, numbers(&expected["bounds"]));
        // One more for what is missing, which nothing is.
        close(&shares[..shares.len() - 1], &numbers(&expected["shares"]), 1e-14);
        assert_eq!(shares.last(), Some(&0.0));
        for drawn in expected["drawn"].as_array().unwrap() {
            let [at, share, value] = numbers(drawn)[..] else { panic!("three numbers") };
            let got = bins[at as usize].unwrap().at(share);
            assert!((got - value).abs() < 1e-9, "{expected}: {got} at {share} of bin {at}, expected {value}");
        }
    }
    let Column::Named { values, shares, .. } = &columns[4] else { panic!("codes are names") };
    assert_eq!(*values, numbers(&fixture["codes"]["values"]));
    close(shares, &numbers(&fixture["codes"]["shares"]), 1e-14);
    let Space(columns) = Space::new(&rows, None, &named, Cut::None).unwrap();
    let (means, scales) = (numbers(&fixture["plain"]["mean"]), numbers(&fixture["plain"]["scale"]));
    for (at, column) in columns.iter().enumerate().filter(|(at, _)| *at != 4) {
        let Column::Plain { mean, scale } = column else { panic!("numbers are not cut") };
        close(&[*mean, *scale], &[means[at], scales[at]], 1e-13);
    }
}

#[test]
fn normal_quantiles_are_those_of_scipy() {
    for row in lime()["quantiles"].as_array().unwrap() {
        let [p, z, share] = numbers(row)[..] else { panic!("three numbers") };
        let (got, back) = (normal::quantile(p), normal::cdf(z));
        assert!((got - z).abs() <= 1e-13 * z.abs().max(1e-3), "{p}: {got}, expected {z}");
        assert!((back - share).abs() <= 1e-13 * share, "{z}: {back}, expected {share}");
    }
}

/// A neighbourhood that `lime` drew, with its answers: the same weights, lines and R².
#[test]
fn lines_are_those_of_lime() {
    let fixture = lime();
    for kind in ["binned", "numbers"] {
        let fixture = &fixture[kind];
        let mut view = View::of(6, numbers(&fixture["cells"]));
        let width = 0.75 * 6.0_f64.sqrt();
        view.weigh(width);
        close(&view.weights, &numbers(&fixture["weights"]), 1e-13);
        for case in fixture["cases"].as_array().unwrap() {
            let selection = match case["selection"].as_str().unwrap() {
                "none" => Selection::None,
                "highest_weights" => Selection::HighestWeights,
                "forward_selection" => Selection::Forward,
                _ => Selection::Auto,
            };
            let most = case["most"].as_u64().unwrap() as usize;
            let settings = Settings { width, alpha: 1.0, selection, most };
            let locals = explain(&view, &numbers(&fixture["answers"]), 2, &settings);
            let local = &locals[case["output"].as_u64().unwrap() as usize];
            let expected = numbers(&case["coefficients"]);
            let chosen: Vec<usize> = serde_json::from_value(case["features"].clone()).unwrap();
            let mut sorted = local.line.chosen.clone();
            sorted.sort_unstable();
            let mut same = chosen.clone();
            same.sort_unstable();
            assert_eq!(sorted, same, "{kind} {case}");
            let own: Vec<f64> = chosen
                .iter()
                .map(|feature| local.line.coefficients[local.line.chosen.iter().position(|at| at == feature).unwrap()])
                .collect();
            close(&own, &expected, 1e-8);
            let number = |name: &str| case[name].as_f64().unwrap();
            close(
                &[local.line.intercept, local.line.r2, local.prediction],
                &[number("intercept"), number("r2"), number("prediction")],
                1e-8,
            );
        }
    }
}

/// Coefficients over many seeds of `lime` and of ours have the same means: neighbours are drawn alike.
#[test]
fn neighbours_are_drawn_as_lime_draws_them() {
    let fixture = lime();
    let (rows, row, _) = table(&fixture);
    let (background, x) = (Rows::new(6, &rows), Rows::new(6, &row));
    let model = Trees::of(&enumerated()["model"]);
    let chances: &Model = &move |row| {
        let p = model.answer(row)[1];
        vec![1.0 - p, p]
    };
    for (kind, cut) in [("binned", "quartile"), ("numbers", "none")] {
        let config = format!(r#"{{"categorical": [4], "feature_selection": "none", "discretizer": "{cut}"}}"#);
        let harness = open("candor.lime", &config);
        let drawn: Vec<Vec<f64>> = (0..60)
            .map(|seed| {
                let inputs = [
                    x.input("x"),
                    background.input("background"),
                    integers("seed", &[seed]),
                    integers("budget", &[1000]),
                ];
                ask(&harness, chances, &inputs).values("attributions")
            })
            .collect();
        let (means, errors) = (numbers(&fixture["spread"][kind]["mean"]), numbers(&fixture["spread"][kind]["error"]));
        for (at, (expected, error)) in means.into_iter().zip(errors).enumerate() {
            let mean = drawn.iter().map(|own| own[at]).sum::<f64>() / 60.0;
            let own = (drawn.iter().map(|own| (own[at] - mean).powi(2)).sum::<f64>() / 59.0 / 60.0).sqrt();
            let both = (error * error + own * own).sqrt();
            assert!((mean - expected).abs() <= 4.0 * both, "{kind} {at}: {mean}, expected {expected}; {both}");
            assert!((0.7..=1.4).contains(&(own / error)), "{kind} {at}: spreads by {own}, expected {error}");
        }
    }
}
