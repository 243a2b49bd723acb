//! Golden pairs, warm-up and measurements of a version that has been opened, as far as they are not known.
//!
//! Before it: an open session. After it: what its rows cost and whether they may run together. A file that is loaded
//! runs all of its golden pairs. A copy of a file whose pairs have all passed on this machine runs the smallest first
//! and goes on as long as the configuration allows: what it spares is long runs and nothing else.

use candor_domain::{Result, Tensor};

use super::{
    Core, Opened,
    findings::{Finding, Subject, WORTH_NANOS},
};
use crate::{
    batching::Probe,
    engines::EngineId,
    features::FeatureSet,
    repository::{Golden, Manifest},
};

/// What is known of a version that may serve.
pub(super) struct Proof {
    /// What a row costs; `None` when nothing could be run.
    pub(super) row_nanos: Option<u64>,
    pub(super) probe: Probe,
}

impl Core {
    /// Runs what has to be run before a version may serve.
    ///
    /// # Errors
    /// `InvalidModel` when it answers other than its golden pairs say.
    pub(super) fn prove(
        &self,
        opened: &Opened,
        manifest: &Manifest,
        golden: Option<&Golden>,
        features: Option<&FeatureSet>,
    ) -> Result<Proof> {
        let rows_max = manifest.batch_rows_max.unwrap_or(u64::MAX).min(self.settings.batching.rows_max);
        let is_probed = manifest.batching.enabled != Some(false);
        // What else a version is made of may change without its file.
        let is_graph = manifest.plugin.is_none() && manifest.ensemble.is_none() && manifest.stages.is_empty();
        let subject = self.findings.settings().filter(|_| is_graph).map(|settings| Subject {
            sha256: opened.sha256.clone(),
            golden_sha256: golden.map(|golden| golden.sha256.clone()).unwrap_or_default(),
            engine: EngineId::from(&opened.engine),
            machine: settings.machine.clone(),
            // What batching may not do was not measured.
            rows_max: if is_probed { rows_max } else { 0 },
        });
        let known = subject.as_ref().and_then(|subject| self.findings.of(subject));
        let nanos_max = self.findings.settings().map_or(0, |settings| settings.golden_nanos);
        let has_run =
            self.run_golden(opened, manifest, golden, (known.is_some() && opened.is_copy).then_some(nanos_max))?;
        if let Some(known) = known {
            if !has_run {
                let _ = opened.warm_up_at_most(1, manifest, golden, &*self.clock)?;
            }
            return Ok(Proof { row_nanos: known.row_nanos, probe: known.probe() });
        }
        let began = self.clock.now();
        let row_nanos = opened.warm_up(manifest, golden, &*self.clock)?;
        let probe = opened.probe(manifest, (golden, features), &self.settings, &*self.clock);
        if let Some(subject) = subject.filter(|_| self.clock.now().nanos_since(began) >= WORTH_NANOS) {
            self.findings.remember(subject, Finding::new(row_nanos, &probe));
        }
        Ok(Proof { row_nanos, probe })
    }

    /// Runs golden pairs, the smallest first; until so much time is used up, if they have all passed before. Says
    /// whether anything was run.
    fn run_golden(
        &self,
        opened: &Opened,
        manifest: &Manifest,
        golden: Option<&Golden>,
        nanos_max: Option<u64>,
    ) -> Result<bool> {
        let Some(golden) = golden else { return Ok(false) };
        let Some(nanos_max) = nanos_max else {
            golden.cases.iter().try_for_each(|case| opened.verify(manifest, golden, case))?;
            return Ok(!golden.cases.is_empty());
        };
        let size =
            |inputs: &[(String, Tensor)]| inputs.iter().map(|(_, tensor)| tensor.shape().elements()).sum::<usize>();
        let mut cases: Vec<_> = golden.cases.iter().collect();
        cases.sort_by_key(|case| size(&case.inputs));
        let began = self.clock.now();
        for case in &cases {
            opened.verify(manifest, golden, case)?;
            if self.clock.now().nanos_since(began) >= nanos_max {
                break;
            }
        }
        Ok(!cases.is_empty())
    }
}
