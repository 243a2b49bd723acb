//! `candor.tree_shap`: exact Shapley values of tree ensembles, from the file that is served.
//!
//! What is made of a background is kept for the questions that come with the same one.

use std::{
    ffi::CStr,
    sync::{Arc, Mutex, PoisonError},
};

use candor_plugin_sdk::{Call, Claims, Component, Error, Explainer, Model, Question, Result, schema, version};

use super::{
    answer::Answer,
    config::{Space, TreeConfig},
    question::Asked,
};
use crate::{
    fold::{self, Folded, Post},
    matrix::Background,
    trees::{Forest, Perturbation, Sight},
};

/// How many backgrounds are kept.
const SIGHTS: usize = 2;

/// Explains the tree ensemble of a file.
pub struct TreeShap {
    folded: Folded,
    perturbation: Perturbation,
    is_probability: bool,
    cells_max: usize,
    /// The last ones first.
    seen: Mutex<Vec<Arc<Seen>>>,
}

/// A background with all that was made of it.
struct Seen {
    owner: Vec<u32>,
    players: usize,
    sight: Sight,
}

impl Component for TreeShap {
    type Config = TreeConfig;
    const ID: &'static CStr = c"candor.tree_shap";
    const VERSION: &'static CStr = version!();
    const CONFIG_SCHEMA: &'static CStr = schema!("../../tree.json");
    const CLAIMS: Claims = Claims::NONE.deterministic();

    fn create(config: TreeConfig, _call: &Call<'_>) -> Result<Self> {
        let folded = config.file.folded()?;
        if !matches!(folded.model, fold::Model::Trees(_)) {
            return Err(Error::unsupported(format!("{} is no tree ensemble", folded.place)));
        }
        config.space.check(&folded)?;
        let perturbation = config.perturbation.perturbation();
        let is_probability = config.space == Space::Probability;
        if is_probability {
            may_be_probability(&folded, perturbation)?;
        }
        let cells_max = config.tables_mb.saturating_mul((1 << 20) / size_of::<f64>());
        Ok(Self { folded, perturbation, is_probability, cells_max, seen: Mutex::default() })
    }
}

/// Whether shares of probabilities are to be had.
fn may_be_probability(folded: &Folded, perturbation: Perturbation) -> Result<()> {
    let place = &folded.place;
    match &folded.post {
        Post::None if folded.are_probabilities => Ok(()),
        Post::None => Err(Error::unsupported(format!("{place} gives no probabilities"))),
        Post::Logistic if perturbation == Perturbation::Interventional => Ok(()),
        Post::Logistic => Err(Error::unsupported(
            "path-dependent shares are of margins: in the space `probability` the perturbation must be `interventional`",
        )),
        Post::Other(name) => Err(Error::unsupported(format!(
            "{name} after {place} makes each probability of all scores: shares are of margins only"
        ))),
    }
}

impl Explainer for TreeShap {
    fn explain(&self, call: &Call<'_>, question: &Question<'_>, _model: &Model<'_>) -> Result<()> {
        let fold::Model::Trees(forest) = &self.folded.model else {
            return Err(Error::internal("no tree ensemble"));
        };
        let mut asked = Asked::of(&self.folded, &question.inputs)?;
        let background = std::mem::take(&mut asked.background);
        let seen = self.look(forest, &asked, background)?;
        let outputs = asked.outputs.iter().filter_map(|at| self.folded.outputs.get(*at)).collect();
        let answer = Answer { rows: &asked.rows, players: asked.players, outputs, targets: forest.targets };
        if self.is_probability && self.folded.post == Post::Logistic {
            if asked.interactions {
                return Err(Error::unsupported("interactions are of margins: use the space `margin`"));
            }
            return rescaled(call, forest, &seen.sight, &answer);
        }
        let mut wanted = vec![false; forest.targets];
        for (score, _) in answer.outputs.iter().flat_map(|output| &output.terms) {
            wanted.iter_mut().skip(*score).take(1).for_each(|wanted| *wanted = true);
        }
        let asked_for = (&wanted[..], asked.interactions);
        let found = seen.sight.shares(forest, &asked.rows, asked_for, &mut || call.check())?;
        answer.attributions(call, &found.shares)?;
        if asked.interactions {
            answer.interactions(call, &found.interactions)?;
        }
        let base: Vec<f64> = answer.outputs.iter().map(|output| output.of(seen.sight.base())).collect();
        answer.values(call, &base, |row| {
            let scores = forest.scores(asked.rows.row(row));
            answer.outputs.iter().map(|output| output.of(&scores)).collect()
        })
    }
}

