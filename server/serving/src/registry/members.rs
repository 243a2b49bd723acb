//! Members of ensembles, and models that components call: leases for those who are themselves models.
//!
//! An ensemble that is loaded brings its members, loading them on its own load thread if nobody has; that they do not
//! contain each other is found out before, from their manifests. Requests find members ready, or are told why not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use candor_domain::{Cancel, Clock, Error, ErrorCode, ModelName, Result};
use tokio::sync::Notify;

use super::{Core, Lease, cold::Came};
use crate::stages::ensemble::{Helpers, Source};

/// The registry, as ensembles see it. It does not keep the registry alive.
pub(super) struct Members {
    core: Weak<Core>,
    clock: Arc<dyn Clock>,
    helpers: Option<Helpers>,
    depth_max: u32,
}

impl Members {
    pub(super) fn new(core: &Arc<Core>) -> Self {
        // The thread that asks works too.
        let threads = core.settings.pool_threads.saturating_sub(1);
        let helpers = if threads == 0 { None } else { Helpers::start(threads).ok() };
        Self {
            core: Arc::downgrade(core),
            clock: Arc::clone(&core.clock),
            helpers,
            depth_max: core.settings.call_depth_max,
        }
    }

    fn core(&self) -> Result<Arc<Core>> {
        self.core.upgrade().ok_or_else(|| Error::new(ErrorCode::NotReady, "the server is stopping"))
    }
}

impl Source for Members {
    fn lease(&self, model: &str, version: Option<&str>) -> Result<Lease> {
        self.core()?.lease(model, version)
    }

    fn bring(&self, ensemble: &ModelName, member: &ModelName, version: Option<&str>) -> Result<Lease> {
        let core = self.core()?;
        core.contains_no(member, &mut vec![ensemble.clone()], &mut BTreeMap::new())?;
        if let Ok(lease) = core.lease(member.as_str(), version) {
            return Ok(lease);
        }
        core.load_now(member, None)?;
        core.lease(member.as_str(), version)
    }

    fn seat(&self, lease: &mut Lease, wait_max: Duration, cancel: Option<&Cancel>) -> Result<()> {
        let core = self.core()?;
        let failed = |error: std::io::Error| Error::new(ErrorCode::Internal, format!("cannot wait: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let gone = Arc::new(Notify::new());
        let told = Arc::clone(&gone);
        let mut wait = || {
            runtime.block_on(async {
                tokio::select! {
                    came = core.seat(lease, wait_max) => match came? {
                        Came::Seated => Ok(()),
                        Came::Gone => Err(Error::new(ErrorCode::NotReady, "it was replaced while it was waited for").retry_after_s(1)),
                    },
                    () = gone.notified() => Err(Error::new(ErrorCode::Cancelled, "nobody waits for the answer any more")),
                }
            })
        };
        match cancel {
            Some(cancel) => cancel.with_hook(move || told.notify_one(), wait),
            None => wait(),
        }
    }

    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn depth_max(&self) -> u32 {
        self.depth_max
    }

    fn helpers(&self) -> Option<&Helpers> {
        self.helpers.as_ref()
    }
}

impl Core {
    /// Whether a model and its members, as their manifests have them now, lead back to one of `way`, or too far.
    /// What is `known` was looked at, so many models deep: many ways lead to the same model.
    fn contains_no(
        &self,
        member: &ModelName,
        way: &mut Vec<ModelName>,
        known: &mut BTreeMap<ModelName, usize>,
    ) -> Result<()> {
        let shown = |way: &[ModelName]| way.iter().map(ModelName::as_str).collect::<Vec<_>>().join(" → ");
        let is_round = way.contains(member);
        way.push(member.clone());
        if is_round {
            return Err(Error::model("ensembles contain each other").got(shown(way)));
        }
        let depth_max = self.settings.call_depth_max;
        if way.len() > depth_max as usize {
            let error = Error::model("ensembles contain each other too deeply").got(shown(way));
            return Err(error.expected(format!("at most {depth_max} models deep (limits.call_depth_max)")));
        }
        if known.get(member).is_some_and(|depth| *depth >= way.len()) {
            way.pop();
            return Ok(());
        }
        // What cannot be read says so itself when it is loaded.
        if let Ok(Some(ensemble)) = self.repository.find(member).map(|found| found.manifest.ensemble) {
            for inner in ensemble.members.iter().filter_map(|inner| ModelName::parse(&inner.model).ok()) {
                self.contains_no(&inner, way, known)?;
            }
        }
        known.insert(member.clone(), way.len());
        way.pop();
        Ok(())
    }
}
