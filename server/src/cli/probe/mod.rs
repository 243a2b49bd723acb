//! `candor probe`: what models take, each version measured in a process of its own.
//!
//! The memory of a process that does other things too says nothing of one model in it; so this starts the same binary
//! once for each version, watches it, and collects what it says. With `--data` the server will know it.
//!
//! | module | what it does |
//! |---|---|
//! | `child` | the process that is measured |

mod child;

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use candor_domain::{Clock as _, Error, ErrorCode, Result, Version};
use candor_serving::residency::weights::{self, Weight};
use clap::Args;
use crossbeam_channel::{RecvTimeoutError, bounded};
use serde_json::{Value, json};

use child::Measured;
pub(super) use child::{ChildArgs, run_child};

use super::{
    args::CommonArgs,
    model::target::{Target, target},
    problem::{Done, FAILED, Failure},
    screen,
};
use crate::{clock::SystemClock, data::DataFolder};

pub(super) const EXAMPLES: &str = "Examples:
  candor probe DIR/iris                  all versions of one model
  candor probe DIR --data /var/lib/candor    every model; the server that uses that folder will know
  candor probe model.onnx --time-s 30 --memory \"2 GiB\"

Each version is loaded, verified and warmed up in a process of its own, which is killed when it takes
too long. Prints JSON: bytes at most while it loads, bytes when it is ready, milliseconds, nanoseconds
of a row. What is not measured is taken for three times the size of its file. docs/RESIDENCY.md
Exit codes: 0 all were measured; 1 one was not; 2 wrong arguments.";

#[derive(Args)]
pub(super) struct ProbeArgs {
    /// Folder of a model, of a version, or of models, or an ONNX file; several may be named.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Data folder of a server, which reads weights.json there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seconds that one version may take.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    time_s: u32,
    /// Memory that one version may take.
    #[arg(long, value_name = "SIZE", default_value = "8 GiB")]
    memory: String,
    #[command(flatten)]
    common: CommonArgs,
}

pub(super) fn run(args: &ProbeArgs) -> Done {
    let settings = args.common.settings(None)?;
    let memory = crate::config::parse_bytes(&args.memory).filter(|bytes| *bytes > 0).ok_or_else(|| {
        let error = Error::invalid("--memory is no size").expected("such as \"2 GiB\"");
        Failure::of_arguments(error.got(args.memory.clone()))
    })?;
    let targets = args.paths.iter().map(|path| target(path, settings.repository_limits)).collect::<Result<Vec<_>>>();
    let limits = Limits { time: Duration::from_secs(args.time_s.into()), memory };
    let (mut told, mut measured, mut failed) = (Vec::new(), Vec::new(), 0);
    for one in targets.map_err(Failure::of_arguments)?.iter().flat_map(versions) {
        let outcome = one.clone().and_then(|(path, version)| measure(&path, &version, args, limits));
        match outcome {
            Ok(found) => {
                told.push(json!(found));
                measured.push(weight(found));
            }
            Err(error) => {
                failed += 1;
                told.push(failure(one.ok().as_ref(), &error));
            }
        }
    }
    if let Some(folder) = &args.data {
        let path = DataFolder::weights(folder);
        let kept = std::fs::create_dir_all(folder).and_then(|()| weights::keep(&path, measured));
        kept.map_err(|error| Error::new(ErrorCode::Internal, format!("cannot write {}: {error}", path.display())))?;
    }
    screen::print_json(&json!({ "versions": told }));
    Ok(ExitCode::from(if failed == 0 { 0 } else { FAILED }))
}

/// Where each version of a target is, or why it is not.
fn versions(target: &Target) -> Vec<Result<(PathBuf, Version)>> {
    let of_model = |named: &super::model::target::Named| match &named.found {
        Err(error) => vec![Err(error.clone())],
        Ok(model) => {
            let wanted =
                model.versions.iter().filter(|found| target.only.as_ref().is_none_or(|only| *only == found.version));
            wanted.map(|found| Ok((named.path.clone(), found.version.clone()))).collect()
        }
    };
    target.models.iter().flat_map(of_model).collect()
}

