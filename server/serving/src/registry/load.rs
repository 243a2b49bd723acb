//! From files to a ready version: read, open, verify against the manifest and the golden pairs, warm up,
//! measure. Runs on the load pool; publishes nothing.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use candor_domain::{
    Clock, EngineInfo, Error, ErrorCode, LoadedModel, ModelSource, RequestRules, Result, Session, Shape, Signature,
    Tensor, TensorData, TensorSpec,
};
use sha2::{Digest as _, Sha256};

use super::{
    Core, RegistrySettings,
    files::VersionFiles,
    prove::Proof,
    version::{Leases, ReadyVersion},
};
use crate::{
    batching::{self, Plan, Probe},
    breaker,
    cross_check::{
        self, CrossCheck, CrossCheckReport, CrossCheckSettings, CrossCheckState, Live, Outbox, Subject, Trial,
    },
    engines::{Chosen, EngineId, Engines, PassedOver, Remembered, joined},
    features::{Answers, FeatureSet, RowCount},
    overload::Places,
    repository::{Fitted, FoundModel, FoundVersion, Golden, GoldenCase, Manifest, Origin, Repository, Reshaped},
    residency::{Absent, Body, ledger::Need},
    scheduler::Lane,
    stages::{self, Digest, Folder, Inner, Opener, Part, Parts, Stage, Staged},
};

/// Runs that measure the cost of a row; stops early when they are slow.
const WARM_UP_RUNS: usize = 5;
const WARM_UP_NANOS_MAX: u64 = 50_000_000;

/// A version whose graph is open, before it is verified and before anybody may lease it. The registry makes it
/// ready; `candor model check` looks at it and lets it go.
pub struct Opened {
    /// What it takes and gives.
    pub signature: Signature,
    /// What its file says: producer, description, custom metadata.
    pub properties: BTreeMap<String, String>,
    /// sha256 of its file, or of all that it is made of, in hex.
    pub sha256: String,
    /// Size of its file.
    pub file_bytes: u64,
    /// The engine that runs it.
    pub engine: EngineInfo,
    /// Engines that come before that one, and why they do not run it.
    pub passed_over: Vec<PassedOver>,
    /// Whether it was made of an engine's copy and not of the file.
    pub(super) is_copy: bool,
    /// What it is made of, if that is more than a graph; known once it has been read.
    pub parts: Parts,
    /// The same as `sha256` without the libraries of plugins, which may be loaded anew.
    pub files_sha256: String,
    cost_depends_on_values: bool,
    random: Option<String>,
    session: Box<dyn Session>,
    stages: Vec<Stage>,
    models: Option<Arc<dyn stages::ensemble::Source>>,
    /// What stands between the stages, for a version that is more than a graph.
    inner: Vec<Part>,
}

/// What a version is to people and callers, by its graph and by all that its folder says of it.
pub struct Meaning {
    /// `model.toml`, filled up from what other servers' files say.
    pub manifest: Manifest,
    /// How it lies on disk.
    pub origin: Origin,
    /// What people call its features; an error where rows cannot be told.
    pub features: Result<FeatureSet>,
    /// What its outputs are.
    pub answers: Answers,
}

impl Opened {
    /// Hands the bytes of a version's file to the first engine that takes it.
    ///
    /// # Errors
    /// `InvalidModel` with the reason when it cannot be served.
    pub fn open(engines: &Engines, bytes: &[u8], model: &FoundModel, found: &FoundVersion) -> Result<Self> {
        let load = |source: ModelSource<'_>| engines.load(source, model.manifest.engine);
        Self::with(engines, bytes, (model, found), load)
    }

    /// As [`Self::open`], by another engine than the one called `first`.
    pub(crate) fn open_second(
        engines: &Engines,
        bytes: &[u8],
        model: &FoundModel,
        found: &FoundVersion,
        first: &str,
    ) -> Result<Self> {
        let load = |source: ModelSource<'_>| engines.load_second(source, model.manifest.engine, first);
        Self::with(engines, bytes, (model, found), load)
    }

