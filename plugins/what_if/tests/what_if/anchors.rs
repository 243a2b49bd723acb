//! Anchors hold: their precision is measured by rows that others draw, and their coverage is counted.

use candor_plugin_sdk::testing::{Answer, Input};
use proptest::prelude::*;

use crate::support::{Rule, integers, list, matrix, noise};

const WIDTH: usize = 4;

fn ask(config: &str, rule: &Rule<'_>, inputs: &[Input]) -> candor_plugin_sdk::Result<Answer> {
    crate::support::ask("candor.anchors", config, rule, inputs)
}

/// What is said of one row: a feature and its bounds, or what it is.
#[derive(Debug, Clone, PartialEq)]
struct Clause {
    feature: usize,
    kind: i64,
    low: f64,
    high: f64,
    equals: f64,
}

impl Clause {
    fn holds(&self, row: &[f64]) -> bool {
        let number = row[self.feature];
        let above = self.low.is_nan() || number > self.low;
        let up_to = self.high.is_nan() || number <= self.high;
        match self.kind {
            0 => above && up_to,
            1 => number == self.equals,
            _ => number.is_nan(),
        }
    }
}

fn clauses(answer: &Answer, row: usize) -> Vec<Clause> {
    let slots = usize::try_from(answer.output("features").shape[1]).unwrap();
    let (features, kinds) = (answer.values::<i64>("features"), answer.values::<i64>("kind"));
    let numbers = ["low", "high", "equals"].map(|name| answer.values::<f64>(name));
    (row * slots..(row + 1) * slots)
        .filter_map(|at| {
            let feature = usize::try_from(features[at]).ok()?;
            Some(Clause { feature, kind: kinds[at], low: numbers[0][at], high: numbers[1][at], equals: numbers[2][at] })
        })
        .collect()
}

fn features(answer: &Answer) -> Vec<usize> {
    clauses(answer, 0).iter().map(|clause| clause.feature).collect()
}

/// Of independent uniform features: among fresh rows for which all clauses hold, the share that answers alike.
fn measured(rule: &Rule<'_>, own: f64, clauses: &[Clause]) -> f64 {
    let rows = noise(WIDTH * 60_000, 77);
    let held: Vec<bool> = rows
        .chunks_exact(WIDTH)
        .filter(|row| clauses.iter().all(|clause| clause.holds(row)))
        .map(|row| (rule(row)[0] > 0.5) == (own > 0.5))
        .collect();
    assert!(held.len() > 500, "too few rows: {}", held.len());
    held.iter().filter(|same| **same).count() as f64 / held.len() as f64
}

fn one(holds: bool) -> Vec<f64> {
    vec![f64::from(u8::from(holds))]
}

