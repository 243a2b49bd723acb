//! `candor.average`: the mean of numbers with weights, or a blend: their sum with coefficients and an intercept.
//!
//! The mean is scikit-learn's `VotingRegressor`. Any shape goes, as long as all answers have it: so it describes no
//! inputs, whose rank would have to be one. It does not know models.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Claims, Combiner, Component, Error, Inputs, Result, schema, version};
use serde::Deserialize;

use crate::members::{Datatype, Members, numbers};

/// What weights mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blend {
    /// Shares: they are divided by their sum.
    #[default]
    Mean,
    /// Coefficients: they are taken as they are.
    Blend,
}

/// The configuration; `average.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AverageConfig {
    #[serde(default)]
    mode: Blend,
    members: Option<usize>,
    weights: Option<Vec<f64>>,
    intercept: Option<f64>,
    #[serde(default)]
    datatype: Datatype,
}

/// Averages as its configuration says.
pub struct Average {
    mode: Blend,
    members: Members,
    intercept: f64,
    datatype: Datatype,
}

impl Component for Average {
    type Config = AverageConfig;
    const ID: &'static CStr = c"candor.average";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../average.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: AverageConfig, _call: &Call<'_>) -> Result<Self> {
        if config.mode == Blend::Blend && config.weights.is_none() {
            return Err(Error::invalid("`mode` is \"blend\", which needs `weights`"));
        }
        if config.mode == Blend::Mean && config.intercept.is_some() {
            return Err(Error::invalid("an `intercept` goes with the `mode` \"blend\" only"));
        }
        let intercept = config.intercept.unwrap_or(0.0);
        if !intercept.is_finite() {
            return Err(Error::invalid("`intercept` is no finite number"));
        }
        let members = Members::new(config.members, config.weights, config.mode == Blend::Mean)?;
        Ok(Self { mode: config.mode, members, intercept, datatype: config.datatype })
    }
}

impl Combiner for Average {
    fn combine(&self, call: &Call<'_>, answers: &Inputs<'_>) -> Result<()> {
        let answers = self.members.answers(answers)?;
        let shape = answers.first().map(|first| first.shape().to_vec()).unwrap_or_default();
        let (mut sums, mut weights) = (Vec::new(), 0.0);
        for (member, answer) in answers.iter().enumerate() {
            if answer.shape() != shape {
                let other = answer.shape();
                return Err(Error::invalid(format!("`y_{member}` has the shape {other:?} and `y_0` has {shape:?}")));
            }
            let (weight, numbers) = (self.members.weight(member), numbers(answer)?);
            weights += weight;
            sums.resize(numbers.len(), 0.0);
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum += number * weight;
            }
        }
        match self.mode {
            Blend::Mean => sums.iter_mut().for_each(|sum| *sum /= weights),
            Blend::Blend => sums.iter_mut().for_each(|sum| *sum += self.intercept),
        }
        self.datatype.write(call, "y", &shape, &sums)
    }
}
