//! `candor.ale`. It does not know how effects are counted.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{Limits, Question, told, write, write_evaluations};
use crate::{edges, first_order, second_order};

const BINS_MAX: usize = 1000;

/// The configuration; `ale.json` says the same to the host.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalEffectsConfig {
    bins: usize,
    bins_pair: usize,
    batch_rows_max: usize,
    evaluations_max: u64,
}

impl Default for LocalEffectsConfig {
    fn default() -> Self {
        let Limits { batch_rows_max, evaluations_max } = Limits::default();
        Self { bins: 40, bins_pair: 10, batch_rows_max, evaluations_max }
    }
}

/// Accumulated local effects of one feature or of two.
pub struct LocalEffects {
    config: LocalEffectsConfig,
    limits: Limits,
}

impl Component for LocalEffects {
    type Config = LocalEffectsConfig;
    const ID: &'static CStr = c"candor.ale";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../ale.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: LocalEffectsConfig, _call: &Call<'_>) -> Result<Self> {
        for (name, bins) in [("bins", config.bins), ("bins_pair", config.bins_pair)] {
            if !(1..=BINS_MAX).contains(&bins) {
                return Err(Error::invalid(format!("`{name}` is {bins}, expected 1 to {BINS_MAX}")));
            }
        }
        let limits =
            Limits { batch_rows_max: config.batch_rows_max, evaluations_max: config.evaluations_max }.check()?;
        Ok(Self { config, limits })
    }
}

impl Explainer for LocalEffects {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        let background = question.background()?;
        let (rows, weights) = background.as_ref().map_or((&question.x, &[][..]), |(rows, weights)| (rows, weights));
        let features = question.features("features")?;
        let features = if features.is_empty() && question.x.width() == 1 { vec![0] } else { features };
        let mut codes = question.features("textual")?;
        codes.extend(question.features("categorical")?);
        if let Some(feature) = features.iter().find(|feature| codes.contains(feature)) {
            return Err(Error::invalid(format!(
                "feature {feature} is of categories, which have no order to accumulate along; ask for its partial dependence"
            )));
        }
        let bins = if features.len() == 1 { self.config.bins } else { self.config.bins_pair };
        let axis = |at: usize, feature: usize| match question.floats(&format!("edges_{at}"))? {
            Some(given) if given.len() <= BINS_MAX + 1 => Ok(given),
            Some(given) => {
                let (count, most) = (given.len(), BINS_MAX + 1);
                Err(Error::invalid(format!("`edges_{at}` has {count} numbers, expected at most {most}")))
            }
            None => edges(rows.column(feature), bins).map_err(told),
        };
        let mut model = question.model(self.limits, call, lent)?;
        match *features.as_slice() {
            [feature] => {
                let edges = axis(0, feature)?;
                let found = first_order(&mut model, rows, weights, feature, &edges).map_err(told)?;
                write(call, "edges_0", &[edges.len()], &edges)?;
                write(call, "effect", &[edges.len(), model.outputs()], &found.effect)?;
                write(call, "bin_weights", &[edges.len() - 1], &found.weights)?;
            }
            [one, other] => {
                let (first, second) = (axis(0, one)?, axis(1, other)?);
                let found = second_order(&mut model, rows, weights, (one, other), (&first, &second)).map_err(told)?;
                write(call, "edges_0", &[first.len()], &first)?;
                write(call, "edges_1", &[second.len()], &second)?;
                write(call, "effect", &[first.len(), second.len(), model.outputs()], &found.effect)?;
                write(call, "bin_weights", &[first.len() - 1, second.len() - 1], &found.weights)?;
            }
            _ => return Err(Error::invalid(format!("`features` has {} numbers, expected one or two", features.len()))),
        }
        write_evaluations(call, model.evaluations())
    }
}
