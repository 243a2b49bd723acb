//! Counterfactuals are valid, cheap, different and within what is allowed; against the best there is by brute force.

use candor_plugin_sdk::{
    Status,
    testing::{Answer, Input},
};
use proptest::prelude::*;

use crate::support::{Rule, integers, list, matrix, noise};

fn ask(config: &str, rule: &Rule<'_>, inputs: &[Input]) -> candor_plugin_sdk::Result<Answer> {
    crate::support::ask("candor.counterfactuals", config, rule, inputs)
}

fn mad(numbers: &[f64]) -> f64 {
    let median = |list: &[f64]| {
        let mut list = list.to_vec();
        list.sort_by(f64::total_cmp);
        (list[list.len() / 2] + list[(list.len() - 1) / 2]) / 2.0
    };
    let centre = median(numbers);
    median(&numbers.iter().map(|number| (number - centre).abs()).collect::<Vec<_>>())
}

fn column(rows: &[f64], width: usize, at: usize) -> Vec<f64> {
    rows.chunks_exact(width).map(|row| row[at]).collect()
}

/// The first counterfactual of the first row.
fn first(answer: &Answer, width: usize) -> Vec<f64> {
    answer.values::<f64>("counterfactuals")[..width].to_vec()
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

/// The cost of the cheapest valid point of a fine grid.
fn best_of_grid(rule: &Rule<'_>, own: &[f64], scales: &[f64], price: f64, steps: u32) -> f64 {
    let mut best = f64::INFINITY;
    let values = |at: usize| {
        (0..=steps).map(move |step| if step == steps { own[at] } else { f64::from(step) / f64::from(steps - 1) })
    };
    for a in values(0) {
        for b in values(1) {
            let changed = f64::from(u8::from(a != own[0]) + u8::from(b != own[1]));
            let cost = (a - own[0]).abs() / scales[0] + (b - own[1]).abs() / scales[1] + price * changed;
            if cost < best && rule(&[a, b])[0] > 0.5 {
                best = cost;
            }
        }
    }
    best
}

#[test]
fn the_genetic_search_comes_near_the_best_of_a_grid() {
    let background = noise(400, 5);
    let scales = [mad(&column(&background, 2, 0)), mad(&column(&background, 2, 1))];
    let rules: [(&str, &Rule<'_>, [f64; 2]); 4] = [
        ("a line", &|x| vec![logistic(6.0 * (x[0] + 0.8 * x[1] - 1.2))], [0.2, 0.3]),
        ("outside of a circle", &|x| vec![logistic(20.0 * ((x[0] - 0.4).hypot(x[1] - 0.5) - 0.35))], [0.4, 0.45]),
        ("a corner", &|x| vec![f64::from(u8::from(x[0] > 0.7 && x[1] > 0.6))], [0.3, 0.3]),
        ("a curve", &|x| vec![logistic(30.0 * (x[0] * x[1] - 0.3))], [0.3, 0.35]),
    ];
    for (name, rule, own) in rules {
        let best = best_of_grid(rule, &own, &scales, 0.5, 1001);
        let answer = ask("{}", rule, &[matrix("x", 2, &own), matrix("background", 2, &background)]).unwrap();
        let found = first(&answer, 2);
        assert!(rule(&found)[0] > 0.5, "{name}: {found:?}");
        let changed = f64::from(i32::try_from(answer.values::<i64>("changed")[0]).unwrap());
        let cost = answer.values::<f64>("distance")[0] + 0.5 * changed;
        assert!(cost <= best * 1.02 + 1e-9, "{name}: {cost} and {best}, {found:?}");
        assert!(answer.values::<i64>("evaluations")[0] <= 5000, "{name}");
        assert_eq!((answer.values::<i64>("valid")[0], answer.values::<i64>("proven")[0]), (1, 0), "{name}");
    }
}

/// The cheapest way over a plane within ranges: of every subset of features those that move it most for their cost go first,
/// as far as they may.
fn best_over_a_plane(weights: &[f64], own: &[f64], ranges: &[(f64, f64)], scales: &[f64], short: f64) -> f64 {
    let width = weights.len();
    let mut best = f64::INFINITY;
    let reach = |at: usize| if weights[at] > 0.0 { ranges[at].1 - own[at] } else { own[at] - ranges[at].0 };
    for subset in 1_u32..1 << width {
        let mut chosen: Vec<usize> = (0..width).filter(|at| subset >> at & 1 == 1).collect();
        let worth = |at: usize| weights[at].abs() * scales[at];
        chosen.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)));
        let (mut left, mut cost) = (short, 0.5 * chosen.len() as f64);
        for at in chosen {
            let moved = reach(at).min(left / weights[at].abs());
            left -= moved * weights[at].abs();
            cost += moved / scales[at];
        }
        if left <= 1e-12 {
            best = best.min(cost);
        }
    }
    best
}

