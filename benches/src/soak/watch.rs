//! What is watched all the time: whether health is answered in time, and how much memory the server has.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{http, timer::Moment, usage::memory_mib};

/// Longest that an answer to "are you alive?" may take.
pub const HEALTH_MAX: Duration = Duration::from_millis(100);

/// What was seen.
pub struct Watched {
    /// At the health listener, which is what an orchestrator asks.
    pub health: Health,
    /// At the door where everybody knocks.
    pub door: Health,
    pub memory: Vec<(f64, f64)>,
}

/// Answers of the health route.
#[derive(Debug, Default)]
pub struct Health {
    pub asked: u64,
    pub late: u64,
    pub failed: Vec<String>,
    pub longest: Duration,
    /// How late the watch itself woke at most: its own share in what it sees.
    pub overslept: Duration,
}

/// Asks ten times a second, over new connections each time, or over one that is kept every other time.
pub fn health(addr: SocketAddr, always_new: bool, over: &AtomicBool) -> Health {
    const EVERY: Duration = Duration::from_millis(100);
    let request = format!("GET /v2/health/live HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut health = Health::default();
    let mut kept = None;
    while !over.load(Relaxed) {
        let asleep = Moment::now();
        thread::sleep(EVERY);
        health.overslept = health.overslept.max(asleep.elapsed().saturating_sub(EVERY));
        let asked = Moment::now();
        let mut connection = Ok(kept.take().filter(|_| health.asked % 2 == 0 && !always_new));
        if let Ok(None) = connection {
            connection = http::Connection::open(addr).map(Some);
        }
        let answer = connection.and_then(|connection| {
            let mut connection = connection.context("no connection")?;
            let answer = connection.send(request.as_bytes())?;
            kept = (!answer.closes && !always_new).then_some(connection);
            Ok(answer)
        });
        let took = asked.elapsed();
        health.asked += 1;
        health.longest = health.longest.max(took);
        health.late += u64::from(took > HEALTH_MAX);
        match answer {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => health.failed.push(format!("status {}", answer.status)),
            Err(error) => health.failed.push(format!("{error:#}")),
        }
    }
    health
}

/// Samples of resident memory in MiB with the second at which each was taken, until the time is over.
pub fn memory(pid: u32, length: Duration) -> Result<Vec<(f64, f64)>> {
    let began = Moment::now();
    let (mut samples, mut told) = (Vec::new(), 0);
    let every = (length / 600).clamp(Duration::from_millis(100), Duration::from_secs(1));
    while began.elapsed() < length {
        thread::sleep(every.min(length.saturating_sub(began.elapsed())));
        let at = began.elapsed();
        samples.push((at.as_secs_f64(), memory_mib(pid)?.0));
        let minute = at.as_secs() / 60;
        if minute > told {
            told = minute;
            println!("  minute {minute}: {:.1} MiB", samples.last().map_or(0.0, |(_, mib)| *mib));
        }
    }
    ensure!(samples.len() > 10, "too short to say anything of memory");
    Ok(samples)
}

/// The straight line through samples (least squares): value at their first second, and rise per second.
pub fn line(samples: &[(f64, f64)]) -> Option<(f64, f64)> {
    #[allow(clippy::cast_precision_loss, reason = "some hundred samples")]
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (first, _) = samples.first()?;
    let (x_mean, y_mean) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let spread: f64 = samples.iter().map(|(x, _)| (x - x_mean) * (x - x_mean)).sum();
    let shared: f64 = samples.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let rise = (spread > 0.0).then(|| shared / spread)?;
    Some((y_mean + rise * (first - x_mean), rise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_noise() {
        let samples: Vec<(f64, f64)> =
            (0..100).map(|at| (f64::from(at), 50.0 + 0.5 * f64::from(at) + f64::from(at % 2) - 0.5)).collect();
        let (start, rise) = line(&samples).unwrap();
        assert!((start - 50.0).abs() < 0.1 && (rise - 0.5).abs() < 0.01, "{start} {rise}");
        assert_eq!(line(&samples[..1]), None);
    }
}
