//! A version held for longer than one inference: by who explains what it answers.
//!
//! Before it: a door that was asked to explain. After it: the version's session, run on a thread of who explains. Such
//! runs are no requests: they count in no statistics of the version, teach nothing about its costs and tell its breaker
//! nothing. A version whose breaker is open is not explained either.

use candor_domain::{Error, ErrorCode, Result, Run, Tensor, Version};

use super::{Call, Passage, Pipeline, caught};
use crate::registry::{Came, Lease};

impl Pipeline {
    /// A lease on the version that would answer now, with its session in memory; and the version that it stands in for.
    ///
    /// # Errors
    /// As [`Pipeline::infer`] before anything is read.
    pub async fn hold(&self, call: Call<'_>) -> Result<(Lease, Option<Version>)> {
        let admitted = self.clock.now();
        let mut passage = match Passage::enter(&self.registry, &call, &*self.clock, admitted) {
            Ok(passage) => passage,
            Err(refusal) => self.first(refusal, &call, admitted).await?,
        };
        if !passage.lease.sit() {
            passage = self.seated(passage, &call, admitted).await?;
        }
        // A permit that ends without a word says nothing of the version.
        let Passage { lease, permit, fallback_from } = passage;
        drop(permit);
        Ok((lease, fallback_from))
    }

    /// Has the session of a lease in memory: an answer that was kept is given without it.
    ///
    /// # Errors
    /// What kept it from coming.
    pub async fn sit(&self, lease: &mut Lease) -> Result<()> {
        if lease.sit() {
            return Ok(());
        }
        match self.registry.seat(lease, self.settings.inference_max).await? {
            Came::Seated => Ok(()),
            Came::Gone => {
                let what = format!("version {} of model '{}' has left memory meanwhile", lease.version, lease.model);
                Err(Error::new(ErrorCode::NotReady, what).retry_after_s(1))
            }
        }
    }
}

impl Lease {
    /// Runs the version for who explains it. All of its inputs in their order; gives the outputs at `wanted`.
    ///
    /// # Errors
    /// `InvalidInput` for what the signature does not declare, and the engine's.
    pub fn evaluate(&self, mut inputs: Vec<Tensor>, wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        self.signature.check(&inputs, self.manifest.rules())?;
        caught(|| self.session().run_as(&mut inputs, wanted, run))
    }
}
