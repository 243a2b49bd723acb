//! The real command line in a process of its own: signals, exit codes, what it prints.

use std::{
    fs::File,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    patience::{timed, until},
    server::library,
};

/// What a finished command line said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    data: TempDir,
    addr: Option<SocketAddr>,
}

fn command(binary: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).stdin(Stdio::null());
    // Settings of whoever runs the tests are not those of the test.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CANDOR_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the command line to its end.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run(binary: &str, args: &[&str], env: &[(&str, &str)]) -> Said {
    run_with_input(binary, args, env, "")
}

/// Runs the command line to its end with a standard input.
///
/// # Panics
/// When it cannot be started.
#[must_use]
pub fn run_with_input(binary: &str, args: &[&str], env: &[(&str, &str)], input: &str) -> Said {
    let mut command = command(Path::new(binary), args);
    command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input may have ended before it was written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Process {
    /// Serves `models` with a data folder of its own, a free port and `more` arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn serve(binary: &str, models: &Path, more: &[&str]) -> Self {
        let data = TempDir::new().unwrap();
        let log = File::create(data.path().join("said")).unwrap();
        let library = library();
        let mut child = command(
            Path::new(binary),
            &["serve", "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--health-addr", "127.0.0.1:0"],
        );
        child.arg(models).arg("--data").arg(data.path().join("data")).arg("--ort-library").arg(library).args(more);
        let child = child.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, data, addr: None }
    }

    /// Waits until it says that it serves; gives its address.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn ready(&mut self) -> SocketAddr {
        let announced = until("serving.json", || {
            let text = std::fs::read_to_string(self.announcement()).ok();
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended:\n{}", self.said());
            text
        });
        let announced: Value = serde_json::from_str(&announced).unwrap();
        assert_eq!(announced["pid"], self.child.id());
        let addr = announced["http"].as_str().unwrap().parse().unwrap();
        self.addr = Some(addr);
        addr
    }

    /// Where it listens for gRPC.
    ///
    /// # Panics
    /// When it has not said so yet.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        let announced = std::fs::read_to_string(self.announcement()).unwrap();
        let announced: Value = serde_json::from_str(&announced).unwrap();
        announced["grpc"].as_str().unwrap().parse().unwrap()
    }

    /// Where it says where it is.
    #[must_use]
    pub fn announcement(&self) -> PathBuf {
        self.data.path().join("data/serving.json")
    }

    /// What it has printed and logged so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.data.path().join("said")).unwrap_or_default()
    }

    /// Sends a signal, such as `TERM`.
    ///
    /// # Panics
    /// When there is no such signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success(), "cannot send {name}");
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the system does not tell.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end; gives how it ended and how long that took.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self) -> (ExitStatus, Duration) {
        timed(|| until("the process ends", || self.ended()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
