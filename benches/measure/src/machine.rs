//! What a machine is: processor, compiler, commit of the tree, load.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// The commit of the tree at `root`, with a word when it differs from it beyond the files of results.
pub fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| said(Command::new("git").args(arguments).current_dir(root));
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ":!benches/*.md"]);
    match (commit, changed) {
        (Some(commit), Some(changed)) if changed.is_empty() => commit,
        (Some(commit), _) => format!("{commit} with uncommitted changes"),
        (None, _) => "unknown".to_owned(),
    }
}

/// The machine in one line.
pub fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let count = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let model = field("model name").unwrap_or_else(|| "unknown processor".into());
    let guest = if cpuinfo.contains(" hypervisor") { ", virtual machine" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    format!("{model}, {count} cores{guest}, Linux {}", kernel.join("."))
}

/// The 1-minute load average: what else the machine was doing.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The compiler's version.
pub fn compiler() -> String {
    said(Command::new("rustc").arg("--version")).unwrap_or_else(|| "unknown".to_owned())
}

/// What a program says when it succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cores_and_a_load() {
        assert!(describe().contains("cores"));
        assert!(load_average().parse::<f64>().is_ok());
        assert_eq!(commit(Path::new("/")), "unknown");
    }
}
