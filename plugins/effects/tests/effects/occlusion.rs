//! Occlusion of images and tokens against NumPy and SciPy.

use proptest::prelude::*;
use serde_json::json;

use crate::support::{ask, fixture, floats, integers, list, matrix, near, refused};

const ID: &str = "candor.occlusion";

/// The model of the fixtures.
fn of_pixels(x: &[f64]) -> Vec<f64> {
    let at = |at: usize| at as f64;
    let one: f64 = x.iter().enumerate().map(|(place, x)| x * at(place).sin()).sum();
    let other: f64 = x.iter().enumerate().map(|(place, x)| x * (2.0 * at(place)).cos()).sum();
    vec![one, (0.1 * other).tanh()]
}

#[test]
fn shares_are_those_of_numpy() {
    let fixture = fixture(include_str!("../fixtures/occlusion.json"));
    let (x, shape) = (floats(&fixture["x"]), integers(&fixture["shape"]));
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let what = case["config"].to_string();
        let inputs = [matrix("x", x.len(), &x), list("shape", &shape)];
        let answer = ask(ID, &what, &of_pixels, &inputs).unwrap();
        near(&answer.values("attributions"), &floats(&case["attributions"]), 1e-12, &what);
        near(&answer.values("base"), &floats(&case["base"]), 1e-12, &what);
        near(&answer.values("output"), &floats(&fixture["output"]), 1e-12, &what);
        near(&answer.values("heat"), &floats(&case["heat"]), 1e-12, &what);
        assert_eq!(answer.output("heat").shape, [1, shape[1], shape[2], 2]);
        let parts = answer.values::<i64>("parts")[0];
        assert_eq!(answer.output("attributions").shape, [1, parts, 2]);
        assert_eq!(answer.values::<i64>("evaluations"), [parts + 2]);
        if case["segments"].is_null() {
            assert!(answer.outputs.iter().all(|output| output.name != "segments"));
            continue;
        }
        let segments = answer.values::<i64>("segments");
        assert_eq!(segments, integers(&case["segments"]), "{what}");
        // Every box holds the pixels of its part and is no larger.
        for (part, area) in answer.values::<i64>("areas").chunks_exact(4).enumerate() {
            let own = segments.iter().enumerate().filter(|(_, of)| usize::try_from(**of) == Ok(part));
            let places: Vec<(i64, i64)> = own
                .map(|(pixel, _)| i64::try_from(pixel).unwrap())
                .map(|pixel| (pixel / shape[2], pixel % shape[2]))
                .collect();
            let (top, left) =
                (places.iter().map(|place| place.0).min().unwrap(), places.iter().map(|place| place.1).min().unwrap());
            let (low, right) =
                (places.iter().map(|place| place.0).max().unwrap(), places.iter().map(|place| place.1).max().unwrap());
            assert_eq!(area, [top, left, low + 1 - top, right + 1 - left], "{what}: {part}");
        }
    }
}

#[test]
fn both_layouts_are_read_alike() {
    let chw: Vec<f64> = (0..24_u32).map(|at| f64::from(at * 7 % 13)).collect();
    let hwc: Vec<f64> = (0..12).flat_map(|pixel| [chw[pixel], chw[12 + pixel]]).collect();
    // Weights by pixel and channel.
    let by_channel =
        |x: &[f64]| vec![x.iter().enumerate().map(|(at, x)| x * (1 + at % 12 + at / 12 * 5) as f64).sum::<f64>()];
    let by_pixel =
        |x: &[f64]| vec![x.iter().enumerate().map(|(at, x)| x * (1 + at / 2 + at % 2 * 5) as f64).sum::<f64>()];
    for config in [
        json!({"patch": [2, 2]}),
        json!({"parts": "superpixels", "superpixels": 4}),
        json!({"patch": [2, 3], "cover": "blur", "blur": 1.0}),
    ] {
        let mut turned = config.clone();
        turned["layout"] = "hwc".into();
        let one =
            ask(ID, &config.to_string(), &by_channel, &[matrix("x", 24, &chw), list("shape", &[2_i64, 3, 4])]).unwrap();
        let other =
            ask(ID, &turned.to_string(), &by_pixel, &[matrix("x", 24, &hwc), list("shape", &[3_i64, 4, 2])]).unwrap();
        near(&one.values("attributions"), &other.values("attributions"), 1e-10, &config.to_string());
        assert_eq!(one.values::<i64>("segments"), other.values::<i64>("segments"));
    }
}

