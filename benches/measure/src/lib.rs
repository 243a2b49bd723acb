//! How benchmarks measure, and what must be known of a machine to read their numbers.
//!
//! For the programs below benches/. It does not know what is measured.
//!
//! | module | what it does |
//! |---|---|
//! | [`usage`] | CPU time and memory; what one call of a piece of work costs |
//! | [`stats`] | medians, ranges, figures |
//! | [`timer`] | the machine's clocks |
//! | [`machine`] | processor, compiler, commit, load |

pub mod machine;
pub mod stats;
pub mod timer;
pub mod usage;
