//! Memory comes back: hundreds of loads, runs and unloads, and of loads that fail, leave the process as large as it was.
//! `cargo xtask test --deep` makes a thousand of each.
//!
//! Each test measures a process of its own, started anew for it alone. A cycle grows the process by what the line
//! through the second half of all cycles rises by; one cycle says nothing, because memory is taken in pages and given back in
//! larger pieces.

use std::{env, process::Command, sync::Arc, time::Duration};

use candor_domain::{Engine, Lifecycle, ManualClock, ModelName, Tensor};
use candor_engine_ort::{OrtEngine, trim};
use candor_serving::{
    Call, Codec, Engines, InferRequest, Pipeline, PipelineSettings, Ran, ReadyVersion, Registry, RegistrySettings,
    Repository, Scheduler, SchedulerSettings,
    memory::memory,
    residency::{ResidencySettings, policy::Policy},
};
use candor_tests::{Models, models::sample, server::library, until};

/// So many cycles, unless the variable says otherwise. The line through half of them is known to some hundred bytes a cycle.
const CYCLES: usize = 300;
const CYCLES_VARIABLE: &str = "CANDOR_TEST_CYCLES";
/// A leak shows itself sooner than its absence.
const CYCLES_OF_A_LEAK: usize = 120;
/// Most bytes that a cycle may leave behind.
const SLOPE_MAX: f64 = 4096.0;
/// What the planted leak leaves behind.
const LEAK: usize = 65_536;

/// Looks before naps.
const SOON: usize = 100_000;

const ALONE: &str = "CANDOR_TEST_ALONE";

