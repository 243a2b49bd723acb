//! The pipeline over the null engine: where a request runs, when it is given up, and what is counted.
//!
//! One pool thread, a clock that moves by hand, and gates that hold runs; deadlines are those of the
//! async runtime. When a test must know that the pool thread is done with something, it sends one more
//! request behind it and waits for its answer, or ends the pool.

mod batching;
mod breaking;
mod counting;
mod keeping;
mod stopping;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
};

use candor_domain::{ConcurrencyReading, ConcurrencySettings, ManualClock, ModelName, Shape, TensorData};
use candor_engine_conformance::{Hooks, NullEngine};

use super::*;
use crate::{
    batching::BatchingSettings,
    breaker::BreakerDefaults,
    engines::Engines,
    overload::OverloadDefaults,
    registry::RegistrySettings,
    repository::{Repository, VersionPolicy},
    scheduler::SchedulerSettings,
};

const INLINE_BODY_BYTES_MAX: usize = 1000;
const INLINE_RUN_NANOS_MAX: u64 = 1000;
const AN_HOUR: Duration = Duration::from_secs(3600);
/// Long enough to be the reason that a held run ends, short enough to wait for.
const A_MOMENT: Duration = Duration::from_millis(30);

/// What differs between tests.
struct Setup {
    queue_max: usize,
    inflight_max: u32,
    /// Whether there is a concurrency limit: of five, as long as fewer than ten have ended.
    limit: bool,
    inference_max: Duration,
    breaker: BreakerDefaults,
    threads: usize,
    batching: BatchingSettings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            queue_max: 8,
            inflight_max: 8,
            limit: false,
            inference_max: AN_HOUR,
            breaker: BreakerDefaults::default(),
            threads: 1,
            batching: BatchingSettings { enabled: false, ..BatchingSettings::default() },
        }
    }
}

/// A model `m` that answers 7 to every row, and fails in the way that its file says when the first element
/// is 13; gates hold such requests only.
struct World {
    folder: tempfile::TempDir,
    hooks: Hooks,
    clock: Arc<ManualClock>,
    pipeline: Pipeline,
}

fn model(key: &str, head: &str, constant: i64) -> String {
    format!(
        "key = \"{key}\"\ntrigger = 13.0\n{head}\n\
         [[inputs]]\nname = \"x\"\ndatatype = \"FP32\"\ndims = [\"rows\"]\n\
         [[outputs]]\nname = \"y\"\ndatatype = \"INT64\"\ndims = [\"rows\"]\nconstant = {constant}\n"
    )
}

/// One thread and no waiting allowed: one, and four for bursts.
fn overload(setup: &Setup) -> OverloadDefaults {
    let defaults = ConcurrencySettings::default();
    let settings = ConcurrencySettings { floor: 1, tolerance: 1.0, wait: Duration::ZERO, ..defaults };
    OverloadDefaults { enabled: setup.limit, settings }
}

impl World {
    fn new(setup: &Setup) -> Self {
        Self::with_model(setup, "")
    }

    fn with_model(setup: &Setup, head: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (hooks, clock) = (Hooks::default(), Arc::new(ManualClock::default()));
        let settings = RegistrySettings {
            version_policy: VersionPolicy::All,
            inference_threads: 4,
            inflight_max: setup.inflight_max,
            breaker: setup.breaker,
            batching: setup.batching.clone(),
            overload: overload(setup),
            ..RegistrySettings::default()
        };
        let repository = Repository::open(folder.path(), 1 << 20).unwrap();
        let engines = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone())));
        let registry = Registry::start(engines, repository, clock.clone(), settings).unwrap();
        let scheduling = SchedulerSettings { queue_max: setup.queue_max, threads: setup.threads, ..Default::default() };
        let sessions = Scheduler::start("pool", scheduling, clock.clone()).unwrap();
        let settings = PipelineSettings {
            inline_body_bytes_max: INLINE_BODY_BYTES_MAX,
            inline_run_max: Duration::from_nanos(INLINE_RUN_NANOS_MAX),
            inference_max: setup.inference_max,
        };
        let pipeline = Pipeline::new(Arc::new(registry), sessions, clock.clone(), settings);
        let world = Self { folder, hooks, clock, pipeline };
        block_on(world.put(1, &model("m", head, 7)));
        world
    }

    async fn put(&self, version: u32, text: &str) {
        let folder = self.folder.path().join(format!("m/{version}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.onnx"), text).unwrap();
        let load = self.pipeline.registry().load(ModelName::parse("m").unwrap(), None).unwrap();
        load.wait().await.unwrap().unwrap();
    }

    /// Makes the prediction for every thread: what was measured meanwhile is forgotten.
    fn costs(&self, nanos_per_row: u64) {
        self.pipeline.registry().lease("m", None).unwrap().facts().start_cost(nanos_per_row);
    }

    /// From now on requests go through the pool.
    fn dear(&self) {
        self.costs(INLINE_RUN_NANOS_MAX + 1);
    }

    async fn infer(&self, codec: TestCodec) -> Result<Reply> {
        self.pipeline.infer(Call { model: "m", version: None }, codec).await
    }

    /// Returns when the pool thread has nothing left to do; counts as one success.
    async fn settle(&self) {
        self.dear();
        assert_eq!(self.infer(TestCodec::default()).await.unwrap().ran_on, "pool");
    }

    /// The concurrency limit of the model's version.
    fn concurrency(&self) -> ConcurrencyReading {
        self.pipeline.registry().lease("m", None).unwrap().concurrency()
    }

    /// Refusals by reason: queue, concurrency, in flight, memory.
    fn refusals(&self) -> [u64; 4] {
        self.pipeline.registry().views()[0].totals.refusals
    }

    /// Requests by outcome: success, invalid, rejected, cancelled, failed.
    fn outcomes(&self) -> [u64; 5] {
        outcomes(self.pipeline.registry())
    }

    /// Lets the pool finish what it has, and counts.
    fn close(self) -> [u64; 5] {
        let Pipeline { registry, sessions, .. } = self.pipeline;
        drop(sessions);
        outcomes(&registry)
    }
}

