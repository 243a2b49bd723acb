//! What the machine gives: processors, memory, open files, disk, clock; and what a container takes from it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candor_domain::Clock as _;
use rustix::{
    fs::statvfs,
    process::{Resource, getrlimit},
};

use crate::{
    cli::{report::Check, screen::size},
    clock::SystemClock,
    config::Settings,
};

pub(super) fn look(settings: Option<&Settings>) -> Vec<Check> {
    let limits = Limits::read(Path::new("/"));
    let mut checks = vec![processors(&limits)];
    checks.extend(settings.map(threads));
    checks.push(memory(&limits, settings));
    checks.push(open_files(settings));
    if let Some(settings) = settings {
        checks.push(disk(&settings.repository_dir));
        checks.extend(settings.data_dir.as_deref().map(disk));
    }
    checks.push(clock(SystemClock::start().unix_ms()));
    checks
}

/// What control groups allow, and what there is.
#[derive(Debug, Default, PartialEq)]
struct Limits {
    /// In processors.
    cpu: Option<f64>,
    memory: Option<u64>,
    memory_free: Option<u64>,
    memory_all: Option<u64>,
}

impl Limits {
    /// Reads `/proc` and `/sys` below `root`. A group is limited by itself and by every group above it.
    fn read(root: &Path) -> Self {
        let text = |path: &Path| fs::read_to_string(path).ok();
        let groups = text(&root.join("proc/self/cgroup")).unwrap_or_default();
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let top = root.join("sys/fs/cgroup");
        let folder = top.join(own);
        let all: Vec<PathBuf> =
            folder.ancestors().take_while(|folder| folder.starts_with(&top)).map(Path::to_path_buf).collect();
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let quota = |folder: &PathBuf| {
            let text = text(&folder.join("cpu.max"))?;
            let (quota, period) = text.trim().split_once(' ')?;
            Some(number(quota)? / number(period)?)
        };
        let old_quota = || {
            let read = |name: &str| number(&text(&top.join("cpu").join(name))?);
            Some(read("cpu.cfs_quota_us").filter(|quota| *quota > 0.0)? / read("cpu.cfs_period_us")?)
        };
        let meminfo = text(&root.join("proc/meminfo")).unwrap_or_default();
        let kib = |key: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
        };
        Self {
            cpu: all.iter().filter_map(quota).reduce(f64::min).or_else(old_quota),
            memory: candor_serving::memory::group_limit(root),
            memory_free: kib("MemAvailable"),
            memory_all: kib("MemTotal"),
        }
    }
}

fn processors(limits: &Limits) -> Check {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    match limits.cpu {
        Some(quota) if quota < 1.0 => Check::warn("cpu", format!("{quota:.2} processors (limit of the control group)"))
            .fix("every request waits whenever the quota is used up; give it one processor or more"),
        Some(quota) => Check::ok("cpu", format!("{usable} usable ({quota:.2} by the control group's limit)")),
        None => Check::ok("cpu", format!("{usable} usable")),
    }
}

fn threads(settings: &Settings) -> Check {
    let text = settings.threads.line(!settings.grpc.addrs.is_empty());
    match settings.threads.oversubscribed() {
        Some(why) => Check::warn("threads", format!("{text}; {why}"))
            .fix("leave execution.threads at 0, which takes engine.intra_op_threads into account"),
        None => Check::ok("threads", text),
    }
}

fn memory(limits: &Limits, settings: Option<&Settings>) -> Check {
    let all = limits.memory.into_iter().chain(limits.memory_all).min();
    let Some(all) = all else { return Check::ok("memory", "unknown on this system") };
    let by = if limits.memory.is_some_and(|limit| limit <= all) { " (limit of the control group)" } else { "" };
    let free = limits.memory_free.map(|free| format!(", {} free", size(free.min(all)))).unwrap_or_default();
    let text = format!("{}{by}{free}", size(all));
    let body = settings.map_or(0, |settings| settings.http_limits.body_bytes_max as u64);
    let inferences = settings.map_or(0, |settings| (settings.threads.http + settings.threads.pool) as u64);
    if body.saturating_mul(inferences) > all {
        return Check::warn("memory", format!("{text}; {inferences} bodies of {} at once would not fit", size(body)))
            .fix("lower limits.body_bytes_max and limits.decompressed_bytes_max");
    }
    Check::ok("memory", text)
}