#[test]
fn the_genetic_search_comes_near_the_best_of_many_features() {
    let width = 10;
    let background = noise(width * 300, 31);
    let columns: Vec<Vec<f64>> = (0..width).map(|at| column(&background, width, at)).collect();
    let scales: Vec<f64> = columns.iter().map(|column| mad(column)).collect();
    let range =
        |column: &Vec<f64>| column.iter().fold((1.0_f64, 0.0_f64), |(low, high), x| (low.min(*x), high.max(*x)));
    let ranges: Vec<(f64, f64)> = columns.iter().map(range).collect();
    let mut worst = 1.0_f64;
    for seed in 0..12 {
        let weights: Vec<f64> = noise(width, 300 + seed).iter().map(|number| number * 4.0 - 2.0).collect();
        let own = noise(width, 400 + seed);
        let score = |x: &[f64]| x.iter().zip(&weights).map(|(x, weight)| x * weight).sum::<f64>();
        let short = 0.5 + 0.25 * f64::from(u8::try_from(seed % 6).unwrap());
        let target = score(&own) + short;
        let best = best_over_a_plane(&weights, &own, &ranges, &scales, short);
        let inputs =
            [matrix("x", width, &own), matrix("background", width, &background), list("wanted_low", &[target])];
        let answer = ask("{}", &|x| vec![score(x)], &inputs).unwrap();
        assert_eq!(answer.values::<i64>("valid")[0], 1, "seed {seed}");
        let changed = f64::from(i32::try_from(answer.values::<i64>("changed")[0]).unwrap());
        let cost = answer.values::<f64>("distance")[0] + 0.5 * changed;
        assert!(cost >= best - 1e-9, "seed {seed}: {cost} is better than the best, {best}");
        worst = worst.max(cost / best);
    }
    assert!(worst < 1.02, "{worst} times the best");
}

/// Stumps on a few features, which sum; `x ≤ t` in single precision.
struct Stumps(Vec<(usize, f64, f64)>);

impl Stumps {
    fn of(features: usize, count: usize, seed: u64) -> Self {
        let numbers = noise(count * 3, seed);
        let one = |three: &[f64]| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            let feature = (three[0] * features as f64) as usize;
            #[allow(clippy::cast_possible_truncation, reason = "thresholds are single precision")]
            let threshold = f64::from(three[1] as f32);
            (feature, threshold, three[2] - 0.5)
        };
        Self(numbers.chunks_exact(3).map(one).collect())
    }

    fn score(&self, x: &[f64]) -> f64 {
        #[allow(clippy::cast_possible_truncation, reason = "as an engine compares")]
        let holds = |feature: usize, threshold: f64| (x[feature] as f32) <= threshold as f32;
        self.0.iter().map(|&(feature, threshold, vote)| if holds(feature, threshold) { vote } else { -vote }).sum()
    }

    fn inputs(&self) -> [Input; 2] {
        let thresholds: Vec<f64> = self.0.iter().map(|stump| stump.1).collect();
        let features: Vec<i64> = self.0.iter().map(|stump| i64::try_from(stump.0).unwrap()).collect();
        [list("thresholds", &thresholds), integers("threshold_features", &features)]
    }

    /// The cheapest valid row, among all combinations of numbers at the edges of cells.
    fn best(&self, own: &[f64], scales: &[f64], target: f64, price: f64) -> Option<f64> {
        let mut rows = vec![(0.0, own.to_vec())];
        for at in 0..own.len() {
            let mut further = Vec::new();
            for (cost, row) in &rows {
                for &(_, threshold, _) in self.0.iter().filter(|stump| stump.0 == at) {
                    #[allow(clippy::cast_possible_truncation, reason = "as an engine compares")]
                    let to = if threshold >= own[at] { f64::from((threshold as f32).next_up()) } else { threshold };
                    let mut row = row.clone();
                    row[at] = to;
                    further.push((cost + (to - own[at]).abs() / scales[at] + price, row));
                }
            }
            rows.extend(further);
        }
        rows.iter().filter(|(_, row)| self.score(row) >= target).map(|(cost, _)| *cost).min_by(f64::total_cmp)
    }
}

