//! What `model check` and `model scan` have found, by model and version, for people and for programs.

use std::{path::PathBuf, process::ExitCode};

use serde_json::{Value, json};

use crate::cli::{
    problem::FAILED,
    report::{self, Check, Mark, number},
    screen::{self, DIM, GREEN, RED, styled},
};

/// What was found about one model.
pub(super) struct ModelReport {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) checks: Vec<Check>,
    pub(super) versions: Vec<VersionReport>,
}

/// What was found about one version.
pub(super) struct VersionReport {
    pub(super) version: String,
    pub(super) served: bool,
    pub(super) checks: Vec<Check>,
}

/// Prints all, and gives the exit code: whether anything has failed. `well` is said when nothing has.
pub(super) fn print(reports: &[ModelReport], ignored: &[String], as_json: bool, well: &str) -> ExitCode {
    let all: Vec<&Check> = reports.iter().flat_map(ModelReport::all).collect();
    let (failed, warnings) =
        (report::count(all.iter().copied(), Mark::Fail), report::count(all.iter().copied(), Mark::Warn));
    if as_json {
        let models: Vec<Value> = reports.iter().map(ModelReport::json).collect();
        screen::print_json(&json!({"models": models, "ignored": ignored, "failed": failed, "warnings": warnings}));
    } else {
        let mut text: String = reports.iter().map(ModelReport::text).collect();
        text.extend(ignored.iter().map(|why| Check::warn("ignored", why).line(0)));
        let versions = number(reports.iter().map(|model| model.versions.len()).sum(), "version");
        let of = number(reports.len(), "model");
        let verdict = match failed {
            0 => styled(GREEN, well),
            some => styled(RED, number(some, "failed check")),
        };
        text.push_str(&format!("{versions} of {of}: {verdict}, {}\n", number(warnings, "warning")));
        screen::print(&text);
    }
    ExitCode::from(if failed == 0 { 0 } else { FAILED })
}

impl ModelReport {
    fn all(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().chain(self.versions.iter().flat_map(|version| &version.checks))
    }

    fn text(&self) -> String {
        let mut text =
            report::heading(&format!("{}{}", self.name, styled(DIM, format_args!("  {}", self.folder.display()))));
        text.extend(self.checks.iter().map(|check| check.line(2)));
        for version in &self.versions {
            let note = if version.served { "" } else { " (the version policy does not serve it)" };
            text.push_str(&format!("  version {}{note}\n", version.version));
            text.extend(version.checks.iter().map(|check| check.line(4)));
        }
        text + "\n"
    }

    fn json(&self) -> Value {
        let checks = |checks: &[Check]| checks.iter().map(Check::json).collect::<Vec<_>>();
        let version = |version: &VersionReport| json!({"version": version.version, "served": version.served, "checks": checks(&version.checks)});
        let versions: Vec<Value> = self.versions.iter().map(version).collect();
        json!({"model": self.name, "path": self.folder.display().to_string(), "checks": checks(&self.checks), "versions": versions})
    }
}
