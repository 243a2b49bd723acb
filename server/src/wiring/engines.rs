//! The engines of this build, and what they need of the machine: libraries, copies of model files, components of plugins.
//!
//! It decides which engines there are and not which of them runs a model.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use candor_domain::{Components, Result};
#[cfg(not(feature = "tract"))]
use candor_domain::{Error, ErrorCode};
use candor_engine_native::NativeEngine;
use candor_engine_ort::{CopySettings, OrtEngine};
use candor_plugin_host::Catalog;
use candor_serving::{EngineChoice, Engines};

use crate::{config::Settings, data::DataFolder, priority};

/// The engines with the plugins' components; says which engines are not there.
pub(super) fn with_plugins(engines: Engines, plugins: &Arc<Catalog>) -> Engines {
    for absent in engines.absent() {
        tracing::warn!("serving without the engine {}: {}", absent.name, absent.why);
    }
    let components: Arc<dyn Components> = Arc::<Catalog>::clone(plugins);
    engines.with_components(components)
}

/// The engines that serve, best first; the command line checks models on the same ones. A word that names an engine
/// wants it to be there; without one, an engine that is not there is done without.
pub(crate) fn engines(settings: &Settings) -> Result<Engines> {
    engines_with(settings, None)
}

/// Where copies of model files are kept, if they are. Only by a server: it alone holds its data folder.
pub(super) fn copies(settings: &Settings) -> Option<CopySettings> {
    let cold_start = &settings.residency.cold_start;
    let of_data = || settings.data_dir.as_deref().map(DataFolder::copies);
    let folder = cold_start.folder.clone().or_else(of_data).filter(|_| cold_start.copies)?;
    Some(CopySettings {
        folder,
        bytes_max: cold_start.copies_bytes_max,
        model_bytes_min: cold_start.model_bytes_min,
        twin_bytes_min: cold_start.twin_bytes_min.unwrap_or(u64::MAX),
        step_back: if settings.threads.load_steps_back { background } else { || () },
    })
}

/// What a thread does that works for nobody who waits.
fn background() {
    priority::load_steps_back();
    priority::load_leaves_a_core();
}

/// What each thread does that loads.
pub(super) fn before_load(settings: &Settings) -> fn() {
    if settings.threads.load_steps_back { priority::load_steps_back } else { || () }
}

pub(super) fn engines_with(settings: &Settings, copies: Option<CopySettings>) -> Result<Engines> {
    let choice = settings.engine;
    let mut engines = Engines::default();
    if choice.admits("ort") {
        let library = settings.ort_library.as_deref();
        engines = match OrtEngine::try_new(library, &library_folders(), settings.threads.intra_op) {
            Ok(engine) => engines.with(Arc::new(match copies {
                Some(copies) => engine.with_copies(copies),
                None => engine,
            })),
            Err(error) if choice == EngineChoice::Auto => engines.without("ort", error),
            Err(error) => return Err(error),
        };
    }
    if choice.admits("native") {
        engines = engines.with(Arc::new(NativeEngine::new()));
    }
    if choice.admits("tract") {
        engines = with_tract(engines, choice)?;
    }
    Ok(engines)
}

/// Whether this build has the engine tract.
pub const HAS_TRACT: bool = cfg!(feature = "tract");

#[cfg(feature = "tract")]
fn with_tract(engines: Engines, _: EngineChoice) -> Result<Engines> {
    Ok(engines.with(Arc::new(candor_engine_tract::TractEngine::new())))
}

/// A build for light work: who does not ask for tract does without it.
#[cfg(not(feature = "tract"))]
fn with_tract(engines: Engines, choice: EngineChoice) -> Result<Engines> {
    if choice == EngineChoice::Tract {
        return Err(Error::new(ErrorCode::Unsupported, "this build has no engine called tract")
            .hint("build candor with its default features, or take --engine native"));
    }
    Ok(engines)
}

/// Where an engine's library is looked for before the system's folders: beside the binary, and in `../lib`.
pub(crate) fn library_folders() -> Vec<PathBuf> {
    let binary = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    let beside = binary.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    beside.iter().cloned().chain(beside.iter().map(|folder| folder.join("../lib"))).collect()
}