    /// Opens the graph or what stands in its place, and the stages around it.
    fn with(
        engines: &Engines,
        bytes: &[u8],
        (model, found): (&FoundModel, &FoundVersion),
        load: impl FnOnce(ModelSource<'_>) -> Result<Chosen>,
    ) -> Result<Self> {
        let manifest = &model.manifest;
        let opener = Opener::new(engines, Folder::new(&found.folder, found.model_folder(&model.name)));
        let mut digest = Digest::default();
        let (chosen, inner) = match (&manifest.plugin, &manifest.ensemble) {
            (Some(plugin), _) => {
                let (chosen, part) = stages::open_plugin(&opener, plugin, &mut digest)?;
                (chosen, vec![part])
            }
            (None, Some(ensemble)) => stages::ensemble::open_ensemble(&model.name, &opener, ensemble, &mut digest)?,
            (None, None) => {
                let chosen = load(ModelSource { bytes, folder: &found.graph_folder() })?;
                let part = Part::engine(&chosen.loaded.signature);
                (chosen, if manifest.stages.is_empty() { Vec::new() } else { vec![part] })
            }
        };
        let Chosen { loaded, engine, passed_over } = chosen;
        let LoadedModel { session, signature, properties, cost_depends_on_values, random } = loaded;
        let stages = stages::open_stages(&opener, &manifest.stages, &signature, &mut digest)?;
        let (sha256, files_sha256) = digest.of(&sha256_of(bytes));
        Ok(Self {
            signature,
            properties,
            sha256,
            file_bytes: bytes.len() as u64,
            engine,
            passed_over,
            parts: Parts::default(),
            files_sha256,
            is_copy: false,
            // A component that does not promise to be quick runs where nobody else waits.
            cost_depends_on_values: cost_depends_on_values || stages.iter().any(|stage| !stage.made.inline),
            random,
            session,
            stages,
            models: opener.models().cloned(),
            inner,
        })
    }

    /// Of a session of an engine's copy of a file with this digest and size, where a version is its graph alone.
    pub(super) fn of_copy(chosen: Chosen, sha256: String, file_bytes: u64) -> Self {
        let Chosen { loaded, engine, passed_over } = chosen;
        let LoadedModel { session, signature, properties, cost_depends_on_values, random } = loaded;
        Self {
            signature,
            properties,
            files_sha256: sha256.clone(),
            sha256,
            file_bytes,
            engine,
            passed_over,
            is_copy: true,
            parts: Parts::default(),
            cost_depends_on_values,
            random,
            session,
            stages: Vec::new(),
            models: None,
            inner: Vec::new(),
        }
    }

    /// Compares it with what the files of its model say, and reads what they mean together. From then on its
    /// signature and its runs are those that callers see.
    ///
    /// # Errors
    /// `InvalidModel` that names what contradicts the graph; then nothing has changed.
    pub fn read(&mut self, model: &FoundModel, found: &FoundVersion) -> Result<Meaning> {
        let Fitted { signature, manifest, properties, reshapes, origin } = model.fit(found, self.signature.clone())?;
        let graph = signature.clone();
        let chain = if self.inner.is_empty() { None } else { Some(stages::chain(&self.stages, &graph)?) };
        let signature = chain.as_ref().map_or(signature, |chain| chain.signature.clone());
        let features = FeatureSet::new(&signature, &manifest);
        let mut faults = manifest.faults(&signature);
        faults.extend(manifest.result_cache.contradiction(self.random.as_deref()));
        // Where the count of features is wrong, a complaint about them says the same again.
        let known = |fault: &Error| fault.place().is_some_and(|place| place.contains("inputs["));
        if let Err(error) = &features
            && error.code() == ErrorCode::InvalidModel
            && !faults.iter().any(known)
        {
            faults.push(error.clone());
        }
        Error::all(faults)?;
        let rows = features.as_ref().map_or(RowCount::Single, FeatureSet::rows);
        let answers = Answers::new(&signature, &manifest, rows)?;
        self.signature = signature;
        self.properties.extend(properties);
        let mut reshaped = Reshaped::new(std::mem::replace(&mut self.session, Box::new(Absent)));
        reshaped.reshape(reshapes);
        self.session = reshaped.into_session();
        if let Some(chain) = chain {
            let session = std::mem::replace(&mut self.session, Box::new(Absent));
            let (parts, empty_tensors) = (std::mem::take(&mut self.inner), manifest.empty_tensors);
            let inner = Inner { session, signature: graph, parts, empty_tensors, models: self.models.take() };
            let (staged, parts) = Staged::new(chain, inner, std::mem::take(&mut self.stages));
            (self.session, self.parts) = (Box::new(staged), parts);
        }
        Ok(Meaning { manifest, origin, features, answers })
    }

    /// Runs one golden pair and compares.
    ///
    /// # Errors
    /// `InvalidModel` that names the case, the output, the element, what was wanted and what came.
    pub fn verify(&self, manifest: &Manifest, golden: &Golden, case: &GoldenCase) -> Result<()> {
        guarded(|| case.verify(&*self.session, &self.signature, manifest.rules(), golden.tolerance))
    }

    /// Asks another engine the same, as is done after a load, and says how the two stand to each other.
    #[must_use]
    pub fn cross_check(
        &self,
        engines: &Engines,
        (repository, model, found): (&Repository, &FoundModel, &FoundVersion),
        settings: &CrossCheckSettings,
        clock: &dyn Clock,
    ) -> CrossCheckReport {
        if let Some(why) = Trial::why_not(engines, settings, model, self.file_bytes) {
            return CrossCheckReport::none(why);
        }
        let trial = Trial {
            engines,
            repository,
            settings,
            clock,
            model,
            found,
            engine: &EngineId::from(&self.engine),
            session: &*self.session,
            signature: &self.signature,
            sha256: &self.sha256,
            stop: &|| false,
        };
        trial.run().0
    }

    pub(crate) fn into_session(self) -> Box<dyn Session> {
        self.session
    }

    /// Runs it a few times and measures what a row costs, in nanoseconds; `None` when nothing could be run.
    ///
    /// # Errors
    /// When the inputs to warm up with are wrong.
    pub fn warm_up(&self, manifest: &Manifest, golden: Option<&Golden>, clock: &dyn Clock) -> Result<Option<u64>> {
        self.warm_up_at_most(WARM_UP_RUNS, manifest, golden, clock)
    }

    /// As [`Self::warm_up`], with so many runs at most.
    pub(super) fn warm_up_at_most(
        &self,
        runs: usize,
        manifest: &Manifest,
        golden: Option<&Golden>,
        clock: &dyn Clock,
    ) -> Result<Option<u64>> {
        guarded(|| warm_up(&*self.session, &self.signature, manifest.rules(), golden, (runs, clock)))
    }

    /// Runs rows alone and together, unless nobody would put them together.
    pub(super) fn probe(
        &self,
        manifest: &Manifest,
        (golden, features): (Option<&Golden>, Option<&FeatureSet>),
        settings: &RegistrySettings,
        clock: &dyn Clock,
    ) -> Probe {
        if manifest.batching.enabled == Some(false) {
            return Probe::none("batching is off for this model");
        }
        let subject = batching::Subject {
            session: &*self.session,
            signature: &self.signature,
            features,
            golden,
            rows_max: manifest.batch_rows_max.unwrap_or(u64::MAX).min(settings.batching.rows_max),
            seed: cross_check::seed_of(&self.sha256),
            clock,
        };
        Probe::of(&subject)
    }
}

impl Core {
    /// Makes one version ready.
    pub(super) fn make_ready(&self, model: &FoundModel, found: &FoundVersion) -> Result<ReadyVersion> {
        let began = self.clock.now();
        let golden = self.repository.read_golden(found)?;
        let (mut opened, room) = self.open(model, found)?;
        let Meaning { manifest, origin, features, answers } = opened.read(model, found)?;
        let Proof { row_nanos: per_row, probe } =
            self.prove(&opened, &manifest, golden.as_ref(), features.as_ref().ok())?;
        let facts = self.book().facts_of(&model.name, &found.version, self.settings.inference_threads);
        if let Some(per_row) = per_row {
            facts.start_cost(per_row);
        }
        let name = (&model.name, &found.version);
        let breaker = breaker::for_version(name, &self.settings.breaker, &manifest.breaker, &facts, &*self.clock);
        let overload = (&self.settings.overload, &manifest.overload);
        let work = per_row.map(Duration::from_nanos);
        let places = Places::new(self.settings.inflight_max, overload.0, overload.1, work, self.settings.pool_threads);
        let cross_check = self.cross_check(model, found, &opened);
        let plan = Plan::new(&self.settings.batching, &manifest, &opened.signature, probe);
        let notes = &manifest.result_cache;
        let keeping = notes.is_on().then(|| self.results.keeping(&opened.sha256, notes.time_to_live())).flatten();
        let load_ms = self.clock.now().nanos_since(began) / 1_000_000;
        let need = self.need(&opened.files_sha256, opened.file_bytes, Some(&EngineId::from(&opened.engine)), model);
        let engine_was = self.remember(model, found, &opened);
        let files = VersionFiles::of(model, found, &opened);
        let body = self.body(model, found, Arc::from(opened.session));
        let mut parts = opened.parts;
        parts.count_in(&facts);
        let seat = room.settle(body, Need { load_ms, ..need });
        let ready = ReadyVersion {
            seat,
            model: model.name.clone(),
            version: found.version.clone(),
            features,
            answers,
            manifest,
            origin,
            engine_was,
            engine: opened.engine,
            passed_over: opened.passed_over,
            is_copy: opened.is_copy,
            load_ms,
            cost_is_per_row: !opened.cost_depends_on_values && opened.signature.rows_tell_size(),
            signature: opened.signature,
            properties: opened.properties,
            sha256: opened.sha256,
            files_sha256: opened.files_sha256,
            parts,
            file_bytes: opened.file_bytes,
            cross_check,
            facts,
            breaker,
            lane: Lane::new(plan),
            fingerprint: found.fingerprint.clone(),
            places,
            keeping,
            files: Arc::new(files),
            life: Arc::default(),
            found: self.keeper.as_ref().map(|_| Arc::new(model.clone())),
            leases: Leases::new(self.retired.clone()),
        };
        Ok(ready)
    }

