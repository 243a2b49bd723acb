//! The methods as explainers of the SDK: questions read, the model lent, answers written.
//!
//! Before it comes the host; after it the methods. It does not compute.
//!
//! | module | what it does |
//! |---|---|
//! | `question` | inputs, checked |
//! | `lent` | the host's model as a function |
//! | `answer` | outputs |
//! | `exact`, `kernel`, `permutation`, `lime` | one component each |

mod answer;
mod exact;
mod kernel;
mod lent;
mod lime;
mod permutation;
mod question;

pub use exact::{ExactConfig, ExactShap};
pub use kernel::{KernelConfig, KernelShap};
pub use lime::{Lime, LimeConfig};
pub use permutation::{PermutationConfig, PermutationShap};

use candor_plugin_sdk::{Error, Result};
use serde::Deserialize;

use crate::link::Link;

/// Most rows that the model is asked about at once.
const BATCH_ROWS_MAX: usize = 1024;

fn batch_rows_max() -> usize {
    BATCH_ROWS_MAX
}

/// A link by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkName {
    /// The model's own scale.
    #[default]
    Identity,
    /// Log-odds.
    Logit,
}

impl From<LinkName> for Link {
    fn from(name: LinkName) -> Self {
        match name {
            LinkName::Identity => Self::Identity,
            LinkName::Logit => Self::Logit,
        }
    }
}

/// That batches have at least one row and not too many.
fn batch(rows: usize) -> Result<usize> {
    if (1..=1 << 20).contains(&rows) {
        return Ok(rows);
    }
    Err(Error::invalid(format!("`batch_rows_max` is {rows}, expected 1 to {}", 1 << 20)))
}
