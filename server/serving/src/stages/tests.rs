//! Models of several parts, from `model.toml` to an answer: over the null engine and components of a test.
//!
//! | module | what it does |
//! |---|---|
//! | `fake` | the components |
//! | `ensembles` | models of models |
//! | `loading` | what a load makes of `model.toml`, and what it says when it cannot |
//! | `running` | runs: values, times, errors, whose they are |

mod ensembles;
mod fake;
mod loading;
mod running;

use std::{fs, sync::Arc, time::Duration};

use candor_domain::{Error, ManualClock, ModelName, Result, Tensor};
use candor_engine_conformance::{Hooks, NullEngine};

use crate::{
    Call, Codec, Engines, InferRequest, Lease, Pipeline, PipelineSettings, Ran, ReadyVersion, Registry,
    RegistrySettings, Repository, Scheduler, SchedulerSettings, VersionPolicy,
};
use fake::{Fake, texts};

/// A graph that gives back `ids` as `hidden`.
pub const ENCODER: &str = r#"
[[inputs]]
name = "ids"
datatype = "INT64"
dims = ["rows", "words"]
[[outputs]]
name = "hidden"
datatype = "INT64"
dims = ["rows", "words"]
echo = "ids"
"#;

/// The manifest around it: text in, the sum of the lengths of words out.
pub const SENTENCES: &str = r#"
[[stage]]
component = "t.words"
inputs = { text = "sentence" }

[[stage]]
component = "t.pool"
name = "pooling"
at = "after"
outputs = { sum = "letters" }
"#;

/// A graph that gives back `x` as `y`.
pub const ECHO: &str = r#"
[[inputs]]
name = "x"
datatype = "FP32"
dims = ["rows", 1]
[[outputs]]
name = "y"
datatype = "FP32"
dims = ["rows", 1]
echo = "x"
"#;

/// A repository, a registry and a pipeline of one thread over it.
pub struct World {
    pub folder: tempfile::TempDir,
    pub fake: Arc<Fake>,
    pub hooks: Hooks,
    pub clock: Arc<ManualClock>,
    pub pipeline: Pipeline,
}

impl World {
    pub fn new() -> Self {
        Self::with(RegistrySettings::default())
    }

    pub fn with(settings: RegistrySettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (fake, hooks, clock) = (Arc::new(Fake::default()), Hooks::default(), Arc::new(ManualClock::default()));
        let settings = RegistrySettings { version_policy: VersionPolicy::All, ..settings };
        let repository = Repository::open(folder.path(), 1 << 20).unwrap();
        let engines = Engines::one(Arc::new(NullEngine::with_hooks(hooks.clone()))).with_components(fake.clone());
        let registry = Registry::start(engines, repository, clock.clone(), settings).unwrap();
        let sessions = Scheduler::start("pool", SchedulerSettings { threads: 1, ..Default::default() }, clock.clone());
        let settings = PipelineSettings {
            inline_body_bytes_max: 1000,
            inline_run_max: Duration::from_micros(50),
            inference_max: Duration::from_secs(3600),
        };
        let pipeline = Pipeline::new(Arc::new(registry), sessions.unwrap(), clock.clone(), settings);
        Self { folder, fake, hooks, clock, pipeline }
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn load(&self, model: &str) -> Result<()> {
        let name = ModelName::parse(model).unwrap();
        self.pipeline.registry().load(name, None).unwrap().wait_blocking().unwrap()
    }

    /// Writes and loads a model of one version.
    pub fn put(&self, model: &str, manifest: &str, graph: Option<&str>) -> Result<()> {
        self.write(&format!("{model}/model.toml"), manifest);
        if let Some(graph) = graph {
            self.write(&format!("{model}/1/model.onnx"), graph);
        }
        self.load(model)
    }

    /// Why a model cannot be loaded, without the words before that.
    pub fn refused(&self, manifest: &str, graph: Option<&str>) -> String {
        let error = self.put("m", manifest, graph).unwrap_err().to_string();
        error.strip_prefix("model 'm' could not be loaded: version 1: ").unwrap_or(&error).to_owned()
    }

    pub fn lease(&self, model: &str) -> Lease {
        self.pipeline.registry().lease(model, None).unwrap()
    }

    pub fn infer(&self, model: &str, inputs: Vec<Tensor>) -> Result<Reply> {
        let codec = Tensors { inputs, timeout: None };
        self.ask(model, codec)
    }

    pub fn ask(&self, model: &str, codec: Tensors) -> Result<Reply> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.pipeline.infer(Call { model, version: None }, codec))
    }

    pub fn sentences() -> Self {
        let world = Self::new();
        world.put("m", SENTENCES, Some(ENCODER)).unwrap();
        world
    }

    pub fn letters(&self, sentences: &[&str]) -> Vec<i64> {
        fake::longs(&self.infer("m", vec![texts(sentences)]).unwrap().outputs[0])
    }
}

/// Tensors in, tensors out.
pub struct Tensors {
    pub inputs: Vec<Tensor>,
    pub timeout: Option<Duration>,
}

#[derive(Debug)]
pub struct Reply {
    pub outputs: Vec<Tensor>,
    pub stages: Vec<String>,
    pub thread: String,
}

impl Codec for Tensors {
    type Reply = Reply;

    fn body_bytes(&self) -> usize {
        10
    }

    fn decode(&mut self, version: &ReadyVersion) -> Result<InferRequest, Error> {
        let outputs = (0..version.signature.outputs.len()).collect();
        Ok(InferRequest { inputs: std::mem::take(&mut self.inputs), outputs, timeout: self.timeout, priority: 0 })
    }

    fn encode(self, ran: Ran<'_>) -> Result<Reply, Error> {
        let stages = ran.version.parts.named(ran.laps).map(|(name, _)| name.to_owned()).collect();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        Ok(Reply { outputs: ran.outputs, stages, thread })
    }
}
