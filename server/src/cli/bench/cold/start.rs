//! One start of a server in a process of its own: timed from exec, asked, measured, stopped.
//!
//! Before it: a repository and what the first answer must be. After it: milliseconds and bytes. The server is this
//! binary; it says in `serving.json` where it is as soon as its models are ready.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use candor_domain::{Clock as _, Error, ErrorCode, Result, Tick};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::{
    cli::{args::TokenArgs, client::Client},
    clock::SystemClock,
};

/// Longest start, and longest stop.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks whether the server is there.
const LOOK: Duration = Duration::from_micros(500);
/// When nothing new was written for so long, a server has done what it does on the side after a start.
pub(super) const SETTLED: Duration = Duration::from_millis(1500);

/// What is asked first, and what the answer must be.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) model: String,
    /// The body of an inference.
    pub(super) body: String,
    /// Names and numbers of outputs.
    pub(super) outputs: Vec<(String, Vec<Value>)>,
    /// |got − want| ≤ tolerance · max(1, |want|).
    pub(super) tolerance: f64,
}

/// What a start took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    /// From exec until all models were ready.
    pub(super) ready_ms: f64,
    /// From exec until the first answer was there, and right.
    pub(super) answer_ms: f64,
    /// The most that was in memory until then.
    pub(super) peak_bytes: u64,
    /// What was in memory when all was done that is done on the side.
    pub(super) steady_bytes: u64,
}

struct Server {
    child: Child,
    began: Tick,
    clock: SystemClock,
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has been stopped is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::Internal, what)
}

fn millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e3
}

fn spawn(arguments: &[std::ffi::OsString], folder: &Path) -> Result<Server> {
    let binary = std::env::current_exe().map_err(|error| failed(format!("this binary is not found: {error}")))?;
    let said = fs::File::create(folder.join("said")).map_err(|error| failed(format!("no file for a log: {error}")))?;
    let clock = SystemClock::start();
    let began = clock.now();
    let child = Command::new(binary).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
    Ok(Server { child: child.map_err(|error| failed(format!("cannot start a process: {error}")))?, began, clock })
}

impl Server {
    fn elapsed_ms(&self) -> f64 {
        millis(self.clock.now().nanos_since(self.began))
    }

    fn wait_until<T>(&mut self, folder: &Path, mut there: impl FnMut() -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = there() {
                return Ok(found);
            }
            let ended = self.child.try_wait().map_err(|error| failed(format!("the server is lost: {error}")))?;
            if ended.is_some()
                || self.clock.now().nanos_since(self.began) > u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX)
            {
                let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
                return Err(failed(format!("a server did not start ({ended:?}): {said}")));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn memory(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let number = line.map(|line| line.trim_matches([':', ' ', '\t']).trim_end_matches("kB").trim());
        number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) << 10
    }

    fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed("a process without a number"))?;
        rustix::process::kill_process(pid, Signal::TERM).map_err(|error| failed(format!("cannot stop it: {error}")))?;
        let deadline = self.clock.now().after(PATIENCE);
        while self.clock.now() < deadline {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err(failed("a server does not stop"))
    }
}

/// Starts a server over `repository` with its data in `data`, asks, and stops it when it has written no copy for
/// `settled`.
pub(super) fn start(
    repository: &Path,
    data: &Path,
    words: &[std::ffi::OsString],
    question: &Question,
    settled: Duration,
) -> Result<Start> {
    let mut arguments: Vec<std::ffi::OsString> = vec!["serve".into(), repository.into(), "--data".into(), data.into()];
    for flag in ["--http-addr", "127.0.0.1:0", "--grpc-addr", "off", "--health-addr", "off"] {
        arguments.push(flag.into());
    }
    arguments.extend_from_slice(words);
    let mut server = spawn(&arguments, data)?;
    let address = data.join("serving.json");
    let serving: Value = server.wait_until(data, || serde_json::from_slice(&fs::read(&address).ok()?).ok())?;
    let ready_ms = server.elapsed_ms();
    let http = serving.get("http").and_then(Value::as_str).unwrap_or_default();
    ask(http, question)?;
    let answer_ms = server.elapsed_ms();
    let peak_bytes = server.memory("VmHWM");
    let deadline = server.clock.now().after(PATIENCE);
    let (mut seen, mut until) = (copies(data), server.clock.now().after(settled));
    while server.clock.now() < until.min(deadline) {
        std::thread::sleep(LOOK);
        let now = copies(data);
        if now != seen {
            (seen, until) = (now, server.clock.now().after(settled));
        }
    }
    let steady_bytes = server.memory("VmRSS");
    server.stop()?;
    Ok(Start { ready_ms, answer_ms, peak_bytes, steady_bytes })
}

/// The files in the folder of copies, and their sizes.
fn copies(data: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let entries = fs::read_dir(data.join("copies")).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len()))).collect();
    all.sort();
    all
}

/// Starts this binary to load the library and to end: milliseconds, and the most memory that it had.
pub(super) fn bare(words: &[std::ffi::OsString], folder: &Path) -> Result<(f64, u64)> {
    let mut arguments: Vec<std::ffi::OsString> = vec!["bench".into(), "library".into(), folder.join("loaded").into()];
    arguments.extend_from_slice(words);
    let told = folder.join("loaded");
    let _ = fs::remove_file(&told);
    let mut server = spawn(&arguments, folder)?;
    let text = server.wait_until(folder, || fs::read_to_string(&told).ok().filter(|text| text.ends_with('\n')))?;
    let ms = server.elapsed_ms();
    Ok((ms, text.trim().parse().unwrap_or(0)))
}

/// Asks once, and compares.
fn ask(http: &str, question: &Question) -> Result<()> {
    let told = |what: String| failed(format!("model '{}': {what}", question.model));
    let client =
        Client::new(&format!("http://{http}"), &TokenArgs::default()).map_err(|_| told("no client".to_owned()))?;
    let path = format!("/v2/models/{}/infer", question.model);
    let answer = client.post(&path, "application/json", question.body.as_bytes(), Some(PATIENCE));
    let answer = answer.map_err(|_| told("its first request was not answered well".to_owned()))?;
    let outputs = answer.get("outputs").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, want) in &question.outputs {
        let named = outputs.iter().find(|output| output.get("name").and_then(Value::as_str) == Some(name));
        let got = named.and_then(|output| output.get("data")).and_then(Value::as_array).cloned().unwrap_or_default();
        let same = |(got, want): (&Value, &Value)| match (got.as_f64(), want.as_f64()) {
            (Some(got), Some(want)) => (got - want).abs() <= question.tolerance * want.abs().max(1.0),
            _ => got == want,
        };
        if got.len() != want.len() || !got.iter().zip(want).all(same) {
            return Err(told(format!("its first answer is wrong at '{name}'")));
        }
    }
    Ok(())
}

/// Copies of the models in a repository of their own.
pub(super) fn repository(folder: &Path, models: &[PathBuf]) -> Result<()> {
    fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let (entry, to) = (entry?, to);
            let to = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &to)?;
            } else {
                fs::copy(entry.path(), &to)?;
            }
        }
        Ok(())
    }
    for model in models {
        let name = model.file_name().unwrap_or_default();
        copy(model, &folder.join(name)).map_err(|error| failed(format!("cannot copy {}: {error}", model.display())))?;
    }
    Ok(())
}
