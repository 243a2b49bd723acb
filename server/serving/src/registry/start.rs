//! The first round of loads: all models of the repository, small ones first, so that as many as can be are ready soon.

use std::sync::atomic::Ordering;

use candor_domain::{ModelName, Result};

use super::{Core, Registry};

impl Registry {
    /// Loads every model of the repository, and reports when all have been tried. A model that fails
    /// stops no other.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub async fn load_all(&self) -> Result<()> {
        let (mut names, ignored) = self.core.names()?;
        for reason in ignored {
            tracing::warn!("ignored in the model repository: {reason}");
        }
        names.sort_by_cached_key(|name: &ModelName| (self.core.repository.bytes_in(name), name.clone()));
        let pending: Vec<_> = names.into_iter().map(|name| self.load(name, None)).collect();
        for load in pending.into_iter().flatten() {
            // Each failure has been logged and booked where it happened.
            let _ = load.wait().await;
        }
        self.start_empty();
        Ok(())
    }

    /// Declares the first round of loads over without having loaded anything.
    pub fn start_empty(&self) {
        if let Err(error) = self.core.names() {
            tracing::warn!("{error}");
        }
        self.core.started.store(true, Ordering::SeqCst);
        self.core.record.save();
        self.core.findings.save();
        self.core.check_postponed();
        self.core.keep_postponed();
    }
}

impl Core {
    /// What a thread does before it loads: while nobody is answered yet, loads may have all that there is.
    pub(super) fn before_load(&self) {
        (self.settings.before_load)();
        if self.started.load(Ordering::SeqCst) {
            (self.settings.before_later_load)();
        }
    }
}
