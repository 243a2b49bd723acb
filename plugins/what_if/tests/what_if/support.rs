//! Short ways to ask, and numbers by a seed. It knows no component.

use candor_plugin_sdk::{
    Inputs, Result,
    testing::{Answer, Harness, Input, Output, Setup},
};
use candor_plugin_what_if::MODULE;

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

pub fn matrix(name: &str, width: usize, numbers: &[f64]) -> Input {
    let shape = [i64::try_from(numbers.len() / width).unwrap(), i64::try_from(width).unwrap()];
    Input::new(name, &shape, numbers)
}

pub fn list(name: &str, numbers: &[f64]) -> Input {
    Input::new(name, &[i64::try_from(numbers.len()).unwrap()], numbers)
}

pub fn integers(name: &str, numbers: &[i64]) -> Input {
    Input::new(name, &[i64::try_from(numbers.len()).unwrap()], numbers)
}

/// Numbers from 0 to 1 that look random and are the same everywhere.
pub fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut random = candor_plugin_what_if::Random::new(seed);
    (0..count).map(|_| random.share()).collect()
}
