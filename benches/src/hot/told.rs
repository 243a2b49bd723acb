//! What the server says of itself in its metrics, and what comes of it: a table, and whether it held.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use super::{Plan, load::Heard};
use crate::{http, stats::percentile, table::table, usage::memory_mib};

/// The metrics that are read.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    reserved_peak: f64,
    /// Loads for a request that found no session.
    reloads: f64,
    /// Requests that waited for one.
    waited: f64,
    evictions: f64,
}

/// Scrapes a server.
pub fn read(addr: SocketAddr) -> Result<Told> {
    let (status, body) = http::get(addr, "/metrics")?;
    ensure!(status == 200, "status {status} of /metrics");
    let text = String::from_utf8_lossy(&body);
    Ok(Told {
        reserved_peak: value(&text, "candor_residency_reserved_bytes_peak")?,
        reloads: value(&text, "candor_cold_starts_total")?,
        waited: value(&text, "candor_cold_start_seconds_count")?,
        evictions: value(&text, "candor_residency_evictions_total")?,
    })
}

fn value(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).with_context(|| format!("the server does not tell {name}"))
}

/// What came of one policy.
#[derive(Debug)]
pub struct Row {
    policy: &'static str,
    requests: u64,
    hit_rate: f64,
    reloads: f64,
    evictions: f64,
    reserved_peak: f64,
    resident_mib: f64,
    /// Milliseconds at the middle, at 99 and 99.9 %, and the longest.
    ms: [f64; 4],
}

impl Row {
    pub fn new(policy: &'static str, heard: &Heard, before: &Told, after: &Told, pid: u32) -> Result<Self> {
        let requests = heard.nanos.len() as u64;
        ensure!(requests > 0, "nobody has asked anything");
        #[allow(clippy::cast_precision_loss, reason = "a longest wait of months would lose a digit")]
        let ms = [0.5, 0.99, 0.999, 1.0].map(|q| percentile(&heard.nanos, q).unwrap_or(0) as f64 / 1e6);
        #[allow(clippy::cast_precision_loss, reason = "some million requests")]
        let hit_rate = 1.0 - (after.waited - before.waited) / requests as f64;
        Ok(Self {
            policy,
            requests,
            hit_rate,
            reloads: after.reloads - before.reloads,
            evictions: after.evictions - before.evictions,
            reserved_peak: after.reserved_peak,
            resident_mib: memory_mib(pid)?.0,
            ms,
        })
    }

    pub fn in_short(&self) -> String {
        let [p50, p99, p999, _] = self.ms;
        format!(
            "{} requests, hit rate {:.1} %, p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p999:.1} ms",
            self.requests,
            self.hit_rate * 100.0
        )
    }

    /// Whether it held.
    #[allow(clippy::cast_precision_loss, reason = "bytes below 2^53")]
    pub fn check(&self, heard: &Heard, budget: u64) -> Result<()> {
        let (policy, failed, peak) = (self.policy, heard.failed, self.reserved_peak);
        ensure!(failed == 0, "{policy}: {failed} requests failed:\n  {}", heard.complaints.join("\n  "));
        ensure!(peak <= budget as f64, "{policy}: {peak} bytes were reserved of a budget of {budget}");
        ensure!(self.reloads > 0.0 && self.evictions > 0.0, "{policy}: nobody had to leave, so nothing was shown");
        Ok(())
    }
}

/// What came of all.
#[allow(clippy::cast_precision_loss, reason = "bytes below 2^53")]
pub fn table_of(rows: &[Row], plan: &Plan, budget: u64) -> Result<String> {
    let columns = [
        "requests",
        "failed",
        "hit rate",
        "reloads",
        "p50, ms",
        "p99, ms",
        "p99.9, ms",
        "longest, ms",
        "most reserved",
        "process, MiB",
    ];
    let shown = rows.iter().map(|row| {
        let [p50, p99, p999, longest] = row.ms.map(|ms| format!("{ms:.1}"));
        let cells = [
            row.requests.to_string(),
            "0".to_owned(),
            format!("{:.1} %", row.hit_rate * 100.0),
            format!("{:.0}", row.reloads),
            p50,
            p99,
            p999,
            longest,
            format!("{:.1} %", row.reserved_peak / budget as f64 * 100.0),
            format!("{:.0}", row.resident_mib),
        ];
        (row.policy.to_owned(), cells.map(Some).to_vec())
    });
    let title = format!("{} models, room for {}", plan.models, plan.fit);
    let text = table(&title, "policy", &columns, shown).context("nothing was measured")?;
    Ok(format!(
        "{text}\nEach for {:.1} minutes, {} requests a second by chance, popularity by Zipf's law, time from when a request was \
         to leave. A third of the models\neach is said to take 5, 10 and 20 MB, {} MB being the budget; \"most reserved\" is \
         the largest share of it that was\never reserved at one moment. A request that finds its model in memory is a hit.\n",
        plan.length.as_secs_f64() / 60.0,
        plan.rate,
        budget / 1_000_000
    ))
}
