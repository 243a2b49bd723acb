//! `candor plugin pin`: the entry of `plugins.allow` for what lies in a folder, by its digest.
//!
//! Nothing of the plugin runs: the file is read, and what it says of itself. It does not change the configuration.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use candor_plugin_host::{Isolation, Pin, elf, file, manifest::Manifest, negotiate};
use clap::Args;
use serde_json::json;

use crate::cli::{
    problem::{self, Done, Failure, Problem},
    screen,
};

pub(super) const EXAMPLES: &str = "Examples:
  candor plugin pin plugins/acme-scale
  candor plugin pin plugins/acme-scale --in-process >> candor.toml   (below [plugins], in `allow`)

The digest is that of the library for this machine. Read what the plugin is before you allow it:
in the server's own process it can do all that the server can.";

#[derive(Args)]
pub(in crate::cli) struct PinArgs {
    /// Folder of the plugin.
    folder: PathBuf,
    /// Let it run in the server's own process: full trust.
    #[arg(long)]
    in_process: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PinArgs) -> Done {
    let refused = |refusal: candor_plugin_host::Refusal| Failure::from(Problem::from(refusal.error()));
    let folder = args.folder.canonicalize().map_err(|error| {
        Failure::misused(Problem::new("there is no such folder").at(args.folder.display().to_string()).cause(error))
    })?;
    let manifest = Manifest::read(&folder).map_err(refused)?;
    let path = manifest.library(&folder);
    let library = file::read(&path, true).map_err(refused)?;
    let inspected = elf::inspect(&library.bytes).map_err(refused)?;
    negotiate::versions(&inspected.head).map_err(refused)?;
    let isolation = if args.in_process { Isolation::Inproc } else { Isolation::Process };
    negotiate::place(&inspected, isolation, &[]).map_err(refused)?;
    if let Err(refusal) = file::read(&path, false) {
        problem::warn(&format!("a server would refuse the file as it is: {}", refusal.error()));
    }
    let (name, sha256, word) = (&manifest.name, &library.sha256, isolation.word());
    if args.json {
        screen::print_json(&json!({"name": name, "sha256": sha256, "isolation": word, "version": manifest.version}));
        return Ok(ExitCode::SUCCESS);
    }
    let Pin { deadline_ms, memory_mb, .. } = Pin::of(name, sha256);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{{ name = \"{name}\", sha256 = \"{sha256}\", isolation = \"{word}\", deadline_ms = {deadline_ms}, memory_mb = {memory_mb} }},"
    );
    screen::print(&text);
    Ok(ExitCode::SUCCESS)
}
