//! Servers in processes of their own: started, pinned, waited for, and killed whatever happens.
//!
//! A server says where it is in `serving.json` of a folder that it is given, or is told where to be (peers). It
//! dies when it is dropped here, with all that it has started, and by the kernel's hand when this process dies
//! first (`setpriv --pdeathsig`, where there is one). `servers` knows which programs there are.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{machine::Pinning, timer::Moment};

/// The file in which a server says its address.
pub const SERVING_FILE: &str = "serving.json";

/// Longest time until a server answers.
const START_MAX: Duration = Duration::from_secs(60);

/// A server that runs.
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it listens for gRPC, if it does.
    pub grpc: Option<SocketAddr>,
    /// Where it answers for its health alone, if it does.
    pub health: Option<SocketAddr>,
    /// From the start of the process until it said where it is, models loaded.
    pub started_in: Duration,
    child: Child,
    folder: TempDir,
}

#[derive(Deserialize)]
struct Serving {
    pid: u32,
    http: SocketAddr,
    grpc: Option<SocketAddr>,
    health: Option<SocketAddr>,
}

impl Server {
    /// Starts `program`; `arguments` gets the folder for its `serving.json`.
    pub fn start(program: &Path, pinning: &Pinning, arguments: impl FnOnce(&Path) -> Vec<String>) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for a server")?;
        let path = folder.path().join(SERVING_FILE);
        let mut command = wrapped(program, pinning);
        command.args(arguments(folder.path()));
        Self::spawn(command, folder, |server| {
            let Ok(text) = fs::read(&path) else { return Ok(false) };
            let serving: Serving = serde_json::from_slice(&text).context("serving.json is broken")?;
            (server.pid, server.addr) = (serving.pid, serving.http);
            (server.grpc, server.health) = (serving.grpc, serving.health);
            Ok(true)
        })
    }

    /// Starts a program that does not say where it is: it has been told. `answers` finds out whether it is there.
    pub fn start_at(
        addr: SocketAddr,
        program: &Path,
        pinning: &Pinning,
        arguments: &[String],
        variables: &[(&str, String)],
        answers: impl Fn() -> bool,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for a server")?;
        let mut command = wrapped(program, pinning);
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        // What it writes beside itself goes away with it.
        command.current_dir(folder.path());
        Self::spawn(command, folder, |server| {
            server.addr = addr;
            Ok(answers())
        })
    }

    fn spawn(mut command: Command, folder: TempDir, is_there: impl Fn(&mut Self) -> Result<bool>) -> Result<Self> {
        let program = command.get_program().to_owned();
        let log_path = folder.path().join("log");
        let log = File::create(&log_path).context("cannot make a log for a server")?;
        // The pipe is never written to; its end tells the bare server that we are gone.
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let began = Moment::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server =
            Self { pid: child.id(), addr: nowhere, grpc: None, health: None, started_in: START_MAX, child, folder };
        while !is_there(&mut server)? {
            let ended = server.child.try_wait().context("cannot watch a server")?;
            if ended.is_some() || began.elapsed() > START_MAX {
                bail!("{} did not start ({ended:?}):\n{}", program.display(), server.log());
            }
            thread::sleep(Duration::from_millis(2));
        }
        server.started_in = began.elapsed();
        Ok(server)
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks it to end, and waits; how long that took.
    pub fn stop(&mut self, longest: Duration) -> Result<Duration> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process")?;
        let began = Moment::now();
        rustix::process::kill_process(pid, Signal::TERM).context("the server is not there to be stopped")?;
        let status = wait_at_most(&mut self.child, longest)?;
        ensure!(status.success(), "the server ended with {status}:\n{}", self.log());
        Ok(began.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It leads a group of its own, in which everything is that it has started.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (Some(group), Ok(None)) = (group, self.child.try_wait()) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        kill(&mut self.child);
    }
}

/// The program, behind what pins it and ties its life to ours. Both replace themselves by it, so the
/// process that is started is the server's own.
fn wrapped(program: &Path, pinning: &Pinning) -> Command {
    let mut words: Vec<String> = Vec::new();
    if has("setpriv") {
        words.extend(["setpriv", "--pdeathsig", "KILL"].map(str::to_owned));
    }
    if let Pinning::Apart { servers, .. } = pinning {
        words.extend(["taskset".to_owned(), "-c".to_owned(), servers.clone()]);
    }
    let mut words = words.into_iter();
    match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    }
}

/// Whether a program is there to be run.
pub fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok_and(|mut child| wait_at_most(&mut child, Duration::from_secs(5)).is_ok())
}

/// Waits for a child; kills it when that takes too long.
pub fn wait_at_most(child: &mut Child, longest: Duration) -> Result<ExitStatus> {
    let began = Moment::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child process")? {
            return Ok(status);
        }
        if began.elapsed() > longest {
            kill(child);
            bail!("a child process took longer than {} s and was killed", longest.as_secs());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn kill(child: &mut Child) {
    // Fails only for a process that has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    #[test]
    fn a_child_is_waited_for_but_not_for_ever() {
        assert!(wait_at_most(&mut sh("exit 0"), Duration::from_secs(20)).unwrap().success());
        let error = wait_at_most(&mut sh("exec sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("was killed"));
        assert!(has("sh") && !has("no-such-program"));
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error_with_its_log() {
        let started =
            Server::start(Path::new("sh"), &Pinning::Shared, |_| vec!["-c".into(), "echo woe; exit 3".into()]);
        let error = started.err().unwrap().to_string();
        assert!(error.contains("did not start") && error.contains("woe"), "{error}");
    }
}
