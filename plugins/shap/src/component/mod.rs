//! The algorithms as explainers: what is asked, what is kept between questions, what is answered.
//!
//! | module | what it does |
//! |---|---|
//! | `config` | configurations |
//! | `question` | the inputs of a call, checked |
//! | `answer` | its outputs |
//! | `tree`, `linear` | the two components |

mod answer;
mod config;
mod linear;
mod question;
mod tree;

pub use self::{
    config::{LinearConfig, ModelFile, Perturbed, Space, TreeConfig},
    linear::LinearShap,
    tree::TreeShap,
};