#[test]
fn the_search_among_cells_finds_the_best_there_is_and_proves_it() {
    let (mut found, mut none) = (0, 0);
    for seed in 0..24 {
        let width = 2 + usize::from(seed % 2 == 1);
        let stumps = Stumps::of(width, 12, seed);
        let background = noise(width * 60, 100 + seed);
        let scales: Vec<f64> = (0..width).map(|at| mad(&column(&background, width, at))).collect();
        let own = noise(width, 200 + seed);
        let target = stumps.score(&own) + 0.4 + 0.1 * seed as f64;
        let mut inputs = vec![matrix("x", width, &own), matrix("background", width, &background)];
        inputs.extend([
            list("wanted_low", &[target]),
            list("lower", &vec![-1.0; width]),
            list("upper", &vec![2.0; width]),
        ]);
        inputs.extend(stumps.inputs());
        let answer = ask("{}", &|x| vec![stumps.score(x)], &inputs).unwrap();
        assert_eq!(answer.values::<i64>("proven"), [1], "seed {seed}");
        let Some(best) = stumps.best(&own, &scales, target, 0.5) else {
            none += 1;
            assert_eq!((answer.values::<i64>("found")[0], answer.values::<i64>("valid")[0]), (0, 0), "seed {seed}");
            assert!(answer.values::<f64>("gap")[0] > 0.0);
            continue;
        };
        found += 1;
        let changed = f64::from(i32::try_from(answer.values::<i64>("changed")[0]).unwrap());
        let cost = answer.values::<f64>("distance")[0] + 0.5 * changed;
        assert!((cost - best).abs() < 1e-9, "seed {seed}: {cost} and {best}");
        assert!(stumps.score(&first(&answer, width)) >= target, "seed {seed}");
    }
    assert!(found >= 8 && none >= 2, "{found} found, {none} not: the cases say too little");
}

#[test]
fn many_trees_are_searched_within_the_budget() {
    let width = 12;
    let stumps = Stumps::of(width, 600, 9);
    let (background, own) = (noise(width * 100, 1), noise(width, 2));
    let target = stumps.score(&own) + 1.5;
    let mut inputs = vec![matrix("x", width, &own), matrix("background", width, &background)];
    inputs.push(list("wanted_low", &[target]));
    inputs.extend(stumps.inputs());
    let answer = ask("{}", &|x| vec![stumps.score(x)], &inputs).unwrap();
    assert!(answer.values::<i64>("found")[0] >= 2);
    assert!(answer.values::<i64>("evaluations")[0] <= 5000);
    for (row, valid) in answer.values::<f64>("counterfactuals").chunks_exact(width).zip(answer.values::<i64>("valid")) {
        assert_eq!(valid == 1, stumps.score(row) >= target, "{row:?}");
    }
}

#[test]
fn several_differ_and_none_does_more_of_the_same() {
    let background = noise(1200, 11);
    let own = [0.5, 0.5, 0.5, 0.5];
    let rule = |x: &[f64]| vec![f64::from(u8::from(x[0] > 0.8 || x[1] < 0.1 || x[2] > 0.9 || x[3] < 0.25))];
    let answer = ask("{}", &rule, &[matrix("x", 4, &own), matrix("background", 4, &background)]).unwrap();
    assert_eq!(answer.values::<i64>("found"), [4]);
    assert_eq!(answer.values::<i64>("changed"), [1, 1, 1, 1]);
    let mut changed: Vec<usize> = answer
        .values::<f64>("counterfactuals")
        .chunks_exact(4)
        .map(|row| row.iter().position(|number| *number != 0.5).unwrap())
        .collect();
    // The cheapest first: the third feature has to move least but for the fourth.
    assert_eq!(changed[0], 3);
    changed.sort_unstable();
    assert_eq!(changed, [0, 1, 2, 3]);
}

#[test]
fn what_is_wanted_may_be_a_class_a_probability_or_a_range() {
    let background = noise(600, 3);
    // Of three classes the nearest of three points.
    let softmax = |x: &[f64]| {
        let points = [(0.1, 0.1), (0.9, 0.2), (0.5, 0.9)];
        let scores = points.map(|(a, b)| (-12.0 * ((x[0] - a).powi(2) + (x[1] - b).powi(2))).exp());
        scores.iter().map(|score| score / scores.iter().sum::<f64>()).collect::<Vec<f64>>()
    };
    let with = |more: Vec<Input>| {
        let mut inputs = vec![matrix("x", 2, &[0.15, 0.2]), matrix("background", 2, &background)];
        inputs.extend(more);
        ask("{}", &softmax, &inputs).unwrap()
    };
    let output = |answer: &Answer| answer.values::<f64>("output")[..3].to_vec();
    for class in [1_usize, 2] {
        let answer = with(vec![integers("wanted_class", &[i64::try_from(class).unwrap()])]);
        let output = output(&answer);
        assert!((0..3).all(|other| output[other] <= output[class]), "{output:?}");
    }
    let sure = output(&with(vec![integers("wanted_class", &[2]), list("wanted_low", &[f64::NAN, f64::NAN, 0.9])]));
    assert!(sure[2] >= 0.9, "{sure:?}");
    let other = output(&with(vec![]));
    assert!(other[1] > other[0] || other[2] > other[0], "{other:?}");
    let between = with(vec![list("wanted_low", &[0.3, f64::NAN, f64::NAN]), list("wanted_high", &[0.4, 1.0, 1.0])]);
    assert!((0.3..=0.4).contains(&output(&between)[0]), "{:?}", output(&between));
    let already = with(vec![integers("wanted_class", &[0])]);
    assert_eq!((already.values::<i64>("already")[0], already.values::<i64>("found")[0]), (1, 0));
    assert_eq!(already.values::<i64>("evaluations"), [1]);
    assert!(already.values::<f64>("counterfactuals").iter().all(|number| number.is_nan()));
}

