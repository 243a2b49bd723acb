//! The components: questions read, answers written, the model lent. The only room here that knows the SDK.
//!
//! | module | what it does |
//! |---|---|
//! | `question` | inputs that both take, checked; the host's model as the numeric rooms ask it |
//! | `counterfactuals` | one component |

mod counterfactuals;
mod question;

pub use counterfactuals::{CounterfactualConfig, Counterfactuals};
