//! The state of every version in the repository or in memory, for the index and for messages; and counters
//! that outlive a reload and the version itself. Looked at only off the hot path.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
    sync::{Arc, MutexGuard},
};

use arc_swap::ArcSwap;
use candor_domain::{Error, ErrorCode, Lifecycle, ModelName, Version};

use crate::{facts::Facts, repository::Fingerprint};

/// One line of the repository index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The model.
    pub model: ModelName,
    /// The version; `None` when none is known, such as for a model that was never loaded.
    pub version: Option<Version>,
    /// Its state.
    pub state: Lifecycle,
    /// Why it is in that state; empty when all is well.
    pub reason: String,
}

/// What the book comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Versions that are ready.
    pub ready: usize,
    /// Models that failed, or of which a version did, in order of their names.
    pub failed: Vec<ModelName>,
}

/// The book while somebody reads or writes it; what was written is summed up before it is closed.
pub(super) struct OpenBook<'a> {
    book: MutexGuard<'a, Book>,
    standing: &'a ArcSwap<Standing>,
    is_written: bool,
}

impl<'a> OpenBook<'a> {
    pub(super) fn new(book: MutexGuard<'a, Book>, standing: &'a ArcSwap<Standing>) -> Self {
        Self { book, standing, is_written: false }
    }
}

impl Deref for OpenBook<'_> {
    type Target = Book;

    fn deref(&self) -> &Book {
        &self.book
    }
}

impl DerefMut for OpenBook<'_> {
    fn deref_mut(&mut self) -> &mut Book {
        self.is_written = true;
        &mut self.book
    }
}

impl Drop for OpenBook<'_> {
    fn drop(&mut self) {
        if self.is_written {
            // Still under the lock, so that an older sum never comes after a newer one.
            self.standing.store(Arc::new(self.book.standing()));
        }
    }
}

#[derive(Default)]
pub(super) struct Book {
    pages: BTreeMap<ModelName, Page>,
    in_repository: BTreeSet<ModelName>,
}

#[derive(Default)]
struct Page {
    versions: BTreeMap<Version, Line>,
    /// Counters of every version that was ever ready: whoever adds them up must not see them fall.
    facts: BTreeMap<Version, Arc<Facts>>,
    /// Why the model as a whole could not be looked at.
    trouble: Option<Error>,
    /// What the last attempt to load saw, so that polling does not try the same broken files again.
    seen: Vec<(Version, Fingerprint)>,
}

struct Line {
    state: Lifecycle,
    reason: String,
    /// No longer in the repository: forgotten when it has left memory.
    gone: bool,
}

impl Page {
    /// Whether the index says anything of it; of a model that is gone only counters are left.
    fn is_told(&self) -> bool {
        !self.versions.is_empty() || self.trouble.is_some()
    }
}

impl Book {
    /// Remembers which models there are.
    pub(super) fn in_repository(&mut self, names: &[ModelName]) {
        self.in_repository = names.iter().cloned().collect();
    }

    /// Whether a model lies in the repository and nobody has tried to load it.
    pub(super) fn is_untouched(&self, name: &ModelName) -> bool {
        self.is_in_repository(name) && !self.pages.get(name).is_some_and(Page::is_told)
    }

    /// Whether a model was there at the last look.
    pub(super) fn is_in_repository(&self, name: &ModelName) -> bool {
        self.in_repository.contains(name)
    }

    fn line(&mut self, model: &ModelName, version: &Version) -> &mut Line {
        let page = self.pages.entry(model.clone()).or_default();
        page.versions.entry(version.clone()).or_insert_with(|| Line {
            state: Lifecycle::Discovered,
            reason: String::new(),
            gone: false,
        })
    }

    /// Moves a version along its life; a step that is not a written transition is a fault of ours.
    pub(super) fn step(&mut self, model: &ModelName, version: &Version, next: Lifecycle, reason: &str) {
        let line = self.line(model, version);
        debug_assert!(line.state.may_become(next), "{model}/{version}: {:?} became {next:?}", line.state);
        if !line.state.may_become(next) {
            tracing::error!(%model, %version, from = line.state.word(), to = next.word(), "unwritten transition");
        }
        line.state = next;
        line.reason = reason.to_owned();
    }

    /// A version leaves memory; one that a newer load has made ready again stays so.
    pub(super) fn departed(&mut self, model: &ModelName, version: &Version) {
        if self.line(model, version).state == Lifecycle::Draining {
            self.step(model, version, Lifecycle::Unloaded, "unloaded");
            self.forget_if_gone(model);
        }
    }

    /// Forgets the versions that the repository no longer has, at once or when they have left memory.
    pub(super) fn keep(&mut self, model: &ModelName, is_there: impl Fn(&Version) -> bool) {
        if let Some(page) = self.pages.get_mut(model) {
            page.versions.iter_mut().for_each(|(version, line)| line.gone = !is_there(version));
            self.forget_if_gone(model);
        }
    }

    fn forget_if_gone(&mut self, model: &ModelName) {
        let at_rest = |line: &Line| match line.state {
            Lifecycle::Discovered | Lifecycle::Unloaded | Lifecycle::Failed => true,
            Lifecycle::Loading | Lifecycle::Ready | Lifecycle::Draining => false,
        };
        if let Some(page) = self.pages.get_mut(model) {
            page.versions.retain(|_, line| !(line.gone && at_rest(line)));
        }
    }

