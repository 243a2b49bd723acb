//! What each part of a version takes: the part of a scrape that tells of stages.
//!
//! Before it: counters of the pipeline. After it: the scrape. It knows no other metric.

use std::fmt::{Result, Write as _};

use candor_serving::VersionView;

use super::{escape, write_buckets};

pub(super) fn write(text: &mut String, name: &str, view: &VersionView) -> Result {
    view.totals.parts.iter().try_for_each(|part| {
        let (model, version, stage) = (&view.model, &view.version, escape(&part.name));
        let labels = format!("model=\"{model}\",version=\"{version}\",stage=\"{stage}\"");
        match name {
            "candor_stage_seconds" => write_buckets(text, name, &labels, &part.times),
            _ => writeln!(text, "{name}{{{labels}}} {}", part.failures),
        }
    })
}
