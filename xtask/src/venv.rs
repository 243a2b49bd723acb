//! Python environments below target/: made once, and again only when their requirements change.
//!
//! Before the steps that run Python (client tests, rebuilt models). It does not know what the
//! packages are for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{house::House, run};

/// What the exports in tests/zoo and the models of benches/engines are made with, in `zoo/venv`.
pub const ZOO: &str = "tests/zoo/requirements.txt";

/// What the plugins' fixtures and the models that are served with them are made with, in `plugins/venv`.
pub const PLUGINS: &str = "plugins/fixtures/requirements.txt";

/// The Python of an environment that has everything in `requirements`.
pub fn ensure(house: &House, folder: &str, requirements: &str) -> Result<PathBuf> {
    let list = house.path(requirements);
    let wanted = fs::read(&list).with_context(|| format!("cannot read {requirements}"))?;
    let version = run::quiet(Command::new("python3").arg("--version"))
        .context("python3 is needed; apt-get install python3 python3-venv")?;
    let stamp = stamp_of(&wanted, &version);
    let home = house.target(folder);
    let python = home.join("bin/python");
    let stamp_file = home.join("requirements.sha256");
    if python.exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(python);
    }
    println!("  installing {requirements} into {}", house.shown(&home));
    make(&home)?;
    run::visible(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(&list),
    )?;
    fs::write(&stamp_file, stamp).context("cannot write the requirements' stamp")?;
    Ok(python)
}

/// An empty environment in place of whatever was there.
fn make(home: &Path) -> Result<()> {
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    run::quiet(Command::new("python3").args(["-m", "venv"]).arg(home))
        .map(drop)
        .context("cannot make a Python environment; apt-get install python3-venv")
}

/// Changes whenever the list or the Python does.
fn stamp_of(list: &[u8], version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(version.trim().as_bytes());
    hash.update([0]);
    hash.update(list);
    format!("{:x}\n", hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::stamp_of;

    #[test]
    fn the_stamp_knows_list_and_python() {
        let stamp = stamp_of(b"numpy==2\n", "Python 3.11.2\n");
        assert_eq!(stamp, stamp_of(b"numpy==2\n", "Python 3.11.2"));
        assert_ne!(stamp, stamp_of(b"numpy==3\n", "Python 3.11.2"));
        assert_ne!(stamp, stamp_of(b"numpy==2\n", "Python 3.12.1"));
    }
}
