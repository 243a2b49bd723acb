//! One plugin: what is known of it, in which state it is, and who uses it.
//!
//! It does not load anything.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak, atomic::Ordering},
};

use candor_domain::{BreakerState, Clock, ComponentView, PluginPlace, PluginState, PluginTotals, PluginView};
use candor_plugin_abi as abi;

use super::{numbers::Numbers, opened::Opened, overdue::Overdue};
use crate::{
    host::Verified,
    manifest::Manifest,
    negotiate::Isolation,
    plugin::Plugin,
    refusal::{Reason, Refusal, Verdict},
    tables::ComponentInfo,
    worker::{Counts, Offer},
};

/// Where a plugin runs that is ready.
#[derive(Clone)]
pub(super) enum Running {
    /// Nowhere yet.
    Not,
    /// In this process.
    Here(Arc<Plugin>),
    /// In processes of its own, one at least for each component in use.
    Apart,
}

/// One plugin.
pub(super) struct Entry {
    name: String,
    /// None for one that is built in.
    folder: Option<PathBuf>,
    pub(super) counts: Arc<Counts>,
    pub(super) overdue: Overdue,
    known: RwLock<Known>,
    used: Mutex<Vec<Weak<Opened>>>,
    /// See [`Self::opening`].
    turns: RwLock<()>,
}

struct Known {
    place: PluginPlace,
    running: Running,
    /// The last attempt, if it failed.
    refusal: Option<Refusal>,
    manifest: Option<Manifest>,
    /// Of one that is built in; otherwise the manifest says it.
    version: Option<String>,
    sha256: Option<String>,
    pinned: bool,
    /// Of a plugin in processes of its own.
    generation: u64,
    deadline_ms: u64,
    offer: Option<Offer>,
    verified: Option<Arc<Verified>>,
}

/// A day. What is built in has no pin that could say more than a second, so only the request's own deadline counts.
const BUILT_IN_DEADLINE_MS: u64 = 24 * 60 * 60 * 1000;

impl Entry {
    fn new(name: &str, folder: Option<PathBuf>) -> Self {
        let place = if folder.is_none() { PluginPlace::BuiltIn } else { PluginPlace::Process };
        let known = Known {
            place,
            running: Running::Not,
            refusal: None,
            manifest: None,
            version: None,
            sha256: None,
            pinned: false,
            generation: 0,
            deadline_ms: if folder.is_none() { BUILT_IN_DEADLINE_MS } else { crate::Pin::DEADLINE_MS },
            offer: None,
            verified: None,
        };
        Self {
            name: name.to_owned(),
            folder,
            counts: Arc::default(),
            overdue: Overdue::default(),
            known: RwLock::new(known),
            used: Mutex::default(),
            turns: RwLock::default(),
        }
    }

    pub(super) fn built_in(name: &str) -> Self {
        Self::new(name, None)
    }

    pub(super) fn in_folder(name: &str, folder: PathBuf) -> Self {
        Self::new(name, Some(folder))
    }

