//! A lease to describe a version, or to say that it answers: for a model that is loaded when it is first asked for, too.
//!
//! Whoever asks what a model takes is about to ask for an answer, so the question loads it, as an inference would, and
//! waits for that. Who asks only whether it answers loads nothing: it does, as soon as it is asked.

use candor_domain::{ErrorCode, Result};

use super::Pipeline;
use crate::registry::Lease;

impl Pipeline {
    /// A lease to look at a version. A model that nobody has tried to load yet is loaded where requests may ask for
    /// that; as long as an inference may take is waited for it.
    ///
    /// # Errors
    /// As [`crate::Registry::lease`]; `Overloaded` when the load takes too long or too many wait.
    pub async fn describe(&self, model: &str, version: Option<&str>) -> Result<Lease> {
        match self.registry.lease(model, version) {
            Err(refusal) if refusal.code() == ErrorCode::NotReady => {
                if self.registry.first_load(model, self.settings.inference_max).await? {
                    return self.registry.lease(model, version);
                }
                Err(refusal)
            }
            leased => leased,
        }
    }

    /// The lease of a version that answers; `None` for a model that will be loaded by the first request for it.
    ///
    /// # Errors
    /// As [`crate::Registry::lease`].
    pub fn answering(&self, model: &str, version: Option<&str>) -> Result<Option<Lease>> {
        match self.registry.lease(model, version) {
            // Which versions it has is known when it is loaded.
            Err(_) if version.is_none() && self.registry.is_first_load(model) => Ok(None),
            leased => leased.map(Some),
        }
    }
}
