//! Plugins as files: built by the C compiler and by cargo, refused or loaded, called, loaded anew.
//!
//! | module | what it has |
//! |---|---|
//! | `support` | builds plugins into folders and hosts them |
//! | `refusing` | every kind of bad library, and that nothing of it ran |
//! | `calling` | calls through the interface, also by the examples in C and Rust |
//! | `first_party` | the plugins of this repository, three ways |
//! | `reloading` | generations and swaps |
//! | `listing` | the catalog of a running server: states, opened components, reloads |
//! | `isolating` | the same in a process of its own, and all that may happen to it |
//! | `matrix` | one plugin by many compilers, in older and newer hosts, here and apart |
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly too"
)]

mod calling;
mod first_party;
mod isolating;
mod listing;
mod matrix;
mod refusing;
mod reloading;
mod support;
