//! One version, two engines: the second loads the file too, both are asked the same, and the answers compared.

use std::{sync::Arc, time::Duration};

use candor_domain::{Clock, ErrorCode, RequestRules, Result, Session, Signature, Tensor, TensorSpec};

use super::{CrossCheck, CrossCheckReport, CrossCheckSettings, CrossCheckState, inputs, report::compare_all};
use crate::{
    engines::{EngineId, Engines, caught},
    registry::Opened,
    repository::{FoundModel, FoundVersion, Repository},
    residency::Visited,
};

/// No further question is asked after this long.
const TRIAL_MAX: Duration = Duration::from_secs(5);

/// The engine that serves, and everything that a second one needs.
pub(crate) struct Trial<'a> {
    pub(crate) engines: &'a Engines,
    pub(crate) repository: &'a Repository,
    pub(crate) settings: &'a CrossCheckSettings,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) model: &'a FoundModel,
    pub(crate) found: &'a FoundVersion,
    /// The one that serves.
    pub(crate) engine: &'a EngineId,
    pub(crate) session: &'a dyn Session,
    pub(crate) signature: &'a Signature,
    pub(crate) sha256: &'a str,
    /// Whether nobody wants to know any more.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

/// Another engine's session of the same version.
pub(crate) struct Second {
    session: Arc<dyn Session>,
    engine: EngineId,
}

impl Second {
    /// Asks it.
    pub(super) fn run(&self, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>> {
        ask(&*self.session, inputs, wanted)
    }
}

/// A panic inside an engine is a failed run, not a lost thread.
fn ask(session: &dyn Session, inputs: &[Tensor], wanted: &[usize]) -> Result<Vec<Tensor>> {
    caught(ErrorCode::EngineFailed, || session.run(inputs, wanted, None))
}

impl Trial<'_> {
    /// Why there is nothing to try, if that can be told beforehand.
    pub(crate) fn why_not(
        engines: &Engines,
        settings: &CrossCheckSettings,
        model: &FoundModel,
        file_bytes: u64,
    ) -> Option<String> {
        let choice = model.manifest.engine;
        if !settings.is_on() {
            return Some("cross_check.at_load is off".to_owned());
        }
        if engines.infos().filter(|info| choice.admits(info.name)).count() < 2 {
            return Some("there is no other engine".to_owned());
        }
        (file_bytes > settings.file_bytes_max).then(|| {
            let max = settings.file_bytes_max;
            format!("the file has {file_bytes} bytes, more than cross_check.file_bytes_max ({max})")
        })
    }

    /// Loads, asks, compares. The second session is given back for live traffic.
    pub(crate) fn run(&self) -> (CrossCheckReport, Option<Second>) {
        let bytes = match self.repository.read_model(self.found) {
            Ok(bytes) => bytes,
            Err(error) => return (CrossCheckReport::none(error.to_string()), None),
        };
        let mut opened = match Opened::open_second(self.engines, &bytes, self.model, self.found, &self.engine.name) {
            Ok(opened) => opened,
            Err(error) if error.code() == ErrorCode::Unsupported => {
                return (CrossCheckReport::none(error.to_string()), None);
            }
            Err(error) => return (CrossCheckReport::failed(None, error.to_string()), None),
        };
        drop(bytes);
        let engine = EngineId::from(&opened.engine);
        if opened.sha256 != self.sha256 {
            return (CrossCheckReport::none("the file has changed since it was loaded"), None);
        }
        let meaning = match opened.read(self.model, self.found) {
            Ok(meaning) => meaning,
            Err(error) => return (CrossCheckReport::failed(Some(engine), error.to_string()), None),
        };
        if let Some(why) = difference(self.signature, &opened.signature) {
            return (CrossCheckReport::failed(Some(engine), why), None);
        }
        let features = meaning.features.as_ref().ok();
        let golden = self.repository.read_golden(self.found).ok().flatten();
        let seed = inputs::seed_of(self.sha256);
        let questions = match self.settings.at_load {
            true => inputs::questions(self.signature, features, golden.as_ref(), seed),
            false => Vec::new(),
        };
        let second = Second { session: Arc::from(opened.into_session()), engine };
        let report = self.ask(&questions, &second, meaning.manifest.rules());
        (report, Some(second))
    }

    fn ask(&self, questions: &[Vec<Tensor>], second: &Second, rules: RequestRules) -> CrossCheckReport {
        let began = self.clock.now();
        let wanted: Vec<usize> = (0..self.signature.outputs.len()).collect();
        let names: Vec<&str> = self.signature.outputs.iter().map(|spec| &*spec.name).collect();
        let mut report = CrossCheckReport { engine: Some(second.engine.clone()), ..CrossCheckReport::default() };
        for question in questions {
            let late = self.clock.now().nanos_since(began) > u64::try_from(TRIAL_MAX.as_nanos()).unwrap_or(u64::MAX);
            if late || (self.stop)() {
                break;
            }
            // What the model does not take is no question.
            if self.signature.check(question, rules).is_err() {
                continue;
            }
            let Ok(served) = ask(self.session, question, &wanted) else { continue };
            match second.run(question, &wanted) {
                Ok(answered) => report.add(&compare_all(&names, &served, &answered, self.settings.tolerance)),
                Err(error) => {
                    report.state = CrossCheckState::Failed;
                    report.reason = Some(format!("it does not answer what {} answers: {error}", self.engine));
                    return report;
                }
            }
        }
        if report.state == CrossCheckState::Pending {
            report.state = CrossCheckState::None;
            let why = if self.settings.at_load {
                "no made-up row is input that it takes"
            } else {
                "cross_check.at_load is off"
            };
            report.reason = Some(why.to_owned());
        }
        report
    }
}

/// How two engines read the same graph differently. Names and datatypes count; sizes may be known to one only.
fn difference(served: &Signature, second: &Signature) -> Option<String> {
    let shown = |signature: &Signature| {
        let one = |spec: &TensorSpec| format!("{} {}", spec.name, spec.datatype);
        let side = |specs: &[TensorSpec]| specs.iter().map(one).collect::<Vec<_>>().join(", ");
        format!("{} → {}", side(&signature.inputs), side(&signature.outputs))
    };
    let (served, second) = (shown(served), shown(second));
    (served != second).then(|| format!("it reads the graph as {second}, and not as {served}"))
}

/// A version that has just been published, and everything that its trial needs, so that nothing of the version itself
/// is held while it runs.
pub(crate) struct Subject {
    pub(crate) engines: Arc<Engines>,
    pub(crate) repository: Repository,
    pub(crate) settings: CrossCheckSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) model: FoundModel,
    pub(crate) found: FoundVersion,
    /// Keeps nothing in memory: a version that is replaced before the check's turn leaves.
    pub(crate) session: Visited,
    pub(crate) signature: Signature,
    pub(crate) sha256: String,
    pub(crate) check: Arc<CrossCheck>,
}

impl Subject {
    /// Tries, takes note, and lets the second session go unless live traffic is to be checked too.
    pub(crate) fn check(self, is_ending: impl Fn() -> bool) {
        let stop = || self.check.is_over() || is_ending();
        if stop() {
            return;
        }
        let trial = Trial {
            engines: &self.engines,
            repository: &self.repository,
            settings: &self.settings,
            clock: &*self.clock,
            model: &self.model,
            found: &self.found,
            engine: &self.check.engine,
            session: &self.session,
            signature: &self.signature,
            sha256: &self.sha256,
            stop: &stop,
        };
        let (report, second) = trial.run();
        if let (Some(live), Some(second)) = (&self.check.live, second) {
            live.begin(second);
        }
        self.check.conclude(report);
    }
}
