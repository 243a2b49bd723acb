//! The breakers of the versions in memory: shown to doors, and closed by hand.

use candor_domain::{Error, ErrorCode, Result};

use super::{ReadyVersion, Registry};
use crate::breaker::{BreakerView, refused};

impl Registry {
    /// The breaker of a version, if it has one.
    #[must_use]
    pub fn breaker_of(&self, version: &ReadyVersion) -> Option<BreakerView> {
        let breaker = version.breaker()?;
        Some(BreakerView::of(breaker, &version.manifest.breaker, &*self.core.clock))
    }

    /// Refuses as a request for the version would be refused now.
    ///
    /// # Errors
    /// `BreakerOpen` while its breaker lets no call through.
    pub fn check_breaker(&self, version: &ReadyVersion) -> Result<()> {
        match version.breaker().and_then(|breaker| breaker.refusal(self.core.clock.now())) {
            Some(refusal) => Err(refused(&version.model, &version.version, refusal)),
            None => Ok(()),
        }
    }

    /// Closes the breaker of a version and forgets what it has counted.
    ///
    /// # Errors
    /// As [`Self::lease`]; `Unsupported` when the version has no breaker.
    pub fn reset_breaker(&self, model: &str, version: Option<&str>) -> Result<BreakerView> {
        let lease = self.lease(model, version)?;
        let Some(breaker) = lease.breaker() else {
            let what = format!("model '{}' version {} has no breaker", lease.model, lease.version);
            return Err(Error::new(ErrorCode::Unsupported, what)
                .hint("set breaker.enabled, in the configuration or in the model's model.toml"));
        };
        tracing::info!(model = %lease.model, version = %lease.version, "the breaker is closed by hand");
        breaker.reset();
        Ok(BreakerView::of(breaker, &lease.manifest.breaker, &*self.core.clock))
    }
}
