//! Cross-checks through a registry over null engines of several names.

use std::{fs, sync::Arc};

use candor_domain::{
    Cancel, Engine, EngineInfo, Error, ErrorCode, LoadedModel, ManualClock, ModelName, ModelSource, Result, Session,
    Shape, Tensor, TensorData,
};
use candor_engine_conformance::{Hooks, NullEngine};

use super::*;
use crate::{
    engines::Engines,
    registry::{Lease, Registry, RegistrySettings},
    repository::Repository,
};

/// A registry over one model, whose engines share their hooks.
struct World {
    registry: Registry,
    hooks: Hooks,
    _folder: tempfile::TempDir,
}

const MODEL: &str = "[[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\", 2]\n\
                     [[outputs]]\nname = \"y\"\ndatatype = \"FP32\"\ndims = [\"rows\", 3]\nconstant = 0.5\n\
                     [[outputs]]\nname = \"label\"\ndatatype = \"INT64\"\ndims = [\"rows\"]\nconstant = 7\n";

fn at_load() -> CrossCheckSettings {
    CrossCheckSettings { at_load: true, ..CrossCheckSettings::default() }
}

fn live(share: f64) -> CrossCheckSettings {
    CrossCheckSettings { live_share: share, ..at_load() }
}

impl World {
    fn new(head: &str, settings: CrossCheckSettings) -> Self {
        let hooks = Hooks::default();
        let null = |name| Arc::new(NullEngine::with_hooks(hooks.clone()).named(name, "1")) as Arc<dyn Engine>;
        let engines = Engines::one(null("ort")).with(null("native"));
        Self::over(engines, hooks, head, settings)
    }

    fn over(engines: Engines, hooks: Hooks, head: &str, cross_check: CrossCheckSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("m/1")).unwrap();
        fs::write(folder.path().join("m/1/model.onnx"), format!("key = \"k\"\n{head}\n{MODEL}")).unwrap();
        let settings = RegistrySettings { cross_check, ..RegistrySettings::default() };
        let repository = Repository::open(folder.path(), 1 << 20).unwrap();
        let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
        registry.load(ModelName::parse("m").unwrap(), None).unwrap().wait_blocking().unwrap().unwrap();
        Self { registry, hooks, _folder: folder }
    }

    /// What is known when the first round of loads is over.
    fn report(&self) -> CrossCheckReport {
        self.registry.start_empty();
        self.registry.settle_checks();
        self.lease().cross_check().report()
    }

    fn lease(&self) -> Lease {
        self.registry.lease("m", None).unwrap()
    }
}

fn tensor(dims: &[i64], data: TensorData) -> Tensor {
    Tensor::new(Shape::new(dims).unwrap(), data).unwrap()
}

/// A request and its answer, as the pipeline hands them over.
fn answer(lease: &Lease, rows: i64) -> (Vec<Tensor>, Vec<Tensor>) {
    let elements = usize::try_from(rows * 2).unwrap();
    let inputs = vec![tensor(&[rows, 2], TensorData::Fp32(vec![1.0; elements]))];
    let outputs = lease.session().run(&inputs, &[1, 0], None).unwrap();
    (inputs, outputs)
}

fn offer(lease: &Lease, times: usize) {
    let (inputs, outputs) = answer(lease, 2);
    (0..times).for_each(|_| lease.cross_check().offer(&inputs, &[1, 0], &outputs));
}

#[test]
fn engines_that_say_the_same_agree_and_the_second_session_goes() {
    let world = World::new("", at_load());
    assert_eq!(world.lease().cross_check().report().state, CrossCheckState::Pending, "loads come first");
    assert_eq!(world.hooks.loads("k"), 1);
    let report = world.report();
    assert_eq!((report.state, report.rows, report.largest_difference), (CrossCheckState::Agreed, 20, 0.0));
    assert_eq!(report.to_string(), "agreed: native 1, 20 rows, largest difference 0.0e0");
    assert_eq!((report.reason, report.disagreement, report.live), (None, None, None));
    assert_eq!((world.hooks.loads("k"), world.hooks.live_of("k")), (2, 1));
}

