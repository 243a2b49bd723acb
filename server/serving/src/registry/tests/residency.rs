//! Sessions that come and go: a budget for two of them, real threads, gates instead of sleeps.

use std::{sync::atomic::AtomicUsize, time::Duration};

use super::*;
use crate::{
    Call, InferRequest, Pipeline, PipelineSettings, Ran, Scheduler, SchedulerSettings,
    pipeline::Codec,
    residency::{ResidencySettings, policy::Policy},
};

/// A codec that asks for two zeros and gives the first number of the answer.
struct Ask;

impl Codec for Ask {
    type Reply = i64;

    fn body_bytes(&self) -> usize {
        0
    }

    fn decode(&mut self, _: &ReadyVersion) -> Result<InferRequest> {
        use candor_domain::{Shape, Tensor, TensorData};
        let input = Tensor::new(Shape::new(&[1, 2])?, TensorData::Fp32(vec![0.0; 2]))?;
        Ok(InferRequest { inputs: vec![input], outputs: vec![0], timeout: None, priority: 0 })
    }

    fn encode(self, ran: Ran<'_>) -> Result<i64> {
        use candor_domain::TensorData;
        let TensorData::Int64(values) = ran.outputs[0].data() else { panic!("not INT64") };
        Ok(values[0])
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    world: World,
    pipeline: Pipeline,
    clock: Arc<ManualClock>,
}

impl House {
    /// Models whose sessions are said to take `bytes` of `budget`.
    fn new(budget: u64, models: &[(&str, u64)]) -> Self {
        Self::with(budget, None, models)
    }

    fn with(budget: u64, idle_ttl: Option<Duration>, models: &[(&str, u64)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (hooks, clock) = (Hooks::default(), Arc::new(ManualClock::default()));
        let residency =
            ResidencySettings { budget, policy: Policy::Gdsf, idle_ttl, load_wait_max: PATIENCE, weights: None };
        let settings = RegistrySettings {
            version_policy: VersionPolicy::All,
            load_threads: 2,
            inference_threads: 2,
            residency: Some(residency),
            ..RegistrySettings::default()
        };
        let repository = Repository::open(folder.path(), 1 << 20).unwrap();
        let engines = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone())));
        let registry = Registry::start(engines, repository, clock.clone(), settings.clone()).unwrap();
        let registry = Arc::new(registry);
        let scheduling = SchedulerSettings { threads: 2, ..SchedulerSettings::default() };
        let sessions = Scheduler::start("pool", scheduling, clock.clone()).unwrap();
        let pipeline_settings = PipelineSettings {
            inline_body_bytes_max: 1000,
            inline_run_max: Duration::from_secs(1),
            inference_max: PATIENCE,
        };
        let pipeline = Pipeline::new(Arc::clone(&registry), sessions, clock.clone(), pipeline_settings);
        // The world's registry is not used; its helpers write files.
        let idle = Registry::start(
            Engines::one(Arc::new(NullEngine::new())),
            Repository::open(folder.path(), 1 << 20).unwrap(),
            clock.clone(),
            RegistrySettings { residency: None, ..settings },
        );
        let world = World { folder, hooks, registry: idle.unwrap(), puts: std::cell::Cell::new(0) };
        let house = Self { world, pipeline, clock };
        for (place, (model, bytes)) in models.iter().enumerate() {
            house.put(model, place + 1, &format!("bytes = {bytes}"));
        }
        house
    }

    fn put(&self, model: &str, constant: usize, notes: &str) {
        self.world.put(&format!("{model}/1"), model, constant);
        self.world.write(&format!("{model}/model.toml"), &format!("[residency]\n{notes}\n"));
        self.load(model).unwrap();
    }

    fn registry(&self) -> &Registry {
        self.pipeline.registry()
    }

    fn load(&self, model: &str) -> Result<()> {
        self.registry().load(name(model), None).unwrap().wait_blocking().unwrap()
    }

    async fn ask(&self, model: &str) -> Result<i64> {
        self.pipeline.infer(Call { model, version: None }, Ask).await
    }

    fn is_resident(&self, model: &str) -> bool {
        self.registry().lease(model, None).unwrap().is_resident()
    }

    fn reserved(&self) -> u64 {
        self.registry().residency().unwrap().totals.reserved_bytes
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

#[test]
fn a_cold_model_answers_after_another_has_left() {
    let house = House::new(100, &[("a", 50), ("b", 50), ("c", 50)]);
    assert_eq!(house.registry().residency().unwrap().totals.evictions, 1, "the third load needed room");
    for _ in 0..3 {
        for (model, answer) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(run(house.ask(model)).unwrap(), answer);
            assert!(house.world.hooks.live() <= 3, "two, and one that is being freed");
            assert!(house.reserved() <= 100);
        }
    }
    let view = house.registry().residency().unwrap();
    assert!(view.cold_starts >= 7 && view.totals.reserved_bytes_peak <= 100, "{view:?}");
    assert_eq!(view.waits.count(), view.cold_starts);
    assert_eq!(house.registry().ready_models().len(), 3, "what is cold is ready all the same");
    assert!(house.registry().index().unwrap().iter().all(|entry| entry.state == Lifecycle::Ready));
    assert_eq!(house.registry().lease("a", None).unwrap().signature.inputs.len(), 1);
}

