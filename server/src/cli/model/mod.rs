//! `candor model`: what there is, what a model takes and gives, whether it is right.
//!
//! | module | what it does |
//! |---|---|
//! | `list` | all models of a folder, without loading, or of a server |
//! | `show` | one model, loaded, or as a server describes it |
//! | `describe` | a request that a model takes; its signature in words |
//! | `check` | everything that a load verifies, said aloud |
//! | `scan` | what the files could do to the machine, without loading them |
//! | `findings` | what check and scan have found, printed |
//! | `target` | what a path that is to be checked names |

mod check;
mod describe;
mod findings;
pub(super) mod list;
mod scan;
mod show;
pub(in crate::cli) mod target;

use std::{fs, path::Path};

use candor_domain::Version;
use candor_serving::{Repository, VersionPolicy, repository::FoundModel};
use clap::Subcommand;

use super::problem::Done;
use crate::config::Settings;

#[derive(Subcommand)]
pub(super) enum ModelCommand {
    /// List the models of a folder without loading any, or those of a running server.
    #[command(after_help = "Examples:
  candor model list
  candor model list DIR --json
  candor model list --server http://127.0.0.1:8080

SERVED are the versions that `candor serve` would load: as model.toml says, or else the key
repository.version_policy.")]
    List(list::ListArgs),
    /// Load a model and say what it takes and gives, with a request to paste.
    #[command(after_help = "Examples:
  candor model show iris
  candor model show iris DIR --version 1
  candor model show iris --server http://127.0.0.1:8080 --json")]
    Show(show::ShowArgs),
    /// Load every version, compare the manifest with the graph, run the golden pairs.
    #[command(after_help = "Examples:
  candor model check DIR/iris          all versions of one model
  candor model check DIR/iris/2        one version
  candor model check DIR               every model of a folder
  candor model check model.onnx        a file by itself
  candor model check DIR --json        for CI

✓ is right, ! works and could be better, ✗ would keep the version from being served.
What is wrong with a version that the policy does not serve is a warning, unless PATH names it.
Exit codes: 0 nothing has failed (warnings are no failure); 1 something has; 2 wrong arguments.")]
    Check(check::CheckArgs),
    /// Say what model files could do to the machine that loads them. Loads nothing, needs no engine.
    #[command(after_help = "Examples:
  candor model scan model.onnx         a file by itself, before it goes anywhere
  candor model scan DIR                every model of a folder
  candor model scan DIR --json         for CI

Looks for external data outside the folder, values and loops of enormous size, functions that grow, broken
graphs, unknown domains and versions, at any depth: docs/SCAN.md. A load runs the same scan.
✓ is worth knowing, ! is loaded and should be looked at, ✗ is never given to an engine.
Exit codes: 0 nothing is refused; 1 something is; 2 wrong arguments.")]
    Scan(scan::ScanArgs),
}

pub(super) fn run(command: &ModelCommand) -> Done {
    match command {
        ModelCommand::List(args) => list::run(args),
        ModelCommand::Show(args) => show::run(args),
        ModelCommand::Check(args) => check::run(args),
        ModelCommand::Scan(args) => scan::run(args),
    }
}

fn repository(settings: &Settings) -> candor_domain::Result<Repository> {
    Repository::open(&settings.repository_dir, settings.repository_limits)
}

/// The versions that `serve` would load.
fn served(model: &FoundModel, default: &VersionPolicy) -> candor_domain::Result<Vec<Version>> {
    let policy = model.manifest.versions.as_ref().unwrap_or(default);
    Ok(model.served(policy)?.into_iter().collect())
}

/// Sizes of the files of a folder, added up; what cannot be read counts as nothing.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let files = entries.filter_map(|entry| entry.ok()?.metadata().ok()).filter(fs::Metadata::is_file);
    files.map(|metadata| metadata.len()).sum()
}
