//! A second engine checks the first: at load on golden pairs and made-up rows, and on a share of live traffic.
//!
//! After a version is published a thread of this room lets another engine of the roster load the same file, asks
//! both, compares, and lets the second session go, unless live traffic is to be checked too. What was found is a
//! field of the version's description, metrics, and one warning. Nothing here keeps a version from being ready,
//! and nothing here ever changes an answer.
//!
//! | module | what it does |
//! |---|---|
//! | `trial` | one version, two engines: load, ask both, compare |
//! | `inputs` | what they are asked |
//! | `live` | samples of live traffic |
//! | `report` | what was found, put together |
//! | `checker` | the thread, and what waits for it |
//! | `dice` | numbers that look random and are the same every time |

mod checker;
mod dice;
pub(crate) use dice::Dice;
mod inputs;
mod live;
mod report;
mod trial;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use candor_domain::{ModelName, Tensor, TensorSpec, Version};

pub use report::{CrossCheckReport, CrossCheckState, Disagreement, LiveCounts};

pub(crate) use checker::{Checker, Outbox};
pub(crate) use inputs::{made_up_rows, seed_of};
pub(crate) use live::Live;
pub(crate) use trial::{Second, Subject, Trial};

use crate::engines::EngineId;
use report::Compared;

/// When a second engine answers too.
#[derive(Debug, Clone)]
pub struct CrossCheckSettings {
    /// Whether each version is checked after it was loaded.
    pub at_load: bool,
    /// Share of answered requests that are checked, 0 to 1.
    pub live_share: f64,
    /// Allowed difference: |a − b| ≤ tolerance · max(1, |b|), b being the answer of the engine that serves.
    pub tolerance: f64,
    /// Largest model file of which a second session is made.
    pub file_bytes_max: u64,
    /// Most samples of live traffic that wait, over all versions; more are dropped and counted.
    pub queue_max: usize,
}

impl Default for CrossCheckSettings {
    /// Nothing is checked.
    fn default() -> Self {
        Self { at_load: false, live_share: 0.0, tolerance: 1e-4, file_bytes_max: 64 << 20, queue_max: 64 }
    }
}

impl CrossCheckSettings {
    /// Whether anything is checked at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.at_load || self.live_share > 0.0
    }
}

/// What is known of one version's engines beside each other.
pub struct CrossCheck {
    /// For the warning.
    model: ModelName,
    version: Version,
    engine: EngineId,
    outputs: Vec<String>,
    tolerance: f64,
    found: Mutex<CrossCheckReport>,
    /// Samples of live traffic, where they are wanted.
    live: Option<Live>,
    /// The version is on its way out: nobody needs to know any more.
    over: AtomicBool,
}

impl CrossCheck {
    /// Nothing is known yet. `why_not` says why nothing ever will be.
    pub(crate) fn new(
        (model, version): (&ModelName, &Version),
        engine: EngineId,
        outputs: &[TensorSpec],
        tolerance: f64,
        live: Option<Live>,
        why_not: Option<&str>,
    ) -> Self {
        let found = match why_not {
            Some(why) => CrossCheckReport::none(why),
            None => CrossCheckReport::default(),
        };
        Self {
            model: model.clone(),
            version: version.clone(),
            engine,
            outputs: outputs.iter().map(|spec| spec.name.to_string()).collect(),
            tolerance,
            found: Mutex::new(found),
            live,
            over: AtomicBool::new(false),
        }
    }

    fn found(&self) -> MutexGuard<'_, CrossCheckReport> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now.
    #[must_use]
    pub fn report(&self) -> CrossCheckReport {
        let mut report = self.found().clone();
        report.live = self.live.as_ref().map(Live::counts);
        report
    }

    /// Takes note of a trial's end.
    pub(crate) fn conclude(&self, report: CrossCheckReport) {
        let disagreement = report.disagreement.clone();
        *self.found() = report;
        if let Some(disagreement) = disagreement {
            self.warn(&disagreement);
        }
    }

    /// Takes note of one sample of live traffic; one that could not be compared changes nothing but its counter.
    fn note_live(&self, compared: &Compared) {
        let news = {
            let mut found = self.found();
            let had_one = found.disagreement.is_some();
            found.add(compared);
            found.disagreement.clone().filter(|_| !had_one)
        };
        if let Some(disagreement) = news {
            self.warn(&disagreement);
        }
    }

    /// Said once for a version: the first disagreement is kept and told, the others are counted.
    fn warn(&self, disagreement: &Disagreement) {
        let second = self.found().engine.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(
            model = %self.model, version = %self.version,
            "the engines {} and {second} disagree: {disagreement}", self.engine
        );
    }

    /// The version is on its way out.
    pub(crate) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// What a sample of live traffic is made of, if this request is one. Where no traffic is checked this costs a look
    /// at one field.
    pub(crate) fn offer(self: &Arc<Self>, inputs: &[Tensor], wanted: &[usize], outputs: &[Tensor]) {
        if let Some(live) = &self.live {
            live.offer(self, inputs, wanted, outputs);
        }
    }
}

#[cfg(test)]
mod tests;
