//! The pictures: each a function from values and a [`Style`](crate::Style) to a whole SVG.
//!
//! Every picture names itself for who does not see it (`role="img"`, `<title>`, `<desc>`). They do not know each other.

mod bar;
mod beeswarm;
mod dependence;
mod effect;
mod force;
mod waterfall;

pub use bar::{bar, importance};
pub use beeswarm::beeswarm;
pub use dependence::dependence;
pub use effect::{effect, local_effects};
pub use force::force;
pub use waterfall::waterfall;
