//! The engines that there are, in order of preference, and which of them runs a version.
//!
//! Wiring fills the roster; the registry asks it for every version. The first engine that takes a file runs
//! it: `Unsupported` from [`Engine::load`] means "a good file, not for me", and the next one is tried. Any other
//! refusal is of the file, and ends the search. Knows engines by their names alone.
//!
//! | module | what it does |
//! |---|---|
//! | `choice` | the words that narrow the roster |
//! | `copies` | copies that engines keep of files, so that later loads are quick |
//! | `panics` | panics of engines, caught and kept off the terminal |
//! | `record` | which engine ran which file, kept over restarts |

mod choice;
mod copies;
mod panics;
mod record;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use candor_domain::{Components, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, Result};
use serde::{Deserialize, Serialize};

use crate::stages::ensemble::Source;

pub use choice::EngineChoice;
pub(crate) use copies::Looked;
pub(crate) use panics::caught;
pub use panics::keep_panics_off_the_terminal;
pub use record::{EngineRecord, Remembered};

/// An engine by name and version, as the record and descriptions have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineId {
    /// Short name, such as `ort`.
    pub name: String,
    /// Version of its runtime.
    pub version: String,
}

impl From<&EngineInfo> for EngineId {
    fn from(info: &EngineInfo) -> Self {
        Self { name: info.name.to_owned(), version: info.version.clone() }
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// An engine that comes before the one that was chosen, and why it was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name.
    pub engine: &'static str,
    /// Why it does not run the version.
    pub why: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.engine, self.why)
    }
}

/// An engine that could have been there.
#[derive(Debug, Clone)]
pub struct AbsentEngine {
    /// Its name.
    pub name: &'static str,
    /// Why it is not there, with everything that was tried and how to get it.
    pub why: Error,
}

/// A place in the order of preference.
enum Place {
    Present(Arc<dyn Engine>),
    Absent(AbsentEngine),
}

/// The engines in order of preference.
#[derive(Default)]
pub struct Engines {
    places: Vec<Place>,
    components: Option<Arc<dyn Components>>,
    /// Where members of ensembles come from; known once there is a registry.
    members: OnceLock<Arc<dyn Source>>,
}

/// A file that an engine took.
pub struct Chosen {
    /// The session and what the graph says.
    pub loaded: LoadedModel,
    /// Who runs it.
    pub engine: EngineInfo,
    /// Engines that come before.
    pub passed_over: Vec<PassedOver>,
}

impl Engines {
    /// One engine and no other.
    #[must_use]
    pub fn one(engine: Arc<dyn Engine>) -> Self {
        Self::default().with(engine)
    }

    /// The same with an engine behind all others.
    #[must_use]
    pub fn with(mut self, engine: Arc<dyn Engine>) -> Self {
        self.places.push(Place::Present(engine));
        self
    }

    /// The same with the knowledge, in its place, that an engine is not there. The sentence of `why` is short;
    /// what to do about it stands in its hint.
    #[must_use]
    pub fn without(mut self, name: &'static str, why: Error) -> Self {
        self.places.push(Place::Absent(AbsentEngine { name, why }));
        self
    }

    /// The same with components, for models that are made of some beside an engine, or in its place.
    #[must_use]
    pub fn with_components(mut self, components: Arc<dyn Components>) -> Self {
        self.components = Some(components);
        self
    }

    /// From now on models may be made of others.
    pub(crate) fn set_members(&self, members: Arc<dyn Source>) {
        let _ = self.members.set(members);
    }

    /// Where members of ensembles come from; nowhere without a registry.
    pub(crate) fn members(&self) -> Option<&Arc<dyn Source>> {
        self.members.get()
    }

    /// Who opens components; nobody on a server that hosts no plugins.
    #[must_use]
    pub fn components(&self) -> Option<&Arc<dyn Components>> {
        self.components.as_ref()
    }

    /// Those that are there.
    pub fn present(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.places.iter().filter_map(|place| match place {
            Place::Present(engine) => Some(engine),
            Place::Absent(_) => None,
        })
    }

