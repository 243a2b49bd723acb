//! `candor plugin`: begins a plugin, checks it, pins it, lists what is there, measures it.
//!
//! | module | what it does |
//! |---|---|
//! | `worker` | the process that a plugin runs in |

mod worker;

pub(super) use worker::run as run_worker;