#[test]
fn tokens_are_replaced_and_some_are_kept() {
    // 101 and 102 begin and end a text, 0 pads it, 103 stands for nothing.
    let x = [101.0, 7.0, 8.0, 9.0, 102.0, 0.0, 101.0, 9.0, 102.0, 0.0, 0.0, 0.0];
    let good = |x: &[f64]| {
        assert!(x[0] == 101.0, "a token was covered that is to be kept");
        vec![
            x.iter()
                .map(|id| match *id {
                    7.0 => -1.0,
                    8.0 => 2.0,
                    9.0 => 0.5,
                    _ => 0.0,
                })
                .sum::<f64>(),
        ]
    };
    let config = r#"{"of": "tokens", "mask_id": 103, "keep_ids": [101, 102, 0]}"#;
    let answer = ask(ID, config, &good, &[matrix("x", 6, &x)]).unwrap();
    assert_eq!(answer.values::<f64>("attributions"), [0.0, -1.0, 2.0, 0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(answer.values::<i64>("covered"), [0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!((answer.values::<f64>("base"), answer.values::<f64>("output")), (vec![0.0, 0.0], vec![1.5, 0.5]));
    // Two tokens of one word.
    let words = ask(ID, config, &good, &[matrix("x", 6, &x), list("groups", &[0_i64, 1, 1, 2, 3, 3])]).unwrap();
    assert_eq!(words.values::<f64>("attributions"), [0.0, 1.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0]);
}

#[test]
fn wrong_questions_are_refused() {
    let x = || matrix("x", 8, &[0.5; 8]);
    let shape = |shape: &[i64]| list("shape", shape);
    refused(
        ID,
        &|x| vec![x[0]],
        vec![
            ("{}", vec![x()], "there is no input `shape`"),
            ("{}", vec![x(), shape(&[2, 2])], "expected three sizes whose product is the 8 features"),
            ("{}", vec![x(), shape(&[2, 2, 3])], "expected three sizes whose product is the 8 features"),
            ("{}", vec![x(), shape(&[-2, -2, 2])], "expected three sizes whose product is the 8 features"),
            ("{}", vec![x(), shape(&[i64::MAX, i64::MAX, 4])], "expected three sizes whose product is the 8 features"),
            (r#"{"patch": [0, 1]}"#, vec![x()], "must be 1 or more"),
            (r#"{"blur": 0}"#, vec![x()], "`blur` is 0"),
            (r#"{"rounds": 0}"#, vec![x()], "`rounds` 1 to 100"),
            (r#"{"patch": [1, 1], "evaluations_max": 5}"#, vec![x(), shape(&[2, 2, 2])], "it takes 6 evaluations"),
            (r#"{"of": "tokens", "evaluations_max": 9}"#, vec![x()], "it takes 10 evaluations"),
        ],
    );
    refused(ID, &|_| vec![f64::NAN], vec![("{}", vec![x(), shape(&[2, 2, 2])], "output 0 of the model is NaN")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every pixel is in one part, and the shares of a model that adds pixels are those of their parts.
    #[test]
    fn parts_share_the_image(
        (height, width, channels) in (1_usize..9, 1_usize..9, 1_usize..4),
        numbers in prop::collection::vec(prop_oneof![4 => -9.0_f64..9.0, 1 => Just(1.0)], 256),
        superpixels in prop::option::of(1_usize..20),
        compactness in 0.0_f64..2.0,
        patch in (1_usize..5, 1_usize..5),
    ) {
        let x = &numbers[..height * width * channels];
        let mut config = json!({"cover": "value", "patch": [patch.0, patch.1], "compactness": compactness});
        if let Some(count) = superpixels {
            config["parts"] = "superpixels".into();
            config["superpixels"] = count.into();
        }
        let shape = [channels, height, width].map(|size| i64::try_from(size).unwrap());
        let answer = ask(ID, &config.to_string(), &|x| vec![x.iter().sum()], &[matrix("x", x.len(), x), list("shape", &shape)]).unwrap();
        let segments = answer.values::<i64>("segments");
        let parts = answer.values::<i64>("parts")[0];
        prop_assert!(segments.iter().all(|part| (0..parts).contains(part)));
        for (part, share) in answer.values::<f64>("attributions").into_iter().enumerate() {
            let own = segments.iter().enumerate().filter(|(_, of)| usize::try_from(**of) == Ok(part));
            let sum: f64 = own.flat_map(|(pixel, _)| (0..channels).map(move |at| x[at * height * width + pixel])).sum();
            prop_assert!((share - sum).abs() < 1e-9, "{part}: {share} and {sum}");
        }
    }
}
