//! Hooks by which a test holds loads and runs of the null engine, and counts its sessions.
//!
//! Everything goes by the `key` of a model file. Nothing here sleeps: whoever waits is woken by what it
//! waits for, and gives up after `PATIENCE` so that a broken test fails instead of hanging.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use candor_domain::Cancel;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches and holds a null engine; clones share everything.
#[derive(Clone, Default)]
pub struct Hooks(Arc<Shared>);

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    live: HashMap<String, usize>,
    loads: HashMap<String, usize>,
    runs: HashMap<String, usize>,
    load_gates: HashMap<String, Gate>,
    run_gates: HashMap<String, Gate>,
}

fn count(counts: &HashMap<String, usize>, key: &str) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

impl Hooks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on loads of `key` wait at the gate that is returned.
    #[must_use]
    pub fn hold_loads(&self, key: &str) -> Gate {
        let gate = Gate::default();
        self.state().load_gates.insert(key.to_owned(), gate.clone());
        gate
    }

    /// From now on runs of `key` (those that the file's `trigger` means, if it has one) wait at the gate
    /// that is returned; a cancelled run goes through it.
    #[must_use]
    pub fn hold_runs(&self, key: &str) -> Gate {
        let gate = Gate::default();
        self.state().run_gates.insert(key.to_owned(), gate.clone());
        gate
    }

    /// Sessions that live now.
    #[must_use]
    pub fn live(&self) -> usize {
        self.state().live.values().sum()
    }

    /// Sessions of `key` that live now.
    #[must_use]
    pub fn live_of(&self, key: &str) -> usize {
        count(&self.state().live, key)
    }

    /// Loads of `key` that began.
    #[must_use]
    pub fn loads(&self, key: &str) -> usize {
        count(&self.state().loads, key)
    }

    /// Runs of `key` that began, the warm-up's included.
    #[must_use]
    pub fn runs(&self, key: &str) -> usize {
        count(&self.state().runs, key)
    }

    /// Waits until exactly `sessions` live; false if that did not come about.
    #[must_use]
    pub fn wait_for_live(&self, sessions: usize) -> bool {
        let apart = |state: &mut State| state.live.values().sum::<usize>() != sessions;
        let waited = self.0.changed.wait_timeout_while(self.state(), PATIENCE, apart);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits until exactly `sessions` of `key` live; false if that did not come about.
    #[must_use]
    pub fn wait_for_live_of(&self, key: &str, sessions: usize) -> bool {
        let apart = |state: &mut State| count(&state.live, key) != sessions;
        let waited = self.0.changed.wait_timeout_while(self.state(), PATIENCE, apart);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(super) fn loading(&self, key: &str) {
        let gate = {
            let mut state = self.state();
            *state.loads.entry(key.to_owned()).or_default() += 1;
            state.load_gates.get(key).cloned()
        };
        if let Some(gate) = gate {
            gate.pass(None);
        }
    }

    pub(super) fn running(&self, key: &str, triggered: bool, cancel: Option<&Cancel>) {
        let gate = {
            let mut state = self.state();
            *state.runs.entry(key.to_owned()).or_default() += 1;
            state.run_gates.get(key).filter(|_| triggered).cloned()
        };
        if let Some(gate) = gate {
            gate.pass(cancel);
        }
    }

    pub(super) fn born(&self, key: &str) {
        *self.state().live.entry(key.to_owned()).or_default() += 1;
        self.0.changed.notify_all();
    }

    pub(super) fn died(&self, key: &str) {
        if let Some(live) = self.state().live.get_mut(key) {
            *live = live.saturating_sub(1);
        }
        self.0.changed.notify_all();
    }
}

/// A gate, closed at first, that a load or a run waits at.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    arrived: usize,
    open: bool,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `arrivals` have come to the gate since it was made; false if they did not.
    #[must_use]
    pub fn wait_for(&self, arrivals: usize) -> bool {
        let missing = |state: &mut GateState| state.arrived < arrivals;
        let waited = self.0.1.wait_timeout_while(self.state(), PATIENCE, missing);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// How many have come to the gate.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.state().arrived
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.state().open = true;
        self.0.1.notify_all();
    }

    fn pass(&self, cancel: Option<&Cancel>) {
        let cancelled = || cancel.is_some_and(Cancel::is_cancelled);
        let wait = || {
            let mut state = self.state();
            state.arrived += 1;
            self.0.1.notify_all();
            let closed = |state: &mut GateState| !state.open && !cancelled();
            // Out of patience: the test has failed elsewhere and forgot to open.
            drop(self.0.1.wait_timeout_while(state, PATIENCE, closed));
        };
        match cancel {
            None => wait(),
            Some(cancel) => {
                let gate = self.clone();
                let wake = move || {
                    // Whoever is about to wait holds the lock: after it, it either sees the mark or waits.
                    drop(gate.state());
                    gate.0.1.notify_all();
                };
                cancel.with_hook(wake, wait);
            }
        }
    }
}
