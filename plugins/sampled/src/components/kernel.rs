//! `candor.kernel_shap`: Shapley values from a weighted fit to some coalitions.
//!
//! After the question and the game; it does not compute.

use std::{collections::HashMap, ffi::CStr};

use candor_plugin_sdk::{Call, Claims, Component, Explainer, Model, Question, Result, schema, version};
use serde::Deserialize;

use super::{LinkName, answer::Answer, batch, batch_rows_max, lent, question::Asked};
use crate::{
    game::{Background, Game, Players},
    kernel::{Fit, Plan, Shares, plan},
    link::Link,
    model::{Asker, Failure},
};

/// Most players: the fit grows with their third power.
pub(super) const PLAYERS_MAX: usize = 1024;

/// The configuration; `kernel.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelConfig {
    #[serde(default)]
    link: LinkName,
    #[serde(default = "batch_rows_max")]
    batch_rows_max: usize,
}

/// Explains as its configuration says.
pub struct KernelShap {
    link: Link,
    batch: usize,
}

impl Component for KernelShap {
    type Config = KernelConfig;
    const ID: &'static CStr = c"candor.kernel_shap";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../kernel.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: KernelConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self { link: config.link.into(), batch: batch(config.batch_rows_max)? })
    }
}

impl Explainer for KernelShap {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()> {
        let asked = Asked::of(question)?;
        let (answer, players, outputs) =
            lent::with(call, model, asked.outputs.as_deref(), (asked.features, self.batch), |asker| {
                self.answer(&asked, asker)
            })?;
        answer.write(call, players, outputs)
    }
}

impl KernelShap {
    fn answer(&self, asked: &Asked, asker: &mut Asker<'_>) -> Result<(Answer, usize, usize), Failure> {
        let players = players(asked)?;
        let background = Background::new(&asked.background, asked.weights.as_deref(), asker)?;
        let (outputs, base) = (asker.outputs(), self.link.of(background.base())?);
        let mut made = Answer { errors: Some(Vec::new()), ..Answer::default() };
        // Rows in which equally many players vary have the same plan, so that a row's shares do not depend on others.
        let mut plans: HashMap<usize, (Plan, Fit)> = HashMap::new();
        for x in asked.each() {
            let whole = asker.all(x)?;
            let game = Game::new(x, &whole, &background, &players);
            let varying = game.varying().len();
            let output = self.link.of(&whole)?;
            let shares = if varying < 2 {
                let all = output.iter().zip(&base).map(|(output, base)| output - base).take(varying * outputs);
                Shares { values: all.collect(), errors: vec![0.0; varying * outputs] }
            } else {
                let budget = budget(asked, 2 * varying + 2048, 2, "a coalition and its complement")?;
                let (plan, fit) = plans.entry(varying).or_insert_with(|| {
                    let plan = plan(varying, budget, asked.seed);
                    let fit = Fit::new(&plan);
                    (plan, fit)
                });
                let mut worths = game.worths(&plan.coalitions, asker)?;
                self.link.apply(&mut worths)?;
                fit.shares(plan, &worths, &base, &output)
            };
            Answer::place(&mut made.attributions, &shares.values, game.varying(), players.len(), outputs);
            if let Some(errors) = &mut made.errors {
                Answer::place(errors, &shares.errors, game.varying(), players.len(), outputs);
            }
            made.base.extend_from_slice(&base);
            made.output.extend(output);
            made.spent(asker.asked());
        }
        Ok((made, players.len(), outputs))
    }
}

/// The players of a question, not too many.
pub(super) fn players(asked: &Asked) -> Result<Players, Failure> {
    let players =
        asked.groups.as_ref().map_or_else(|| Ok(Players::each(asked.features)), |groups| Players::of(groups))?;
    if players.len() > PLAYERS_MAX {
        return Err(Failure::wrong(format!(
            "there are {} players and at most {PLAYERS_MAX} can be explained; put features into `groups`",
            players.len()
        )));
    }
    Ok(players)
}

/// The budget of a row in which so many players vary.
pub(super) fn budget(asked: &Asked, usual: usize, least: usize, why: &str) -> Result<usize, Failure> {
    let budget = asked.budget.unwrap_or(usual);
    if budget < least {
        return Err(Failure::wrong(format!("`budget` is {budget}, expected at least {least}: {why}")));
    }
    Ok(budget)
}
