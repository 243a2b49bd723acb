//! `candor.lime`: a line fitted to the model around a row.
//!
//! After the question; it does not compute.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Claims, Component, Error, Explainer, Model, Question, Result, schema, version};
use serde::Deserialize;

use super::{answer::Answer, batch, batch_rows_max, kernel, lent, question::Asked};
use crate::{
    exact::to_float,
    game::Players,
    lime::{Cut, Local, Selection, Settings, Space, View, draw, explain},
    model::{Asker, Failure},
};

/// Neighbours of a row, with the row itself, if nothing else is said.
const SAMPLES: usize = 5000;
/// Most numbers in the neighbours of a row.
const CELLS_MAX: usize = 1 << 26;

/// How numbers are cut, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutName {
    /// At quartiles.
    #[default]
    Quartile,
    /// At deciles.
    Decile,
    /// Not at all.
    None,
}

/// How features are chosen, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectionName {
    /// As `lime` does.
    #[default]
    Auto,
    /// All take part.
    None,
    /// Those of the highest weights.
    HighestWeights,
    /// One after another.
    ForwardSelection,
}

/// The configuration; `lime.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimeConfig {
    #[serde(default)]
    discretizer: CutName,
    #[serde(default)]
    feature_selection: SelectionName,
    #[serde(default = "features_max")]
    features_max: usize,
    kernel_width: Option<f64>,
    #[serde(default = "alpha")]
    alpha: f64,
    #[serde(default)]
    sample_around_instance: bool,
    #[serde(default)]
    categorical: Vec<usize>,
    #[serde(default = "batch_rows_max")]
    batch_rows_max: usize,
}

fn features_max() -> usize {
    10
}

fn alpha() -> f64 {
    1.0
}

/// Explains as its configuration says.
pub struct Lime {
    config: LimeConfig,
    cut: Cut,
    selection: Selection,
    batch: usize,
}

impl Component for Lime {
    type Config = LimeConfig;
    const ID: &'static CStr = c"candor.lime";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../lime.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: LimeConfig, _call: &Call<'_>) -> Result<Self> {
        let above = |number: f64| number > 0.0 && number.is_finite();
        if let Some(width) = config.kernel_width.filter(|&width| !above(width)) {
            return Err(Error::invalid(format!("`kernel_width` is {width}, expected a finite number above 0")));
        }
        if !(config.alpha >= 0.0 && config.alpha.is_finite()) {
            return Err(Error::invalid(format!("`alpha` is {}, expected a finite number of at least 0", config.alpha)));
        }
        if config.features_max == 0 {
            return Err(Error::invalid("`features_max` is 0, expected at least 1"));
        }
        if config.sample_around_instance && config.discretizer != CutName::None {
            return Err(Error::invalid(
                "`sample_around_instance` is for numbers that are not cut; set `discretizer` to \"none\"",
            ));
        }
        let cut = match config.discretizer {
            CutName::Quartile => Cut::Quartile,
            CutName::Decile => Cut::Decile,
            CutName::None => Cut::None,
        };
        let selection = match config.feature_selection {
            SelectionName::Auto => Selection::Auto,
            SelectionName::None => Selection::None,
            SelectionName::HighestWeights => Selection::HighestWeights,
            SelectionName::ForwardSelection => Selection::Forward,
        };
        Ok(Self { cut, selection, batch: batch(config.batch_rows_max)?, config })
    }
}

impl Explainer for Lime {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, model: &Model<'_>) -> Result<()> {
        let asked = Asked::of(question)?;
        let (answer, players, outputs) =
            lent::with(call, model, asked.outputs.as_deref(), (asked.features, self.batch), |asker| {
                self.answer(&asked, asker)
            })?;
        answer.write(call, players, outputs)
    }
}

impl Lime {
    /// What is perturbed, and how many rows are drawn.
    fn space(&self, asked: &Asked) -> Result<(Space, usize), Failure> {
        let mut named = vec![false; asked.features];
        for &feature in self.config.categorical.iter().chain(&asked.textual) {
            let own = named.get_mut(feature).ok_or_else(|| {
                Failure::wrong(format!(
                    "`categorical` has {feature} and there are {} features, numbered from 0",
                    asked.features
                ))
            })?;
            *own = true;
        }
        let space = Space::new(&asked.background, asked.weights.as_deref(), &named, self.cut)?;
        let plain = |feature: usize| self.cut == Cut::None && named.get(feature) == Some(&false);
        for (row, x) in asked.each().enumerate() {
            if let Some(feature) = x.iter().enumerate().position(|(at, value)| plain(at) && !value.is_finite()) {
                return Err(Failure::wrong(format!(
                    "`x` has no finite number for feature {feature} in row {row}, and nothing can be near it; leave \
                     `discretizer` at \"quartile\", where missing is a bin of its own"
                )));
            }
        }
        let count = kernel::budget(asked, SAMPLES, 2, "the row and a neighbour")?;
        if count.saturating_mul(asked.features) > CELLS_MAX {
            return Err(Failure::wrong(format!(
                "`budget` is {count} for {} features; expected at most {CELLS_MAX} numbers in the neighbours of a row",
                asked.features
            )));
        }
        Ok((space, count - 1))
    }

    fn answer(&self, asked: &Asked, asker: &mut Asker<'_>) -> Result<(Answer, usize, usize), Failure> {
        let players = kernel::players(asked)?;
        let (space, count) = self.space(asked)?;
        let width = self.config.kernel_width.unwrap_or_else(|| 0.75 * to_float(asked.features).sqrt());
        let settings =
            Settings { width, alpha: self.config.alpha, selection: self.selection, most: self.config.features_max };
        let around = self.config.sample_around_instance;
        let mut shared = None;
        let mut made = Answer { errors: Some(Vec::new()), ..Answer::default() };
        let (mut r2, mut predictions) = (Vec::new(), Vec::new());
        for x in asked.each() {
            let mut answers = asker.all(x)?;
            let outputs = asker.outputs();
            let neighbours = match shared.take() {
                Some(drawn) if !around => drawn,
                _ => draw(&space, count, asked.seed, around.then_some(x), asker)?,
            };
            answers.extend_from_slice(&neighbours.answers);
            let locals = explain(&View::new(&space, x, &neighbours, width), &answers, outputs, &settings);
            place(&mut made, &locals, &players);
            made.base.extend(locals.iter().map(|local| local.line.intercept));
            r2.extend(locals.iter().map(|local| local.line.r2));
            predictions.extend(locals.iter().map(|local| local.prediction));
            made.output.extend(answers.iter().take(outputs));
            made.spent(asker.asked());
            shared = Some(neighbours);
        }
        let intercept = made.base.clone();
        made.more = vec![("intercept", intercept), ("r2", r2), ("local_prediction", predictions)];
        Ok((made, players.len(), asker.outputs()))
    }
}

/// Coefficients of players: the sums of those of their features.
fn place(made: &mut Answer, locals: &[Local], players: &Players) {
    for features in players.iter() {
        for Local { line, covariance, .. } in locals {
            let own: Vec<usize> = line
                .chosen
                .iter()
                .enumerate()
                .filter(|(_, feature)| features.contains(feature))
                .map(|(at, _)| at)
                .collect();
            made.attributions.push(own.iter().filter_map(|&at| line.coefficients.get(at)).sum());
            let error = covariance.as_ref().map_or(f64::NAN, |covariance| {
                let part = covariance.part(&own);
                part.rows().flatten().sum::<f64>().max(0.0).sqrt()
            });
            if let Some(errors) = &mut made.errors {
                errors.push(error);
            }
        }
    }
}
