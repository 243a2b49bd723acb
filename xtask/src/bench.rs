//! `cargo xtask bench`: the benchmarks, with what they need in place.
//!
//! After [`crate::runtime`]; before `candor-benches`, which measures and writes. It knows the tools
//! that the benchmarks call, and no number.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    house::{self, House},
    run, runtime, venv, wheel,
};

/// Fetches the runtime, looks for `wrk`, builds the server and runs the benchmarks in release.
pub fn bench(house: &House, args: &[String]) -> Result<()> {
    runtime::ensure(house, "release")?;
    if let Some((_, rest)) = args.split_first().filter(|(first, _)| *first == "engines") {
        return engines(house, rest);
    }
    ensure_wrk()?;
    // tract takes minutes to build, and is not what is measured.
    run::visible(&mut run::cargo(house, &["build", "--release", "-p", "candor", "--no-default-features"]))?;
    let mut command = run::cargo(house, &["run", "--release", "-p", "candor-benches", "--"]);
    command.args(args.iter().filter(|word| *word != "--"));
    run::visible(&mut command)
}

/// Makes the models that are too large for the tree, and measures the engines on them.
fn engines(house: &House, args: &[String]) -> Result<()> {
    const SCRIPT: &str = "benches/engines/make_models.py";
    let folder = house.target("engine-bench");
    let models = folder.join("models");
    let stamp = wheel::sha256(&house.path(SCRIPT))? + &wheel::sha256(&house.path(venv::ZOO))?;
    let stamp_file = folder.join("made_by.sha256");
    if !fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        let python = venv::ensure(house, "zoo/venv", venv::ZOO)?;
        println!("  training the models, once: a few minutes");
        run::visible(Command::new(python).arg(house.path(SCRIPT)).arg(&models).env("PYTHONDONTWRITEBYTECODE", "1"))?;
        fs::write(&stamp_file, stamp).context("cannot write the models' stamp")?;
    }
    let mut command = run::cargo(house, &["run", "--release", "-p", "candor-engine-benches", "--", "--models"]);
    run::visible(command.arg(&models).args(args.iter().filter(|word| *word != "--")))
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