    /// What those are that are there.
    pub fn infos(&self) -> impl Iterator<Item = &EngineInfo> {
        self.present().map(|engine| engine.info())
    }

    /// Those that are not.
    pub fn absent(&self) -> impl Iterator<Item = &AbsentEngine> {
        self.places.iter().filter_map(|place| match place {
            Place::Present(_) => None,
            Place::Absent(absent) => Some(absent),
        })
    }

    /// Gives the file to one engine after the other, as far as `choice` admits them, until one takes it.
    ///
    /// # Errors
    /// `InvalidModel`: what one engine found wrong with the file, or what each had against it.
    pub fn load(&self, source: ModelSource<'_>, choice: EngineChoice) -> Result<Chosen> {
        self.seek(source, choice, None).map_err(|error| error.with_code(ErrorCode::InvalidModel))
    }

    /// As [`Self::load`], for a second engine beside the one called `first`, which is not asked.
    ///
    /// # Errors
    /// `Unsupported` when no other engine takes the file, `InvalidModel` when one finds it wrong.
    pub fn load_second(&self, source: ModelSource<'_>, choice: EngineChoice, first: &str) -> Result<Chosen> {
        self.seek(source, choice, Some(first))
    }

    fn seek(&self, source: ModelSource<'_>, choice: EngineChoice, except: Option<&str>) -> Result<Chosen> {
        let (mut passed_over, mut last) = (Vec::new(), None);
        for place in self.places.iter().filter(|place| choice.admits(place.name()) && Some(place.name()) != except) {
            let engine = match place {
                Place::Absent(absent) => {
                    passed_over.push(PassedOver { engine: absent.name, why: absent.why.what().to_owned() });
                    continue;
                }
                Place::Present(engine) => engine,
            };
            // A panic is a fault of the engine, not of the file: the next one is tried.
            let error = match caught(ErrorCode::Unsupported, || engine.load(source)) {
                Ok(loaded) => return Ok(Chosen { loaded, engine: engine.info().clone(), passed_over }),
                Err(error) => error,
            };
            if error.code() != ErrorCode::Unsupported {
                return Err(with_history(error, &passed_over));
            }
            passed_over.push(PassedOver { engine: engine.info().name, why: error.to_string() });
            last = Some(error);
        }
        Err(self.nobody(&passed_over, last, choice))
    }

    /// No engine took it.
    fn nobody(&self, passed_over: &[PassedOver], last: Option<Error>, choice: EngineChoice) -> Error {
        let nobody = |what| Error::new(ErrorCode::Unsupported, what);
        match (passed_over, last) {
            ([], _) => nobody(format!("no engine is left for it: engine = \"{choice}\""))
                .expected(format!("one of those that this server has: {}", self.names())),
            // What the only engine has against it needs no list around it.
            ([_], Some(error)) => error,
            (several, _) => {
                let error = nobody(format!("no engine takes the file: {}", joined(several)));
                match self.absent().find_map(|absent| absent.why.details().hint) {
                    Some(hint) => error.hint(hint.trim().to_owned()),
                    None => error,
                }
            }
        }
    }

    fn names(&self) -> String {
        self.infos().map(|info| info.name).collect::<Vec<_>>().join(", ")
    }
}

impl Place {
    fn name(&self) -> &'static str {
        match self {
            Self::Present(engine) => engine.info().name,
            Self::Absent(absent) => absent.name,
        }
    }
}

/// One line of all that were passed over.
#[must_use]
pub fn joined(passed_over: &[PassedOver]) -> String {
    passed_over.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A file that is wrong is wrong for all; whoever reads it should know who was asked before.
fn with_history(error: Error, passed_over: &[PassedOver]) -> Error {
    let asked: Vec<&str> = passed_over.iter().map(|passed| passed.engine).collect();
    if asked.is_empty() { error } else { error.with_suffix(&format!(" (not run by {})", asked.join(", "))) }
}

#[cfg(test)]
mod tests;
