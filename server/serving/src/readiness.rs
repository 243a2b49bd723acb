//! May the server get traffic? The same answer at every door.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use candor_domain::Lifecycle;

use crate::registry::Registry;

/// Whether the server is ready, and whether it is on its way out.
pub struct Readiness {
    registry: Arc<Registry>,
    strict: bool,
    stopping: AtomicBool,
}

impl Readiness {
    /// Readiness over `registry`; if `strict`, one model that failed to load makes the server not ready.
    #[must_use]
    pub fn new(registry: Arc<Registry>, strict: bool) -> Self {
        Self { registry, strict, stopping: AtomicBool::new(false) }
    }

    /// Whether the first round of loads is over, the server is not stopping, and, if strict, no model failed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let failed = || self.registry.index_of_known().iter().any(|entry| entry.state == Lifecycle::Failed);
        self.registry.has_started() && !self.is_stopping() && !(self.strict && failed())
    }

    /// Whether a failed model makes the server not ready.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// From now on the server says that it is not ready, while it still answers.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the server is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