#[test]
fn a_disagreement_names_output_row_and_both_values_and_changes_no_answer() {
    let world = World::new("lies = [\"native\"]", at_load());
    let report = world.report();
    assert_eq!(report.state, CrossCheckState::Disagreed);
    assert_eq!(
        report.to_string(),
        "disagreed: native 1, 20 rows, largest difference 1.0e0; output 'y', row 0: 0.5 and 1.5"
    );
    let (_, outputs) = answer(&world.lease(), 1);
    assert_eq!(outputs[1].data(), &TensorData::Fp32(vec![0.5; 3]));
    // A tolerance that allows for it is kept for numbers; labels have none.
    let generous = World::new("lies = [\"native\"]", CrossCheckSettings { tolerance: 2.0, ..at_load() });
    assert_eq!(generous.report().disagreement.unwrap().to_string(), "output 'label', row 0: 7 and 8");
}

#[test]
fn where_nothing_is_compared_it_is_said_why() {
    let none = |world: World, why: &str| {
        let report = world.report();
        assert_eq!(report.state, CrossCheckState::None);
        let reason = report.reason.unwrap();
        assert!(reason.contains(why), "{reason}");
    };
    let hooks = Hooks::default();
    let one = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone())));
    none(World::over(one, hooks, "", at_load()), "there is no other engine");
    none(World::new("", CrossCheckSettings::default()), "cross_check.at_load is off");
    none(World::new("not_for = [\"native\"]", at_load()), "'k' is not for this engine");
    let small = CrossCheckSettings { file_bytes_max: 10, ..at_load() };
    none(World::new("", small), "more than cross_check.file_bytes_max (10)");
    none(World::new("fail_run = \"never\"", at_load()), "no made-up row is input that it takes");
}

#[test]
fn a_check_that_waits_for_its_turn_keeps_no_session_in_memory() {
    let world = World::new("", at_load());
    assert_eq!(world.lease().cross_check().report().state, CrossCheckState::Pending);
    let unload = world.registry.unload(ModelName::parse("m").unwrap()).unwrap();
    unload.wait_blocking().unwrap().unwrap();
    assert!(world.hooks.wait_for_live_of("k", 0), "only the check can still hold it");
    world.registry.start_empty();
    world.registry.settle_checks();
    assert_eq!(world.hooks.loads("k"), 1, "nobody asks about a version that is gone");
}

/// Takes every file and answers nothing.
struct Mute(NullEngine);

impl Engine for Mute {
    fn info(&self) -> &EngineInfo {
        self.0.info()
    }

    fn load(&self, source: ModelSource<'_>) -> Result<LoadedModel> {
        struct Nothing;
        impl Session for Nothing {
            fn run(&self, _: &[Tensor], _: &[usize], _: Option<&Cancel>) -> Result<Vec<Tensor>> {
                Err(Error::new(ErrorCode::EngineFailed, "mute"))
            }
        }
        Ok(LoadedModel { session: Box::new(Nothing), ..self.0.load(source)? })
    }
}

#[test]
fn a_second_engine_that_does_not_answer_has_failed() {
    let hooks = Hooks::default();
    let mute = Arc::new(Mute(NullEngine::new().named("native", "1")));
    let engines = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone()).named("ort", "1"))).with(mute);
    let world = World::over(engines, hooks, "", live(1.0));
    let report = world.report();
    assert_eq!(report.state, CrossCheckState::Failed);
    assert_eq!(report.reason.unwrap(), "it does not answer what ort 1 answers: mute");
    offer(&world.lease(), 3);
    world.registry.settle_checks();
    let counts = world.lease().cross_check().report().live.unwrap();
    assert_eq!(counts, LiveCounts { sampled: 3, failed: 3, ..LiveCounts::default() });
}

#[test]
fn live_traffic_is_counted_to_the_last_request() {
    let world = World::new("", CrossCheckSettings { at_load: false, ..live(1.0) });
    assert_eq!(world.report().state, CrossCheckState::None);
    assert_eq!(world.hooks.live_of("k"), 2, "the second session stays");
    offer(&world.lease(), 5);
    world.registry.settle_checks();
    let report = world.lease().cross_check().report();
    assert_eq!((report.state, report.rows, report.reason), (CrossCheckState::Agreed, 10, None));
    assert_eq!(report.live.unwrap(), LiveCounts { sampled: 5, agreed: 5, ..LiveCounts::default() });

    let liar = World::new("lies = [\"native\"]", CrossCheckSettings { at_load: false, ..live(1.0) });
    liar.report();
    offer(&liar.lease(), 4);
    liar.registry.settle_checks();
    let report = liar.lease().cross_check().report();
    assert_eq!(report.disagreement.unwrap().to_string(), "output 'label', row 0: 7 and 8", "it was asked for first");
    assert_eq!(report.live.unwrap(), LiveCounts { sampled: 4, disagreed: 4, ..LiveCounts::default() });
}