#[test]
fn when_none_is_found_the_nearest_miss_is_told() {
    let background = noise(200, 3);
    let inputs = || vec![matrix("x", 2, &[0.5, 0.5]), matrix("background", 2, &background), list("wanted_low", &[5.0])];
    let answer = ask("{}", &|x| vec![x[0] + x[1]], &inputs()).unwrap();
    assert_eq!((answer.values::<i64>("found")[0], answer.values::<i64>("valid")[0]), (0, 0));
    let top = |at: usize| column(&background, 2, at).into_iter().fold(0.0, f64::max);
    // As far as the ranges let it.
    let miss = answer.values::<f64>("gap")[0];
    assert!((miss - (5.0 - top(0) - top(1))).abs() < 0.1, "{miss}");
    assert!(answer.values::<f64>("counterfactuals")[2..].iter().all(|number| number.is_nan()));
    // With a budget that ends at once there is not even that.
    let mut inputs = inputs();
    inputs.push(integers("budget", &[1]));
    let answer = ask("{}", &|x| vec![x[0] + x[1]], &inputs).unwrap();
    assert_eq!((answer.values::<i64>("found")[0], answer.values::<i64>("evaluations")[0]), (0, 1));
    assert!(answer.values::<f64>("gap")[0].is_nan());
}

