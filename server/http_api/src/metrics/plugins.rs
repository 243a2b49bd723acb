//! Plugins: the part of a scrape that tells of them.
//!
//! Before it: the host's view of its plugins, whose names are those of folders, and what they told of themselves: words,
//! and not many. After it: the scrape. It knows no other metric; what a plugin makes up is a label here.

use std::fmt::{Result, Write as _};

use candor_domain::{PLUGIN_BUCKETS, PluginNumber, PluginState, PluginValue, PluginView};

use super::{Metric, escape};

/// The metrics of plugins.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        name: "candor_plugin_info",
        kind: "gauge",
        labels: "plugin, plugin_version, isolation",
        help: "Always 1; one for each plugin that there is: built-in, process or in_process.",
    },
    Metric {
        name: "candor_plugin_ready",
        kind: "gauge",
        labels: "plugin",
        help: "1 if the plugin's components can be used, 0 if it was refused or failed.",
    },
    Metric {
        name: "candor_plugin_calls_total",
        kind: "counter",
        labels: "plugin, outcome",
        help: "Calls of a plugin's components by outcome: success, error.",
    },
    Metric {
        name: "candor_plugin_worker_deaths_total",
        kind: "counter",
        labels: "plugin",
        help: "Processes of a plugin that died, lied or were killed during a call.",
    },
    Metric {
        name: "candor_plugin_worker_starts_total",
        kind: "counter",
        labels: "plugin",
        help: "Processes of a plugin that were started, the first ones among them.",
    },
    Metric {
        name: "candor_plugin_breaker_state",
        kind: "gauge",
        labels: "plugin",
        help: "The worst circuit breaker of a plugin's processes: 0 closed, 1 half-open, 2 open; absent without one.",
    },
    Metric {
        name: "candor_plugin_leaked_threads",
        kind: "gauge",
        labels: "plugin",
        help: "Threads of the server that calls of a plugin hold beyond their deadline now.",
    },
    Metric {
        name: "candor_plugin_generations",
        kind: "gauge",
        labels: "plugin",
        help: "Libraries of a plugin that are mapped into the server for good (plugins.generations_max).",
    },
    Metric {
        name: "candor_plugin_counter_total",
        kind: "counter",
        labels: "plugin, name, and the number's own",
        help: "Counters that a plugin tells, by their names.",
    },
    Metric {
        name: "candor_plugin_gauge",
        kind: "gauge",
        labels: "plugin, name, and the number's own",
        help: "Gauges that a plugin tells: what was told last.",
    },
    Metric {
        name: "candor_plugin_histogram",
        kind: "histogram",
        labels: "plugin, name, and the number's own",
        help: "Histograms that a plugin tells, in its own unit; buckets are the powers of ten from 0.000001 to 1000000.",
    },
    Metric {
        name: "candor_plugin_numbers_dropped_total",
        kind: "counter",
        labels: "plugin",
        help: "Numbers that a plugin told and nobody keeps: above 100 names with their labels, or none that could be one.",
    },
];

pub(super) fn write(text: &mut String, name: &str, plugin: &PluginView) -> Result {
    let labels = format!("plugin=\"{}\"", escape(&plugin.name));
    let totals = &plugin.totals;
    let value = match name {
        "candor_plugin_info" => {
            let (version, place) = (escape(plugin.version.as_deref().unwrap_or_default()), plugin.place.word());
            return writeln!(text, "{name}{{{labels},plugin_version=\"{version}\",isolation=\"{place}\"}} 1");
        }
        "candor_plugin_calls_total" => {
            let well = totals.calls.saturating_sub(totals.errors);
            return [("success", well), ("error", totals.errors)]
                .into_iter()
                .try_for_each(|(outcome, count)| writeln!(text, "{name}{{{labels},outcome=\"{outcome}\"}} {count}"));
        }
        "candor_plugin_counter_total" | "candor_plugin_gauge" | "candor_plugin_histogram" => {
            return plugin.numbers.iter().try_for_each(|number| write_number(text, name, &labels, number));
        }
        "candor_plugin_numbers_dropped_total" => totals.numbers_dropped,
        "candor_plugin_breaker_state" => match plugin.breaker {
            Some(state) => u64::from(state as u8),
            None => return Ok(()),
        },
        "candor_plugin_ready" => u64::from(plugin.state == PluginState::Ready),
        "candor_plugin_worker_deaths_total" => totals.deaths,
        "candor_plugin_worker_starts_total" => totals.starts,
        "candor_plugin_leaked_threads" => totals.leaked_threads,
        _ => plugin.mapped,
    };
    writeln!(text, "{name}{{{labels}}} {value}")
}

/// A number of a plugin, where its family is written.
fn write_number(text: &mut String, family: &str, plugin: &str, number: &PluginNumber) -> Result {
    let mut labels = format!("{plugin},name=\"{}\"", escape(&number.name));
    for (name, value) in &number.labels {
        write!(labels, ",{name}=\"{}\"", escape(value))?;
    }
    match (family, &number.value) {
        ("candor_plugin_counter_total", PluginValue::Counter(value))
        | ("candor_plugin_gauge", PluginValue::Gauge(value)) => writeln!(text, "{family}{{{labels}}} {value}"),
        ("candor_plugin_histogram", PluginValue::Histogram { below, count, sum }) => {
            for (bound, below) in PLUGIN_BUCKETS.iter().zip(below) {
                writeln!(text, "{family}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
            }
            writeln!(text, "{family}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
            writeln!(text, "{family}_sum{{{labels}}} {sum}")?;
            writeln!(text, "{family}_count{{{labels}}} {count}")
        }
        _ => Ok(()),
    }
}
