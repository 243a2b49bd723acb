//! Kernel SHAP: Shapley values as a weighted least squares fit to the worths of some coalitions.
//!
//! Lundberg and Lee, NeurIPS 2017, with the paired sampling of Covert and Lee, AISTATS 2021. Before it comes the game;
//! after it whoever writes an answer. It does not know the model.
//!
//! | module | what it does |
//! |---|---|
//! | [`mod@plan`] | which coalitions, and how much each weighs |
//! | [`fit`] | shares and their standard errors |

pub mod fit;
pub mod plan;

pub use fit::{Fit, Shares};
pub use plan::{Plan, plan};
