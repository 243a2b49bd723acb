//! The servers that are measured: Candor as it is released, Candor over the null engine, the bare handler.
//!
//! `child` starts and ends them. Each runs on the cores of the servers, with an address of its own choice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    child::Server,
    machine::{House, Pinning},
};

/// Where servers run and with how many threads.
#[derive(Clone)]
pub struct Stage<'a> {
    pub house: &'a House,
    pub pinning: Pinning,
    pub workers: u32,
}

impl Stage<'_> {
    /// Candor over this repository, with these keys of its configuration.
    pub fn candor(&self, repository: &Path, keys: &[&str]) -> Result<Server> {
        self.candor_with(repository, keys, &[])
    }

    /// The same with further arguments.
    pub fn candor_with(&self, repository: &Path, keys: &[&str], further: &[&str]) -> Result<Server> {
        let workers = format!("http.workers={}", self.workers);
        let grpc_threads = format!("grpc.threads={}", self.workers);
        Server::start(&self.house.server(), &self.pinning, |folder| {
            let (repository, folder) = (repository.to_string_lossy(), folder.to_string_lossy());
            let mut words = vec!["serve", &*repository, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0"];
            words.extend(["--health-addr", "127.0.0.1:0"]);
            words.extend(["--data", &*folder, "--log-level", "warn", "--set", &workers, "--set", &grpc_threads]);
            words.extend(keys.iter().flat_map(|key| ["--set", key]).chain(further.iter().copied()));
            words.into_iter().map(str::to_owned).collect()
        })
    }

    /// Candor over null models.
    pub fn null(&self, repository: &Path, keys: &[&str]) -> Result<Server> {
        let workers = format!("http.workers={}", self.workers);
        let own = std::env::current_exe().context("cannot find this program")?;
        Server::start(&own, &self.pinning, |folder| {
            let (repository, folder) = (repository.to_string_lossy(), folder.to_string_lossy());
            let mut words = vec!["null", "--folder", &*folder, "--models", &*repository, "--set", &workers];
            words.extend(keys.iter().flat_map(|key| ["--set", key]));
            words.into_iter().map(str::to_owned).collect()
        })
    }

    /// The handler that only parses.
    pub fn bare(&self) -> Result<Server> {
        let workers = self.workers.to_string();
        let own = std::env::current_exe().context("cannot find this program")?;
        Server::start(&own, &self.pinning, |folder| {
            ["bare", "--folder", &folder.to_string_lossy(), "--workers", &workers].map(str::to_owned).to_vec()
        })
    }
}

/// Makes a model repository of these models. Files are shared with where they come from, if the system can.
pub fn repository(into: &Path, models: &[PathBuf]) -> Result<()> {
    for model in models {
        let name = model.file_name().context("a model has no name")?;
        copy(model, &into.join(name)).with_context(|| format!("cannot copy {}", model.display()))?;
    }
    Ok(())
}

/// Copies a file or a folder, sharing the bytes where that can be.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        // Symbolic links would not be followed by the server; these are no links to it.
        if fs::hard_link(from, to).is_err() {
            fs::copy(from, to)?;
        }
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_copy_of_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (from, into) = (folder.path().join("from/m/1"), folder.path().join("into"));
        fs::create_dir_all(&from).unwrap();
        fs::write(from.join("model.onnx"), "x").unwrap();
        repository(&into, &[folder.path().join("from/m")]).unwrap();
        assert_eq!(fs::read_to_string(into.join("m/1/model.onnx")).unwrap(), "x");
        assert!(repository(&into, &[folder.path().join("none")]).is_err());
    }
}
