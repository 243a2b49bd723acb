//! `cargo xtask bench`: the benchmarks, with what they need in place.
//!
//! After [`crate::runtime`]; before `candor-benches`, which measures and writes. It knows the tools
//! that the benchmarks call, and no number.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    house::{self, House},
    run, runtime,
};

/// Fetches the runtime, looks for `wrk`, builds the server and runs the benchmarks in release.
pub fn bench(house: &House, args: &[String]) -> Result<()> {
    runtime::ensure(house, "release")?;
    ensure_wrk()?;
    // tract takes minutes to build, and is not what is measured.
    run::visible(&mut run::cargo(house, &["build", "--release", "-p", "candor", "--no-default-features"]))?;
    let mut command = run::cargo(house, &["run", "--release", "-p", "candor-benches", "--"]);
    command.args(args.iter().filter(|word| *word != "--"));
    run::visible(&mut command)
}

/// `wrk` is a Debian package; only CI, as root, installs it by itself.
fn ensure_wrk() -> Result<()> {
    if run::is_installed("wrk") {
        return Ok(());
    }
    if !(house::is_ci() && run::is_root()) {
        bail!("the HTTP benchmarks need `wrk`, which is not installed; apt-get install wrk");
    }
    run::visible(Command::new("apt-get").args(["update", "-q"]))?;
    let install = ["install", "-q", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", "wrk"];
    run::visible(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive"))
}
