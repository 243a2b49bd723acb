//! Explanations of any model by asking it: `candor.exact_shap`, `candor.kernel_shap`, `candor.permutation_shap` and
//! `candor.lime`.
//!
//! Before them comes whoever has rows to explain and a background; they know the model only by its answers. The
//! methods are plain functions over numbers; `components` alone knows the SDK. They know nothing of the server.
//!
//! | module | what it does |
//! |---|---|
//! | [`model`] | rows to the model, in batches |
//! | [`coalition`], [`game`] | sets of players, and what they are worth |
//! | [`exact`] | Shapley values and interactions of all coalitions |
//! | [`kernel`] | kernel SHAP |
//! | [`permutation`] | permutation SHAP |
//! | [`lime`] | LIME for tables |
//! | [`link`](mod@link) | the scale on which shares add up |
//! | [`linear`], [`random`] | equations; random numbers |
//! | `components` | the above as explainers of the SDK |

pub mod coalition;
mod components;
pub mod exact;
pub mod game;
pub mod kernel;
pub mod lime;
pub mod linear;
pub mod link;
pub mod model;
pub mod permutation;
pub mod random;

use candor_plugin_sdk::module;

pub use components::{
    ExactConfig, ExactShap, KernelConfig, KernelShap, Lime, LimeConfig, PermutationConfig, PermutationShap,
};

module!(explainer ExactShap, explainer KernelShap, explainer PermutationShap, explainer Lime);
