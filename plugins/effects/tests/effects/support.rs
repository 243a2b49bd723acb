//! The models of the fixtures as formulas, and short ways to ask. It knows no component.

use std::sync::atomic::{AtomicU32, Ordering};

use candor_plugin_effects::MODULE;
use candor_plugin_sdk::{
    Element, Inputs, Result, Status,
    testing::{Answer, Harness, Input, Output, Setup},
};
use serde_json::Value;

pub type Rule<'a> = dyn Fn(&[f64]) -> Vec<f64> + 'a;

pub fn ask(id: &str, config: &str, rule: &Rule<'_>, inputs: &[Input]) -> Result<Answer> {
    let model = |given: &Inputs<'_>| {
        let x = given.need("x")?;
        let (rows, width) = (x.shape()[0], usize::try_from(x.shape()[1]).unwrap());
        let y: Vec<f64> = x.slice::<f64>()?.chunks_exact(width).flat_map(rule).collect();
        let outputs = i64::try_from(y.len()).unwrap() / rows;
        Ok(vec![Output::new("y", &[rows, outputs], &y)])
    };
    let setup = Setup { model: Some(&model), ..Setup::default() };
    Harness::new(&MODULE, id, config)?.run_with(&setup, inputs)
}

/// Nobody waits any more after the first batch: how often the model was asked, and how it ended.
pub fn given_up(id: &str, config: &str, inputs: &[Input]) -> (u32, Status) {
    let (cancel, asked) = (AtomicU32::new(0), AtomicU32::new(0));
    let model = |given: &Inputs<'_>| {
        asked.fetch_add(1, Ordering::Relaxed);
        cancel.store(1, Ordering::Relaxed);
        let rows = given.need("x")?.shape()[0];
        Ok(vec![Output::new("y", &[rows, 1], &vec![0.5; usize::try_from(rows).unwrap()])])
    };
    let setup = Setup { model: Some(&model), cancel: Some(&cancel), ..Setup::default() };
    let error = Harness::new(&MODULE, id, config).unwrap().run_with(&setup, inputs).err().unwrap();
    (asked.into_inner(), error.status())
}

/// Every question must be refused with the sentence beside it, and what is wrong with it as its fault.
pub fn refused(id: &str, rule: &Rule<'_>, cases: Vec<(&str, Vec<Input>, &str)>) {
    for (config, inputs, says) in cases {
        let error = ask(id, config, rule, &inputs).err().unwrap_or_else(|| panic!("not refused: {says}"));
        let is_limit = error.status() == Status::Resource && !says.starts_with("`budget`");
        let right = error.status() == Status::Invalid || is_limit;
        assert!(right && error.message().contains(says), "{says}: {error}");
    }
}

pub fn matrix(name: &str, width: usize, numbers: &[f64]) -> Input {
    let shape = [i64::try_from(numbers.len() / width).unwrap(), i64::try_from(width).unwrap()];
    Input::new(name, &shape, numbers)
}

pub fn list<T: Element>(name: &str, numbers: &[T]) -> Input {
    Input::new(name, &[i64::try_from(numbers.len()).unwrap()], numbers)
}

pub fn curved(x: &[f64]) -> Vec<f64> {
    vec![x[0] * x[1] + (2.0 * x[2]).sin() - 0.5 * x[3] * x[3]]
}

pub fn of_two(x: &[f64]) -> Vec<f64> {
    vec![1.0 / (1.0 + (-curved(x)[0]).exp())]
}

pub fn of_three(x: &[f64]) -> Vec<f64> {
    let scores = [x[0] + x[1], 1.5 * x[2], x[3] * x[0]];
    let powers = scores.map(f64::exp);
    powers.iter().map(|power| power / powers.iter().sum::<f64>()).collect()
}

pub fn rule(name: &str) -> &'static Rule<'static> {
    match name {
        "curved" => &curved,
        "two" => &of_two,
        "three" => &of_three,
        other => panic!("the fixtures name the model {other}"),
    }
}

pub fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub fn floats(of: &Value) -> Vec<f64> {
    serde_json::from_value(of.clone()).unwrap()
}

pub fn integers(of: &Value) -> Vec<i64> {
    serde_json::from_value(of.clone()).unwrap()
}

pub fn near(got: &[f64], expected: &[f64], by: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= by, "{what} [{at}]: {got}, expected {expected}");
    }
}

pub fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}
