//! The closed loop: `wrk` keeps so many connections busy, each with one request at a time.
//!
//! It says how much a server can do. Its latencies are those of a saturated server and flatter it, because
//! a slow reply also delays the next request; `open_loop` is for latencies.

use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    cases::{Case, Format},
    child::wait_at_most,
};

const SCRIPT: &str = include_str!("closed_loop.lua");

/// `wrk`, its script, and the bodies that it sends.
pub struct Wrk {
    folder: TempDir,
}

/// What it is to send, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub case: &'a Case,
    pub format: Format,
    pub connections: u32,
    pub seconds: u32,
    /// Further headers, as `Name: value`.
    pub headers: &'a [String],
    /// What stands behind the path, with its question mark.
    pub query: &'a str,
}

impl<'a> Load<'a> {
    /// A load without further headers and query.
    pub fn of(case: &'a Case, format: Format, connections: u32, seconds: u32) -> Self {
        Self { case, format, connections, seconds, headers: &[], query: "" }
    }
}

/// What came of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Requests that were answered.
    pub requests: f64,
    /// Requests per second.
    pub per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
}

impl Wrk {
    /// Writes the script.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for wrk")?;
        fs::write(folder.path().join("closed_loop.lua"), SCRIPT).context("cannot write wrk's script")?;
        Ok(Self { folder })
    }

    /// The version of `wrk`, for the record.
    pub fn version() -> String {
        let output = Command::new("wrk").arg("-v").stdin(Stdio::null()).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Loads a server. Any failed request is an error.
    pub fn run(&self, addr: SocketAddr, load: Load<'_>) -> Result<Outcome> {
        let Load { case, format, seconds, .. } = load;
        let body = self.body(case, format)?;
        let (connections, duration) = (format!("-c{}", load.connections), format!("-d{seconds}s"));
        let mut command = Command::new("wrk");
        command.args(["-t1", &connections, &duration, "--timeout", "30s", "-s"]);
        command.arg(self.folder.path().join("closed_loop.lua")).args(load.headers.iter().flat_map(|line| ["-H", line]));
        command.arg(format!("http://{addr}{}{}", case.path(format), load.query));
        command.arg("--").arg(body).args(match case.head_bytes(format) {
            None => vec!["application/json".to_owned()],
            Some(bytes) => vec!["application/octet-stream".to_owned(), bytes.to_string()],
        });
        let mut wrk = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start wrk; it is a Debian package of that name")?;
        // What it writes fits into a pipe, so it can end before it is read.
        let status = wait_at_most(&mut wrk, Duration::from_secs(u64::from(seconds) + 60))?;
        let mut text = String::new();
        if let (Some(mut out), Some(mut complaints)) = (wrk.stdout.take(), wrk.stderr.take()) {
            out.read_to_string(&mut text).context("cannot read what wrk wrote")?;
            complaints.read_to_string(&mut text).context("cannot read what wrk wrote")?;
        }
        ensure!(status.success(), "wrk failed ({status}):\n{text}");
        read(&text).with_context(|| format!("{} over {format:?} at {addr}", case.name()))
    }

    fn body(&self, case: &Case, format: Format) -> Result<PathBuf> {
        let path = self.folder.path().join(format!("{}-{}-{format:?}", case.model, case.rows));
        fs::write(&path, case.body(format)).context("cannot write a body for wrk")?;
        Ok(path)
    }
}

fn read(text: &str) -> Result<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix("measured "));
    let numbers: Vec<f64> =
        line.unwrap_or_default().split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [requests, micros, p50_us, p99_us, failed] = *numbers.as_slice() else {
        bail!("wrk wrote something else:\n{text}");
    };
    ensure!(failed == 0.0, "{failed} of {requests} requests failed:\n{text}");
    ensure!(requests > 0.0 && micros > 0.0, "nothing was answered:\n{text}");
    Ok(Outcome { requests, per_second: requests / micros * 1e6, p50_us, p99_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_script_is_read_and_failures_are_errors() {
        let text = "Running 2s test\n  1 threads\nmeasured 20000 2000000 95 410 0\nTransfer/sec: 1MB\n";
        let want = Outcome { requests: 20_000.0, per_second: 10_000.0, p50_us: 95.0, p99_us: 410.0 };
        assert_eq!(read(text).unwrap(), want);
        assert!(read("measured 20000 2000000 95 410 3\n").unwrap_err().to_string().contains("3 of 20000"));
        assert!(read("unable to connect").unwrap_err().to_string().contains("something else"));
    }
}
