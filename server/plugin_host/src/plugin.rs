//! One plugin: the generations of its library that this process has loaded, and the components in use.
//!
//! A library is never unloaded, so each change of the file costs memory for good; their number has a cap. After `host`,
//! which finds and verifies. It does not know files.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::{
    instance::Instance,
    live::Live,
    refusal::{Reason, Refusal, Verdict},
    services::HostTable,
    tables::{CheckedModule, Component},
};

/// One library of a plugin, loaded.
pub struct Generation {
    /// Its number, from 1.
    pub number: usize,
    /// The digest of its library; empty for a module that is compiled in.
    pub sha256: String,
    /// The manifest's version.
    pub version: String,
    /// What it offers.
    pub module: CheckedModule,
}

/// A plugin.
pub struct Plugin {
    name: String,
    host: HostTable,
    generations_max: usize,
    /// Held while a component is taken into use or a generation becomes the current one: neither misses the other.
    changing: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    /// All that were loaded, the current one last.
    generations: Vec<Arc<Generation>>,
    current: Arc<Generation>,
    lives: Vec<Weak<Live>>,
}

impl Plugin {
    pub(crate) fn new(name: &str, host: HostTable, generations_max: usize, first: Generation) -> Self {
        let first = Arc::new(first);
        let state = State { generations: vec![Arc::clone(&first)], current: first, lives: Vec::new() };
        Self { name: name.to_owned(), host, generations_max, changing: Mutex::new(()), state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The generation that new instances are made of.
    #[must_use]
    pub fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.state().current)
    }

    /// How many generations are mapped into this process.
    #[must_use]
    pub fn mapped(&self) -> usize {
        self.state().generations.len()
    }

    /// A loaded generation with this digest.
    pub(crate) fn known(&self, sha256: &str) -> Option<Arc<Generation>> {
        self.state().generations.iter().find(|generation| generation.sha256 == sha256).map(Arc::clone)
    }

    /// Whether one more may be loaded.
    ///
    /// # Errors
    /// `Generations`.
    pub(crate) fn room(&self) -> Verdict<usize> {
        let mapped = self.mapped();
        if mapped < self.generations_max {
            return Ok(mapped + 1);
        }
        Err(Refusal::new(
            Reason::Generations,
            format!("{} was loaded {mapped} times; no library is unloaded", self.name),
        )
        .expected(format!("at most {} generations in one process", self.generations_max))
        .hint("restart the server, or let the plugin run in a process of its own"))
    }

    /// Takes a component into use.
    ///
    /// # Errors
    /// `Tables` for a component that is not there, and what `create` said.
    pub fn open(&self, id: &str, config_json: &str) -> Verdict<Arc<Live>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.current();
        let find = |component: &&Component| component.info.id == id;
        let component = generation.module.components.iter().find(find).ok_or_else(|| {
            let ids: Vec<&str> = generation.module.components.iter().map(|one| one.info.id.as_str()).collect();
            Refusal::new(Reason::Tables, format!("{} has no component `{id}`", self.name)).expected(ids.join(", "))
        })?;
        let live = Arc::new(Live::new(component, self.host, config_json)?);
        let mut state = self.state();
        state.lives.retain(|live| live.strong_count() > 0);
        state.lives.push(Arc::downgrade(&live));
        Ok(live)
    }

    /// Makes a generation the current one: an instance of every component in use is made of it and tried with `trial`,
    /// and only when all are well they are swapped. Any failure keeps what was.
    ///
    /// # Errors
    /// What `create` or the trial said.
    pub(crate) fn adopt(&self, generation: &Arc<Generation>, trial: &dyn Fn(&Instance) -> Verdict<()>) -> Verdict<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let lives: Vec<Arc<Live>> = self.state().lives.iter().filter_map(Weak::upgrade).collect();
        let mut prepared = Vec::with_capacity(lives.len());
        for live in &lives {
            let (component, instance) = live.prepare(&generation.module.components)?;
            trial(&instance)?;
            prepared.push((live, component, instance));
        }
        for (live, component, instance) in prepared {
            live.swap(component, instance);
        }
        self.state().current = Arc::clone(generation);
        Ok(())
    }

    /// Remembers a generation that is mapped now, whether or not it is used.
    pub(crate) fn remember(&self, generation: &Arc<Generation>) {
        let mut state = self.state();
        if !state.generations.iter().any(|known| Arc::ptr_eq(known, generation)) {
            state.generations.push(Arc::clone(generation));
        }
    }
}