fn failure(of: Option<&(PathBuf, Version)>, error: &Error) -> Value {
    json!({
        "path": of.map(|(path, _)| path.display().to_string()),
        "version": of.map(|(_, version)| version.as_str()),
        "error": error.to_string(),
    })
}

fn weight(measured: Measured) -> Weight {
    Weight {
        sha256: measured.sha256,
        engine: measured.engine,
        load_bytes: measured.load_bytes,
        steady_bytes: measured.steady_bytes,
        load_ms: measured.load_ms,
        row_nanos: measured.row_nanos,
        measured_unix_ms: SystemClock::start().unix_ms(),
    }
}

#[derive(Clone, Copy)]
struct Limits {
    time: Duration,
    memory: u64,
}

/// Largest answer of the process that is measured, and of what it says on its way.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

fn measure(path: &Path, version: &Version, args: &ProbeArgs, limits: Limits) -> Result<Measured> {
    let failed = |what: String| Error::new(ErrorCode::Internal, what);
    let binary = std::env::current_exe().map_err(|error| failed(format!("this binary is not found: {error}")))?;
    let mut child = Command::new(binary)
        .arg("probe-child")
        .arg(path)
        .args(["--version", version.as_str()])
        .args(["--memory-bytes", &limits.memory.to_string()])
        .args(args.common.words())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot start a process: {error}")))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (tell, told) = bounded(2);
    for (is_answer, pipe) in [(true, out.map(Pipe::Out)), (false, err.map(Pipe::Err))] {
        let tell = tell.clone();
        std::thread::spawn(move || tell.send((is_answer, pipe.map(Pipe::text).unwrap_or_default())));
    }
    drop(tell);
    let (answer, said, is_late) = listen(&mut child, &told, limits.time);
    let status = child.wait().map_err(|error| failed(format!("the process is lost: {error}")))?;
    if is_late {
        return Err(Error::new(
            ErrorCode::DeadlineExceeded,
            format!("{} version {version} was killed", path.display()),
        )
        .expected(format!("an end within {} s", limits.time.as_secs()))
        .hint("give it longer with --time-s"));
    }
    serde_json::from_str(&answer).map_err(|_| why_not(path, version, status, &said, limits.memory))
}

/// What the process says, until it ends or its time is over.
fn listen(
    child: &mut Child,
    told: &crossbeam_channel::Receiver<(bool, String)>,
    time: Duration,
) -> (String, String, bool) {
    let clock = SystemClock::start();
    let deadline = clock.now().after(time);
    let (mut answer, mut said, mut is_late) = (String::new(), String::new(), false);
    loop {
        match told.recv_timeout(clock.now().until(deadline)) {
            Ok((true, text)) => answer = text,
            Ok((false, text)) => said = text,
            Err(RecvTimeoutError::Timeout) if !is_late => {
                is_late = true;
                let _ = child.kill();
                return (answer, said, is_late);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return (answer, said, is_late),
        }
    }
}

enum Pipe {
    Out(std::process::ChildStdout),
    Err(std::process::ChildStderr),
}

impl Pipe {
    fn text(self) -> String {
        let mut bytes = Vec::new();
        // What cannot be read is not there; the exit code says the rest.
        let _ = match self {
            Self::Out(pipe) => pipe.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes),
            Self::Err(pipe) => pipe.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn why_not(path: &Path, version: &Version, status: ExitStatus, said: &str, memory: u64) -> Error {
    use std::os::unix::process::ExitStatusExt as _;
    let shown = path.display();
    let said = screen::plain(said.trim()).into_owned();
    match status.signal() {
        Some(signal) => Error::model(format!("the process for {shown} version {version} ended by signal {signal}"))
            .expected(format!("at most {} of memory", screen::size(memory)))
            .hint(format!("give it more with --memory; it said: {said}")),
        None => Error::model(format!("{shown} version {version} cannot be measured: {said}")),
    }
}
