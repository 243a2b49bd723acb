//! CPU time and memory of a process, and CPU time of this thread, as Linux counts them under /proc.
//!
//! CPU time is what counts on a machine that others use too: it leaves out the time in which they ran.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};

use crate::timer::Moment;

/// Ticks per second in /proc/PID/stat. The kernel's own clock may be finer; this face of it is always 100.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU that a process has used, user and system, of all its threads; to a hundredth.
pub fn process_cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    cpu_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).with_context(|| format!("{path} is not understood"))
}

/// The same of a process and all that descend from it.
pub fn tree_cpu_seconds(pid: u32) -> Result<f64> {
    tree(pid).into_iter().map(process_cpu_seconds).sum()
}

/// Memory in MiB of a process and all that descend from it: shared pages are divided among those that share them.
pub fn tree_memory_mib(pid: u32) -> Result<f64> {
    let of = |pid| {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).with_context(|| format!("{path} has no Pss"))
    };
    tree(pid).into_iter().map(of).sum()
}

/// A process and all that descend from it.
fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(text.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        at += 1;
    }
    found
}

/// Fields 14 and 15. The program's name, field 2, may hold spaces and brackets, so counting starts behind it.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<f64>().ok()? + system.parse::<f64>().ok()?)
}

/// Resident memory of a process in MiB: now, and at its highest.
pub fn memory_mib(pid: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let mib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_ascii_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
    };
    mib("VmRSS:").zip(mib("VmHWM:")).with_context(|| format!("{path} has no VmRSS or VmHWM"))
}

/// What one call of a piece of work costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Wall-clock microseconds.
    pub wall_us: f64,
    /// CPU microseconds of this thread.
    pub cpu_us: f64,
}

/// Repeats `once` for about `span`, after a tenth of that to warm up, and divides.
pub fn measure(span: Duration, mut once: impl FnMut() -> Result<()>) -> Result<Cost> {
    // Reading the clock costs as much as a small codec, so it is read once in a batch of about this long.
    const BATCH: Duration = Duration::from_micros(500);
    let mut batch = 1_u32;
    let warm_up = Moment::now();
    while warm_up.elapsed() < span / 10 {
        let start = Moment::now();
        for _ in 0..batch {
            once()?;
        }
        if start.elapsed() < BATCH {
            batch = batch.saturating_mul(2);
        }
    }
    let (mut calls, cpu_before, start) = (0.0, thread_cpu_nanos()?, Moment::now());
    while start.elapsed() < span {
        for _ in 0..batch {
            once()?;
        }
        calls += f64::from(batch);
    }
    let wall_nanos = start.elapsed().as_secs_f64() * 1e9;
    let cpu_nanos = thread_cpu_nanos()? - cpu_before;
    Ok(Cost { wall_us: wall_nanos / calls / 1e3, cpu_us: cpu_nanos / calls / 1e3 })
}

fn thread_cpu_nanos() -> Result<f64> {
    // The kernel brings the count up to date when the thread passes through the scheduler.
    thread::yield_now();
    let path = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let nanos = text.split_ascii_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanos.with_context(|| format!("{path} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_found_behind_any_name() {
        let rest = "S 1 2 3 0 -1 4194560 10 0 0 0 150 25 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_ticks(&format!("77 (candor) {rest}")), Some(175.0));
        assert_eq!(cpu_ticks(&format!("77 (a ) b (c) {rest}")), Some(175.0));
        assert_eq!(cpu_ticks("77 (candor) S 1"), None);
    }

    #[test]
    fn this_process_can_be_measured() {
        assert!(process_cpu_seconds(std::process::id()).unwrap() >= 0.0);
        let (now, highest) = memory_mib(std::process::id()).unwrap();
        assert!(now > 0.5 && highest >= now);
        assert!(tree_memory_mib(std::process::id()).unwrap() > 0.1);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(tree(std::process::id()).contains(&child.id()));
        assert!(tree_cpu_seconds(std::process::id()).unwrap() >= 0.0);
        child.kill().and_then(|()| child.wait()).unwrap();
        let cost = measure(Duration::from_millis(20), || {
            std::hint::black_box((0..1000_u64).sum::<u64>());
            Ok(())
        });
        assert!(cost.unwrap().wall_us > 0.0);
    }
}