    /// A session and, where faults can be ordered, itself with them. Only requests meet them: another engine that is
    /// asked for its opinion hears the truth.
    pub(super) fn body(&self, model: &FoundModel, found: &FoundVersion, session: Arc<dyn Session>) -> Body {
        let faults = self.settings.faults.as_ref();
        let faulty = faults.map(|faults| faults.around(&model.name, &found.version, Arc::clone(&session)));
        Body { session, faulty }
    }

    /// What will be known of a version's engines beside each other.
    fn cross_check(&self, model: &FoundModel, found: &FoundVersion, opened: &Opened) -> Arc<CrossCheck> {
        let settings = &self.settings.cross_check;
        let why_not = Trial::why_not(&self.engines, settings, model, opened.file_bytes);
        let checks = self.checks.as_ref().filter(|_| why_not.is_none());
        Arc::new(CrossCheck::new(
            (&model.name, &found.version),
            EngineId::from(&opened.engine),
            &opened.signature.outputs,
            settings.tolerance,
            checks.and_then(|outbox| Live::new(settings, outbox)),
            why_not.as_deref(),
        ))
    }

    /// Has a version that is published checked by another engine, when the first round of loads is over: so long
    /// the processors are for those.
    pub(super) fn check_later(&self, model: &FoundModel, found: &FoundVersion, ready: &ReadyVersion) {
        let Some(outbox) = self.checks.clone() else { return };
        if ready.cross_check.report().state != CrossCheckState::Pending {
            return;
        }
        // One that has left already will not be checked; it says so until it is loaded anew.
        let Some(session) = ready.seat.for_check() else { return };
        let subject = Subject {
            engines: Arc::clone(&self.engines),
            repository: self.repository.clone(),
            settings: self.settings.cross_check.clone(),
            clock: Arc::clone(&self.clock),
            model: model.clone(),
            found: found.clone(),
            session,
            signature: ready.signature.clone(),
            sha256: ready.sha256.clone(),
            check: Arc::clone(&ready.cross_check),
        };
        let mut postponed = self.postponed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.started.load(Ordering::SeqCst) {
            check(&outbox, subject);
        } else {
            postponed.push(subject);
        }
    }

