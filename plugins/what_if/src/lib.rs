//! What would have changed an answer, and what holds it: `candor.counterfactuals` and `candor.anchors`.
//!
//! Before them comes a question (rows, a background, what is wanted and what may change) and a model that they may call;
//! after them come tensors of documented names. The numeric rooms know slices and a function that answers for rows; only
//! `components` knows the SDK. Nothing knows the server.
//!
//! | module | what it does |
//! |---|---|
//! | `space`, `wanted` | where a row may be moved to, how far that is; what answer is wanted |
//! | `search` | candidates asked within a budget, and what is kept of them |
//! | `lattice`, `genetic`, `polish` | the search among cells of trees; the one for any model; finishing |
//! | `cuts` | the thresholds of a graph |
//! | `counterfactuals` | all of it for one row |
//! | `predicates`, `bounds` | what an anchor may say, and rows drawn for it; bounds of a share |
//! | `anchors` | the search for the anchor of one row |
//! | `matrix`, `model`, `fault`, `random` | rows; a model that is asked in batches; what goes wrong; numbers by a seed |
//! | `components` | the questions read, the answers written |

mod anchors;
mod bounds;
mod components;
mod counterfactuals;
mod cuts;
mod fault;
mod genetic;
mod lattice;
mod matrix;
mod model;
mod polish;
mod predicates;
mod random;
mod search;
mod space;
mod wanted;

use candor_plugin_sdk::module;

pub use anchors::{Anchor, AnchorOptions, anchor};
pub use bounds::Count;
pub use components::{Anchors, AnchorsConfig, CounterfactualConfig, Counterfactuals};
pub use counterfactuals::{Found, Options, counterfactuals};
pub use cuts::cuts;
pub use fault::{Fault, Result};
pub use lattice::Cut;
pub use matrix::Matrix;
pub use model::Model;
pub use predicates::{Holding, Predicate, Sampler, Says, predicates};
pub use random::Random;
pub use search::Candidate;
pub use space::{Constraints, Feature, Kind, Space};
pub use wanted::Wanted;

module!(explainer Counterfactuals, explainer Anchors);
