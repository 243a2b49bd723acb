//! The components: questions read, answers written, the model lent. The only room here that knows the SDK.
//!
//! | module | what it does |
//! |---|---|
//! | `question` | inputs that all take, checked; the host's model as the numeric rooms ask it |
//! | `permutation`, `partial` | one component each |

mod partial;
mod permutation;
mod question;

pub use partial::{PartialDependence, PartialDependenceConfig};
pub use permutation::{PermutationConfig, PermutationImportance};
