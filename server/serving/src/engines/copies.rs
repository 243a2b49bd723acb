//! Copies that engines keep of files: found before a file is read, made after it was loaded well.
//!
//! The order of preference holds for copies as it does for files: where an engine that keeps none comes first, the file
//! has to be shown to it.

use candor_domain::{Copies, Engine, ErrorCode, FoundCopy, ModelSource, Result};

use super::{Chosen, EngineChoice, Engines, PassedOver, Place, panics::caught};

/// A copy that may be that of a file whose digest is not known yet.
pub(crate) struct Looked<'a> {
    found: Box<dyn FoundCopy + 'a>,
    engine: &'a dyn Engine,
    passed_over: Vec<PassedOver>,
}

impl Looked<'_> {
    /// A session of the copy, if it is that of the file with this digest and whole.
    pub(crate) fn load(self, sha256: &str) -> Option<Chosen> {
        let Self { found, engine, passed_over } = self;
        let loaded = caught(ErrorCode::EngineFailed, || Ok(found.load(sha256)));
        Some(Chosen { loaded: loaded.ok()??, engine: engine.info().clone(), passed_over })
    }
}

impl Engines {
    /// Begins to look for a copy of a file of this size, while the caller reads the file for its digest; only for one of
    /// the file with a digest, where that is known.
    pub(crate) fn look(&self, file_bytes: u64, sha256: Option<&str>, choice: EngineChoice) -> Option<Looked<'_>> {
        let mut passed_over = Vec::new();
        for place in self.places.iter().filter(|place| choice.admits(place.name())) {
            match place {
                Place::Absent(absent) => {
                    passed_over.push(PassedOver { engine: absent.name, why: absent.why.what().to_owned() });
                }
                Place::Present(engine) => {
                    let found = engine.copies()?.look(file_bytes, sha256)?;
                    return Some(Looked { found, engine: &**engine, passed_over });
                }
            }
        }
        None
    }

    fn copies_of(&self, engine: &str) -> Option<&dyn Copies> {
        self.present().find(|present| present.info().name == engine)?.copies()
    }

    /// Whether an engine should be given a file again, to make a copy of it.
    pub(crate) fn wants_copy(&self, engine: &str, sha256: &str, file_bytes: u64) -> bool {
        self.copies_of(engine).is_some_and(|copies| copies.wants(sha256, file_bytes))
    }

    /// Has an engine make a copy of a file that it has loaded before.
    pub(crate) fn keep_copy(&self, engine: &str, source: ModelSource<'_>, sha256: &str) -> Result<()> {
        match self.copies_of(engine) {
            Some(copies) => caught(ErrorCode::EngineFailed, || copies.keep(source, sha256)),
            None => Ok(()),
        }
    }

    /// Bytes that a session takes beyond what was measured without copies.
    pub(crate) fn beside_bytes(&self, file_bytes: u64) -> u64 {
        let beside = self.present().filter_map(|engine| engine.copies()).map(|copies| copies.beside_bytes(file_bytes));
        beside.max().unwrap_or(0)
    }
}
