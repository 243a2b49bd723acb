//! What the process holds of the machine's memory, as the system tells it, and what a control group allows.
//!
//! Read by the probe, the configuration and the metrics. Knows no model.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// In physical memory, files that are mapped included.
    pub resident: u64,
    /// The most that `resident` has been since the process began or since [`reset_peak`].
    pub peak: u64,
    /// Of it, what is backed by no file.
    pub anonymous: u64,
}

/// What this process holds; nothing where the system does not tell.
pub fn memory() -> Memory {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let resident = kib(&status, "VmRSS:");
    Memory { resident, peak: kib(&status, "VmHWM:").max(resident), anonymous: kib(&rollup, "Anonymous:") }
}

/// Bytes of addresses that this process has taken, in memory or not.
pub fn address_space() -> u64 {
    kib(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmSize:")
}

/// The value of a line such as `VmRSS:   1234 kB`, in bytes.
fn kib(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.map(|line| line.trim().trim_end_matches("kB").trim());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// From now on the peak is counted anew. Says whether the system can do that.
pub fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The least memory that this process's control group, or one above it, allows.
pub fn group_limit(root: &Path) -> Option<u64> {
    let text = |path: PathBuf| fs::read_to_string(path).ok();
    let groups = text(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let top = root.join("sys/fs/cgroup");
    let folder = top.join(own);
    let bytes = |path: PathBuf| text(path)?.trim().parse::<u64>().ok();
    let above = folder.ancestors().take_while(|folder| folder.starts_with(&top));
    // The first version of control groups says "no limit" with a number near the largest.
    let old = || bytes(top.join("memory/memory.limit_in_bytes")).filter(|bytes| *bytes < 1 << 60);
    above.filter_map(|folder| bytes(folder.join("memory.max"))).min().or_else(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_memory() {
        let now = memory();
        assert!(now.resident > 0 && now.peak >= now.resident && now.anonymous > 0, "{now:?}");
        assert_eq!(kib("VmHWM:\t  12 kB\nVmRSS:\t  10 kB\n", "VmRSS:"), 10 << 10);
        assert_eq!(kib("", "VmRSS:"), 0);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(group_limit(root.path()), None);
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(group_limit(root.path()), None);
        write("proc/self/cgroup", "0::/a/b\n");
        write("sys/fs/cgroup/a/b/memory.max", "max\n");
        write("sys/fs/cgroup/a/memory.max", "1000\n");
        assert_eq!(group_limit(root.path()), Some(1000));
    }
}
