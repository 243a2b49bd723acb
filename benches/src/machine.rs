//! What is measured on and from: commit, cores, processor, versions of tools; and who runs on which core.

use std::{
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

pub use candor_measure::machine::{compiler, describe, load_average};

use crate::child;

/// Where things are.
pub struct House {
    /// The root of the repository.
    pub root: PathBuf,
    /// The folder of this program, of the server, and of the runtime library.
    pub programs: PathBuf,
}

impl House {
    /// Finds both, and builds the server beside this program.
    pub fn find() -> Result<Self> {
        if cfg!(debug_assertions) {
            bail!("the numbers of a debug build mean nothing; use `cargo xtask bench`, or cargo run --release");
        }
        let own = std::env::current_exe().context("cannot find this program")?;
        let programs = own.parent().context("this program lies in no folder")?.to_path_buf();
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("benches/ lies in no folder")?.to_path_buf();
        let mut build = Command::new("cargo");
        // tract takes minutes to build, and is not what is measured.
        build.args(["build", "--quiet", "--release", "-p", "candor", "--no-default-features"]);
        build.current_dir(&root).stdin(Stdio::null());
        if let Some(target) = programs.parent() {
            build.arg("--target-dir").arg(target);
        }
        ensure!(build.status().context("cannot run cargo")?.success(), "the server cannot be built");
        Ok(Self { root, programs })
    }

    /// The models that are made for the benchmarks.
    pub fn large_models(&self) -> Result<PathBuf> {
        Ok(self.target()?.join("bench/models"))
    }

    /// Where cargo builds.
    pub fn target(&self) -> Result<&Path> {
        self.programs.parent().context("this program lies in no target folder")
    }

    /// The server.
    pub fn server(&self) -> PathBuf {
        self.programs.join("candor")
    }

    /// The commit, with a word when the tree differs from it.
    pub fn commit(&self) -> String {
        candor_measure::machine::commit(&self.root)
    }
}

/// Who runs where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pinning {
    /// Servers on the first cores, this process and its load on the others.
    Apart {
        /// Cores of the servers, as `taskset` writes them.
        servers: String,
        /// Cores of the load.
        load: String,
    },
    /// Everybody anywhere: there are not enough cores, or there is no `taskset`.
    Shared,
}

impl Pinning {
    /// Pins this process, and with it the load that it starts, away from `workers` cores.
    pub fn apply(workers: u32) -> Result<Self> {
        let pinning = if child::has("taskset") { Self::plan(cores()?, workers) } else { Self::Shared };
        if let Self::Apart { load, .. } = &pinning {
            let own = process::id().to_string();
            let mut taskset = Command::new("taskset");
            taskset.args(["-cp", load, &own]).stdin(Stdio::null()).stdout(Stdio::null());
            ensure!(taskset.status().context("cannot run taskset")?.success(), "taskset cannot pin this process");
        }
        Ok(pinning)
    }

    fn plan(cores: u32, workers: u32) -> Self {
        if workers >= cores {
            return Self::Shared;
        }
        Self::Apart { servers: format!("0-{}", workers - 1), load: format!("{workers}-{}", cores - 1) }
    }

    /// The same for servers that are to have all cores.
    pub fn everywhere(&self) -> Self {
        match self {
            Self::Apart { servers, load } => Self::Apart { servers: format!("{servers},{load}"), load: load.clone() },
            Self::Shared => Self::Shared,
        }
    }

    /// For the record.
    pub fn describe(&self) -> String {
        match self {
            Self::Apart { servers, load } => format!("servers on cores {servers}, load on cores {load}"),
            Self::Shared => "not pinned: servers and load share all cores".to_owned(),
        }
    }
}

fn cores() -> Result<u32> {
    Ok(u32::try_from(thread::available_parallelism().context("cannot count the cores")?.get())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_load_share_no_core_where_there_are_enough() {
        let apart = |servers: &str, load: &str| Pinning::Apart { servers: servers.into(), load: load.into() };
        assert_eq!(Pinning::plan(2, 1), apart("0-0", "1-1"));
        assert_eq!(Pinning::plan(2, 1).everywhere(), apart("0-0,1-1", "1-1"));
        assert_eq!(Pinning::plan(8, 3), apart("0-2", "3-7"));
        assert_eq!(Pinning::plan(2, 2), Pinning::Shared);
        assert_eq!(Pinning::plan(1, 1), Pinning::Shared);
    }
}
