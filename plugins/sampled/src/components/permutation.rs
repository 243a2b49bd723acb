//! `candor.permutation_shap`: Shapley values along random orders of the players.
//!
//! After the question and the game; it does not compute.

use std::{collections::HashMap, ffi::CStr};

use candor_plugin_sdk::{Call, Claims, Component, Explainer, Model, Question, Result, schema, version};
use serde::Deserialize;

use super::{
    LinkName,
    answer::Answer,
    batch, batch_rows_max,
    kernel::{budget, players},
    lent,
    question::Asked,
};
use crate::{
    game::{Background, Game},
    kernel::Shares,
    link::Link,
    model::{Asker, Failure},
    permutation::{Plan, plan, price},
};

/// Orders for a row, at least, if nothing else is said.
const ORDERS: usize = 10;
/// The budget of a row, at least, if nothing else is said: that of `shap.PermutationExplainer`.
const BUDGET: usize = 500;

/// The configuration; `permutation.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermutationConfig {
    #[serde(default)]
    link: LinkName,
    #[serde(default = "batch_rows_max")]
    batch_rows_max: usize,
}

/// Explains as its configuration says.
pub struct PermutationShap {
    link: Link,
    batch: usize,
}

impl Component for PermutationShap {
    type Config = PermutationConfig;
    const ID: &'static CStr = c"candor.permutation_shap";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../permutation.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: PermutationConfig, _call: &Call<'_>) -> Result<Self> {
        Ok(Self { link: config.link.into(), batch: batch(config.batch_rows_max)? })
    }
}

impl Explainer for PermutationShap {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()> {
        let asked = Asked::of(question)?;
        let (answer, players, outputs) =
            lent::with(call, model, asked.outputs.as_deref(), (asked.features, self.batch), |asker| {
                self.answer(&asked, asker)
            })?;
        answer.write(call, players, outputs)
    }
}

impl PermutationShap {
    fn answer(&self, asked: &Asked, asker: &mut Asker<'_>) -> Result<(Answer, usize, usize), Failure> {
        let players = players(asked)?;
        let background = Background::new(&asked.background, asked.weights.as_deref(), asker)?;
        let (outputs, base) = (asker.outputs(), self.link.of(background.base())?);
        let mut made = Answer { errors: Some(Vec::new()), ..Answer::default() };
        let mut plans: HashMap<usize, Plan> = HashMap::new();
        for x in asked.each() {
            let whole = asker.all(x)?;
            let game = Game::new(x, &whole, &background, &players);
            let varying = game.varying().len();
            let output = self.link.of(&whole)?;
            let shares = if varying == 0 {
                Shares { values: Vec::new(), errors: Vec::new() }
            } else {
                let (usual, least) = ((ORDERS * price(varying)).max(BUDGET), price(varying));
                let budget = budget(asked, usual, least, "2m + 1 for one order of m players and its reverse")?;
                let plan = plans.entry(varying).or_insert_with(|| plan(varying, budget, asked.seed));
                let mut worths = game.worths(&plan.coalitions, asker)?;
                self.link.apply(&mut worths)?;
                plan.shares(&worths, outputs)
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