#[test]
fn anchors_are_as_precise_as_they_say_and_name_what_decides() {
    let background = noise(WIDTH * 400, 21);
    let rules: [(&str, &Rule<'_>, [f64; WIDTH], &[usize]); 5] = [
        ("both", &|x| one(x[0] > 0.5 && x[1] < 0.5), [0.9, 0.1, 0.5, 0.5], &[0, 1]),
        ("one is enough against", &|x| one(x[0] > 0.5 && x[1] < 0.5), [0.1, 0.6, 0.5, 0.5], &[1]),
        ("either", &|x| one(x[2] > 0.7 || x[3] > 0.7), [0.5, 0.5, 0.9, 0.2], &[2]),
        ("a middle", &|x| one((0.2..0.8).contains(&x[1])), [0.5, 0.4, 0.5, 0.5], &[1]),
        ("a sum", &|x| one(x[0] + x[1] > 1.1), [0.95, 0.9, 0.5, 0.5], &[0, 1]),
    ];
    for (name, rule, own, decisive) in rules {
        let answer = ask("{}", rule, &[matrix("x", WIDTH, &own), matrix("background", WIDTH, &background)]).unwrap();
        assert_eq!(answer.values::<i64>("found"), [1], "{name}");
        let clauses = clauses(&answer, 0);
        assert!(clauses.iter().all(|clause| clause.holds(&own)), "{name}: {clauses:?}");
        assert_eq!(features(&answer), decisive, "{name}");
        let (precision, truth) = (answer.values::<f64>("precision")[0], measured(rule, rule(&own)[0], &clauses));
        let bounds = (answer.values::<f64>("precision_low")[0], answer.values::<f64>("precision_high")[0]);
        assert!(precision >= 0.95 && truth >= 0.9, "{name}: {precision}, measured {truth}");
        // The background is not the distribution itself: a hundredth for that.
        assert!(bounds.0 - 0.01 <= truth && truth <= bounds.1 + 0.01, "{name}: {bounds:?}, measured {truth}");
        let covered =
            background.chunks_exact(WIDTH).filter(|row| clauses.iter().all(|clause| clause.holds(row))).count();
        assert_eq!(answer.values::<f64>("coverage"), [covered as f64 / 400.0], "{name}");
        assert!(answer.values::<i64>("evaluations")[0] <= 50_000);
    }
}

#[test]
fn what_always_answers_alike_needs_no_anchor_and_what_never_does_has_none() {
    let background = noise(WIDTH * 100, 4);
    let inputs = || [matrix("x", WIDTH, &[0.5; WIDTH]), matrix("background", WIDTH, &background)];
    let always = ask("{}", &|_| one(true), &inputs()).unwrap();
    assert_eq!((features(&always), always.values::<i64>("found")), (vec![], vec![1]));
    assert_eq!((always.values::<f64>("coverage"), always.values::<f64>("precision")), (vec![1.0], vec![1.0]));
    // The row's own answer is that of no row of the background.
    let never = ask("{}", &|x| one(x[0] == 0.5), &inputs()).unwrap();
    assert_eq!(never.values::<i64>("found"), [0]);
    assert_eq!(never.values::<f64>("precision"), [0.0]);
    // A budget that is spent at once leaves nothing known.
    let [x, rows] = inputs();
    let poor = ask("{}", &|_| one(true), &[x, rows, integers("budget", &[1])]).unwrap();
    assert_eq!((poor.values::<i64>("found"), poor.values::<i64>("evaluations")), (vec![0], vec![1]));
    assert_eq!((poor.values::<f64>("precision_low"), poor.values::<f64>("precision_high")), (vec![0.0], vec![1.0]));
}

#[test]
fn categories_and_what_is_missing_are_said_as_such() {
    let mut background = noise(3 * 300, 6);
    for (at, row) in background.chunks_exact_mut(3).enumerate() {
        row[0] = f64::from(u8::try_from(at % 4).unwrap());
        row[1] = if at % 3 == 0 { f64::NAN } else { row[1] };
    }
    let codes = |own: [f64; 3], rule: &Rule<'_>| {
        let inputs = [matrix("x", 3, &own), matrix("background", 3, &background), integers("categorical", &[0])];
        clauses(&ask("{}", rule, &inputs).unwrap(), 0)
    };
    let nan = f64::NAN;
    let is_two = codes([2.0, 0.5, 0.5], &|x| one(x[0] == 2.0));
    assert!(matches!(is_two.as_slice(), [Clause { feature: 0, kind: 1, equals: 2.0, .. }]), "{is_two:?}");
    let is_missing = codes([2.0, nan, 0.5], &|x| one(x[1].is_nan()));
    assert!(matches!(is_missing.as_slice(), [Clause { feature: 1, kind: 2, .. }]), "{is_missing:?}");
}

