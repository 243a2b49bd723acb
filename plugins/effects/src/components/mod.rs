//! The components: questions read, answers written, the model lent. The only room here that knows the SDK.
//!
//! | module | what it does |
//! |---|---|
//! | `question` | inputs that all take, checked; the host's model as the numeric rooms ask it |
//! | `permutation`, `partial`, `local`, `occlusion`, `path` | one component each |

mod local;
mod occlusion;
mod partial;
mod path;
mod permutation;
mod question;

pub use local::{LocalEffects, LocalEffectsConfig};
pub use occlusion::{Occlusion, OcclusionConfig};
pub use partial::{PartialDependence, PartialDependenceConfig};
pub use path::{IntegratedGradients, IntegratedGradientsConfig};
pub use permutation::{PermutationConfig, PermutationImportance};
