//! The components: questions read, answers written, the model lent. The only room here that knows the SDK.
//!
//! | module | what it does |
//! |---|---|
//! | `question` | inputs that both take, checked; the host's model as the numeric rooms ask it |
//! | `counterfactuals`, `anchors` | one component each |

mod anchors;
mod counterfactuals;
mod question;

pub use anchors::{Anchors, AnchorsConfig};
pub use counterfactuals::{CounterfactualConfig, Counterfactuals};
