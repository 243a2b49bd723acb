//! `candor doctor`: what would keep `serve` from starting, or from serving well, and how to mend it.
//!
//! | module | what it looks at |
//! |---|---|
//! | `server` | what the configuration names: engine, models, addresses, tokens, data folder |
//! | `plugins` | the folder of plugins, what is allowed, what would be refused |
//! | `machine` | processors, memory, open files, disk, clock |

mod machine;
mod plugins;
mod server;

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    args::ConfigArgs,
    problem::{Done, FAILED},
    report::{self, Check, Mark},
    screen,
};
use crate::config::{Problem, Settings};

pub(super) const EXAMPLES: &str = "Examples:
  candor doctor
  candor doctor DIR --http-addr 0.0.0.0:8080 --tokens-file tokens.toml
  candor doctor --config candor.toml --json

It takes the arguments of `serve` and starts nothing: models are looked at, not loaded
(`candor model check` loads them).
✓ is well, ! is worth a look, ✗ would keep `serve` from starting.
Exit codes: 0 `serve` would start; 1 it would not; 2 wrong arguments.";

#[derive(Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DoctorArgs) -> Done {
    let mut layers = args.config.layers();
    let mut checks: Vec<Check> = layers.warnings.iter().map(|warning| Check::warn("config", warning)).collect();
    match Settings::read(&mut layers) {
        Ok(settings) => {
            checks.push(Check::ok("config", "valid"));
            checks.extend(server::look(&settings));
            checks.extend(plugins::look(&settings));
            checks.extend(machine::look(Some(&settings)));
        }
        Err(report) => {
            let problem = |Problem(text): &Problem| {
                Check::fail("config", text)
                    .fix("docs/CONFIG.md lists every key; `candor config show` says who set what")
            };
            checks.extend(report.0.iter().map(problem));
            checks.extend(machine::look(None));
        }
    }
    let failed = report::count(&checks, Mark::Fail);
    if args.json {
        let all: Vec<Value> = checks.iter().map(Check::json).collect();
        screen::print_json(&json!({"checks": all, "would_start": failed == 0}));
    } else {
        let lines: String = checks.iter().map(|check| check.line(0)).collect();
        screen::print(&format!("{lines}\n{}", conclusion(&checks)));
    }
    Ok(ExitCode::from(if failed == 0 { 0 } else { FAILED }))
}

/// What would go wrong.
fn conclusion(checks: &[Check]) -> String {
    let first_lines = |mark: Mark| {
        let of_mark = checks.iter().filter(move |check| check.mark == mark);
        of_mark
            .map(|check| format!("  {}: {}\n", check.what, check.text.lines().next().unwrap_or_default()))
            .collect::<String>()
    };
    let (failed, warned) = (first_lines(Mark::Fail), first_lines(Mark::Warn));
    let start = match failed.is_empty() {
        true if warned.is_empty() => return report::heading("`candor serve` would start; nothing would go wrong."),
        true => report::heading("`candor serve` would start. Worth a look:"),
        false => report::heading("`candor serve` would not start:") + &failed,
    };
    let also =
        if failed.is_empty() || warned.is_empty() { String::new() } else { report::heading("Also worth a look:") };
    format!("{start}{also}{warned}")
}
