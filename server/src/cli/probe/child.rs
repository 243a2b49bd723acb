//! The process that is measured: loads one version as the server does, and says what that took.
//!
//! What engines take once for all models (their library, their tables) is not the model's: a graph that does nothing is
//! loaded and run first, and counted from there. Nor are the members of an ensemble.

use std::{path::PathBuf, process::ExitCode};

use candor_domain::{Clock as _, Datatype, Error, ErrorCode, ModelSource, Result, Shape, Tensor, TensorData, Version};
use candor_serving::{
    Engines, Opened,
    engines::EngineId,
    memory,
    repository::{FoundModel, FoundVersion},
};
use clap::Args;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    cli::{args::CommonArgs, model::target::target, problem::Done, screen},
    clock::SystemClock,
    wiring::Workshop,
};

#[derive(Args)]
pub(in crate::cli) struct ChildArgs {
    path: PathBuf,
    #[arg(long)]
    version: String,
    #[arg(long)]
    memory_bytes: u64,
    #[command(flatten)]
    common: CommonArgs,
}

/// What a version takes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) sha256: String,
    pub(super) engine: EngineId,
    pub(super) file_bytes: u64,
    /// What the process held before.
    pub(super) base_bytes: u64,
    /// Bytes beyond that at most while it was loaded, verified and warmed up.
    pub(super) load_bytes: u64,
    /// Bytes beyond that when it was ready and free memory had been given back.
    pub(super) steady_bytes: u64,
    pub(super) load_ms: u64,
    pub(super) row_nanos: Option<u64>,
}

pub(in crate::cli) fn run_child(args: &ChildArgs) -> Done {
    // Of the address space: what is bounded otherwise (Data) is not bounded everywhere.
    let bytes = Some(memory::address_space().saturating_add(args.memory_bytes));
    setrlimit(Resource::As, Rlimit { current: bytes, maximum: bytes }).map_err(|error| {
        Error::new(ErrorCode::Internal, format!("the system does not bound the memory of a process: {error}"))
    })?;
    let settings = args.common.settings(None)?;
    let version = Version::parse(&args.version)?;
    let target = target(&args.path, settings.repository_limits)?;
    let missing = || Error::new(ErrorCode::NotFound, format!("{} has no version {version}", args.path.display()));
    let named = target.models.first().ok_or_else(missing)?;
    let model = named.found.clone()?;
    let found = model.versions.iter().find(|found| found.version == version).ok_or_else(missing)?;
    let registry = Workshop::open(&settings).over(&target.repository)?;
    let measured = measure(registry.engines(), &target.repository, &model, found)?;
    screen::print_json(&json!(measured));
    Ok(ExitCode::SUCCESS)
}

fn measure(
    engines: &Engines,
    repository: &candor_serving::Repository,
    model: &FoundModel,
    found: &FoundVersion,
) -> Result<Measured> {
    for engine in engines.present() {
        warm(&**engine)?;
    }
    if model.manifest.ensemble.is_some() {
        // Members are models with measures of their own: they are in memory before anything is counted.
        Opened::open(engines, &repository.read_model(found)?, model, found)?;
    }
    let _ = candor_engine_ort::trim();
    memory::reset_peak();
    let before = memory::memory();
    let clock = SystemClock::start();
    let began = clock.now();
    let bytes = repository.read_model(found)?;
    let golden = repository.read_golden(found)?;
    let mut opened = Opened::open(engines, &bytes, model, found)?;
    let meaning = opened.read(model, found)?;
    if let Some(golden) = &golden {
        golden.cases.iter().try_for_each(|case| opened.verify(&meaning.manifest, golden, case))?;
    }
    let row_nanos = opened.warm_up(&meaning.manifest, golden.as_ref(), &clock)?;
    let load_ms = clock.now().nanos_since(began) / 1_000_000;
    let peak = memory::memory().peak;
    drop((bytes, golden));
    let _ = candor_engine_ort::trim();
    let steady_bytes = memory::memory().anonymous.saturating_sub(before.anonymous);
    Ok(Measured {
        model: model.name.to_string(),
        version: found.version.to_string(),
        sha256: opened.files_sha256.clone(),
        engine: EngineId::from(&opened.engine),
        file_bytes: opened.file_bytes,
        base_bytes: before.resident,
        load_bytes: peak.saturating_sub(before.resident).max(steady_bytes),
        steady_bytes,
        load_ms,
        row_nanos,
    })
}

/// An ONNX file whose graph is `y = Identity(x)`, x being one float.
const NOTHING: &[u8] = b"\x08\x08\x42\x02\x10\x0d\x3a\x37\
    \x0a\x10\x0a\x01x\x12\x01y\x22\x08Identity\
    \x12\x01g\
    \x5a\x0f\x0a\x01x\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01\
    \x62\x0f\x0a\x01y\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x01";

/// Has an engine do all that it does once.
fn warm(engine: &dyn candor_domain::Engine) -> Result<()> {
    let loaded = match engine.load(ModelSource { bytes: NOTHING, folder: std::path::Path::new(".") }) {
        Ok(loaded) => loaded,
        // An engine that does not take it has nothing to be ready for it.
        Err(error) if error.code() == ErrorCode::Unsupported => return Ok(()),
        Err(error) => return Err(error),
    };
    let one = Tensor::new(Shape::new(&[1])?, TensorData::zeros(Datatype::Fp32, 1))?;
    loaded.session.run(&[one], &[0], None).map(drop)
}

#[cfg(test)]
mod tests {
    use candor_engine_native::NativeEngine;

    use super::*;

    #[test]
    fn the_graph_that_does_nothing_is_a_graph() {
        warm(&NativeEngine::new()).unwrap();
        let loaded = candor_domain::Engine::load(
            &NativeEngine::new(),
            ModelSource { bytes: NOTHING, folder: std::path::Path::new(".") },
        );
        assert!(loaded.is_ok(), "{:?}", loaded.err());
    }
}
