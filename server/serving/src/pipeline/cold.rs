//! A request to a version that is not in memory: it waits, bounded by the server's own limit on time.
//!
//! Before it: a lease, or the refusal of one. After it: the way that every request takes.

use candor_domain::{Error, ErrorCode, Result, Tick};

use super::{Call, Passage, Pipeline, remember};
use crate::registry::Came;

impl Pipeline {
    /// Waits for the first load of a model, where a request may ask for that; else it is refused.
    pub(super) async fn first(&self, refusal: Error, call: &Call<'_>, admitted: Tick) -> Result<Passage> {
        let until = self.clock.now().until(admitted.after(self.settings.inference_max));
        if refusal.code() == ErrorCode::NotReady && self.registry.first_load(call.model, until).await? {
            return Passage::enter(&self.registry, call, &*self.clock, self.clock.now());
        }
        Err(refusal)
    }

    /// Waits for a session that is not in memory, for another version's if this one is replaced meanwhile.
    pub(super) async fn seated(&self, mut passage: Passage, call: &Call<'_>, admitted: Tick) -> Result<Passage> {
        let until = admitted.after(self.settings.inference_max);
        loop {
            let refused =
                |passage: &Passage, error| Err(remember(passage.lease.facts(), &*self.clock, admitted, error));
            // As many may wait as may be in flight.
            if let Err(refusal) = passage.lease.admit(self.settings.inline_run_max) {
                return refused(&passage, refusal);
            }
            match self.registry.seat(&mut passage.lease, self.clock.now().until(until)).await {
                Ok(Came::Seated) => return Ok(passage),
                Ok(Came::Gone) => {}
                Err(error) => return refused(&passage, error),
            }
            passage = Passage::enter(&self.registry, call, &*self.clock, self.clock.now())?;
            if passage.lease.sit() {
                return Ok(passage);
            }
        }
    }
}
