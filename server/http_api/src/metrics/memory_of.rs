//! What is in memory: sessions that come and go, and answers that are kept: the part of a scrape that tells of them.
//!
//! Before it: the keeper of sessions and the cache of answers. After it: the scrape. It knows no other metric.

use std::fmt::{Result, Write as _};

use candor_serving::{CacheNote, ResultCacheView, VersionView, residency::ResidencyView};

use super::Metric;

/// Of kept answers.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "candor_result_cache_requests_total",
        kind: "counter",
        labels: "model, version, outcome",
        help: "Requests to versions that keep their answers: hit, miss, shared (another one was asking the same), bypass (too large to be looked up).",
    },
    Metric {
        name: "candor_result_cache_bytes",
        kind: "gauge",
        labels: "",
        help: "Bytes of the answers that are kept, of all models.",
    },
    Metric {
        name: "candor_result_cache_bytes_max",
        kind: "gauge",
        labels: "",
        help: "Bytes that they may be (result_cache.bytes_max).",
    },
    Metric { name: "candor_result_cache_entries", kind: "gauge", labels: "", help: "Answers that are kept." },
    Metric {
        name: "candor_result_cache_evictions_total",
        kind: "counter",
        labels: "cause",
        help: "Answers that are kept no longer: size (no room, or not asked for often enough), expired, unloaded (their version left).",
    },
];

pub(super) fn is_residency(name: &str) -> bool {
    name.starts_with("candor_residency_") || name.starts_with("candor_cold_start")
}

pub(super) fn write_residency(text: &mut String, name: &str, view: &ResidencyView) -> Result {
    let totals = &view.totals;
    match name {
        "candor_residency_budget_bytes" if view.budget_bytes == u64::MAX => Ok(()),
        "candor_residency_budget_bytes" => writeln!(text, "{name} {}", view.budget_bytes),
        "candor_residency_reserved_bytes" => writeln!(text, "{name} {}", totals.reserved_bytes),
        "candor_residency_reserved_bytes_peak" => writeln!(text, "{name} {}", totals.reserved_bytes_peak),
        "candor_residency_sessions" => [
            ("resident", totals.resident),
            ("loading", totals.loading),
            ("leaving", totals.leaving),
            ("waiting", totals.waiting),
        ]
        .into_iter()
        .try_for_each(|(state, count)| writeln!(text, "{name}{{state=\"{state}\"}} {count}")),
        "candor_residency_evictions_total" => writeln!(text, "{name} {}", totals.evictions),
        "candor_cold_starts_total" => writeln!(text, "{name} {}", view.cold_starts),
        _ => super::write_buckets(text, name, "", &view.waits),
    }
}

pub(super) fn is_result_cache(name: &str) -> bool {
    name.starts_with("candor_result_cache_")
}

pub(super) fn write_result_cache(
    text: &mut String,
    name: &str,
    views: &[VersionView],
    cache: &ResultCacheView,
) -> Result {
    match name {
        "candor_result_cache_bytes" => writeln!(text, "{name} {}", cache.bytes),
        "candor_result_cache_bytes_max" => writeln!(text, "{name} {}", cache.bytes_max),
        "candor_result_cache_entries" => writeln!(text, "{name} {}", cache.entries),
        "candor_result_cache_evictions_total" => {
            cache.evictions.iter().try_for_each(|(cause, count)| writeln!(text, "{name}{{cause=\"{cause}\"}} {count}"))
        }
        // Most models keep nothing: they have no series.
        _ => views.iter().filter(|view| view.totals.looks.iter().any(|[count, _]| *count > 0)).try_for_each(|view| {
            CacheNote::ALL.into_iter().try_for_each(|note| {
                let ([count, _], outcome) = (view.totals.looks(note), note.word());
                let (model, version) = (&view.model, &view.version);
                writeln!(text, "{name}{{model=\"{model}\",version=\"{version}\",outcome=\"{outcome}\"}} {count}")
            })
        }),
    }
}