    /// A model that the repository no longer has.
    pub(super) fn gone(&mut self, model: &ModelName) {
        self.in_repository.remove(model);
        // Should it come back just as it was, it is new all the same.
        self.seen(model, Vec::new(), None);
        self.keep(model, |_| false);
    }

    pub(super) fn state(&mut self, model: &ModelName, version: &Version) -> Lifecycle {
        self.line(model, version).state
    }

    /// Notes something about a version whose state does not change, such as a reload that failed.
    pub(super) fn note(&mut self, model: &ModelName, version: &Version, reason: &str) {
        reason.clone_into(&mut self.line(model, version).reason);
    }

    /// The counters of a version, made when first asked for.
    pub(super) fn facts_of(&mut self, model: &ModelName, version: &Version, threads: usize) -> Arc<Facts> {
        let facts = &mut self.pages.entry(model.clone()).or_default().facts;
        Arc::clone(facts.entry(version.clone()).or_insert_with(|| Arc::new(Facts::new(threads))))
    }

    /// Remembers what an attempt to load saw, and whether the model as a whole was in trouble.
    pub(super) fn seen(&mut self, model: &ModelName, seen: Vec<(Version, Fingerprint)>, trouble: Option<Error>) {
        let page = self.pages.entry(model.clone()).or_default();
        page.seen = seen;
        page.trouble = trouble;
    }

    pub(super) fn has_seen(&self, model: &ModelName, seen: &[(Version, Fingerprint)]) -> bool {
        self.pages.get(model).is_some_and(|page| page.seen == seen)
    }

    /// Models of which something is said.
    pub(super) fn models(&self) -> Vec<ModelName> {
        self.pages.iter().filter(|(_, page)| page.is_told()).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn facts(&self) -> Vec<(ModelName, Version, Arc<Facts>)> {
        let all = self.pages.iter().flat_map(|(model, page)| page.facts.iter().map(move |facts| (model, facts)));
        all.map(|(model, (version, facts))| (model.clone(), version.clone(), Arc::clone(facts))).collect()
    }

    /// How many are ready, and who failed.
    fn standing(&self) -> Standing {
        let is = |line: &Line, state: Lifecycle| line.state == state;
        let failed =
            |page: &Page| page.trouble.is_some() || page.versions.values().any(|line| is(line, Lifecycle::Failed));
        let lines = self.pages.values().flat_map(|page| page.versions.values());
        Standing {
            ready: lines.filter(|line| is(line, Lifecycle::Ready)).count(),
            failed: self.pages.iter().filter(|(_, page)| failed(page)).map(|(name, _)| name.clone()).collect(),
        }
    }

    /// The index over what was seen and over `in_repository`.
    pub(super) fn index(&self, in_repository: &[ModelName]) -> Vec<IndexEntry> {
        let mut entries = Vec::new();
        let is_told = |name: &ModelName| self.pages.get(name).is_some_and(Page::is_told);
        let unseen = in_repository.iter().filter(|name| !is_told(name));
        entries.extend(unseen.map(|name| IndexEntry {
            model: name.clone(),
            version: None,
            state: Lifecycle::Discovered,
            reason: "not loaded".to_owned(),
        }));
        for (model, page) in &self.pages {
            if let Some(trouble) = &page.trouble {
                let entry = IndexEntry {
                    model: model.clone(),
                    version: None,
                    state: Lifecycle::Failed,
                    reason: trouble.to_string(),
                };
                entries.push(entry);
            }
            entries.extend(page.versions.iter().map(|(version, line)| IndexEntry {
                model: model.clone(),
                version: Some(version.clone()),
                state: line.state,
                reason: line.reason.clone(),
            }));
        }
        entries.sort_by(|a, b| (&a.model, &a.version).cmp(&(&b.model, &b.version)));
        entries
    }

    /// Why a version (or all versions of a model) cannot be leased, as far as the book knows.
    pub(super) fn why_not(&self, model: &ModelName, version: Option<&Version>) -> Option<Error> {
        let page = self.pages.get(model)?;
        let relevant = |(known, line): &(&Version, &Line)| !line.gone && version.is_none_or(|wanted| *known == wanted);
        let lines: Vec<_> = page.versions.iter().filter(relevant).collect();
        let not_ready = |what: String| Error::new(ErrorCode::NotReady, what);
        if let Some((version, _)) = lines.iter().find(|(_, line)| line.state == Lifecycle::Loading) {
            return Some(not_ready(format!("model '{model}' version {version} is loading")).retry_after_s(1));
        }
        if let Some((version, line)) = lines.iter().rev().find(|(_, line)| line.state == Lifecycle::Failed) {
            return Some(not_ready(format!("model '{model}' version {version} could not be loaded: {}", line.reason)));
        }
        if let (Some(trouble), true) = (&page.trouble, lines.is_empty() || version.is_none()) {
            return Some(not_ready(format!("model '{model}' could not be loaded: {trouble}")));
        }
        let (version, line) = lines.last()?;
        match line.state {
            Lifecycle::Discovered | Lifecycle::Draining | Lifecycle::Unloaded => Some(
                not_ready(format!("model '{model}' version {version} is not loaded ({})", line.state.word()))
                    .hint(format!("load it: POST /v2/repository/models/{model}/load")),
            ),
            Lifecycle::Loading | Lifecycle::Failed | Lifecycle::Ready => None,
        }
    }
}
