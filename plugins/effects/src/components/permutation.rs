//! `candor.permutation_importance`. It does not know how importance is counted.

use std::ffi::CStr;

use candor_plugin_sdk::{
    Call, Claims, Component, Error, Explainer, Model as Lent, Question as Asked, Result, schema, version,
};
use serde::Deserialize;

use super::question::{Limits, Question, told, write, write_evaluations};
use crate::{Random, Scorer, Truth, importance};

/// The configuration; `permutation_importance.json` says the same to the host.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PermutationConfig {
    scorer: Scorer,
    repeats: usize,
    threshold: f64,
    batch_rows_max: usize,
    evaluations_max: u64,
}

impl Default for PermutationConfig {
    fn default() -> Self {
        let Limits { batch_rows_max, evaluations_max } = Limits::default();
        Self { scorer: Scorer::Auto, repeats: 5, threshold: 0.5, batch_rows_max, evaluations_max }
    }
}

const REPEATS_MAX: usize = 1000;

/// How much a score falls when a feature is permuted.
pub struct PermutationImportance {
    config: PermutationConfig,
    limits: Limits,
}

impl Component for PermutationImportance {
    type Config = PermutationConfig;
    const ID: &'static CStr = c"candor.permutation_importance";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../permutation_importance.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: PermutationConfig, _call: &Call<'_>) -> Result<Self> {
        let limits =
            Limits { batch_rows_max: config.batch_rows_max, evaluations_max: config.evaluations_max }.check()?;
        if !(1..=REPEATS_MAX).contains(&config.repeats) {
            return Err(Error::invalid(format!("`repeats` is {}, expected 1 to {REPEATS_MAX}", config.repeats)));
        }
        if !config.threshold.is_finite() {
            return Err(Error::invalid("`threshold` is no finite number"));
        }
        Ok(Self { config, limits })
    }
}

impl Explainer for PermutationImportance {
    fn explain(&self, call: &Call<'_>, asked: &Asked<'_>, lent: &Lent<'_>) -> Result<()> {
        let question = Question::of(asked)?;
        let rows = question.x.len();
        let y = question.floats("y")?.ok_or_else(|| Error::invalid("there is no input `y`: the truth of each row"))?;
        if y.len() != rows {
            return Err(Error::invalid(format!("`y` has {} numbers for {rows} rows of `x`", y.len())));
        }
        let classes = question.floats("classes")?.unwrap_or_default();
        let players = question.players()?;
        let permutations = match permutations(&question, rows)? {
            Some(given) => given,
            None => {
                let repeats = self.affordable(question.count("budget")?, players.len())?;
                let mut random = Random::new(question.seed()?);
                (0..repeats).map(|_| random.order(rows)).collect()
            }
        };
        let mut model = question.model(self.limits, call, lent)?;
        let truth = |outputs: usize| Truth::new(self.config.scorer, &y, outputs, &classes, self.config.threshold);
        let (found, truth) = importance(&mut model, &question.x, truth, &players, &permutations).map_err(told)?;
        let (players, repeats) = (players.len(), permutations.len());
        write(call, "importances", &[players, repeats], &found.falls)?;
        write(call, "mean", &[players], &found.mean)?;
        write(call, "standard_deviation", &[players], &found.standard_deviation)?;
        write(call, "score", &[1], &[found.score])?;
        call.output_strings("scorer", &[1], &[truth.scorer().name()])?;
        write_evaluations(call, model.evaluations())
    }
}

impl PermutationImportance {
    /// How many repeats a budget of evaluations for each row allows.
    fn affordable(&self, budget: Option<u64>, players: usize) -> Result<usize> {
        let Some(budget) = budget else { return Ok(self.config.repeats) };
        let repeats = budget.saturating_sub(1) / u64::try_from(players.max(1)).unwrap_or(1);
        let repeats = usize::try_from(repeats).unwrap_or(usize::MAX).min(self.config.repeats);
        if repeats == 0 {
            let least = players.saturating_add(1);
            let what =
                format!("`budget` is {budget}, and {players} players take {least} evaluations of each row at least");
            return Err(Error::invalid(what));
        }
        Ok(repeats)
    }
}

/// Permutations that were given: one in each row, of as many numbers as `x` has rows.
fn permutations(question: &Question<'_>, rows: usize) -> Result<Option<Vec<Vec<usize>>>> {
    let Some(view) = question.view("permutations") else { return Ok(None) };
    let shape = view.shape();
    let right = matches!(*shape, [repeats, of] if usize::try_from(of) == Ok(rows) && (1..=1000).contains(&repeats));
    if !right {
        return Err(Error::invalid(format!(
            "`permutations` has the shape {shape:?}, expected 1 to {REPEATS_MAX} rows of {rows}"
        )));
    }
    let numbers = view.to_vec::<i64>()?;
    let number = |number: &i64| usize::try_from(*number).unwrap_or(usize::MAX);
    Ok(Some(numbers.chunks_exact(rows.max(1)).map(|row| row.iter().map(number).collect()).collect()))
}
