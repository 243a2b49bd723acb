//! Debian's programs and compilers: installed where we may, or unpacked below target/ without installing them.
//!
//! Before the steps that need what a machine may lack. A compiler is unpacked, because an installed `rustc` would stand in
//! the way of the one that builds everything else. It does not know what a program is for.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{house::House, run};

/// A program of a Debian package: nothing if it is there now, or why it is not.
pub fn program(name: &str, package: &str) -> Option<String> {
    if run::is_installed(name) {
        return None;
    }
    if !run::is_installed("apt-get") {
        return Some(format!("no {name}, and no apt-get to install {package}"));
    }
    if !run::is_root() {
        return Some(format!("no {name}: apt-get install {package}"));
    }
    let mut install = Command::new("apt-get");
    install.args(["install", "-q", "-y", "--no-install-recommends", package]).env("DEBIAN_FRONTEND", "noninteractive");
    match run::quiet(&mut install) {
        Ok(_) if run::is_installed(name) => None,
        Ok(_) => Some(format!("no {name}: the package {package} does not have it")),
        Err(error) => Some(format!("no {name}: {}", first_line(&error))),
    }
}

pub fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}

/// A compiler of Rust from a Debian package.
#[derive(Debug, Clone)]
pub struct Rustc {
    /// `1.63.0`.
    pub version: String,
    root: PathBuf,
}

impl Rustc {
    /// What it takes to run it: programs of another system's libraries find them here.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.env("LD_LIBRARY_PATH", self.libraries());
        command
    }

    pub fn program(&self) -> PathBuf {
        self.root.join("usr/bin/rustc")
    }

    pub fn libraries(&self) -> OsString {
        let lib = self.root.join("usr/lib");
        let triplets = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders = triplets.flat_map(|folder| [folder.join("lib"), folder]).filter(|folder| folder.is_dir());
        std::env::join_paths(folders).unwrap_or_default()
    }
}

/// The versions of `package` that the archive has, as apt writes them.
fn versions(package: &str) -> Vec<String> {
    let listed = run::quiet(Command::new("apt-cache").args(["madison", package])).unwrap_or_default();
    listed.lines().filter_map(|line| line.split('|').nth(1)).map(|version| version.trim().to_owned()).collect()
}

/// `1.63.0` of `1.63.0+dfsg1-2`, as numbers.
fn numbers(version: &str) -> Vec<u32> {
    let upstream = version.split(['+', '-', '~']).next().unwrap_or_default();
    upstream.split('.').map_while(|part| part.parse().ok()).collect()
}

/// The oldest compiler in the archive that is at least this old, unpacked; or why there is none.
pub fn oldest_rustc(house: &House, at_least: &[u32]) -> Result<Rustc> {
    ensure!(run::is_installed("apt-get") && run::is_installed("dpkg-deb"), "no apt-get and dpkg-deb: not Debian");
    let offered = ["rustc", "rustc-web"]
        .into_iter()
        .flat_map(|package| versions(package).into_iter().map(move |version| (numbers(&version), package, version)));
    let wanted = offered.filter(|(numbers, ..)| numbers.as_slice() >= at_least).min();
    let (numbers, package, version) = wanted.context("apt knows no rustc; apt-get update")?;
    let version_short = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    let root = house.target("plugins").join(format!("rustc-{version_short}"));
    let rustc = Rustc { version: version_short, root: root.clone() };
    if !rustc.program().is_file() {
        let draft = root.with_extension("draft");
        unpack(&pinned(package, &version), &draft)
            .with_context(|| format!("cannot get {package} {version} from apt"))?;
        fs::rename(&draft, &root).with_context(|| format!("cannot make {}", root.display()))?;
    }
    let said = run::quiet(rustc.command().arg("--version"))?;
    ensure!(said.starts_with(&format!("rustc {}", rustc.version)), "{} is {said}", rustc.program().display());
    Ok(rustc)
}

/// A package of this version, and those that it needs in exactly one version: apt would choose their newest.
fn pinned(package: &str, version: &str) -> Vec<String> {
    let name = format!("{package}={version}");
    let shown = run::quiet(Command::new("apt-cache").args(["show", &name])).unwrap_or_default();
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends:")).unwrap_or_default();
    let exact = depends.split(',').filter_map(|one| one.trim().strip_suffix(')')?.split_once(" (= "));
    std::iter::once(name).chain(exact.flat_map(|(package, version)| pinned(package, version))).collect()
}

/// Packages with all that they need and the system has not, unpacked into a folder. Nothing is installed.
fn unpack(packages: &[String], folder: &Path) -> Result<()> {
    let archives = folder.with_extension("debs");
    for old in [folder, archives.as_path()] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::create_dir_all(archives.join("partial")).with_context(|| format!("cannot make {}", archives.display()))?;
    let mut fetch = Command::new("apt-get");
    fetch.args(["install", "-q", "-y", "--no-install-recommends", "--download-only"]).args(packages);
    fetch.args(["-o", &format!("Dir::Cache::archives={}", archives.display()), "-o", "Debug::NoLocking=1"]);
    run::quiet(fetch.env("DEBIAN_FRONTEND", "noninteractive"))?;
    let mut unpacked = 0;
    for entry in fs::read_dir(&archives).with_context(|| format!("cannot list {}", archives.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run::quiet(Command::new("dpkg-deb").arg("-x").arg(&path).arg(folder))?;
            unpacked += 1;
        }
    }
    if unpacked == 0 {
        bail!("apt-get fetched nothing for {}", packages.join(", "));
    }
    fs::remove_dir_all(&archives).with_context(|| format!("cannot remove {}", archives.display()))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(numbers("1.63.0+dfsg1-2"), [1, 63, 0]);
        assert!(numbers("1.85.0+dfsg3-1~deb12u3") > numbers("1.9.0"));
        assert!(numbers("x").is_empty());
    }
}