/// Runs the test called `name` in a process of its own, where it does its work; says whether this is that process.
fn is_alone(name: &str) -> bool {
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let name = format!("memory::{name}");
    let mut command = Command::new(env::current_exe().unwrap());
    let told = command.args([&name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && text.contains("1 passed"), "{text}");
    eprintln!("{text}");
    false
}

fn cycles() -> usize {
    env::var(CYCLES_VARIABLE).map_or(CYCLES, |text| text.parse().expect("a whole number"))
}

/// The rise of the line through these points, by least squares.
#[allow(clippy::cast_precision_loss, reason = "bytes of a small process")]
fn slope(points: &[u64]) -> f64 {
    let count = points.len() as f64;
    let (mid, mean) = ((count - 1.0) / 2.0, points.iter().map(|point| *point as f64).sum::<f64>() / count);
    let places = (0..points.len()).map(|place| place as f64 - mid);
    let rise: f64 = places.clone().zip(points).map(|(place, point)| place * (*point as f64 - mean)).sum();
    rise / places.map(|place| place * place).sum::<f64>()
}

/// Bytes that a cycle leaves behind, by the second half of so many.
fn grown(cycles: usize, mut cycle: impl FnMut()) -> f64 {
    let mut points = Vec::with_capacity(cycles);
    for _ in 0..cycles {
        cycle();
        let _ = trim();
        points.push(memory().anonymous);
    }
    assert!(points.iter().all(|bytes| *bytes > 0), "this system does not tell what the process holds");
    let rise = slope(&points[cycles / 2..]);
    eprintln!("{rise:.0} bytes a cycle; {} at the first, {} at the last", points[0], points[cycles - 1]);
    rise
}

/// Sends zeros, wants nothing back.
struct Zeros;

impl Codec for Zeros {
    type Reply = ();

    fn body_bytes(&self) -> usize {
        0
    }

    fn decode(&mut self, version: &ReadyVersion) -> candor_domain::Result<InferRequest> {
        let inputs = version.signature.inputs.iter().map(zeros).collect();
        Ok(InferRequest { inputs, outputs: vec![0], timeout: None, priority: 0 })
    }

    fn encode(self, _: Ran<'_>) -> candor_domain::Result<()> {
        Ok(())
    }
}

struct House {
    _models: Models,
    registry: Registry,
}

impl House {
    fn new(models: Models) -> Self {
        Self::with(models, None)
    }

    fn with(models: Models, residency: Option<ResidencySettings>) -> Self {
        let engine: Arc<dyn Engine> = Arc::new(OrtEngine::try_new(Some(&library()), &[], 1).unwrap());
        let repository = Repository::open(models.root(), 1 << 30).unwrap();
        let settings = RegistrySettings { trim: Some(trim), residency, ..RegistrySettings::default() };
        let registry = Registry::start(Engines::one(engine), repository, Arc::new(ManualClock::default()), settings);
        Self { _models: models, registry: registry.unwrap() }
    }

    fn load(&self, model: &str) -> candor_domain::Result<()> {
        self.registry.load(ModelName::parse(model).unwrap(), None).unwrap().wait_blocking().unwrap()
    }

    fn unload(&self, model: &str) {
        self.registry.unload(ModelName::parse(model).unwrap()).unwrap().wait_blocking().unwrap().unwrap();
        let gone = || self.registry.index_of_known().iter().all(|entry| entry.state == Lifecycle::Unloaded);
        // It takes a moment; a thousand longer naps would take minutes.
        let is_soon = (0..SOON).any(|_| gone() || (std::thread::yield_now(), false).1);
        if !is_soon {
            until("it has left memory", || gone().then_some(()));
        }
    }

    /// One load, one run, one unload.
    fn cycle(&self) {
        self.load("digits").unwrap();
        let lease = self.registry.lease("digits", None).unwrap();
        let inputs: Vec<Tensor> = lease.signature.inputs.iter().map(zeros).collect();
        lease.session().run(&inputs, &[0], None).unwrap();
        drop(lease);
        self.unload("digits");
    }
}

fn zeros(spec: &candor_domain::TensorSpec) -> Tensor {
    let dims: Vec<i64> = spec.wire_shape().iter().map(|dim| (*dim).max(1)).collect();
    let shape = candor_domain::Shape::new(&dims).unwrap();
    Tensor::new(shape, candor_domain::TensorData::zeros(spec.datatype, shape.elements())).unwrap()
}

#[test]
fn loads_runs_and_unloads_leave_nothing_behind() {
    if is_alone("loads_runs_and_unloads_leave_nothing_behind") {
        let house = House::new(Models::copies(&["digits"]));
        let rise = grown(cycles(), || house.cycle());
        assert!(rise < SLOPE_MAX, "{rise:.0} bytes a cycle");
    }
}

#[test]
fn evictions_and_returns_leave_nothing_behind() {
    if is_alone("evictions_and_returns_leave_nothing_behind") {
        let room = "[residency]\nbytes = 10_000_000\n";
        let models = Models::copies(&["digits", "simple_identity"]);
        let models = models.with_file("digits/model.toml", room).with_file("simple_identity/model.toml", room);
        let wait = Duration::from_secs(60);
        // One of the two fits.
        let settings = ResidencySettings {
            budget: 15_000_000,
            policy: Policy::Gdsf,
            idle_ttl: None,
            load_wait_max: wait,
            weights: None,
        };
        let house = House::with(models, Some(settings));
        house.load("digits").unwrap();
        house.load("simple_identity").unwrap();
        let registry = Arc::new(house.registry);
        let clock = Arc::new(ManualClock::default());
        let scheduling = SchedulerSettings { threads: 1, ..SchedulerSettings::default() };
        let sessions = Scheduler::start("pool", scheduling, clock.clone()).unwrap();
        let settings =
            PipelineSettings { inline_body_bytes_max: 1, inline_run_max: Duration::ZERO, inference_max: wait };
        let pipeline = Pipeline::new(registry, sessions, clock, settings);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let rise = grown(cycles(), || {
            for model in ["digits", "simple_identity"] {
                runtime.block_on(pipeline.infer(Call { model, version: None }, Zeros)).unwrap();
            }
        });
        let evictions = pipeline.registry().residency().unwrap().totals.evictions;
        assert!(evictions >= 2 * cycles() as u64 - 2, "{evictions}");
        assert!(rise < SLOPE_MAX, "{rise:.0} bytes a cycle");
    }
}

#[test]
fn failed_loads_leave_nothing_behind() {
    if is_alone("failed_loads_leave_nothing_behind") {
        // A graph that is good, and answers its golden pairs wrongly: it fails as late as a load can.
        let golden = r#"{"cases": [{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}], "outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [77]}]}]}"#;
        let late =
            Models::none().with_file("late/1/model.onnx", sample("iris", "1")).with_file("late/1/golden.json", golden);
        let bytes = sample("digits", "1");
        let house = House::new(late.with_file("broken/1/model.onnx", &bytes[..bytes.len() / 2]));
        let rise = grown(cycles(), || {
            assert!(house.load("late").unwrap_err().to_string().contains("golden"));
            assert!(house.load("broken").is_err());
        });
        assert!(rise < SLOPE_MAX, "{rise:.0} bytes a cycle");
    }
}

#[test]
fn a_leak_of_64_kib_a_cycle_is_seen() {
    if is_alone("a_leak_of_64_kib_a_cycle_is_seen") {
        let house = House::new(Models::copies(&["digits"]));
        let rise = grown(CYCLES_OF_A_LEAK, || {
            house.cycle();
            Box::leak(vec![1_u8; LEAK].into_boxed_slice());
        });
        assert!(rise > SLOPE_MAX, "{rise:.0} bytes a cycle were not seen");
        assert!((rise / 65_536.0 - 1.0).abs() < 0.25, "{rise:.0} bytes a cycle");
    }
}

/// Zeros for all inputs, in so many rows.
fn rows(lease: &candor_serving::Lease, rows: i64) -> Vec<Tensor> {
    let of = |spec: &candor_domain::TensorSpec| {
        let dims: Vec<i64> = spec.wire_shape().iter().map(|dim| if *dim < 0 { rows } else { *dim }).collect();
        let shape = candor_domain::Shape::new(&dims).unwrap();
        Tensor::new(shape, candor_domain::TensorData::zeros(spec.datatype, shape.elements())).unwrap()
    };
    lease.signature.inputs.iter().map(of).collect()
}

#[test]
fn what_one_huge_request_took_comes_back_when_small_ones_follow() {
    if is_alone("what_one_huge_request_took_comes_back_when_small_ones_follow") {
        const HUGE: i64 = 5_000;
        let house = House::new(Models::copies(&["digits"]));
        house.load("digits").unwrap();
        let lease = house.registry.lease("digits", None).unwrap();
        let run = |count| drop(lease.session().run(&rows(&lease, count), &[0], None).unwrap());
        let held = || {
            let _ = trim();
            memory().anonymous
        };
        run(1);
        let before = held();
        run(HUGE);
        let after = held();
        let grown = after.saturating_sub(before);
        assert!(grown > 4 << 20, "the arena kept only {grown} bytes, so nothing is shown");
        // The window of the huge one, and the next one.
        (0..128).for_each(|_| run(1));
        let kept = held().saturating_sub(before);
        eprintln!("{grown} bytes more after the huge request, {kept} after small ones");
        assert!(kept < grown / 4, "{kept} of {grown} bytes are still there");
    }
}

#[test]
fn the_slope_is_that_of_the_line() {
    let line: Vec<u64> = (0..500).map(|place| 1000 + 7 * place).collect();
    assert!((slope(&line) - 7.0).abs() < 1e-9);
    assert!(slope(&[5; 100]).abs() < 1e-9);
}
