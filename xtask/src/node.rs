//! npm packages below target/: installed once, and again only when their list changes.
//!
//! Before the steps that run Node.js (TypeScript clients, the browser). It does not know what the packages
//! are for.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{house::House, run};

const LISTS: [&str; 2] = ["package.json", "package-lock.json"];

/// The folder that has in its `node_modules` everything that the lists in `folder` name.
pub fn ensure(house: &House, home: &str, folder: &str) -> Result<PathBuf> {
    let version =
        run::quiet(Command::new("node").arg("--version")).context("node is needed; apt-get install nodejs npm")?;
    let mut hash = Sha256::new();
    hash.update(version.trim().as_bytes());
    let home = house.target(home);
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    for list in LISTS {
        let source = house.path(folder).join(list);
        let content = fs::read(&source).with_context(|| format!("cannot read {}", house.shown(&source)))?;
        hash.update(&content);
        fs::write(home.join(list), content).with_context(|| format!("cannot write {list}"))?;
    }
    let stamp = format!("{:x}\n", hash.finalize());
    let stamp_file = home.join("packages.sha256");
    if home.join("node_modules").is_dir() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(home);
    }
    println!("  installing {folder}/package-lock.json into {}", house.shown(&home));
    // No package that we use needs a script to be installed.
    let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run::visible(Command::new("npm").args(words).current_dir(&home)).context("npm is needed; apt-get install npm")?;
    fs::write(&stamp_file, stamp).context("cannot write the packages' stamp")?;
    Ok(home)
}
