//! Models that are loaded when they are first asked for (`load_at_start = "lazy"`).
//!
//! A model that lies in the repository and of which nothing is known yet is loaded by the first request for it; those
//! that come meanwhile wait for the same load. What was unloaded by hand, or has failed, is not: somebody has decided
//! that, or should.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use candor_domain::{Error, ErrorCode, ModelName, Result};
use tokio::sync::oneshot;

use super::Registry;

/// Those who wait, by model.
#[derive(Default)]
pub(super) struct FirstLoads(Mutex<BTreeMap<ModelName, Vec<oneshot::Sender<()>>>>);

impl FirstLoads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelName, Vec<oneshot::Sender<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the waiting when the load ends, however it does.
struct Ending<'a>(&'a FirstLoads, &'a ModelName);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // Who waits hears that its sender is gone.
        self.0.lock().remove(self.1);
    }
}

impl Registry {
    /// Whether the first request for a model would load it.
    pub(crate) fn is_first_load(&self, name: &str) -> bool {
        self.core.settings.lazy && ModelName::parse(name).is_ok_and(|name| self.core.book().is_untouched(&name))
    }

    /// Loads a model that was never asked for, or waits for somebody else's load of it. Says whether there was anything
    /// to wait for; how the load ended is told by the next lease.
    ///
    /// # Errors
    /// `Overloaded` when it takes longer than `wait_max`, or too many loads wait.
    pub(crate) async fn first_load(&self, name: &str, wait_max: Duration) -> Result<bool> {
        if !self.core.settings.lazy {
            return Ok(false);
        }
        let Ok(name) = ModelName::parse(name) else { return Ok(false) };
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = self.core.first_loads.lock();
            match waiting.get_mut(&name) {
                Some(others) => others.push(tell),
                None if self.core.book().is_untouched(&name) => {
                    waiting.insert(name.clone(), vec![tell]);
                    let (core, wanted) = (Arc::clone(&self.core), name.clone());
                    let begun = self.on_load_pool(move || {
                        let _ending = Ending(&core.first_loads, &wanted);
                        // What went wrong is booked, and the next lease tells it.
                        let _ = core.load_now(&wanted, None);
                    });
                    if let Err(error) = begun {
                        waiting.remove(&name);
                        return Err(error);
                    }
                }
                None => return Ok(false),
            }
        }
        match tokio::time::timeout(wait_max, told).await {
            Ok(_) => Ok(true),
            Err(_) => Err(Error::new(ErrorCode::Overloaded, format!("model '{name}' is being loaded"))
                .at("limits.inference_ms_max")
                .expected(format!("to be ready within {} ms", wait_max.as_millis()))
                .retry_after_s(1)),
        }
    }
}
