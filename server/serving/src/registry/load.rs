//! From files to a ready version: read, open, verify against the manifest and the golden pairs, warm up,
//! measure. Runs on the load pool; publishes nothing.

use std::{panic::AssertUnwindSafe, sync::Arc};

use candor_domain::{
    Clock, Error, ErrorCode, LoadedModel, ModelName, ModelSource, RequestRules, Result, Session, Shape, Signature,
    Tensor, TensorData, TensorSpec,
};
use sha2::{Digest as _, Sha256};

use super::{
    Core,
    version::{Leases, ReadyVersion},
};
use crate::{
    features::{Answers, FeatureSet, RowCount},
    repository::{Fitted, FoundModel, FoundVersion, Golden},
};

/// Runs that measure the cost of a row; stops early when they are slow.
const WARM_UP_RUNS: usize = 5;
const WARM_UP_NANOS_MAX: u64 = 200_000_000;

impl Core {
    /// Makes one version ready.
    pub(super) fn make_ready(&self, model: &FoundModel, found: &FoundVersion) -> Result<ReadyVersion> {
        let began = self.clock.now();
        let bytes = self.repository.read_model(found)?;
        let golden = self.repository.read_golden(found)?;
        let source = ModelSource { bytes: &bytes, folder: &found.graph_folder() };
        let LoadedModel { session, signature, mut properties, cost_depends_on_values } =
            guarded(|| self.engine.load(source))?;
        let Fitted { signature, manifest, properties: more, reshapes, origin } = model.fit(found, signature)?;
        properties.extend(more);
        let session = reshapes.wrap(session);
        let features = match FeatureSet::new(&signature, &manifest) {
            Err(error) if error.code() == ErrorCode::InvalidModel => return Err(error),
            features => features,
        };
        let rows = features.as_ref().map_or(RowCount::Single, FeatureSet::rows);
        let answers = Answers::new(&signature, &manifest, rows);
        let rows_tell_size = signature.rows_tell_size();
        let per_row = guarded(|| warm_up(&*session, &signature, manifest.rules(), golden.as_ref(), &*self.clock))?;
        let facts = self.book().facts_of(&model.name, &found.version, self.settings.inference_threads);
        if let Some(per_row) = per_row {
            facts.start_cost(per_row);
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(ReadyVersion {
            model: model.name.clone(),
            version: found.version.clone(),
            signature,
            features,
            answers,
            manifest,
            origin,
            properties,
            engine: self.engine.info().clone(),
            sha256,
            file_bytes: bytes.len() as u64,
            load_ms: self.clock.now().nanos_since(began) / 1_000_000,
            cost_is_per_row: !cost_depends_on_values && rows_tell_size,
            session,
            facts,
            fingerprint: found.fingerprint.clone(),
            leases: Leases::new(self.settings.inflight_max, self.retired.clone()),
        })
    }
}

/// A panic inside an engine is a failed load, not a lost thread.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::model("the engine panicked")))
}

/// Verifies the golden pairs and measures what a row costs; `None` when nothing could be run.
fn warm_up(
    session: &dyn Session,
    signature: &Signature,
    rules: RequestRules,
    golden: Option<&Golden>,
    clock: &dyn Clock,
) -> Result<Option<u64>> {
    for case in golden.into_iter().flat_map(|golden| &golden.cases) {
        case.verify(session, signature, rules, golden.map_or(0.0, |golden| golden.tolerance))?;
    }
    let first_case = golden.and_then(|golden| golden.cases.first());
    let inputs = match first_case {
        Some(case) => case.inputs_for(signature)?,
        None => zeros(signature)?,
    };
    let rows = signature.check(&inputs, rules)?.max(1);
    let wanted: Vec<usize> = (0..signature.outputs.len()).collect();
    let (began, mut fastest) = (clock.now(), None::<u64>);
    for _ in 0..WARM_UP_RUNS {
        let start = clock.now();
        // Zeros need not be valid input for every graph, so failing on them says nothing.
        if let Err(error) = session.run(&inputs, &wanted, None) {
            tracing::debug!("warm-up on zeros failed: {error}");
            return Ok(None);
        }
        let nanos = clock.now().nanos_since(start) / rows;
        fastest = Some(fastest.map_or(nanos, |fastest| fastest.min(nanos)));
        if clock.now().nanos_since(began) > WARM_UP_NANOS_MAX {
            break;
        }
    }
    Ok(fastest)
}

/// Inputs of zeros with every free dimension 1.
fn zeros(signature: &Signature) -> Result<Vec<Tensor>> {
    let one = |spec: &TensorSpec| {
        let dims: Vec<i64> = spec.wire_shape().iter().map(|&dim| if dim < 0 { 1 } else { dim }).collect();
        let shape = Shape::new(&dims)?;
        Tensor::new(shape, TensorData::zeros(spec.datatype, shape.elements()))
    };
    signature.inputs.iter().map(one).collect()
}

impl Core {
    /// Publishes a change of one model's ready versions; an empty map takes the model out.
    pub(super) fn publish(&self, model: &ModelName, versions: &super::Versions) {
        self.snapshot.rcu(|before| {
            let mut models = before.models.clone();
            if versions.is_empty() {
                models.remove(model);
            } else {
                models.insert(model.clone(), versions.clone());
            }
            Arc::new(super::Snapshot { models })
        });
    }
}
