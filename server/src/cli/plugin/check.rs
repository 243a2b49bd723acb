//! `candor plugin check`: whether a plugin keeps the interface's contract, each check in a process of its own.
//!
//! The checks are the plugin host's; here they are started, waited for and printed.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use candor_plugin_host::check::{self, Finding, Mark};
use clap::{Args, ValueEnum};
use crossbeam_channel::bounded;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::json;

use crate::cli::{
    problem::{Done, FAILED, Failure, Problem},
    report::number,
    screen::{self, BOLD, DIM, GREEN, RED, YELLOW, styled},
};

pub(super) const EXAMPLES: &str = "Examples:
  candor plugin check acme-scale
  candor plugin check acme-scale --format json
  candor plugin check acme-scale --only inputs --only contract

Checks:
  static.*      what the file says: manifest, module, hardening, exports, needs; nothing of it runs
  handshake.*   the configuration's schema, and that it accepts its own example
  inputs.*      between pages that nobody may touch, read-only, shifted, spread, empty, not numbers, wrong
  leaks.*       memory, threads, files
  claims.*      concurrent, deterministic, if the component says so
  cancel        returns soon when nobody waits any more
  config.bad    configurations that are wrong
  host.*        hosts that are older and newer
  contract      what the component's kind promises

Inputs are those that `describe` tells, or else those of the kind; the configuration is the first of the
schema's `examples`. Exit codes: 0 no check failed; 1 one did; 2 wrong arguments.";

/// Longest that a check may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Address space of a check.
const MEMORY: u64 = 8 << 30;

#[derive(Args)]
pub(in crate::cli) struct CheckArgs {
    /// Folder of the plugin.
    folder: PathBuf,
    /// Make only the checks whose id begins so; may be repeated.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Args)]
pub(in crate::cli) struct ChildArgs {
    folder: PathBuf,
    store: PathBuf,
    component: String,
    check: String,
}

pub(super) fn run(args: &CheckArgs) -> Done {
    let folder = args.folder.canonicalize().map_err(|error| {
        Failure::misused(Problem::new("there is no such folder").at(args.folder.display().to_string()).cause(error))
    })?;
    let wanted = |id: &str| args.only.is_empty() || args.only.iter().any(|only| id.starts_with(only.as_str()));
    let (manifest, mut found) = check::look(&folder);
    let stops = found.iter().any(|finding| finding.mark == Mark::Fail);
    found.retain(|finding| finding.mark == Mark::Fail || wanted(&finding.id));
    if let Some(manifest) = manifest.filter(|_| !stops) {
        let store = Store::make()?;
        for component in &manifest.component {
            for id in check::ids().into_iter().filter(|id| wanted(id)) {
                found.push(in_process(&folder, &store.0, &component.id, id));
            }
        }
    }
    if found.is_empty() {
        let problem = Problem::new(format!("no check begins with {}", args.only.join(" or ")));
        return Err(Failure::misused(problem.help(format!("there are: static.*, {}", check::ids().join(", ")))));
    }
    let failed = found.iter().filter(|finding| finding.mark == Mark::Fail).count();
    match args.format {
        Format::Json => screen::print_json(&json!({"folder": folder, "passed": failed == 0, "checks": found})),
        Format::Text => screen::print(&shown(&folder, &found)),
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { FAILED }))
}

/// The private folder of copies, gone when it is dropped.
struct Store(PathBuf);

impl Store {
    fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("candor-plugin-check-{}", std::process::id()));
        // What another process of this number left behind.
        let _ = std::fs::remove_dir_all(&path);
        let made = std::fs::create_dir(&path);
        made.map(|()| Self(path.join("store"))).map_err(|error| {
            Failure::from(Problem::new("cannot make a folder for copies").at(path.display().to_string()).cause(error))
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(folder) = self.0.parent() {
            // What is left is a copy of a file that is there anyway.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// One check in a process of its own: what it says, or how it ended.
fn in_process(folder: &Path, store: &Path, component: &str, id: &str) -> Finding {
    let mut command = Command::new("/proc/self/exe");
    command.arg("plugin-check-child").args([folder, store]).args([component, id]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    match command.spawn() {
        Err(error) => check::ended(component, id, &format!("could not be started ({error})")),
        Ok(child) => said(child, component, id),
    }
}

fn said(mut child: Child, component: &str, id: &str) -> Finding {
    let (tell, told) = bounded(1);
    if let Some(mut stdout) = child.stdout.take() {
        // Not waited for: what the plugin has started may hold this open for as long as it likes.
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            // Nobody waits any more after the time is over.
            let _ = tell.send(text);
        });
    }
    let text = told.recv_timeout(PATIENCE);
    if text.is_err() {
        let _ = child.kill();
    }
    let how = child.wait().map_or_else(|error| error.to_string(), ended);
    match text {
        Err(_) => check::ended(component, id, &format!("was not done in {} s and was killed", PATIENCE.as_secs())),
        // The plugin may print, too; the verdict is the last line.
        Ok(text) => text
            .lines()
            .next_back()
            .and_then(|line| serde_json::from_str(line).ok())
            .filter(|_| how == "ended well")
            .unwrap_or_else(|| check::ended(component, id, &how)),
    }
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.signal(), status.code()) {
        (Some(11), _) => "ended with signal 11 (SIGSEGV)".to_owned(),
        (Some(6), _) => "ended with signal 6 (SIGABRT)".to_owned(),
        (Some(signal), _) => format!("ended with signal {signal}"),
        (None, Some(0)) => "ended well".to_owned(),
        (None, code) => format!("ended with exit code {}", code.unwrap_or(-1)),
    }
}

pub(super) fn run_child(args: &ChildArgs) -> Done {
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    // A check that could not be bounded is a check all the same.
    let _ = limit(Resource::As, MEMORY).and_then(|()| limit(Resource::Core, 0));
    let finding = check::in_child(&args.folder, &args.store, &args.component, &args.check);
    screen::print(&format!("{}\n", json!(finding)));
    Ok(ExitCode::SUCCESS)
}

fn shown(folder: &Path, found: &[Finding]) -> String {
    let mut text = format!("{}\n", styled(BOLD, folder.display()));
    let mut component = "";
    for finding in found {
        if finding.component != component {
            component = &finding.component;
            text.push_str(&format!("\n{}\n", styled(BOLD, screen::plain(component))));
        }
        let mark = match finding.mark {
            Mark::Ok => styled(GREEN, "✓"),
            Mark::Warn => styled(YELLOW, "!"),
            Mark::Fail => styled(RED, "✗"),
            Mark::Skip => styled(DIM, "–"),
        };
        let what = screen::indented(&screen::plain(&finding.text), 27);
        text.push_str(&format!("  {mark} {:<22} {what}\n", finding.id));
    }
    let count = |mark| found.iter().filter(|finding| finding.mark == mark).count();
    let (failed, warned) = (count(Mark::Fail), count(Mark::Warn));
    text.push_str(&format!("\n{}, {failed} failed, {}\n", number(found.len(), "check"), number(warned, "warning")));
    text
}
