//! Answers of several models to one: `candor.vote`, `candor.average` and `candor.stack`.
//!
//! Before them come the members' answers, `y_0`, `y_1` and so on; after them comes `y`. They answer as scikit-learn's
//! ensembles do. They know the SDK and nothing of the server.
//!
//! | module | what it does |
//! |---|---|
//! | `vote` | hard and soft votes |
//! | `average` | means with weights, and blends |
//! | `stack` | a linear or logistic model over the answers |
//! | `members` | the answers, read and compared |
//! | `classes` | numbers of classes and their labels |

mod average;
mod classes;
mod members;
mod stack;
mod vote;

use candor_plugin_sdk::module;

pub use average::{Average, AverageConfig, Blend};
pub use classes::Classes;
pub use members::Datatype;
pub use stack::{Coefficients, Meta, Stack, StackConfig};
pub use vote::{From, Vote, VoteConfig, Voting};

module!(combiner Vote, combiner Average, combiner Stack);