impl TreeShap {
    /// What was made of this background before, or is made now.
    fn look(&self, forest: &Forest, asked: &Asked, background: Background) -> Result<Arc<Seen>> {
        let is_same = |seen: &Arc<Seen>| {
            seen.players == asked.players && seen.owner == asked.owner && same(seen.sight.background(), &background)
        };
        let lock = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut list = lock();
            if let Some(at) = list.iter().position(is_same) {
                let seen = list.remove(at);
                list.insert(0, Arc::clone(&seen));
                return Ok(seen);
            }
        }
        let (owner, players) = (asked.owner.clone(), asked.players);
        let sight = Sight::new(forest, &owner, players, background, self.perturbation, self.cells_max);
        let sight = sight.map_err(|refusal| Error::invalid(refusal.to_string()))?;
        let seen = Arc::new(Seen { owner, players, sight });
        let mut list = lock();
        list.insert(0, Arc::clone(&seen));
        list.truncate(SIGHTS);
        Ok(seen)
    }
}

/// The same numbers, bit for bit: missing ones are equal too.
fn same(one: &Background, other: &Background) -> bool {
    let bits = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    one.rows.width == other.rows.width && bits(&one.rows.cells, &other.rows.cells) && bits(&one.weights, &other.weights)
}

/// Shares of probabilities, as shap's `model_output="probability"` has them: with each background row by itself, shares
/// of the margin are stretched so that they sum to the difference of the probabilities, and then averaged.
fn rescaled(call: &Call<'_>, forest: &Forest, sight: &Sight, answer: &Answer<'_>) -> Result<()> {
    let curve = |margin: f64| Post::Logistic.done(margin).unwrap_or(f64::NAN);
    let weights = &sight.background().weights;
    let (players, width) = (answer.players, answer.outputs.len());
    let mut shares = vec![0.0; answer.rows.rows.saturating_mul(width).saturating_mul(players)];
    let wanted = vec![true; forest.targets];
    for (row, found) in shares.chunks_exact_mut((width * players).max(1)).enumerate() {
        let row = answer.rows.row(row);
        let scores = forest.scores(row);
        for (output, found) in answer.outputs.iter().zip(found.chunks_exact_mut(players.max(1))) {
            call.check()?;
            let x = output.of(&scores);
            let stretched: Vec<f64> = weights
                .iter()
                .zip(sight.scores())
                .map(|(weight, scores)| {
                    let z = output.of(scores);
                    // The limit where both are one.
                    let slope = if x == z { curve(x) * (1.0 - curve(x)) } else { (curve(x) - curve(z)) / (x - z) };
                    weight * slope
                })
                .collect();
            let own = sight.weighted(forest, row, &stretched, &wanted);
            let own = own.ok_or_else(|| Error::internal("no background rows"))?;
            for (player, found) in found.iter_mut().enumerate() {
                *found = output.weighed(|score| own.get(score * players + player).copied().unwrap_or_default());
            }
        }
    }
    let told: Vec<fold::Output> = (0..width).map(fold::Output::score).collect();
    let as_they_are = Answer { rows: answer.rows, players, outputs: told.iter().collect(), targets: width };
    as_they_are.attributions(call, &shares)?;
    let mean = |output: &&fold::Output| {
        weights.iter().zip(sight.scores()).map(|(weight, scores)| weight * curve(output.of(scores))).sum()
    };
    let base: Vec<f64> = answer.outputs.iter().map(mean).collect();
    answer.values(call, &base, |row| {
        let scores = forest.scores(answer.rows.row(row));
        answer.outputs.iter().map(|output| curve(output.of(&scores))).collect()
    })
}
