//! `candor.integrated_gradients`. It does not know how the integral is taken.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{Limits, Question, dim, told, write, write_integers};
use crate::{Shares, integrated_gradients, legendre};

const STEPS_MAX: usize = 1000;

/// Where the way begins, if the question has no `baseline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Baseline {
    /// At the mean of the background.
    BackgroundMean,
    /// At 0, as captum does.
    Zero,
}

/// The configuration; `integrated_gradients.json` says the same to the host.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntegratedGradientsConfig {
    steps: usize,
    difference: f64,
    baseline: Baseline,
    batch_rows_max: usize,
    evaluations_max: u64,
}

impl Default for IntegratedGradientsConfig {
    fn default() -> Self {
        let Limits { batch_rows_max, evaluations_max } = Limits::default();
        Self { steps: 50, difference: 1e-3, baseline: Baseline::BackgroundMean, batch_rows_max, evaluations_max }
    }
}

/// Integrated gradients by finite differences.
pub struct IntegratedGradients {
    config: IntegratedGradientsConfig,
    limits: Limits,
}

impl Component for IntegratedGradients {
    type Config = IntegratedGradientsConfig;
    const ID: &'static CStr = c"candor.integrated_gradients";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../integrated_gradients.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: IntegratedGradientsConfig, _call: &Call<'_>) -> Result<Self> {
        if !(1..=STEPS_MAX).contains(&config.steps) {
            return Err(Error::invalid(format!("`steps` is {}, expected 1 to {STEPS_MAX}", config.steps)));
        }
        if !(config.difference > 0.0 && config.difference <= 0.5) {
            let difference = config.difference;
            return Err(Error::invalid(format!("`difference` is {difference}, expected more than 0 and at most 0.5")));
        }
        let limits =
            Limits { batch_rows_max: config.batch_rows_max, evaluations_max: config.evaluations_max }.check()?;
        Ok(Self { config, limits })
    }
}

impl Explainer for IntegratedGradients {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        let baseline = self.baseline(&question)?;
        for feature in question.features("textual")? {
            let moves = |row: &[f64]| row.get(feature) != baseline.get(feature);
            if question.x.rows().any(moves) {
                return Err(Error::invalid(format!(
                    "feature {feature} is text, and there is no way from one text to another; choose another method"
                )));
            }
        }
        let players = question.players()?;
        let steps = self.affordable(question.count("budget")?, players.len())?;
        let nodes = legendre(steps);
        let mut model = question.model(self.limits, call, lent)?;
        let rows = question.x.len();
        let each = players.len().checked_mul(steps * 2).and_then(|asked| asked.checked_add(2));
        let hint = "give fewer rows or steps, or group features";
        model.afford(each.and_then(|each| each.checked_mul(rows)), hint).map_err(told)?;
        let mut all: Vec<Shares> = Vec::with_capacity(rows);
        for row in question.x.rows() {
            let shares = integrated_gradients(&mut model, row, &baseline, &players, &nodes, self.config.difference);
            all.push(shares.map_err(told)?);
        }
        let outputs = model.outputs();
        let flat = |of: fn(&Shares) -> &[f64]| -> Vec<f64> { all.iter().flat_map(of).copied().collect() };
        write(call, "attributions", &[rows, players.len(), outputs], &flat(|shares| &shares.attributions))?;
        write(call, "base", &[rows, outputs], &flat(|shares| &shares.base))?;
        write(call, "output", &[rows, outputs], &flat(|shares| &shares.output))?;
        write(call, "convergence_delta", &[rows, outputs], &flat(|shares| &shares.delta))?;
        write(call, "baseline", &[baseline.len()], &baseline)?;
        write_integers(call, "steps", &[1], &[dim(steps)])?;
        let asked = |shares: &Shares| i64::try_from(shares.evaluations).unwrap_or(i64::MAX);
        write_integers(call, "evaluations", &[rows], &all.iter().map(asked).collect::<Vec<_>>())?;
        call.output_strings("gradient", &[1], &["finite_differences"])
    }
}

impl IntegratedGradients {
    fn baseline(&self, question: &Question<'_>) -> Result<Vec<f64>> {
        let width = question.x.width();
        if let Some(given) = question.floats("baseline")? {
            if given.len() != width {
                return Err(Error::invalid(format!("`baseline` has {} numbers for {width} features", given.len())));
            }
            return Ok(given);
        }
        if self.config.baseline == Baseline::Zero {
            return Ok(vec![0.0; width]);
        }
        let (rows, weights) = question.background()?.ok_or_else(|| {
            Error::invalid("there is no `baseline` and no `background` to take the mean of; give one, or configure the baseline \"zero\"")
        })?;
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        let mean = |feature: usize| {
            // What is missing in some rows has the mean of the others.
            let known = rows.column(feature).enumerate().filter(|(_, number)| number.is_finite());
            let (sum, total) =
                known.fold((0.0, 0.0), |(sum, total), (row, number)| (sum + weight(row) * number, total + weight(row)));
            sum / total
        };
        Ok((0..width).map(mean).collect())
    }

    /// How many nodes a budget of evaluations for each row allows.
    fn affordable(&self, budget: Option<u64>, players: usize) -> Result<usize> {
        let Some(budget) = budget else { return Ok(self.config.steps) };
        let each = u64::try_from(players).unwrap_or(u64::MAX).saturating_mul(2).max(1);
        let steps = usize::try_from(budget.saturating_sub(2) / each).unwrap_or(usize::MAX).min(self.config.steps);
        if steps == 0 {
            let least = each.saturating_add(2);
            let what =
                format!("`budget` is {budget}, and {players} players take {least} evaluations for each row at least");
            return Err(Error::invalid(what));
        }
        Ok(steps)
    }
}
