//! Effects of features on a model's answers: `candor.permutation_importance`, `candor.pdp`, `candor.ale`,
//! `candor.occlusion` and `candor.integrated_gradients`.
//!
//! Before them comes a question (rows, a background, choices) and a model that they may call; after them come tensors
//! of documented names. The numeric rooms know slices and a function that answers for rows; only `components` knows the
//! SDK. Nothing knows the server.
//!
//! | module | what it does |
//! |---|---|
//! | `permutation`, `scores` | how much a score falls when a feature is permuted |
//! | `partial`, `grid` | partial dependence and individual expectations over a grid |
//! | `local` | accumulated local effects |
//! | `path` | integrated gradients by finite differences |
//! | `occlude`, `image` | answers with parts covered; patches and superpixels |
//! | `matrix`, `model`, `fault`, `random` | rows; a model that is asked in batches; what goes wrong; numbers by a seed |
//! | `components` | the questions read, the answers written |

mod components;
mod fault;
mod grid;
mod image;
mod local;
mod matrix;
mod model;
mod occlude;
mod partial;
mod path;
mod permutation;
mod random;
mod scores;

use candor_plugin_sdk::module;

pub use components::{
    IntegratedGradients, IntegratedGradientsConfig, LocalEffects, LocalEffectsConfig, Occlusion, OcclusionConfig,
    PartialDependence, PartialDependenceConfig, PermutationConfig, PermutationImportance,
};
pub use fault::{Fault, Result};
pub use grid::Grid;
pub use image::{Image, Layout, Part};
pub use local::{LocalEffect, edges, first_order, second_order};
pub use matrix::{Matrix, Players};
pub use model::Model;
pub use occlude::{Covered, occlusion};
pub use partial::{Partial, partial_dependence};
pub use path::{Shares, integrated_gradients, legendre};
pub use permutation::{Importance, importance};
pub use random::Random;
pub use scores::{Scorer, Truth};

module!(
    explainer PermutationImportance, explainer PartialDependence, explainer LocalEffects, explainer Occlusion,
    explainer IntegratedGradients,
);