#[test]
fn many_requests_for_a_cold_model_make_one_load() {
    let house = House::new(50, &[("a", 50), ("b", 50)]);
    let gate = house.world.hooks.hold_loads("a");
    let before = house.world.hooks.loads("a");
    run(async {
        let asks: Vec<_> = (0..20).map(|_| Box::pin(house.ask("a"))).collect();
        let open = async {
            tokio::task::yield_now().await;
            gate.open();
        };
        let all = async {
            for ask in futures_join(asks).await {
                assert_eq!(ask.unwrap(), 1);
            }
        };
        tokio::join!(all, open);
    });
    assert_eq!(house.world.hooks.loads("a"), before + 1);
}

/// All of them together; the crate that has this is not ours to use here.
async fn futures_join<T>(mut all: Vec<std::pin::Pin<Box<impl Future<Output = T>>>>) -> Vec<T> {
    let mut told: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in all.iter_mut().zip(&mut told) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if told.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    told.into_iter().flatten().collect()
}

#[test]
fn a_lease_that_runs_keeps_its_session_while_another_waits_for_the_room() {
    let house = House::new(50, &[("a", 50), ("b", 50)]);
    assert_eq!(run(house.ask("a")).unwrap(), 1);
    let mut lease = house.registry().lease("a", None).unwrap();
    assert!(lease.sit());
    run(async {
        let mut ask = Box::pin(house.ask("b"));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut ask).await.is_err(), "there is no room");
        assert_eq!((answer(&lease).0, house.world.hooks.live_of("a")), (1, 1));
        assert!(house.reserved() <= 50);
        drop(lease);
        assert_eq!(ask.await.unwrap(), 2);
    });
    assert!(house.world.hooks.wait_for_live_of("a", 0));
}

#[test]
fn what_can_never_fit_is_refused_with_the_numbers_at_its_load() {
    let house = House::new(100, &[("a", 50)]);
    house.world.put("b/1", "b", 2);
    house.world.write("b/model.toml", "[residency]\nbytes = 101\n");
    let error = house.load("b").unwrap_err().to_string();
    assert!(
        error.contains("residency.budget") && error.contains("at most 100 bytes") && error.contains("101 bytes"),
        "{error}"
    );
    assert_eq!((run(house.ask("a")).unwrap(), house.reserved()), (1, 50));
    house.put("c", 3, "pin = true\nbytes = 60");
    assert!(!house.is_resident("a"));
    let error = run(house.ask("a")).unwrap_err().to_string();
    assert!(error.contains("at most 40 bytes (100, of which pinned models hold 60)"), "{error}");
}

#[test]
fn a_pinned_model_stays() {
    let house = House::new(100, &[("a", 50)]);
    house.put("p", 9, "pin = true\nbytes = 50");
    house.put("b", 2, "bytes = 50");
    for _ in 0..3 {
        assert_eq!((run(house.ask("a")).unwrap(), run(house.ask("b")).unwrap()), (1, 2));
        assert!(house.is_resident("p"));
    }
    assert_eq!(house.world.hooks.loads("p"), 1);
}

