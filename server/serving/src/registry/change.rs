//! Load, unload, poll: what a model's ready versions become.
//!
//! Runs on the load pool, one thread per model at a time. New versions are made ready and published
//! before old ones drain; if any fails, nothing that served before is taken away.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use candor_domain::{Error, ErrorCode, Lifecycle, ModelName, Result, Version};

use super::{Core, Snapshot, Versions};
use crate::repository::{Fingerprint, FoundModel, VersionPolicy};

impl Core {
    /// Publishes a change of one model's ready versions; an empty map takes the model out.
    pub(super) fn publish(&self, model: &ModelName, versions: &Versions) {
        self.snapshot.rcu(|before| {
            let mut models = before.models.clone();
            if versions.is_empty() {
                models.remove(model);
            } else {
                models.insert(model.clone(), versions.clone());
            }
            Arc::new(Snapshot { models })
        });
    }

    /// The right to change one model.
    fn turn(&self, name: &ModelName) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.clone()).or_default())
    }

    pub(super) fn load_now(&self, name: &ModelName, policy: Option<&VersionPolicy>) -> Result<()> {
        let outcome = self.load_one(name, policy);
        // The first round is saved as a whole.
        if self.started.load(Ordering::SeqCst) {
            self.record.save();
            self.findings.save();
        }
        outcome
    }

    fn load_one(&self, name: &ModelName, policy: Option<&VersionPolicy>) -> Result<()> {
        let turn = self.turn(name);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.find(name).and_then(|found| self.load_found(&found, policy));
        if let Err(error) = &outcome {
            tracing::error!(model = %name, "load failed: {error}");
        }
        outcome
    }

    fn find(&self, name: &ModelName) -> Result<FoundModel> {
        let found = self.repository.find(name);
        match &found {
            Ok(found) => {
                for reason in &found.ignored {
                    tracing::warn!(model = %name, "ignored: {reason}");
                }
                let mut book = self.book();
                book.seen(name, seen(found), None);
                book.keep(name, |version| found.versions.iter().any(|found| found.version == *version));
            }
            Err(error) if error.code() != ErrorCode::NotFound => {
                let mut book = self.book();
                book.seen(name, Vec::new(), Some(error.clone()));
                book.keep(name, |version| self.repository.has_version(name, version));
            }
            Err(_) => self.book().gone(name),
        }
        found
    }

    fn load_found(&self, found: &FoundModel, policy: Option<&VersionPolicy>) -> Result<()> {
        let name = &found.name;
        let policy = policy.or(found.manifest.versions.as_ref()).unwrap_or(&self.settings.version_policy);
        let wanted = found.served(policy).inspect_err(|error| {
            self.book().seen(name, seen(found), Some(error.clone()));
        })?;
        let before = self.snapshot.load().models.get(name).cloned().unwrap_or_default();
        let mut after = before.clone();
        let (mut failures, mut told, mut fresh) = (Vec::new(), BTreeSet::new(), Vec::new());
        for found_version in found.versions.iter().filter(|found| wanted.contains(&found.version)) {
            let version = &found_version.version;
            if before.get(version).is_some_and(|ready| ready.fingerprint == found_version.fingerprint) {
                // A reload that failed may have left its reason; this file is the one that serves.
                self.book().note(name, version, "");
                continue;
            }
            self.note_loading(name, version);
            match self.make_ready(found, found_version) {
                Ok(ready) => {
                    for note in ready.origin.notes.iter().filter(|note| told.insert((*note).clone())) {
                        tracing::info!(model = %name, "{note}");
                    }
                    let from = if ready.is_copy { "copy" } else { "file" };
                    tracing::info!(model = %name, %version, engine = ready.engine.name, from, load_ms = ready.load_ms, "ready");
                    let ready = Arc::new(ready);
                    ready.bind();
                    fresh.push((found_version, Arc::clone(&ready)));
                    after.insert(version.clone(), ready);
                }
                Err(error) => {
                    self.note_failed(name, version, &error);
                    failures.push(format!("version {version}: {error}"));
                }
            }
        }
        if failures.is_empty() {
            after.retain(|version, _| wanted.contains(version));
        }
        self.replace(name, &before, &after);
        for (found_version, ready) in fresh {
            self.check_later(found, found_version, &ready);
            self.keep_later(found, found_version, &ready);
        }
        if failures.is_empty() {
            return Ok(());
        }
        let kept: Vec<_> = after.keys().map(Version::as_str).collect();
        let error = Error::model(format!("model '{name}' could not be loaded: {}", failures.join("; ")));
        Err(if kept.is_empty() { error } else { error.hint(format!("still serving: {}", kept.join(", "))) })
    }

    fn note_loading(&self, name: &ModelName, version: &Version) {
        let mut book = self.book();
        // A version that is ready stays so while its successor is made; one that drains is, to the
        // world, gone once its successor begins to load.
        if book.state(name, version) == Lifecycle::Draining {
            book.departed(name, version);
        }
        if book.state(name, version) != Lifecycle::Ready {
            book.step(name, version, Lifecycle::Loading, "");
        }
    }

    fn note_failed(&self, name: &ModelName, version: &Version, error: &Error) {
        let mut book = self.book();
        if book.state(name, version) == Lifecycle::Ready {
            book.note(name, version, &format!("still serving the previous file; reload failed: {error}"));
        } else {
            book.step(name, version, Lifecycle::Failed, &error.to_string());
        }
    }

    /// Publishes `after`, books it, and drains what `before` had and `after` has not.
    fn replace(&self, name: &ModelName, before: &Versions, after: &Versions) {
        self.publish(name, after);
        let mut book = self.book();
        for (version, ready) in after {
            if before.get(version).is_some_and(|old| Arc::ptr_eq(old, ready)) {
                continue;
            }
            if book.state(name, version) == Lifecycle::Loading {
                book.step(name, version, Lifecycle::Ready, "");
            }
            book.note(name, version, "");
        }
        for version in before.keys().filter(|version| !after.contains_key(*version)) {
            book.step(name, version, Lifecycle::Draining, "draining");
        }
        drop(book);
        for (version, old) in before {
            if !after.get(version).is_some_and(|ready| Arc::ptr_eq(old, ready)) {
                old.retire();
                old.forget_seat();
            }
        }
    }

    pub(super) fn unload_now(&self, name: &ModelName) -> Result<()> {
        let turn = self.turn(name);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot.load().models.get(name).cloned().unwrap_or_default();
        if before.is_empty() && !self.repository.has(name) {
            return Err(Error::new(ErrorCode::NotFound, format!("there is no model '{name}'")));
        }
        self.replace(name, &before, &Versions::new());
        if !self.repository.has(name) {
            self.book().gone(name);
        }
        tracing::info!(model = %name, "unloaded");
        Ok(())
    }

    /// Takes a model out of service that the repository no longer has, and forgets it.
    fn remove_now(&self, name: &ModelName) {
        let turn = self.turn(name);
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot.load().models.get(name).cloned().unwrap_or_default();
        self.replace(name, &before, &Versions::new());
        self.book().gone(name);
        tracing::info!(model = %name, "gone from the repository");
    }

    pub(super) fn poll_now(&self) -> Result<()> {
        let (names, _) = self.names()?;
        let present: BTreeSet<_> = names.iter().cloned().collect();
        let gone: Vec<_> = self.book().models().into_iter().filter(|name| !present.contains(name)).collect();
        gone.iter().for_each(|name| self.remove_now(name));
        for name in names {
            let changed = match self.repository.find(&name) {
                Ok(found) => !self.book().has_seen(&name, &seen(&found)),
                Err(_) => !self.book().has_seen(&name, &[]),
            };
            if changed {
                let _ = self.load_one(&name, None);
            }
        }
        self.record.save();
        self.findings.save();
        Ok(())
    }
}

fn seen(found: &FoundModel) -> Vec<(Version, Fingerprint)> {
    found.versions.iter().map(|found| (found.version.clone(), found.fingerprint.clone())).collect()
}
