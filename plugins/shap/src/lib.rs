//! `candor.tree_shap` and `candor.linear_shap`: exact Shapley values, from the ONNX file that is served.
//!
//! Before them comes whoever asks for explanations; they read the graph and do not call the model. They know the SDK
//! and the ONNX reader and nothing of the server. The algorithms know neither: they are plain functions of numbers.
//!
//! | module | what it does |
//! |---|---|
//! | [`fold`] | what a graph is: columns of one feature each, a model over them, what follows |
//! | [`trees`] | tree ensembles: path-dependent and interventional shares, interactions |
//! | [`linear`] | linear models |
//! | [`matrix`] | rows of numbers, backgrounds |
//! | [`refusal`] | why not |
//! | `component` | all this as explainers |

mod component;
pub mod fold;
pub mod linear;
pub mod matrix;
pub mod refusal;
pub mod trees;

use candor_plugin_sdk::module;

pub use component::{LinearConfig, LinearShap, ModelFile, Perturbed, Space, TreeConfig, TreeShap};

module!(explainer TreeShap, explainer LinearShap);
