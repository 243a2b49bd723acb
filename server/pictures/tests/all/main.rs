//! Pictures and reports read back: well-formed, true to their numbers, within their frames, safe, and always the same.
//!
//! They know what the gallery draws, and nothing of how. `reader` finds things in what was drawn.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail loudly too")]

mod docs;
mod odd;
mod reader;
mod reports;
mod snapshots;
mod svg;
mod values;

#[allow(dead_code, reason = "the gallery shows more than the tests look at")]
#[path = "../../examples/gallery/reports.rs"]
mod gallery_reports;
#[allow(dead_code, reason = "the gallery shows more than the tests look at")]
#[path = "../../examples/gallery/samples.rs"]
mod samples;
#[path = "../../examples/gallery/small.rs"]
mod small;
