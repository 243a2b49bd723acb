//! Metrics as Prometheus text (exposition format 0.0.4).
//!
//! Counters are read from the facts lane when somebody scrapes; nothing is counted twice. Labels come from
//! the repository and from closed lists, never from requests, so that no caller can make series. Plugins name their own
//! numbers, and may name so many.

mod batching;
mod insight;
mod memory_of;
mod plugins;
mod stages;

use std::fmt::Write as _;

use candor_domain::{BreakerState, EngineInfo, Outcome, Phase, Reason};
use candor_serving::{
    CrossCheckReport, LATENCY_BUCKETS_NANOS, VersionView, cross_check::LiveCounts, facts::HistogramTotals, memory,
};

use crate::{Api, responses::WorkerTotals};

/// A metric's name, type and help.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
}

/// Every metric but those of plugins, in the order in which they are written; docs/METRICS.md is made from this.
const METRICS: &[Metric] = &[
    Metric { name: "candor_build_info", kind: "gauge", labels: "version", help: "Always 1; the label says what runs." },
    Metric {
        name: "candor_engine_info",
        kind: "gauge",
        labels: "engine, engine_version",
        help: "Always 1; one for each engine that can run models.",
    },
    Metric {
        name: "candor_model_info",
        kind: "gauge",
        labels: "model, version, engine, engine_version",
        help: "Always 1; one for each ready version, with the engine that runs it.",
    },
    Metric {
        name: "candor_ready",
        kind: "gauge",
        labels: "",
        help: "1 after the first round of loads and before the server stops, else 0.",
    },
    Metric {
        name: "candor_inference_queue_length",
        kind: "gauge",
        labels: "",
        help: "Inferences that wait for a thread of the session pool.",
    },
    Metric { name: "candor_load_queue_length", kind: "gauge", labels: "", help: "Loads that wait for a thread." },
    Metric {
        name: "candor_bodies_bytes",
        kind: "gauge",
        labels: "",
        help: "Bytes of all bodies that are read or held now, of HTTP and gRPC.",
    },
    Metric {
        name: "candor_bodies_bytes_max",
        kind: "gauge",
        labels: "",
        help: "Bytes that they may be (limits.bodies_bytes_max).",
    },
    Metric {
        name: "candor_bodies_refused_total",
        kind: "counter",
        labels: "",
        help: "Bodies that were refused because all of them together had no room.",
    },
    Metric {
        name: "candor_http_responses_total",
        kind: "counter",
        labels: "status",
        help: "Responses of all routes by status code.",
    },
    Metric {
        name: "candor_http_worker_requests_total",
        kind: "counter",
        labels: "worker",
        help: "Requests that each HTTP thread answered; they should rise alike.",
    },
    Metric {
        name: "candor_http_worker_connections",
        kind: "gauge",
        labels: "worker",
        help: "Connections that each HTTP thread has open.",
    },
    Metric {
        name: "candor_http_worker_accepted_total",
        kind: "counter",
        labels: "worker",
        help: "Connections that each HTTP thread was given.",
    },
    Metric {
        name: "candor_grpc_responses_total",
        kind: "counter",
        labels: "code",
        help: "Answers of all gRPC methods by code; a stream counts when it begins.",
    },
    Metric {
        name: "candor_grpc_cut_off_total",
        kind: "counter",
        labels: "why",
        help: "gRPC answers, streams and connections that were cut off: answer_unread, stream_idle, connection_idle, connection_age.",
    },
    Metric {
        name: "candor_requests_total",
        kind: "counter",
        labels: "model, version, outcome",
        help: "Inference requests by outcome: success, invalid, rejected, cancelled, failed.",
    },
    Metric {
        name: "candor_rows_total",
        kind: "counter",
        labels: "model, version",
        help: "Rows that were answered (the first dimension; 1 for a model without a batch dimension).",
    },
    Metric {
        name: "candor_requests_in_flight",
        kind: "gauge",
        labels: "model, version",
        help: "Requests that hold a ready version now.",
    },
    Metric {
        name: "candor_batch_rows",
        kind: "histogram",
        labels: "model, version",
        help: "Rows of each batch that ran on the session pool; a request that ran alone is a batch too.",
    },
    Metric {
        name: "candor_batch_requests",
        kind: "histogram",
        labels: "model, version",
        help: "Requests of each batch that ran on the session pool.",
    },
    Metric {
        name: "candor_batches_total",
        kind: "counter",
        labels: "model, version, reason",
        help: "Batches that ran on the session pool by the reason why they were no larger.",
    },
    Metric {
        name: "candor_stage_seconds",
        kind: "histogram",
        labels: "model, version, stage",
        help: "Time of each part of a version that is more than a graph: its stages, its engine, members of an ensemble.",
    },
    Metric {
        name: "candor_stage_failures_total",
        kind: "counter",
        labels: "model, version, stage",
        help: "Runs of a version of several parts that ended in this one.",
    },
    Metric {
        name: "candor_model_queue_length",
        kind: "gauge",
        labels: "model, version",
        help: "Inferences of a ready version that wait for a thread of the session pool.",
    },
    Metric {
        name: "candor_concurrency_limit",
        kind: "gauge",
        labels: "model, version",
        help: "Requests of a ready version that may wait or run on the session pool now.",
    },
    Metric {
        name: "candor_concurrency_in_use",
        kind: "gauge",
        labels: "model, version",
        help: "Requests of a ready version that wait or run on the session pool now.",
    },
    Metric {
        name: "candor_refusals_total",
        kind: "counter",
        labels: "model, version, reason",
        help: "Requests that found no room, by reason: queue_full, concurrency_limit, inflight_limit; they are among the rejected ones too.",
    },
    Metric {
        name: "candor_breaker_state",
        kind: "gauge",
        labels: "model, version",
        help: "Circuit breaker of a ready version: 0 closed, 1 half-open, 2 open.",
    },
    Metric {
        name: "candor_breaker_changes_total",
        kind: "counter",
        labels: "model, version, to",
        help: "Changes of a version's circuit breaker by the state that it changed to: closed, half_open, open.",
    },
    Metric {
        name: "candor_breaker_rejected_total",
        kind: "counter",
        labels: "model, version",
        help: "Requests that a version's circuit breaker refused; they are among the rejected ones too.",
    },
    Metric {
        name: "candor_breaker_fallbacks_total",
        kind: "counter",
        labels: "model, version",
        help: "Requests that another version answered because this one's circuit breaker was open.",
    },
    Metric {
        name: "candor_phase_seconds",
        kind: "histogram",
        labels: "model, version, phase",
        help: "Time of successful requests by phase: request (all of it), queue, decode, run, encode.",
    },
    Metric {
        name: "candor_cross_check_disagreed",
        kind: "gauge",
        labels: "model, version",
        help: "1 if a second engine gave other values than the one that serves, else 0.",
    },
    Metric {
        name: "candor_cross_check_rows_total",
        kind: "counter",
        labels: "model, version",
        help: "Rows whose answers were compared with those of a second engine, after a load and of live traffic.",
    },
    Metric {
        name: "candor_cross_check_samples_total",
        kind: "counter",
        labels: "model, version, outcome",
        help: "Samples of live traffic for a second engine by outcome: agreed, disagreed, failed, dropped.",
    },
    Metric {
        name: "candor_model_resident",
        kind: "gauge",
        labels: "model, version",
        help: "1 if the session of a ready version is in memory, 0 if a request for it would wait for that.",
    },
    Metric {
        name: "candor_process_resident_bytes",
        kind: "gauge",
        labels: "",
        help: "Physical memory that the process holds, as the system tells it.",
    },
    Metric {
        name: "candor_residency_budget_bytes",
        kind: "gauge",
        labels: "",
        help: "Memory that models may take; absent where that is not bounded.",
    },
    Metric {
        name: "candor_residency_reserved_bytes",
        kind: "gauge",
        labels: "",
        help: "Memory that is reserved for models in it, being loaded, and leaving; never above the budget.",
    },
    Metric {
        name: "candor_residency_reserved_bytes_peak",
        kind: "gauge",
        labels: "",
        help: "Most memory that was ever reserved at one moment; never above the budget.",
    },
    Metric {
        name: "candor_residency_sessions",
        kind: "gauge",
        labels: "state",
        help: "Sessions by state: resident, loading, leaving, waiting (for room).",
    },
    Metric {
        name: "candor_residency_evictions_total",
        kind: "counter",
        labels: "",
        help: "Sessions that left memory for want of room, or because nobody used them.",
    },
    Metric {
        name: "candor_cold_starts_total",
        kind: "counter",
        labels: "",
        help: "Loads that were begun because a request wanted a session that was not in memory.",
    },
    Metric {
        name: "candor_cold_start_seconds",
        kind: "histogram",
        labels: "",
        help: "Time that requests waited for a session that was not in memory.",
    },
];