    fn read<T>(&self, of: impl FnOnce(&Known) -> T) -> T {
        of(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.folder.is_none()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// # Errors
    /// For one that is built in.
    pub(super) fn folder(&self) -> Verdict<&Path> {
        let built_in = || {
            Refusal::new(Reason::NotAllowed, format!("{} is built into the server", self.name))
                .at(&self.name)
                .hint("it changes with the server alone")
        };
        self.folder.as_deref().ok_or_else(built_in)
    }

    /// A module that is compiled in is ready.
    pub(super) fn built(&self, version: String, plugin: Arc<Plugin>, offer: Offer) {
        self.change(|known| {
            known.version = Some(version);
            known.generation = 1;
            known.offer = Some(offer);
            known.running = Running::Here(plugin);
        });
    }

    /// What the folder of a plugin says that was turned down.
    pub(super) fn declared(&self, manifest: Manifest) {
        self.change(|known| known.manifest = Some(manifest));
    }

    /// It is ready.
    pub(super) fn ready(&self, verified: Verified, offer: Offer, running: Running, pinned: bool) {
        self.change(|known| known.running = running);
        self.renewed(verified, offer, pinned);
    }

    /// It is ready with this library.
    pub(super) fn renewed(&self, verified: Verified, offer: Offer, pinned: bool) {
        self.change(|known| {
            if known.sha256.as_deref() != Some(verified.sha256()) {
                known.generation += 1;
            }
            known.place = match verified.pin.isolation {
                Isolation::Process => PluginPlace::Process,
                Isolation::Inproc => PluginPlace::InProcess,
            };
            known.manifest = Some(verified.manifest.clone());
            known.sha256 = Some(verified.sha256().to_owned());
            known.deadline_ms = verified.pin.deadline_ms;
            known.pinned = pinned;
            known.offer = Some(offer);
            known.verified = Some(Arc::new(verified));
        });
    }

    /// How the last attempt went.
    pub(super) fn settle(&self, done: Verdict<()>) {
        if let Err(refusal) = &done {
            tracing::error!(plugin = %self.name, reason = refusal.reason().word(), "{}", refusal.error());
        }
        self.change(|known| known.refusal = done.err());
    }

    pub(super) fn is_ready(&self) -> bool {
        !matches!(self.running(), Running::Not)
    }

    pub(super) fn running(&self) -> Running {
        self.read(|known| known.running.clone())
    }

    /// The library that is used, and how.
    pub(super) fn verified(&self) -> Option<Arc<Verified>> {
        self.read(|known| known.verified.clone())
    }

    pub(super) fn deadline_ms(&self) -> u64 {
        self.read(|known| known.deadline_ms)
    }

    /// A component of a plugin that is ready.
    pub(super) fn component(&self, id: &str) -> Option<ComponentInfo> {
        let ready = self.is_ready();
        let offered = |known: &Known| known.offer.as_ref()?.components.iter().find(|one| one.id == id).cloned();
        self.read(offered).filter(|_| ready)
    }

    /// Why a plugin that would offer this is not ready.
    pub(super) fn would_offer(&self, id: &str) -> Option<String> {
        self.read(|known| {
            let declared = known.manifest.as_ref()?.component.iter().any(|one| one.id == id);
            known.refusal.as_ref().filter(|_| declared).map(ToString::to_string)
        })
    }

    /// The ids that it offers.
    pub(super) fn offered(&self) -> Vec<String> {
        let ids = |offer: &Offer| offer.components.iter().map(|one| one.id.clone()).collect();
        self.read(|known| known.offer.as_ref().map(ids).unwrap_or_default())
    }

    /// Version and digest of the library that is used.
    pub(super) fn origin(&self) -> (String, Option<String>) {
        self.read(|known| (known.version().unwrap_or_default().to_owned(), known.sha256.clone()))
    }

    /// Held while a component is opened, from the choice of the library until it counts as in use: whoever is not yet
    /// in the list would keep the old library.
    pub(super) fn opening(&self) -> RwLockReadGuard<'_, ()> {
        self.turns.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while another library takes over from this one, in all that are in use.
    pub(super) fn swapping(&self) -> RwLockWriteGuard<'_, ()> {
        self.turns.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers who uses it.
    pub(super) fn use_of(&self, opened: &Arc<Opened>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|one| one.strong_count() > 0);
        used.push(Arc::downgrade(opened));
    }

    /// The components in use.
    pub(super) fn in_use(&self) -> Vec<Arc<Opened>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn view(&self, clock: &dyn Clock, numbers: &Numbers) -> PluginView {
        let used = self.in_use();
        let breakers = used.iter().filter_map(|opened| opened.isolated()).map(|isolated| isolated.breaker());
        let count = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
        let totals = PluginTotals {
            calls: count(&self.counts.calls),
            errors: count(&self.counts.errors),
            deaths: count(&self.counts.deaths),
            starts: count(&self.counts.starts),
            leaked_threads: self.overdue.count(clock.now()),
            numbers_dropped: numbers.dropped(),
        };
        self.read(|known| {
            let (generation, mapped) = match &known.running {
                Running::Here(plugin) => (plugin.current().number as u64, plugin.mapped() as u64),
                Running::Apart | Running::Not => (known.generation, 0),
            };
            PluginView {
                name: self.name.clone(),
                state: known.state(),
                place: known.place,
                reason: known.refusal.as_ref().map(|refusal| (refusal.reason().word(), refusal.error().to_string())),
                version: known.version().map(str::to_owned),
                abi: known.manifest.as_ref().map(|manifest| manifest.abi.clone()),
                description: known.manifest.as_ref().map(|one| one.description.clone()).filter(|text| !text.is_empty()),
                sha256: known.sha256.clone(),
                pinned: known.pinned,
                generation,
                mapped,
                components: known.components(&used),
                totals,
                breaker: breakers.max_by_key(|state| *state as u8),
                numbers: numbers.list(),
            }
        })
    }
}

impl Known {
    fn state(&self) -> PluginState {
        match (&self.running, &self.refusal) {
            (Running::Here(_) | Running::Apart, _) => PluginState::Ready,
            (Running::Not, Some(refusal)) if refusal.reason().has_run() => PluginState::Failed,
            (Running::Not, _) => PluginState::Refused,
        }
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref().or_else(|| self.manifest.as_ref().map(|manifest| manifest.version.as_str()))
    }

    fn components(&self, used: &[Arc<Opened>]) -> Vec<ComponentView> {
        let view = |info: &ComponentInfo| ComponentView {
            id: info.id.clone(),
            kinds: info.kinds.clone(),
            config_schema: info.config_schema.clone(),
            concurrent: info.flags & abi::COMPONENT_CONCURRENT != 0,
            deterministic: info.flags & abi::COMPONENT_DETERMINISTIC != 0,
            in_use: used.iter().filter(|opened| opened.id() == info.id).count() as u64,
        };
        self.offer.iter().flat_map(|offer| &offer.components).map(view).collect()
    }
}

const _: () = assert!((BreakerState::Closed as u8) < (BreakerState::Open as u8), "the worst is the highest");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_may_take_as_long_as_its_request() {
        assert_eq!(Entry::built_in("a").deadline_ms(), 86_400_000);
        assert_eq!(Entry::in_folder("a", PathBuf::from("a")).deadline_ms(), crate::Pin::DEADLINE_MS);
    }
}
