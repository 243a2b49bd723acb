//! The pictures: each a function from values and a [`Style`](crate::Style) to a whole SVG.
//!
//! Every picture names itself for who does not see it (`role="img"`, `<title>`, `<desc>`). They do not know each other.

pub(crate) mod bar;
pub(crate) mod beeswarm;
pub(crate) mod counterfactuals;
pub(crate) mod dependence;
pub(crate) mod effect;
mod force;
pub(crate) mod heat;
pub(crate) mod passage;
mod waterfall;

pub use bar::{bar, importance, mean_shares};
pub use beeswarm::beeswarm;
pub use counterfactuals::counterfactuals;
pub use dependence::dependence;
pub use effect::{effect, local_effects};
pub use force::force;
pub use heat::heat_map;
pub use passage::text_map;
pub use waterfall::waterfall;
