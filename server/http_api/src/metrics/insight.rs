//! Explanations and jobs: the part of a scrape that tells of them.
//!
//! Before it: counters of insight and of control. After it: the scrape. It knows no other metric, and no label that a
//! caller could make.

use std::fmt::{Result, Write as _};

use candor_insight::explanations::{CountsView, DURATION_BUCKETS_NANOS};

use super::{Metric, seconds};
use crate::Api;

/// The metrics of explanations and of jobs.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "candor_explanations_total",
        kind: "counter",
        labels: "method, outcome",
        help: "Explanations by the method that made them, or was asked for, and outcome: success, invalid, rejected, cancelled, failed. `counterfactuals`, `anchors`, `permutation_importance`, `partial_dependence` and `local_effects` are counted beside the methods, the last two once for each feature; `component` stands for all methods that have no word of their own.",
    },
    Metric {
        name: "candor_explanation_seconds",
        kind: "histogram",
        labels: "",
        help: "Time of each explanation, waiting included.",
    },
    Metric { name: "candor_explanation_rows_total", kind: "counter", labels: "", help: "Rows that were explained." },
    Metric {
        name: "candor_explanation_evaluations_total",
        kind: "counter",
        labels: "",
        help: "Rows that models evaluated for that.",
    },
    Metric {
        name: "candor_explanation_apart_total",
        kind: "counter",
        labels: "",
        help: "Explained outputs of rows whose shares did not add up, or not to what was served.",
    },
    Metric {
        name: "candor_explanation_queue_length",
        kind: "gauge",
        labels: "",
        help: "Explanations that wait for a thread.",
    },
    Metric { name: "candor_explanations_running", kind: "gauge", labels: "", help: "Explanations that have a thread." },
    Metric {
        name: "candor_explainers_open",
        kind: "gauge",
        labels: "",
        help: "Components that are kept open to explain versions.",
    },
    Metric { name: "candor_jobs_held", kind: "gauge", labels: "state", help: "Jobs now: queued, running, kept." },
    Metric {
        name: "candor_jobs_total",
        kind: "counter",
        labels: "outcome",
        help: "Jobs that ended: succeeded, failed, cancelled; and those that were refused.",
    },
];

/// Whether a metric is one of these.
pub(super) fn is_insight(name: &str) -> bool {
    METRICS.iter().any(|metric| metric.name == name)
}

pub(super) fn write(text: &mut String, name: &str, api: &Api, counts: &CountsView) -> Result {
    match name {
        "candor_explanations_total" => counts.methods.iter().try_for_each(|of| {
            let told = of.outcomes.iter().filter(|(_, count)| *count > 0);
            told.into_iter().try_for_each(|(outcome, count)| {
                writeln!(text, "{name}{{method=\"{}\",outcome=\"{outcome}\"}} {count}", of.method)
            })
        }),
        "candor_explanation_seconds" => histogram(text, name, counts),
        "candor_explanation_rows_total" => writeln!(text, "{name} {}", counts.rows),
        "candor_explanation_evaluations_total" => writeln!(text, "{name} {}", counts.evaluations),
        "candor_explanation_apart_total" => writeln!(text, "{name} {}", counts.apart),
        "candor_explanation_queue_length" => writeln!(text, "{name} {}", api.explanations.pool().queued),
        "candor_explanations_running" => writeln!(text, "{name} {}", api.explanations.pool().running),
        "candor_explainers_open" => writeln!(text, "{name} {}", counts.open),
        "candor_jobs_held" => {
            let totals = api.jobs.totals();
            let states = [("queued", totals.queued), ("running", totals.running), ("kept", totals.kept)];
            states.into_iter().try_for_each(|(state, count)| writeln!(text, "{name}{{state=\"{state}\"}} {count}"))
        }
        _ => {
            let totals = api.jobs.totals();
            let outcomes = ["succeeded", "failed", "cancelled"].into_iter().zip(totals.ended);
            outcomes
                .chain([("refused", totals.refused)])
                .try_for_each(|(outcome, count)| writeln!(text, "{name}{{outcome=\"{outcome}\"}} {count}"))
        }
    }
}

fn histogram(text: &mut String, name: &str, counts: &CountsView) -> Result {
    let mut below = 0;
    for (bound, count) in DURATION_BUCKETS_NANOS.into_iter().zip(&counts.buckets) {
        below += count;
        writeln!(text, "{name}_bucket{{le=\"{}\"}} {below}", seconds(bound))?;
    }
    let all: u64 = counts.buckets.iter().sum();
    writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {all}")?;
    writeln!(text, "{name}_sum {}", counts.seconds)?;
    writeln!(text, "{name}_count {all}")
}
