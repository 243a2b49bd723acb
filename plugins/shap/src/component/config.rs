//! Configurations: which file, which space, what stands for what is not known. `tree.json` and `linear.json` say the
//! same to the host.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_plugin_sdk::{Error, Result};
use serde::Deserialize;

use crate::{
    fold::{Folded, Post},
    trees::Perturbation,
};

/// The model's file: the host puts its bytes where its name was.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ModelFile {
    /// The file's bytes, in base64.
    Bytes {
        /// They.
        base64: String,
    },
    /// A name, if the host did not put bytes in its place.
    Named(String),
}

/// In which numbers shares are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Scores before the model's last transform.
    #[default]
    Margin,
    /// The same, as shap calls it.
    Raw,
    /// Probabilities.
    Probability,
    /// What the model answers: there must be no transform.
    Answer,
}

/// What stands for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Perturbed {
    /// Values of background rows.
    #[default]
    Interventional,
    /// Shares of background rows that take each branch.
    PathDependent,
}

/// The configuration of `candor.tree_shap`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeConfig {
    pub(super) file: ModelFile,
    #[serde(default)]
    pub(super) space: Space,
    #[serde(default)]
    pub(super) perturbation: Perturbed,
    #[serde(default = "tables_mb")]
    pub(super) tables_mb: usize,
}

/// The configuration of `candor.linear_shap`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {
    pub(super) file: ModelFile,
    #[serde(default)]
    pub(super) space: Space,
}

const fn tables_mb() -> usize {
    64
}

impl Perturbed {
    pub(super) const fn perturbation(self) -> Perturbation {
        match self {
            Self::Interventional => Perturbation::Interventional,
            Self::PathDependent => Perturbation::PathDependent,
        }
    }
}

impl Space {
    /// Whether what a model adds up can be what is asked for.
    pub(super) fn check(self, folded: &Folded) -> Result<()> {
        let link = match &folded.post {
            Post::None => return Ok(()),
            Post::Logistic => "a logistic function",
            Post::Other(name) => name,
        };
        match self {
            Self::Answer => Err(Error::unsupported(format!(
                "{link} after {} makes the answer of its scores: the answer is no sum",
                folded.place
            ))),
            Self::Margin | Self::Raw | Self::Probability => Ok(()),
        }
    }
}

impl ModelFile {
    /// What the file is to exact shares.
    pub(super) fn folded(&self) -> Result<Folded> {
        let base64 = match self {
            Self::Bytes { base64 } => base64,
            Self::Named(name) => {
                return Err(Error::unsupported(format!("the host gave the name of the file `{name}`, not its bytes")));
            }
        };
        let bytes = STANDARD.decode(base64).map_err(|error| Error::invalid(format!("`file` is no base64: {error}")))?;
        Folded::read(&bytes).map_err(|refusal| Error::unsupported(refusal.to_string()))
    }
}
