//! Opens a version with room for it: from an engine's copy where there is one, else from its file; and has copies made.
//!
//! A copy stands for a file by its digest, so the file is read for that in any case, but not kept, scanned or handed to
//! an engine. Copies are made after loads that went well, on a thread of their own and only when the first round of
//! loads is over and there is room for it: nothing waits for them, and nobody has to leave for them.

use std::sync::{Arc, PoisonError, Weak, atomic::Ordering};

use candor_domain::{ModelSource, Result};
use crossbeam_channel::{Receiver, Sender};

use super::{Core, Opened, ReadyVersion, cold::Room, load::sha256_of};
use crate::{
    engines::Looked,
    repository::{FoundModel, FoundVersion},
};

/// Copies that wait to be made; what comes on top is made after a later load.
pub(super) const COPIES_QUEUED_MAX: usize = 1024;

/// A file of which an engine wants to make a copy.
pub(super) struct Wanted {
    engine: &'static str,
    model: FoundModel,
    found: FoundVersion,
    sha256: String,
    file_bytes: u64,
}

impl Core {
    /// Opens a version, from whatever is quickest.
    pub(super) fn open(&self, model: &FoundModel, found: &FoundVersion) -> Result<(Opened, Room)> {
        let file_bytes = self.repository.model_bytes(found)?;
        if let Some(looked) = self.look(model, file_bytes, None) {
            let sha256 = self.repository.model_sha256(found)?;
            let room = self.room_for(model, &sha256, file_bytes, || ())?;
            let opened = match looked.load(&sha256) {
                Some(chosen) => Opened::of_copy(chosen, sha256, file_bytes),
                None => Opened::open(&self.engines, &self.repository.read_model(found)?, model, found)?,
            };
            return Ok((opened, room));
        }
        let mut bytes = Some(self.repository.read_model(found)?);
        let sha256 = bytes.as_deref().filter(|_| !self.weights.is_empty()).map(sha256_of).unwrap_or_default();
        let room = self.room_for(model, &sha256, file_bytes, || bytes = None)?;
        let opened = match bytes {
            Some(bytes) => Opened::open(&self.engines, &bytes, model, found)?,
            None => Opened::open(&self.engines, &self.repository.read_model(found)?, model, found)?,
        };
        Ok((opened, room))
    }

    /// Begins to look for a copy, where a version is its graph alone.
    fn look(&self, model: &FoundModel, file_bytes: u64, sha256: Option<&str>) -> Option<Looked<'_>> {
        is_graph(model).then(|| self.engines.look(file_bytes, sha256, model.manifest.engine))?
    }

    /// Opens a file that was opened before, if it is still the same.
    pub(super) fn open_same(&self, model: &FoundModel, found: &FoundVersion, version: &ReadyVersion) -> Result<Opened> {
        if let Some(looked) = self.look(model, version.file_bytes, Some(&version.sha256)) {
            let sha256 = self.repository.model_sha256(found)?;
            if sha256 == version.sha256
                && let Some(chosen) = looked.load(&sha256)
            {
                return Ok(Opened::of_copy(chosen, sha256, version.file_bytes));
            }
        }
        Opened::open(&self.engines, &self.repository.read_model(found)?, model, found)
    }

    /// Has a copy made of a file that was loaded well, if an engine wants one, when the first round of loads is over.
    pub(super) fn keep_later(&self, model: &FoundModel, found: &FoundVersion, version: &ReadyVersion) {
        let engine = version.engine.name;
        if !is_graph(model) || !self.engines.wants_copy(engine, &version.sha256, version.file_bytes) {
            return;
        }
        let wanted = Wanted {
            engine,
            model: model.clone(),
            found: found.clone(),
            sha256: version.sha256.clone(),
            file_bytes: version.file_bytes,
        };
        let mut waiting = self.copies_postponed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.started.load(Ordering::SeqCst) {
            self.send_copy(wanted);
        } else {
            waiting.push(wanted);
        }
    }

    /// The first round of loads is over. What it and its copies leave is given back when those are made.
    pub(super) fn keep_postponed(&self) {
        let postponed = std::mem::take(&mut *self.copies_postponed.lock().unwrap_or_else(PoisonError::into_inner));
        postponed.into_iter().for_each(|wanted| self.send_copy(wanted));
        let _ = self.copies_wanted.try_send(Box::new(Self::trim));
    }

    fn send_copy(&self, wanted: Wanted) {
        // Where too many wait, the next load of the file will want it again.
        let _ = self.copies_wanted.try_send(Box::new(move |core| core.keep_now(&wanted)));
    }

    fn keep_now(&self, wanted: &Wanted) {
        let Wanted { engine, model, found, sha256, file_bytes } = wanted;
        let is_wanted = || self.engines.wants_copy(engine, sha256, *file_bytes);
        let need = self.need(sha256, *file_bytes, None, model);
        if !is_wanted() || self.keeper.as_ref().is_some_and(|keeper| !keeper.has_room(need.load_bytes)) {
            return;
        }
        // It takes what a load takes.
        let Ok(room) = self.room_for(model, sha256, *file_bytes, || ()) else { return };
        let made = self.repository.read_model(found).and_then(|bytes| {
            let source = ModelSource { bytes: &bytes, folder: &found.graph_folder() };
            self.engines.keep_copy(engine, source, sha256)
        });
        room.give_back(self);
        match made {
            Ok(()) => tracing::debug!(model = %model.name, version = %found.version, "a copy is kept"),
            Err(error) => tracing::debug!(model = %model.name, version = %found.version, "{error}"),
        }
    }
}

/// Whether the versions of a model are graphs and nothing besides: the digest of such a one is that of its file.
pub(super) fn is_graph(model: &FoundModel) -> bool {
    let manifest = &model.manifest;
    manifest.plugin.is_none() && manifest.ensemble.is_none() && manifest.stages.is_empty()
}

/// Starts the thread that has copies made; it ends when the registry does.
pub(super) fn start_thread(core: &Arc<Core>, inbox: Receiver<Aside>) -> std::io::Result<()> {
    let weak: Weak<Core> = Arc::downgrade(core);
    let before_work = [core.settings.before_load, core.settings.before_later_load];
    std::thread::Builder::new().name("candor-keep".into()).spawn(move || {
        before_work.iter().for_each(|before| before());
        for work in inbox {
            let Some(core) = weak.upgrade() else { break };
            // A panic is a fault of the engine's, and costs a copy.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&core)));
        }
    })?;
    Ok(())
}

/// What is done beside loads. In a box: room for all that may wait is taken at the start.
pub(super) type Aside = Box<dyn FnOnce(&Core) + Send>;

/// Where copies that are wanted are sent.
pub(super) type CopiesWanted = Sender<Aside>;
