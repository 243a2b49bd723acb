//! The breakers of the versions in memory: shown to doors, and closed by hand.

use candor_domain::{BreakerState, Error, ErrorCode, ModelName, Result, Signature, Version};

use super::{Lease, ReadyVersion, Registry};
use crate::breaker::{BreakerView, refused};

impl Registry {
    /// Versions whose breaker is not closed, with its state.
    #[must_use]
    pub fn breakers_not_closed(&self) -> Vec<(ModelName, Version, BreakerState)> {
        let (snapshot, now) = (self.core.snapshot.load(), self.core.clock.now());
        let ready = snapshot.models.values().flat_map(|versions| versions.values());
        let mut found: Vec<_> = ready
            .filter_map(|ready| {
                let state = ready.breaker()?.reading(now).state;
                (state != BreakerState::Closed).then(|| (ready.model.clone(), ready.version.clone(), state))
            })
            .collect();
        found.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        found
    }

    /// The breaker of a version, if it has one.
    #[must_use]
    pub fn breaker_of(&self, version: &ReadyVersion) -> Option<BreakerView> {
        let breaker = version.breaker()?;
        Some(BreakerView::of(breaker, &version.manifest.breaker, &*self.core.clock))
    }

    /// Refuses as a request for the version would be refused now; `named` if it would name it.
    ///
    /// # Errors
    /// `BreakerOpen` while its breaker lets no call through.
    pub fn check_breaker(&self, version: &ReadyVersion, named: bool) -> Result<()> {
        let now = self.core.clock.now();
        let refusal = |version: &ReadyVersion| version.breaker().and_then(|breaker| breaker.refusal(now));
        match refusal(version) {
            None => Ok(()),
            Some(_) if !named && self.stand_in(version).is_some_and(|other| refusal(&other).is_none()) => Ok(()),
            Some(refusal) => Err(refused(&version.model, &version.version, refusal)),
        }
    }

    /// The version that stands in for `version` while its breaker is open, if it is ready, and takes and gives the
    /// same.
    pub(crate) fn stand_in(&self, version: &ReadyVersion) -> Option<Lease> {
        let wanted = version.manifest.breaker.fallback_version.as_ref().filter(|wanted| **wanted != version.version)?;
        let other = self.lease(version.model.as_str(), Some(wanted.as_str())).ok()?;
        is_alike(&version.signature, &other.signature).then_some(other)
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

fn is_alike(one: &Signature, other: &Signature) -> bool {
    let specs = |signature: &Signature| {
        let all = signature.inputs.iter().chain(&signature.outputs);
        all.map(|spec| (spec.name.clone(), spec.datatype, spec.wire_shape())).collect::<Vec<_>>()
    };
    one.inputs.len() == other.inputs.len() && specs(one) == specs(other)
}
