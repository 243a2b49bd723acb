//! What a model is made of: components before and after its engine, or in its place.
//!
//! Before it: a version's graph, opened by an engine, and what `model.toml` says of stages. After it: one session with
//! one signature, which is what callers see and what is verified, warmed up, batched and run. The parts stand in a fixed
//! order, and each is timed; what one gives is moved to the next. Knows components by the domain's traits alone.
//!
//! | module | what it does |
//! |---|---|
//! | `open` | opens components for a version, and reads what they tell of themselves |
//! | `files` | the files of a version's folder, for its components |
//! | `fit` | which value goes where: names, datatypes and shapes, checked before anything runs |
//! | `session` | runs the parts one after the other |
//! | `engine` | a component in the place of an engine |
//! | `ensemble` | models in the place of an engine, and what makes one answer of theirs |
//! | `parts` | what a ready version tells of its parts, and their times |
//! | `digest` | what a version is, by all that it is made of |

mod digest;
mod engine;
pub(crate) mod ensemble;
mod files;
mod fit;
mod open;
mod parts;
mod session;

pub use parts::{Part, PartTotals, Parts, Role};

pub(crate) use digest::Digest;
pub(crate) use engine::open_plugin;
pub(crate) use files::Folder;
pub(crate) use fit::chain;
pub(crate) use open::{Opener, Stage, open_stages};
pub(crate) use parts::{PartBook, PartFacts};
pub(crate) use session::{Inner, Staged};

#[cfg(test)]
mod tests;