/// Files that are open besides connections: the library, models, logs.
const FILES_BESIDES: u64 = 64;

fn open_files(settings: Option<&Settings>) -> Check {
    let limit = getrlimit(Resource::Nofile).current;
    let Some(limit) = limit else { return Check::ok("open files", "no limit") };
    let wanted = settings.map_or(0, |settings| settings.connections_max as u64) + FILES_BESIDES;
    if limit >= wanted {
        return Check::ok("open files", format!("at most {limit}"));
    }
    Check::warn(
        "open files",
        format!(
            "at most {limit}, and http.connections_max would need {wanted}: connections beyond it are not accepted"
        ),
    )
    .fix(format!("ulimit -n {wanted} (systemd: LimitNOFILE={wanted}), or lower http.connections_max"))
}

/// The nearest folder above that is there.
pub(super) fn existing(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    full.ancestors().find(|path| path.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// Less than this, and the next version of a model may not fit.
const DISK_BYTES_LOW: u64 = 1 << 30;

fn disk(folder: &Path) -> Check {
    let shown = folder.display();
    let Ok(found) = statvfs(existing(folder)) else {
        return Check::warn("disk", format!("cannot tell what is free at {shown}"));
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < DISK_BYTES_LOW {
        return Check::warn("disk", format!("{} free at {shown}", size(free)))
            .fix("make room before you add a version");
    }
    Check::ok("disk", format!("{} free at {shown}", size(free)))
}

/// 2026-01-01: no build of this program is older.
const OLDEST_MS: u64 = 1_767_225_600_000;
/// 2100-01-01.
const NEWEST_MS: u64 = 4_102_444_800_000;

fn clock(unix_ms: u64) -> Check {
    let text = format!("{} (UTC)", date(unix_ms / 86_400_000));
    if (OLDEST_MS..NEWEST_MS).contains(&unix_ms) {
        return Check::ok("clock", text);
    }
    Check::warn("clock", format!("the machine thinks that it is {text}"))
        .fix("set it, or let NTP do so: prediction ids and logs carry the time")
}

/// The day so many days after 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_tightest_group_above_counts() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Limits::read(root.path()), Limits::default());
        write(root.path(), "proc/self/cgroup", "0::/pod/container\n");
        write(root.path(), "sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
        write(root.path(), "sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
        write(root.path(), "sys/fs/cgroup/pod/container/memory.max", "1073741824\n");
        write(root.path(), "sys/fs/cgroup/pod/memory.max", "536870912\n");
        write(root.path(), "proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n");
        let limits = Limits::read(root.path());
        assert_eq!(limits.cpu, Some(1.5));
        assert_eq!(limits.memory, Some(512 << 20));
        assert_eq!((limits.memory_all, limits.memory_free), (Some(16 << 20), Some(8 << 20)));
    }

    #[test]
    fn the_first_version_of_control_groups_is_read_too() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
        write(root.path(), "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        write(root.path(), "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limits = Limits::read(root.path());
        assert_eq!((limits.cpu, limits.memory), (Some(0.5), None));
        write(root.path(), "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
        assert_eq!(Limits::read(root.path()).cpu, None);
    }

    #[test]
    fn a_clock_that_has_not_been_set_is_noticed() {
        assert!(clock(0).text.contains("1970-01-01"));
        assert_eq!(clock(0).mark.word(), "warn");
        assert_eq!(clock(OLDEST_MS).mark.word(), "ok");
        assert_eq!(date(OLDEST_MS / 86_400_000), "2026-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(NEWEST_MS / 86_400_000), "2100-01-01");
    }
}
