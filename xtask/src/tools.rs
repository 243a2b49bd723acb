//! Cargo's own tools (nextest, deny, tarpaulin): found on the machine, or built into target/tools.
//!
//! Before the test steps that call them. Versions are pinned here, so that a new release of a tool
//! cannot fail the build of an old commit. It does not know what the tools check.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{house::House, run};

/// A cargo subcommand that comes from a crate of its own.
pub struct Tool {
    /// The crate, and the program that it installs.
    pub name: &'static str,
    version: &'static str,
}

/// Runs the tests, each in its own process.
pub const NEXTEST: Tool = Tool { name: "cargo-nextest", version: "0.9.151" };
/// Checks licences, bans and sources.
pub const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Measures coverage.
pub const TARPAULIN: Tool = Tool { name: "cargo-tarpaulin", version: "0.37.5" };

/// Where the tool is; builds it first when it is nowhere. Any version on PATH is good enough.
pub fn ensure(house: &House, tool: &Tool) -> Result<PathBuf> {
    if run::is_installed(tool.name) {
        return Ok(PathBuf::from(tool.name));
    }
    let folder = house.target("tools");
    let program = folder.join("bin").join(tool.name);
    if program.is_file() {
        return Ok(program);
    }
    println!("  {} is not installed; building it, once", tool.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = run::cargo(house, &["install", "--locked", "--root"]);
    command.arg(&folder).args(["--version", tool.version, tool.name]);
    // A folder of its own: the tool's build must not wait for, or disturb, ours.
    command.env("CARGO_TARGET_DIR", house.target("tools/build"));
    run::visible(&mut command).with_context(|| {
        format!("no {name} on PATH, and it cannot be built; try `cargo install --locked {name}`", name = tool.name)
    })?;
    // The program is what we wanted; its object files are large.
    fs::remove_dir_all(house.target("tools/build")).ok();
    Ok(program)
}

/// The tool as a command in the root of the house, called as cargo would call it.
pub fn command(house: &House, program: &PathBuf, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).current_dir(house.root());
    command
}
