//! `candor.exact_shap`: Shapley values of all coalitions of a few players.
//!
//! After the question and the game; it does not compute.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Claims, Component, Explainer, Model, Question, Result, schema, version};
use serde::Deserialize;

use super::{LinkName, answer::Answer, batch, batch_rows_max, lent, question::Asked};
use crate::{
    coalition::Coalitions,
    exact::{Interactions, PLAYERS_MAX, interactions, shapley},
    game::{Background, Game, Players},
    link::Link,
    model::{Asker, Failure},
};

/// Which interactions are meant, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// The Shapley interaction index.
    #[default]
    Shapley,
    /// The Shapley-Taylor index.
    Taylor,
}

/// The configuration; `exact.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactConfig {
    #[serde(default)]
    link: LinkName,
    #[serde(default)]
    interaction_index: Index,
    #[serde(default = "players_max")]
    players_max: usize,
    #[serde(default = "batch_rows_max")]
    batch_rows_max: usize,
}

fn players_max() -> usize {
    12
}

/// Explains as its configuration says.
pub struct ExactShap {
    link: Link,
    index: Interactions,
    players_max: usize,
    batch: usize,
}

impl Component for ExactShap {
    type Config = ExactConfig;
    const ID: &'static CStr = c"candor.exact_shap";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../exact.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: ExactConfig, _call: &Call<'_>) -> Result<Self> {
        let index = match config.interaction_index {
            Index::Shapley => Interactions::Shapley,
            Index::Taylor => Interactions::Taylor,
        };
        let players_max = config.players_max.min(PLAYERS_MAX);
        Ok(Self { link: config.link.into(), index, players_max, batch: batch(config.batch_rows_max)? })
    }
}

impl Explainer for ExactShap {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()> {
        let asked = Asked::of(question)?;
        let (answer, players, outputs) =
            lent::with(call, model, asked.outputs.as_deref(), (asked.features, self.batch), |asker| {
                self.answer(&asked, asker)
            })?;
        answer.write(call, players, outputs)
    }
}

impl ExactShap {
    fn answer(&self, asked: &Asked, asker: &mut Asker<'_>) -> Result<(Answer, usize, usize), Failure> {
        let players =
            asked.groups.as_ref().map_or_else(|| Ok(Players::each(asked.features)), |groups| Players::of(groups))?;
        let background = Background::new(&asked.background, asked.weights.as_deref(), asker)?;
        let (outputs, base) = (asker.outputs(), self.link.of(background.base())?);
        let mut made = Answer { interactions: asked.interactions.then(Vec::new), ..Answer::default() };
        for x in asked.each() {
            let whole = asker.all(x)?;
            let game = Game::new(x, &whole, &background, &players);
            let varying = game.varying().len();
            if varying > self.players_max {
                return Err(Failure::wrong(format!(
                    "{varying} players differ from the background, and coalitions of at most {} are enumerated; put \
                     features into groups, or use candor.kernel_shap",
                    self.players_max
                )));
            }
            let mut worths = game.worths(&Coalitions::all(varying), asker)?;
            self.link.apply(&mut worths)?;
            let values = shapley(&worths, varying, outputs);
            Answer::place(&mut made.attributions, &values, game.varying(), players.len(), outputs);
            if let Some(all) = &mut made.interactions {
                let pairs = interactions(&worths, &values, varying, outputs, self.index);
                let mut rows = pairs.chunks_exact((varying * outputs).max(1));
                for player in 0..players.len() {
                    let own = if game.varying().contains(&player) { rows.next() } else { None };
                    Answer::place(all, own.unwrap_or_default(), game.varying(), players.len(), outputs);
                }
            }
            made.base.extend_from_slice(&base);
            made.output.extend(self.link.of(&whole)?);
            made.spent(asker.asked());
        }
        Ok((made, players.len(), outputs))
    }
}
