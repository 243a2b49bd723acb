//! Exact shares of tree ensembles: path-dependent and interventional, by walks of the trees themselves.
//!
//! Before it come trees of a file, a background and players; after it come shares of each score. It does not know
//! graphs, and scores are what trees sum, before any transform.
//!
//! | module | what it does |
//! |---|---|
//! | `forest` | trees in the form that is walked, with the file's comparisons |
//! | `paths` | players along the paths |
//! | `legendre`, `betas` | points of integration, weights of coalitions |
//! | `covers`, `walk` | path-dependent: shares of branches by counting rows; one walk a row |
//! | `sets` | interventional, by sets of background rows |
//! | `tables` | interventional, by tables made once for a background |
//! | `pairs` | interactions of two players |
//! | `sight` | what is made of a background, once |

mod betas;
mod covers;
mod forest;
mod legendre;
mod pairs;
mod paths;
mod sets;
mod sight;
mod tables;
#[cfg(test)]
mod tests;
mod walk;

pub use forest::{Forest, Kid, Node, Tree};
pub use sight::{Perturbation, Shares, Sight};