fn outcomes(registry: &Registry) -> [u64; 5] {
    let views = registry.views();
    views.iter().fold([0; 5], |sums, view| std::array::from_fn(|i| sums[i] + view.totals.outcomes[i]))
}

type Trouble = Box<dyn FnOnce() -> Result<()> + Send>;

/// A wire format without a wire.
struct TestCodec {
    body_bytes: usize,
    values: Vec<f32>,
    timeout: Option<Duration>,
    priority: u64,
    on_decode: Option<Trouble>,
    on_encode: Option<Trouble>,
    decoded_on: String,
}

impl Default for TestCodec {
    fn default() -> Self {
        Self::of(&[1.0])
    }
}

/// A request that gates hold and that files may let fail.
fn triggering() -> TestCodec {
    TestCodec::of(&[13.0])
}

impl TestCodec {
    fn of(values: &[f32]) -> Self {
        let decoded_on = String::new();
        Self {
            body_bytes: 10,
            values: values.to_vec(),
            timeout: None,
            priority: 0,
            on_decode: None,
            on_encode: None,
            decoded_on,
        }
    }

    fn large(self) -> Self {
        Self { body_bytes: INLINE_BODY_BYTES_MAX + 1, ..self }
    }

    fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    fn on_decode(self, trouble: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        Self { on_decode: Some(Box::new(trouble)), ..self }
    }

    fn on_encode(self, trouble: impl FnOnce() -> Result<()> + Send + 'static) -> Self {
        Self { on_encode: Some(Box::new(trouble)), ..self }
    }
}

/// What came out, and which thread did what. A thread of the pool is called `pool`.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    values: Vec<i64>,
    decoded_on: String,
    ran_on: String,
    fallback_from: Option<String>,
}

fn this_thread() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

impl Codec for TestCodec {
    type Reply = Reply;

    fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn decode(&mut self, _: &ReadyVersion) -> Result<InferRequest> {
        self.decoded_on = this_thread();
        self.on_decode.take().map_or(Ok(()), |trouble| trouble())?;
        let shape = Shape::new(&[self.values.len() as i64]).unwrap();
        let input = Tensor::new(shape, TensorData::Fp32(self.values.clone())).unwrap();
        Ok(InferRequest { inputs: vec![input], outputs: vec![0], timeout: self.timeout, priority: self.priority })
    }

    fn encode(self, ran: Ran<'_>) -> Result<Reply> {
        self.on_encode.map_or(Ok(()), |trouble| trouble())?;
        let TensorData::Int64(values) = ran.outputs[0].data() else { panic!("not INT64") };
        let fallback_from = ran.fallback_from.map(ToString::to_string);
        Ok(Reply { values: values.clone(), decoded_on: self.decoded_on, ran_on: this_thread(), fallback_from })
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// A request that has begun and is not over.
fn begun<'a>(world: &'a World, codec: TestCodec) -> Pin<Box<dyn Future<Output = Result<Reply>> + 'a>> {
    let mut request = Box::pin(world.infer(codec));
    let poll = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Pending), "it is over: {poll:?}");
    request
}
