//! Sizes of batches, and why: the part of a scrape that tells of them.
//!
//! Before it: counters of the pool. After it: the scrape. It knows no other metric.

use std::fmt::{Result, Write as _};

use candor_serving::{
    VersionView,
    batching::{Reason, size_of_slot},
};

/// Upper bounds of the histograms, in rows or requests.
const BOUNDS: [u64; 13] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16_384];

pub(super) fn write(text: &mut String, name: &str, view: &VersionView) -> Result {
    let labels = format!("model=\"{}\",version=\"{}\"", view.model, view.version);
    let totals = &view.totals.batches;
    match name {
        "candor_batch_rows" => histogram(text, name, &labels, &totals.rows, totals.rows_sum),
        "candor_batch_requests" => histogram(text, name, &labels, &totals.requests, totals.requests_sum),
        _ => Reason::ALL
            .into_iter()
            .zip(totals.reasons)
            .try_for_each(|(reason, count)| writeln!(text, "{name}{{{labels},reason=\"{}\"}} {count}", reason.word())),
    }
}

fn histogram(text: &mut String, name: &str, labels: &str, slots: &[u64], sum: u64) -> Result {
    let up_to = |bound: u64| -> u64 {
        slots.iter().enumerate().filter(|(slot, _)| size_of_slot(*slot) <= bound).map(|(_, count)| count).sum()
    };
    for bound in BOUNDS {
        writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {}", up_to(bound))?;
    }
    let count = up_to(u64::MAX);
    writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
    writeln!(text, "{name}_sum{{{labels}}} {sum}")?;
    writeln!(text, "{name}_count{{{labels}}} {count}")
}