#[test]
fn a_number_may_be_held_within_a_distance_and_a_class_of_three() {
    let background = noise(WIDTH * 400, 9);
    let inputs = || [matrix("x", WIDTH, &[0.9, 0.5, 0.5, 0.5]), matrix("background", WIDTH, &background)];
    let number = ask(r#"{"within": 0.3}"#, &|x| vec![x[0] + 0.01 * x[3]], &inputs()).unwrap();
    assert_eq!(features(&number), [0]);
    assert!((clauses(&number, 0)[0].low - 0.75).abs() < 0.05, "{:?}", clauses(&number, 0));
    let three = |x: &[f64]| vec![x[1], 0.5 * x[2], x[0] * 2.0];
    let class = ask("{}", &three, &inputs()).unwrap();
    assert_eq!((class.values::<i64>("class"), class.values::<i64>("found")), (vec![2], vec![1]));
    assert_eq!(class.values::<f64>("output"), [0.5, 0.25, 1.8]);
    assert!(features(&class).contains(&0));
}

#[test]
fn the_same_question_has_the_same_answer() {
    let background = noise(WIDTH * 200, 2);
    let rows = noise(WIDTH * 3, 8);
    let rule = |x: &[f64]| one(x[0] * x[1] + x[2] > 0.8);
    let asked = |config: &str, rows: &[f64], seed: i64| {
        let inputs = [matrix("x", WIDTH, rows), matrix("background", WIDTH, &background), integers("seed", &[seed])];
        let answer = ask(config, &rule, &inputs).unwrap();
        let last = rows.len() / WIDTH - 1;
        let bits = ["precision", "precision_low", "coverage"].map(|name| answer.values::<f64>(name)[last].to_bits());
        (format!("{:?}", clauses(&answer, last)), bits, answer.values::<i64>("evaluations")[last])
    };
    let once = asked("{}", &rows, 5);
    assert_eq!(once, asked("{}", &rows, 5));
    assert_eq!(once, asked(r#"{"batch_rows_max": 7}"#, &rows, 5));
    assert_eq!(once, asked("{}", &rows[2 * WIDTH..], 5));
    assert_ne!(once.1, asked("{}", &rows, 6).1);
}

#[test]
fn wrong_questions_are_refused() {
    let x = || matrix("x", 2, &[0.5, 0.5]);
    let background = || matrix("background", 2, &[0.0, 0.0, 1.0, 1.0]);
    for (config, inputs, says) in [
        ("{}", vec![x()], "there is no `background`"),
        ("{}", vec![x(), background(), list("weights", &[0.0, 0.0])], "the `weights` sum to 0"),
        ("{}", vec![x(), background(), integers("budget", &[0])], "`budget` is 0"),
        ("{}", vec![x(), background(), integers("categorical", &[2])], "`categorical` has the feature 2"),
        (r#"{"precision": 1}"#, vec![x()], "`precision` is 1"),
        (r#"{"slack": 0.95}"#, vec![x()], "`slack` is 0.95"),
        (r#"{"beam": 0}"#, vec![x()], "`beam` is 0"),
        (r#"{"within": -1}"#, vec![x()], "`within` is negative"),
    ] {
        let error = ask(config, &|x| vec![x[0]], &inputs).err().unwrap();
        assert!(error.message().contains(says), "{says}: {error}");
    }
    let error = ask("{}", &|_| vec![f64::NAN], &[x(), background()]).err().unwrap();
    assert!(error.message().contains("output 0 of the model is NaN"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the rows are: the row is within its anchor, and the shares are shares.
    #[test]
    fn the_row_is_within_its_anchor(
        background in prop::collection::vec(prop_oneof![6 => 0.0_f64..1.0, 2 => Just(0.5), 1 => Just(f64::NAN)], 4..120),
        own in prop::collection::vec(prop_oneof![8 => -0.5_f64..1.5, 1 => Just(f64::NAN), 1 => Just(0.5)], 4),
        weights in prop::collection::vec(0.0_f64..2.0, 30),
        weighed in any::<bool>(),
        is_category in any::<bool>(),
        budget in prop_oneof![Just(1_i64), Just(50), Just(3000)],
    ) {
        let background = &background[..background.len() / 4 * 4];
        let mut inputs = vec![matrix("x", 4, &own), matrix("background", 4, background), integers("budget", &[budget])];
        if weighed {
            let mut weights = weights[..(background.len() / 4).min(30)].to_vec();
            weights.resize(background.len() / 4, 1.0);
            weights[0] += 0.5;
            inputs.push(list("weights", &weights));
        }
        if is_category {
            inputs.push(integers("categorical", &[1]));
        }
        let rule = |x: &[f64]| one(x.iter().filter(|x| !x.is_nan()).sum::<f64>() > 1.6);
        let answer = ask("{}", &rule, &inputs).unwrap();
        prop_assert!(answer.values::<i64>("evaluations")[0] <= budget);
        for clause in clauses(&answer, 0) {
            prop_assert!(clause.holds(&own), "{clause:?}");
        }
        for name in ["precision", "precision_low", "precision_high", "coverage"] {
            prop_assert!((0.0..=1.0).contains(&answer.values::<f64>(name)[0]), "{name}");
        }
        let precise = answer.values::<f64>("precision")[0] >= 0.95 && answer.values::<f64>("precision_low")[0] > 0.9;
        prop_assert!(answer.values::<i64>("found")[0] == 0 || precise);
    }
}
