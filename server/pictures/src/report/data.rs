//! What reports are made of: plain values, beside those of [`crate::data`].
//!
//! Everything that a deployment may leave out is optional, and the report says that it was left out rather than keep
//! silent. It does not know where the values come from.

use serde::{Deserialize, Serialize};

use crate::data::{Counterfactuals, Decision, Effect, HeatMap, Importance, LocalEffects, Sample, TextMap};

/// Everything about one decision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DecisionReport {
    /// What was decided about: "Application 4711".
    pub about: String,
    /// When, as it should be read.
    pub decided_at: Option<String>,
    /// What the model said.
    pub answer: Answer,
    /// Why.
    pub decision: Decision,
    /// Where in the image, if the input was one.
    pub heat_map: Option<HeatMap>,
    /// Which words of the text, if the input was one.
    pub text_map: Option<TextMap>,
    /// What would have changed it; `None` if nobody looked.
    pub counterfactuals: Option<Counterfactuals>,
    /// How sure.
    pub certainty: Certainty,
    /// How to contest it.
    pub contest: Contest,
    /// Rows that stand for "nothing known".
    pub background: Background,
    /// From what all this was made.
    pub provenance: Provenance,
    /// Further things that a reader must not conclude; the general ones are always there.
    pub limits: Vec<String>,
}

/// What a model said about one row.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// "refused", "312,400 €". Without it, the explained quantity is the answer.
    pub label: Option<String>,
    /// The model's own probability of `label`.
    pub probability: Option<f64>,
    /// All classes, in any order; may be empty.
    pub classes: Vec<Class>,
    /// The value of the explained quantity at which the decision changes, where there is one.
    pub threshold: Option<f64>,
}

/// One of the answers that were possible.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Class {
    /// Of the class.
    pub name: String,
    /// By the model.
    pub probability: f64,
}

/// What is known about how far the explanation can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Certainty {
    /// Did the server find that the shares do not add up?
    pub is_flagged: bool,
    /// Were the shares calculated or estimated?
    pub sampling: Sampling,
    /// Anything else that the reader should know.
    pub notes: Vec<String>,
}

/// How shares came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Nobody said.
    #[default]
    Unknown,
    /// Calculated: asking again gives the same.
    Exact,
    /// Estimated from a part of all combinations.
    Sampled,
}

/// To whom a person can turn. Set by who runs the server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Contest {
    /// Paragraphs.
    pub text: Vec<String>,
    /// "E-mail", "Post", "Telephone", "Until".
    pub contacts: Vec<Fact>,
}

/// A name and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fact {
    /// What is told.
    pub name: String,
    /// As it should be read.
    pub value: String,
}

/// Rows that stand for "nothing known".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Background {
    /// By which the server keeps it.
    pub id: Option<String>,
    /// Of its content.
    pub digest: Option<String>,
    /// How many.
    pub rows: Option<u64>,
    /// What they are: "500 rows of the training data", "k-means, 50 centres".
    pub description: Option<String>,
}

/// From what a report was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Name of the model.
    pub model: String,
    /// Of the model.
    pub version: Option<String>,
    /// sha256 of its file.
    pub model_digest: Option<String>,
    /// What ran it, with its version.
    pub engine: Option<String>,
    /// Of the engine's library.
    pub engine_digest: Option<String>,
    /// "tree_shap, interventional".
    pub method: Option<String>,
    /// In which the shares add up: "probability".
    pub space: Option<String>,
    /// For methods that draw.
    pub seed: Option<i64>,
    /// Evaluations of the model allowed.
    pub budget: Option<u64>,
    /// Evaluations of the model made.
    pub evaluations: Option<u64>,
    /// Of the prediction that is explained.
    pub request: Option<String>,
    /// Anything else.
    pub more: Vec<Fact>,
}

/// Everything about one model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelReport {
    /// When it was made, as it should be read.
    pub made_at: Option<String>,
    /// What the model is for, in its owner's words.
    pub purpose: Option<String>,
    /// Many rows explained.
    pub sample: Sample,
    /// Of how many of the most important features dependence is drawn.
    pub dependence: Dependence,
    /// Other measures of importance: permutation importance.
    pub importance: Vec<Importance>,
    /// Partial dependence.
    pub effects: Vec<Effect>,
    /// Accumulated local effects.
    pub local_effects: Vec<LocalEffects>,
    /// Rows that stand for "nothing known".
    pub background: Background,
    /// From what all this was made.
    pub provenance: Provenance,
    /// Further things that a reader must not conclude; the general ones are always there.
    pub limits: Vec<String>,
}

/// How many features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dependence(pub u8);

impl Default for Dependence {
    fn default() -> Self {
        Self(4)
    }
}