#[test]
fn the_same_question_has_the_same_answer_to_the_bit() {
    let (background, own) = (noise(900, 8), noise(6, 4));
    let rule = |x: &[f64]| vec![logistic(8.0 * (x[0] * x[1] + x[2] - 0.9))];
    let bits = |config: &str, seed: i64, rows: &[f64]| -> Vec<u64> {
        let inputs = [matrix("x", 3, rows), matrix("background", 3, &background), integers("seed", &[seed])];
        let answer = ask(config, &rule, &inputs).unwrap();
        answer.values::<f64>("counterfactuals").iter().map(|number| number.to_bits()).collect()
    };
    let once = bits("{}", 7, &own);
    assert_eq!(once, bits("{}", 7, &own));
    assert_eq!(once, bits(r#"{"batch_rows_max": 3}"#, 7, &own));
    assert_ne!(once, bits("{}", 8, &own));
    // A row's answer is its own, whatever is asked beside it.
    assert_eq!(once[12..], bits("{}", 7, &own[3..])[..]);
}

#[test]
fn wrong_questions_are_refused() {
    let rule = |x: &[f64]| vec![x[0]];
    let (x, background) = (|| matrix("x", 2, &[0.5, 0.5]), || matrix("background", 2, &[0.0, 0.0, 1.0, 1.0]));
    for (inputs, says) in [
        (vec![x()], "feature 0 has no range"),
        (vec![x(), matrix("background", 1, &[0.0])], "`background` has 1 features and `x` has 2"),
        (vec![x(), background(), integers("immutable", &[2])], "`immutable` has the feature 2"),
        (vec![x(), background(), list("lower", &[0.0])], "`lower` has 1 numbers"),
        (vec![x(), background(), list("lower", &[2.0, 0.0])], "feature 0 has the range 2 to 1"),
        (vec![x(), background(), list("upper", &[f64::INFINITY, 0.0])], "expected finite numbers"),
        (vec![x(), background(), integers("direction", &[2, 0])], "`direction` is 2"),
        (vec![x(), background(), list("step", &[-1.0, 0.0])], "`step` is -1"),
        (vec![x(), background(), integers("wanted_class", &[2])], "`wanted_class` is 2, expected 0 to 1"),
        (vec![x(), background(), list("wanted_low", &[0.0, 1.0])], "`wanted_low` has 2 numbers"),
        (vec![x(), background(), list("wanted_low", &[2.0]), list("wanted_high", &[1.0])], "which is no range"),
        (vec![x(), background(), integers("budget", &[0])], "`budget` is 0"),
        (vec![x(), background(), integers("count", &[65])], "`count` is 65"),
        (vec![x(), background(), list("thresholds", &[0.5])], "1 `thresholds` and 0 `threshold_features`"),
        (vec![Input::new("x", &[0, 2], &[0.0_f64; 0]), background()], "`x`: there are no rows"),
        (vec![Input::new("x", &[1, 0], &[0.0_f64; 0])], "`x`: the rows have no features"),
        (vec![Input::new("x", &[1], &[0.0_f64])], "expected rows and features"),
    ] {
        let error = ask("{}", &rule, &inputs).err().unwrap();
        assert!(error.status() == Status::Invalid && error.message().contains(says), "{says}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is asked, nothing is changed that may not be, and what is called valid is.
    #[test]
    fn constraints_hold(
        background in prop::collection::vec(prop_oneof![8 => -5.0_f64..5.0, 1 => Just(f64::NAN), 1 => Just(3.0)], 4..80),
        own in prop::collection::vec(prop_oneof![9 => -6.0_f64..6.0, 1 => Just(f64::NAN)], 4),
        immutable in prop::collection::btree_set(0_i64..4, 0..3),
        integer in prop::collection::btree_set(0_i64..3, 0..2),
        direction in prop::collection::vec(-1_i64..=1, 4),
        step in prop::collection::vec(prop_oneof![Just(0.0), Just(0.25), Just(f64::NAN)], 4),
        is_category in any::<bool>(),
        cut in prop::option::of(-3.0_f64..3.0),
        budget in prop_oneof![Just(1_i64), Just(2), Just(400)],
        target in -4.0_f64..8.0,
    ) {
        let background = &background[..background.len() / 4 * 4];
        let sum = |x: &[f64]| -> f64 {
            x.iter().zip([1.0, -0.5, 2.0, 0.25]).map(|(x, weight)| if x.is_nan() { 0.3 } else { x * weight }).sum()
        };
        let immutable: Vec<i64> = immutable.into_iter().collect();
        let integer: Vec<i64> = integer.into_iter().collect();
        let mut inputs = vec![
            matrix("x", 4, &own), matrix("background", 4, background), integers("immutable", &immutable),
            integers("integer", &integer), integers("direction", &direction), list("step", &step),
            list("wanted_low", &[target]), integers("budget", &[budget]),
        ];
        if is_category {
            inputs.push(integers("categorical", &[3]));
        }
        if let Some(cut) = cut {
            inputs.extend([list("thresholds", &[cut, cut + 1.0, 0.0]), integers("threshold_features", &[0, 2, 1])]);
        }
        let answer = ask("{}", &|x| vec![sum(x)], &inputs).unwrap();
        prop_assert!(answer.values::<i64>("evaluations")[0] <= budget);
        let valid = answer.values::<i64>("valid");
        let rows = answer.values::<f64>("counterfactuals");
        let found = answer.values::<i64>("found")[0];
        prop_assert_eq!(valid.iter().sum::<i64>(), found);
        let shown = usize::try_from(found).unwrap().max(usize::from(!answer.values::<f64>("gap")[0].is_nan()));
        for (row, valid) in rows.chunks_exact(4).zip(&valid).take(shown) {
            prop_assert_eq!(*valid == 1, sum(row) >= target);
            for (at, (&to, &from)) in row.iter().zip(&own).enumerate() {
                if to == from || (to.is_nan() && from.is_nan()) {
                    continue;
                }
                let seen: Vec<f64> = column(background, 4, at).into_iter().filter(|number| number.is_finite()).collect();
                let feature = i64::try_from(at).unwrap();
                prop_assert!(!immutable.contains(&feature), "{at} is immutable");
                prop_assert!(from.is_finite() && to.is_finite());
                let (low, high) = (seen.iter().copied().fold(f64::INFINITY, f64::min), seen.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                prop_assert!((low..=high).contains(&to), "{at}: {to} is not within {low} to {high}");
                prop_assert!(direction[at] * i64::from((to - from).signum() as i8) >= 0, "{at}: {from} to {to}");
                if is_category && at == 3 {
                    prop_assert!(seen.contains(&to));
                } else if integer.contains(&feature) {
                    prop_assert_eq!(to.fract(), 0.0);
                } else if step[at] == 0.25 {
                    prop_assert_eq!((to / 0.25).fract(), 0.0);
                }
            }
        }
    }
}
