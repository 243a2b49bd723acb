//! `candor.linear_shap`: exact Shapley values of linear models, from the file that is served.

use std::ffi::CStr;

use candor_plugin_sdk::{Call, Claims, Component, Error, Explainer, Model, Question, Result, schema, version};

use super::{
    answer::Answer,
    config::{LinearConfig, Space},
    question::Asked,
};
use crate::fold::{self, Folded};

/// Explains the linear model of a file.
pub struct LinearShap {
    folded: Folded,
}

impl Component for LinearShap {
    type Config = LinearConfig;
    const ID: &'static CStr = c"candor.linear_shap";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../linear.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: LinearConfig, _call: &Call<'_>) -> Result<Self> {
        let folded = config.file.folded()?;
        if !matches!(folded.model, fold::Model::Linear(_)) {
            return Err(Error::unsupported(format!("{} is no linear model", folded.place)));
        }
        config.space.check(&folded)?;
        if config.space == Space::Probability {
            let why = "a probability is no sum of what features add: shares of linear models are of margins only";
            return Err(Error::unsupported(why));
        }
        Ok(Self { folded })
    }
}

impl Explainer for LinearShap {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, _model: &Model<'_>) -> Result<()> {
        let fold::Model::Linear(linear) = &self.folded.model else {
            return Err(Error::internal("no linear model"));
        };
        let asked = Asked::of(&self.folded, &question.inputs)?;
        let centered = linear.centered(&asked.background);
        let outputs = asked.outputs.iter().filter_map(|at| self.folded.outputs.get(*at)).collect();
        let answer = Answer { rows: &asked.rows, players: asked.players, outputs, targets: linear.targets() };
        call.check()?;
        let shares = linear.shares(&centered, &asked.rows, &asked.owner, asked.players);
        answer.attributions(call, &shares)?;
        if asked.interactions {
            // Nothing is done together: the shares stand on the diagonal.
            let mut squares = vec![0.0; shares.len().saturating_mul(asked.players)];
            let rows = squares.chunks_exact_mut(asked.players.max(1)).zip(&shares);
            for (at, (row, share)) in rows.enumerate() {
                row.iter_mut().skip(at % asked.players).take(1).for_each(|cell| *cell = *share);
            }
            answer.interactions(call, &squares)?;
        }
        let base: Vec<f64> = answer.outputs.iter().map(|output| output.of(&centered.base)).collect();
        answer.values(call, &base, |row| {
            let scores = linear.scores(asked.rows.row(row));
            answer.outputs.iter().map(|output| output.of(&scores)).collect()
        })
    }
}