    /// The first round of loads is over. What the checks' own sessions leave is given back when all are made.
    pub(super) fn check_postponed(&self) {
        let Some(outbox) = &self.checks else { return };
        let postponed = std::mem::take(&mut *self.postponed.lock().unwrap_or_else(PoisonError::into_inner));
        postponed.into_iter().for_each(|subject| check(outbox, subject));
        if let Some(trim) = self.settings.trim {
            outbox.version(move || {
                let _ = trim();
            });
        }
    }

    /// The engine that ran this file before, if it was another one; says so when that is news.
    fn remember(&self, model: &FoundModel, found: &FoundVersion, opened: &Opened) -> Option<EngineId> {
        let now = EngineId::from(&opened.engine);
        let Remembered { was, changed } =
            self.record.remember(&model.name, &found.version, &opened.sha256, now.clone());
        if let Some(was) = was.as_ref().filter(|_| changed) {
            let why = joined(&opened.passed_over);
            tracing::warn!(model = %model.name, version = %found.version, %was, %now, "the same file is run by another engine than before{}",
                if why.is_empty() { why } else { format!(" ({why})") });
        }
        was
    }
}

fn check(outbox: &Outbox, subject: Subject) {
    let for_check = outbox.clone();
    outbox.version(move || subject.check(|| for_check.is_ending()));
}

/// sha256 in hex.
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A panic inside an engine is a failed load, not a lost thread.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::model("the engine panicked")))
}

/// Measures what a row costs; `None` when nothing could be run.
fn warm_up(
    session: &dyn Session,
    signature: &Signature,
    rules: RequestRules,
    golden: Option<&Golden>,
    (runs, clock): (usize, &dyn Clock),
) -> Result<Option<u64>> {
    let first_case = golden.and_then(|golden| golden.cases.first());
    let inputs = match first_case {
        Some(case) => case.inputs_for(signature)?,
        None => zeros(signature)?,
    };
    let rows = signature.check(&inputs, rules)?.max(1);
    let wanted: Vec<usize> = (0..signature.outputs.len()).collect();
    let (began, mut fastest) = (clock.now(), None::<u64>);
    for _ in 0..runs {
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