#[test]
fn a_text_of_live_traffic_is_not_shown_to_others() {
    let world = World::new("", CrossCheckSettings { at_load: false, ..live(1.0) });
    world.report();
    let lease = world.lease();
    let (inputs, _) = answer(&lease, 1);
    let words = tensor(&[1], TensorData::Bytes(["secret"].into_iter().collect()));
    lease.cross_check().offer(&inputs, &[1], &[words]);
    world.registry.settle_checks();
    let report = lease.cross_check().report();
    assert_eq!(report.disagreement.unwrap().to_string(), "output 'label', row 0: a text and another text");
}

#[test]
fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let world = World::new("", CrossCheckSettings { queue_max: 2, ..live(1.0) });
    world.report();
    let lease = world.lease();
    let (inputs, outputs) = answer(&lease, 1);
    let gate = world.hooks.hold_runs("k");
    let offer = || lease.cross_check().offer(&inputs, &[1, 0], &outputs);
    offer();
    assert!(gate.wait_for(1), "the thread has the first");
    (0..4).for_each(|_| offer());
    let counts = lease.cross_check().report().live.unwrap();
    assert_eq!((counts.sampled, counts.dropped), (5, 2));
    gate.open();
    world.registry.settle_checks();
    let counts = lease.cross_check().report().live.unwrap();
    assert_eq!(counts, LiveCounts { sampled: 5, agreed: 3, dropped: 2, ..LiveCounts::default() });

    let (inputs, outputs) = answer(&lease, 1 << 17);
    lease.cross_check().offer(&inputs, &[1, 0], &outputs);
    assert_eq!(lease.cross_check().report().live.unwrap().dropped, 3, "too large to be copied");
}

#[test]
fn a_share_is_kept() {
    let world = World::new("", CrossCheckSettings { queue_max: 1 << 20, ..live(0.25) });
    world.report();
    offer(&world.lease(), 4000);
    world.registry.settle_checks();
    let counts = world.lease().cross_check().report().live.unwrap();
    assert!((900..1100).contains(&counts.sampled), "{counts:?}");
    assert_eq!(counts.agreed, counts.sampled);
}

#[test]
fn nobody_waits_for_a_check_when_the_version_or_the_registry_goes() {
    let world = World::new("", at_load());
    world.registry.unload(ModelName::parse("m").unwrap()).unwrap().wait_blocking().unwrap().unwrap();
    world.registry.start_empty();
    world.registry.settle_checks();
    assert_eq!(world.hooks.loads("k"), 1, "a version that is gone is not checked");
    assert!(world.hooks.wait_for_live(0));
}

/// Keeps the texts of warnings.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Ear {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{}={value:?} ", field.name()));
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_version_is_warned_of_once() {
    let apart = |row| Disagreement { output: "y".into(), row, served: "1".into(), second: "2".into() };
    let compared = |row| Compared { rows: 3, largest: 1.0, disagreement: Some(apart(row)) };
    let check = CrossCheck::new(
        (&ModelName::parse("m").unwrap(), &Version::first()),
        EngineId { name: "ort".into(), version: "9".into() },
        &[],
        1e-4,
        None,
        None,
    );
    let ear = Ear::default();
    tracing::subscriber::with_default(ear.clone(), || {
        let engine = Some(EngineId { name: "native".into(), version: "1".into() });
        check.conclude(CrossCheckReport { engine, ..CrossCheckReport::default() });
        check.note_live(&Compared { rows: 1, ..Compared::default() });
        (2..5).for_each(|row| check.note_live(&compared(row)));
    });
    let warnings = ear.0.lock().unwrap().clone();
    assert_eq!(
        warnings,
        ["message=the engines ort 9 and native 1 disagree: output 'y', row 2: 1 and 2 model=m version=1 "]
    );
    let report = check.report();
    assert_eq!((report.rows, report.disagreement), (10, Some(apart(2))), "the first is kept");
}

#[test]
fn an_engine_that_gives_fewer_outputs_disagrees() {
    let one = || Tensor::new(Shape::new(&[1]).unwrap(), TensorData::Fp32(vec![1.0])).unwrap();
    let compared = report::compare_all(&["y", "label"], &[one(), one()], &[one()], 1e-4);
    let found = compared.disagreement.unwrap();
    assert_eq!((&*found.output, &*found.served, &*found.second), ("label", "2 outputs", "1 outputs"));
    assert!(report::compare_all(&["y"], &[one()], &[one()], 1e-4).disagreement.is_none());
}