#[test]
fn a_load_that_fails_tells_all_who_wait_and_gives_its_room_back() {
    let house = House::new(50, &[("a", 50), ("b", 50)]);
    let path = house.world.path("a/1/model.onnx");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}# another file\n")).unwrap();
    let error = run(house.ask("a")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotReady);
    assert!(error.to_string().contains("is another than when it was loaded"), "{error}");
    assert_eq!(run(house.ask("b")).unwrap(), 2);
    // Not tried again at once; later it is.
    fs::write(&path, text).unwrap();
    assert!(run(house.ask("a")).is_err());
    house.clock.advance(Duration::from_secs(2));
    assert_eq!(run(house.ask("a")).unwrap(), 1);
    assert!(house.reserved() <= 50);
}

#[test]
fn a_version_that_is_replaced_while_requests_wait_for_it_sends_them_to_the_new_one() {
    let house = House::new(50, &[("a", 50), ("b", 50)]);
    let gate = house.world.hooks.hold_loads("a");
    run(async {
        let mut ask = Box::pin(house.ask("a"));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut ask).await.is_err());
        assert!(gate.wait_for(1));
        house.world.put("a/1", "a2", 7);
        let load = house.registry().load(name("a"), None).unwrap();
        gate.open();
        let (told, loaded) = tokio::join!(ask, load.wait());
        loaded.unwrap().unwrap();
        assert!(matches!(told, Ok(1 | 7)), "{told:?}");
    });
    assert_eq!(run(house.ask("a")).unwrap(), 7);
}

#[test]
fn unused_sessions_leave_after_their_time_and_come_back() {
    let house = House::with(u64::MAX, Some(Duration::from_secs(60)), &[("a", 50), ("b", 50)]);
    house.clock.advance(Duration::from_secs(59));
    assert_eq!(run(house.ask("b")).unwrap(), 2);
    house.registry().tick();
    assert!(house.is_resident("a"));
    house.clock.advance(Duration::from_secs(2));
    house.registry().tick();
    assert!(!house.is_resident("a") && house.is_resident("b"));
    assert!(house.world.hooks.wait_for_live_of("a", 0));
    assert_eq!(run(house.ask("a")).unwrap(), 1);
}