/// All of them, those of kept answers, of explanations and of plugins among them.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(memory_of::METRICS).chain(insight::METRICS).chain(plugins::METRICS)
}

/// The text of one scrape.
pub(crate) fn render(api: &Api) -> String {
    let views = api.registry.views();
    let ready = api.registry.has_started() && !api.readiness.is_stopping();
    let mut text = String::with_capacity(4096 + views.len() * 8192);
    let (of_plugins, explained) = (api.plugins.plugins(), api.explanations.counts());
    for metric in all() {
        let Metric { name, kind, help, .. } = metric;
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        let _ = match *name {
            "candor_build_info" => writeln!(text, "{name}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
            "candor_engine_info" => api
                .registry
                .engines()
                .infos()
                .try_for_each(|info| writeln!(text, "{name}{{{}}} 1", engine_labels(info))),
            "candor_ready" => writeln!(text, "{name} {}", u8::from(ready)),
            "candor_inference_queue_length" => writeln!(text, "{name} {}", api.pipeline.queued()),
            "candor_load_queue_length" => writeln!(text, "{name} {}", api.registry.loads_queued()),
            "candor_bodies_bytes" => writeln!(text, "{name} {}", api.bodies.bytes()),
            "candor_bodies_bytes_max" => writeln!(text, "{name} {}", api.bodies.bytes_max()),
            "candor_bodies_refused_total" => writeln!(text, "{name} {}", api.bodies.refused()),
            "candor_http_responses_total" => api
                .responses
                .totals()
                .into_iter()
                .try_for_each(|(status, count)| writeln!(text, "{name}{{status=\"{status}\"}} {count}")),
            "candor_http_worker_requests_total" => write_workers(&mut text, name, api, |worker| worker.responses),
            "candor_http_worker_connections" => write_workers(&mut text, name, api, |worker| worker.open),
            "candor_http_worker_accepted_total" => write_workers(&mut text, name, api, |worker| worker.opened),
            "candor_grpc_responses_total" => api
                .grpc_answers
                .totals()
                .try_for_each(|(code, count)| writeln!(text, "{name}{{code=\"{code}\"}} {count}")),
            "candor_grpc_cut_off_total" => {
                api.grpc_cuts.totals().try_for_each(|(why, count)| writeln!(text, "{name}{{why=\"{why}\"}} {count}"))
            }
            "candor_process_resident_bytes" => writeln!(text, "{name} {}", memory::memory().resident),
            residency if memory_of::is_residency(residency) => {
                api.registry.residency().map_or(Ok(()), |view| memory_of::write_residency(&mut text, name, &view))
            }
            cache if memory_of::is_result_cache(cache) => {
                memory_of::write_result_cache(&mut text, name, &views, &api.registry.result_cache())
            }
            "candor_model_queue_length" => views.iter().try_for_each(|view| {
                let Some(lane) = &view.lane else { return Ok(()) };
                let queued = api.pipeline.queued_in(lane);
                writeln!(text, "{name}{{model=\"{}\",version=\"{}\"}} {queued}", view.model, view.version)
            }),
            of_insight if insight::is_insight(of_insight) => insight::write(&mut text, name, api, &explained),
            plugin if plugin.starts_with("candor_plugin_") => {
                of_plugins.iter().try_for_each(|one| plugins::write(&mut text, name, one))
            }
            batches if batches.starts_with("candor_batch") => {
                views.iter().try_for_each(|view| batching::write(&mut text, name, view))
            }
            stages if stages.starts_with("candor_stage") => {
                views.iter().try_for_each(|view| stages::write(&mut text, name, view))
            }
            _ => views.iter().try_for_each(|view| write_view(&mut text, name, view)),
        };
    }
    text
}

fn write_workers(text: &mut String, name: &str, api: &Api, of: fn(&WorkerTotals) -> u64) -> std::fmt::Result {
    let workers = api.responses.by_worker();
    workers
        .iter()
        .zip(0..)
        .try_for_each(|(totals, worker)| writeln!(text, "{name}{{worker=\"{worker}\"}} {}", of(totals)))
}

fn write_view(text: &mut String, name: &str, view: &VersionView) -> std::fmt::Result {
    let labels = format!("model=\"{}\",version=\"{}\"", view.model, view.version);
    match name {
        "candor_model_info" => match &view.engine {
            Some(engine) => writeln!(text, "{name}{{{labels},{}}} 1", engine_labels(engine)),
            None => Ok(()),
        },
        "candor_requests_total" => Outcome::ALL.into_iter().try_for_each(|outcome| {
            let count = view.totals.outcome(outcome);
            writeln!(text, "{name}{{{labels},outcome=\"{}\"}} {count}", outcome.word())
        }),
        "candor_rows_total" => writeln!(text, "{name}{{{labels}}} {}", view.totals.rows),
        "candor_requests_in_flight" => match view.inflight {
            Some(inflight) => writeln!(text, "{name}{{{labels}}} {inflight}"),
            None => Ok(()),
        },
        "candor_concurrency_limit" | "candor_concurrency_in_use" => view.concurrency.map_or(Ok(()), |reading| {
            let is_limit = name == "candor_concurrency_limit";
            writeln!(text, "{name}{{{labels}}} {}", if is_limit { reading.limit } else { reading.inside })
        }),
        "candor_refusals_total" => Reason::ALL
            .into_iter()
            .zip(view.totals.refusals)
            // Bodies are refused before anybody knows whose they are.
            .filter(|(reason, _)| *reason != Reason::Memory)
            .try_for_each(|(reason, count)| writeln!(text, "{name}{{{labels},reason=\"{}\"}} {count}", reason.word())),
        "candor_model_resident" => match view.resident {
            Some(resident) => writeln!(text, "{name}{{{labels}}} {}", u8::from(resident)),
            None => Ok(()),
        },
        "candor_breaker_state" => match &view.breaker {
            Some(breaker) => writeln!(text, "{name}{{{labels}}} {}", breaker.reading.state as u8),
            None => Ok(()),
        },
        "candor_breaker_changes_total" => {
            let changes = BreakerState::ALL.into_iter().zip(view.totals.breaker.changes);
            let mut changes = changes.map(|(to, count)| (to.word(), count));
            changes.try_for_each(|(to, count)| writeln!(text, "{name}{{{labels},to=\"{to}\"}} {count}"))
        }
        "candor_breaker_rejected_total" => writeln!(text, "{name}{{{labels}}} {}", view.totals.breaker.rejected),
        "candor_breaker_fallbacks_total" => writeln!(text, "{name}{{{labels}}} {}", view.totals.breaker.fallbacks),
        "candor_phase_seconds" => {
            Phase::ALL.into_iter().try_for_each(|phase| write_histogram(text, name, &labels, view, phase))
        }
        _ => view.cross_check.as_ref().map_or(Ok(()), |report| write_cross_check(text, name, &labels, report)),
    }
}

fn write_cross_check(text: &mut String, name: &str, labels: &str, report: &CrossCheckReport) -> std::fmt::Result {
    match (name, &report.live) {
        ("candor_cross_check_disagreed", _) => {
            writeln!(text, "{name}{{{labels}}} {}", u8::from(report.disagreement.is_some()))
        }
        ("candor_cross_check_rows_total", _) => writeln!(text, "{name}{{{labels}}} {}", report.rows),
        ("candor_cross_check_samples_total", Some(live)) => {
            let LiveCounts { sampled: _, agreed, disagreed, failed, dropped } = live;
            let outcomes = [("agreed", agreed), ("disagreed", disagreed), ("failed", failed), ("dropped", dropped)];
            outcomes
                .into_iter()
                .try_for_each(|(outcome, count)| writeln!(text, "{name}{{{labels},outcome=\"{outcome}\"}} {count}"))
        }
        _ => Ok(()),
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, view: &VersionView, phase: Phase) -> std::fmt::Result {
    let labels = format!("{labels},phase=\"{}\"", phase.word());
    write_buckets(text, name, &labels, &view.totals.phase(phase))
}

/// A histogram with these labels, or with none.
fn write_buckets(text: &mut String, name: &str, labels: &str, histogram: &HistogramTotals) -> std::fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut below = 0;
    for (bound, count) in LATENCY_BUCKETS_NANOS.into_iter().zip(histogram.buckets) {
        below += count;
        writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {below}", seconds(bound))?;
    }
    let count = histogram.count();
    writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
    let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(text, "{name}_sum{braced} {}", seconds(histogram.nanos))?;
    writeln!(text, "{name}_count{braced} {count}")
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a sum of 2^53 nanoseconds is a hundred days; the last digits do not matter"
)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn engine_labels(engine: &EngineInfo) -> String {
    format!("engine=\"{}\",engine_version=\"{}\"", escape(engine.name), escape(&engine.version))
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// docs/METRICS.md.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n<!-- Written by `cargo xtask docs`; do not edit. -->\n\n\
         `GET /metrics` answers in Prometheus text format 0.0.4. Labels come from the model repository and from\n\
         closed lists, never from requests; those of numbers that plugins tell come from the plugins, and are bounded\n\
         ([PLUGINS.md](PLUGINS.md#numbers)). Histograms of time have buckets from 10 µs to 30 s.\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Metric { name, kind, labels, help } in all() {
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {help} |", if labels.is_empty() { "–" } else { labels });
    }
    text
}