#[test]
fn a_lazy_model_is_loaded_once_by_the_first_who_ask_and_not_after_an_unload() {
    let mut house = House::new(100, &[]);
    house.world.put("a/1", "a", 1);
    house.world.write("b/1/model.onnx", "no model");
    let settings = RegistrySettings { lazy: true, ..RegistrySettings::default() };
    let engines = Engines::one(Arc::new(NullEngine::with_hooks(house.world.hooks.clone())));
    let repository = Repository::open(house.world.folder.path(), 1 << 20).unwrap();
    let registry = Arc::new(Registry::start(engines, repository, house.clock.clone(), settings).unwrap());
    registry.start_empty();
    let sessions =
        Scheduler::start("pool", SchedulerSettings { threads: 1, ..Default::default() }, house.clock.clone()).unwrap();
    let pipeline_settings = house.pipeline.settings().clone();
    house.pipeline = Pipeline::new(registry, sessions, house.clock.clone(), pipeline_settings);
    assert!(house.pipeline.answering("a", None).unwrap().is_none(), "it will be loaded when it is asked");
    assert_eq!(house.pipeline.answering("a", Some("1")).unwrap_err().code(), ErrorCode::NotReady);
    assert_eq!(house.pipeline.answering("nobody", None).unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(house.world.hooks.loads("a"), 0, "asking whether it answers loads nothing");
    run(async {
        let told = futures_join((0..8).map(|_| Box::pin(house.ask("a"))).collect()).await;
        assert!(told.into_iter().all(|told| told.unwrap() == 1));
    });
    assert_eq!(house.world.hooks.loads("a"), 1);
    assert!(house.pipeline.answering("a", None).unwrap().is_some());
    house.world.put("c/1", "c", 3);
    house.registry().index().unwrap();
    let described = run(async { house.pipeline.describe("c", None).await }).unwrap();
    assert_eq!(
        (described.version.as_str(), described.signature.inputs.len()),
        ("1", 1),
        "to describe it, it is loaded"
    );
    assert_eq!((house.world.hooks.loads("c"), run(house.ask("c")).unwrap()), (1, 3));
    assert_eq!(run(async { house.pipeline.describe("nobody", None).await }).unwrap_err().code(), ErrorCode::NotFound);
    let error = run(house.ask("b")).unwrap_err();
    assert!(error.to_string().contains("could not be loaded"), "{error}");
    assert_eq!(run(house.ask("nobody")).unwrap_err().code(), ErrorCode::NotFound);
    house.registry().unload(name("a")).unwrap().wait_blocking().unwrap().unwrap();
    assert_eq!(run(house.ask("a")).unwrap_err().code(), ErrorCode::NotReady, "somebody has decided that");
}

#[test]
fn unloading_and_dropping_give_everything_back() {
    let house = House::new(100, &[("a", 50), ("b", 50)]);
    for model in ["a", "b"] {
        house.registry().unload(name(model)).unwrap().wait_blocking().unwrap().unwrap();
    }
    assert!(house.world.hooks.wait_for_live(0));
    house.put("c", 3, "bytes = 100");
    assert_eq!((run(house.ask("c")).unwrap(), house.reserved()), (3, 100));
    let House { world, pipeline, .. } = house;
    drop(pipeline);
    assert!(world.hooks.wait_for_live(0));
}

#[test]
fn a_storm_of_requests_over_few_places_loses_none_and_keeps_the_budget() {
    let models: Vec<(String, u64)> = (0..12).map(|model| (format!("m{model}"), 20 + model)).collect();
    let named: Vec<(&str, u64)> = models.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let house = House::new(100, &named);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (house, answered) = (&house.pipeline, &answered);
            scope.spawn(move || {
                for step in 0..100_usize {
                    let model = (thread * 31 + step * (7 + thread)) % 12;
                    let call_model = format!("m{model}");
                    let told = run(house.infer(Call { model: &call_model, version: None }, Ask));
                    assert_eq!(told.unwrap(), i64::try_from(model).unwrap() + 1);
                    answered.fetch_add(1, Ordering::SeqCst);
                    let totals = house.registry().residency().unwrap().totals;
                    assert!(totals.reserved_bytes <= 100, "{totals:?}");
                }
            });
        }
    });
    assert_eq!(answered.load(Ordering::SeqCst), 400);
}

/// A check that waits for the end of the first round must not keep in memory what the round's other loads wait for.
#[test]
fn a_first_round_over_more_than_fits_ends_though_each_version_waits_for_its_check() {
    let folder = tempfile::tempdir().unwrap();
    let hooks = Hooks::default();
    let residency =
        ResidencySettings { budget: 50, policy: Policy::Gdsf, idle_ttl: None, load_wait_max: PATIENCE, weights: None };
    let settings = RegistrySettings {
        load_threads: 2,
        residency: Some(residency),
        cross_check: crate::CrossCheckSettings { at_load: true, ..crate::CrossCheckSettings::default() },
        ..RegistrySettings::default()
    };
    let engines = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone()).named("one", "1")))
        .with(Arc::new(NullEngine::new().named("two", "1")));
    let repository = Repository::open(folder.path(), 1 << 20).unwrap();
    let registry = Registry::start(engines, repository, Arc::new(ManualClock::default()), settings).unwrap();
    let idle = World::new();
    let world = World { folder, hooks, registry, puts: idle.puts.clone() };
    for model in ["a", "b", "c", "d"] {
        world.put(&format!("{model}/1"), model, 1);
        world.write(&format!("{model}/model.toml"), "[residency]\nbytes = 50\n");
    }
    run(world.registry.load_all()).unwrap();
    assert_eq!(world.registry.ready_models().len(), 4);
    world.registry.settle_checks();
    assert!(world.registry.residency().unwrap().totals.reserved_bytes <= 50);
}
