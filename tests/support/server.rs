//! A server in this process, started by the same call as the binary's, on a free port.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use candor::config::{Layers, Settings};
use candor_domain::{Access, Engine};
use candor_engine_conformance::{Hooks, NullEngine};
use candor_serving::Engines;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::{
    http::{Reply, Request},
    models::{Models, samples},
    patience::{PATIENCE, until},
};

/// The ONNX Runtime library that `cargo xtask runtime` has put beside the test or above it.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let is_library = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libonnxruntime.so"))
    };
    let in_folder = |folder: &Path| {
        let entries = std::fs::read_dir(folder).ok()?;
        entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_library)
    };
    test.ancestors().skip(1).find_map(in_folder).expect("no ONNX Runtime library found: run `cargo xtask runtime`")
}

/// The token that holds an access, in servers that were started with tokens.
#[must_use]
pub fn token_of(access: Access) -> String {
    format!("the-token-of-{access}")
}

/// A tokens file with one token for each access.
///
/// # Panics
/// Never: writing to text cannot fail.
#[must_use]
pub fn tokens_file() -> String {
    let mut text = String::new();
    for access in Access::ALL.into_iter().filter(|access| *access > Access::Public) {
        let digest = Sha256::digest(token_of(access));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "[[token]]\nname = \"{access}\"\naccess = \"{access}\"\nsha256 = \"{digest}\"").unwrap();
    }
    text
}

/// How a server is to be started.
#[derive(Debug)]
pub struct Plan {
    folder: Option<Models>,
    scratch: TempDir,
    assignments: Vec<String>,
    engines: Vec<(&'static str, &'static str)>,
    hooks: Option<Hooks>,
    change: fn(&mut Settings),
    load: bool,
    wait: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self::over(samples())
    }
}

impl Plan {
    fn over(models: PathBuf) -> Self {
        let assignments = vec![
            "http.addr=127.0.0.1:0".to_owned(),
            "http.workers=2".to_owned(),
            "grpc.addr=127.0.0.1:0".to_owned(),
            "grpc.threads=2".to_owned(),
            "health.addr=127.0.0.1:0".to_owned(),
            "execution.threads=2".to_owned(),
            format!("repository.dir={}", models.display()),
            format!("engine.ort_library={}", library().display()),
        ];
        Self {
            folder: None,
            scratch: TempDir::new().unwrap(),
            assignments,
            engines: Vec::new(),
            hooks: None,
            change: |_| (),
            load: true,
            wait: true,
        }
    }

    /// A server over a repository of the test's own.
    #[must_use]
    pub fn with(models: Models) -> Self {
        Self { folder: Some(models), ..Self::default() }.root_of_folder()
    }

    fn root_of_folder(self) -> Self {
        let root = self.folder.as_ref().map(|models| models.root().display().to_string()).unwrap_or_default();
        self.set(&format!("repository.dir={root}"))
    }

    /// Sets a key of the configuration: `limits.body_bytes_max=1 KiB`.
    #[must_use]
    pub fn set(mut self, assignment: &str) -> Self {
        self.assignments.push(assignment.to_owned());
        self
    }

    /// Has null engines of these names and versions in the place of the real ones.
    #[must_use]
    pub fn with_null_engines(mut self, engines: &[(&'static str, &'static str)]) -> Self {
        self.engines = engines.to_vec();
        self
    }

    /// Has a null engine that the test watches and holds, in the place of the real ones.
    #[must_use]
    pub fn with_hooks(mut self, hooks: &Hooks) -> Self {
        self.hooks = Some(hooks.clone());
        self
    }

    /// Changes what no assignment can.
    #[must_use]
    pub fn change(mut self, change: fn(&mut Settings)) -> Self {
        self.change = change;
        self
    }

    /// Requires tokens: one for each access, see [`token_of`].
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn with_tokens(self) -> Self {
        let path = self.scratch.path().join("tokens.toml");
        std::fs::write(&path, tokens_file()).unwrap();
        self.set(&format!("auth.tokens_file={}", path.display()))
    }

    /// Turns the contracts of other servers on: that of `v1` below `/v1/models`, and all others.
    #[must_use]
    pub fn with_contracts(self, v1: &str) -> Self {
        let plan = self.set(&format!("contracts.v1={v1}")).set("contracts.default_model=iris");
        plan.set("contracts.invocations=true").set("contracts.vertex=true")
    }

    /// Leaves all models unloaded.
    #[must_use]
    pub fn empty(mut self) -> Self {
        self.load = false;
        self
    }

    /// Gives the server back while it still loads.
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.wait = false;
        self
    }

    /// A folder for what the test writes beside the models.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn settings(&self) -> Result<Settings, String> {
        let mut layers = Layers::default();
        for assignment in &self.assignments {
            layers.add_assignment(assignment);
        }
        let mut settings = Settings::read(&mut layers).map_err(|report| report.to_string())?;
        (self.change)(&mut settings);
        Ok(settings)
    }

    fn null_engines(&self) -> Vec<Arc<dyn Engine>> {
        let named = self.engines.iter().map(|(name, version)| NullEngine::new().named(name, version));
        named.chain(self.hooks.clone().map(NullEngine::with_hooks)).map(|engine| Arc::new(engine) as _).collect()
    }

    /// Starts it and waits until its models are loaded.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(self) -> TestServer {
        self.try_start().unwrap_or_else(|error| panic!("the server does not start: {error}"))
    }

    /// As [`Self::start`].
    ///
    /// # Errors
    /// Why it does not start.
    ///
    /// # Panics
    /// When the system gives no thread.
    pub fn try_start(self) -> Result<TestServer, String> {
        let settings = self.settings()?;
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (load, engines) = (self.load, self.null_engines());
        let thread = std::thread::Builder::new()
            .name("test-server".into())
            .spawn(move || actix_web::rt::System::new().block_on(run(settings, engines, load, tell, stopped)));
        let (wait, plan) = (self.wait, self);
        let addrs = told.recv_timeout(PATIENCE).map_err(|error| error.to_string())??;
        let server = TestServer { addrs, plan, stop: Some(stop), thread: Some(thread.unwrap()) };
        if wait {
            until("the server is ready", || (server.get("/v2/health/ready").status == 200).then_some(()));
        }
        Ok(server)
    }
}

async fn run(
    settings: Settings,
    engines: Vec<Arc<dyn Engine>>,
    load: bool,
    tell: mpsc::Sender<Result<Addrs, String>>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let started = if engines.is_empty() {
        candor::start(&settings)
    } else {
        let engines = engines.into_iter().fold(Engines::default(), Engines::with);
        candor::start_with(&settings, || Ok(engines))
    };
    let (running, server) = match started {
        Ok(started) => started,
        Err(error) => {
            let _ = tell.send(Err(error.to_string()));
            return Err(error.to_string());
        }
    };
    let serving = actix_web::rt::spawn(server);
    let _ = tell.send(Ok(Addrs {
        http: running.addrs()[0],
        grpc: running.grpc_addrs().first().copied(),
        health: running.health_addrs().first().copied(),
    }));
    let mut stopped = stopped;
    let loaded = tokio::select! {
        loaded = running.load(load) => loaded.map_err(|error| error.to_string()),
        _ = &mut stopped => Err("stopped while loading".to_owned()),
    };
    if loaded.is_ok() {
        let _ = stopped.await;
    }
    running.stop().await;
    serving.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Where a server listens.
#[derive(Debug)]
struct Addrs {
    http: SocketAddr,
    grpc: Option<SocketAddr>,
    health: Option<SocketAddr>,
}

/// A server that answers.
#[derive(Debug)]
pub struct TestServer {
    addrs: Addrs,
    plan: Plan,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl TestServer {
    /// One over all sample models, with the defaults.
    #[must_use]
    pub fn start() -> Self {
        Plan::default().start()
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addrs.http
    }

    /// Where it listens for gRPC.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        self.addrs.grpc.expect("this server has no gRPC")
    }

    /// Where its health listener is.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn health_addr(&self) -> SocketAddr {
        self.addrs.health.expect("this server has no health listener")
    }

    /// Its repository, if it has one of its own.
    ///
    /// # Panics
    /// When it has not.
    #[must_use]
    pub fn models(&self) -> &Models {
        self.plan.folder.as_ref().expect("this server serves the samples themselves")
    }

    /// A folder for what the test writes beside the models.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.plan.scratch()
    }

    /// Sends a request over a connection of its own.
    #[must_use]
    pub fn send(&self, request: &Request) -> Reply {
        request.send(self.addrs.http)
    }

    /// `GET`s a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        self.send(&Request::get(path))
    }

    /// `POST`s JSON to a path.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(&Request::post(path).json(body))
    }

    /// Loads a model.
    #[must_use]
    pub fn load(&self, model: &str) -> Reply {
        self.send(&Request::post(format!("/v2/repository/models/{model}/load")))
    }

    /// Unloads a model.
    #[must_use]
    pub fn unload(&self, model: &str) -> Reply {
        self.send(&Request::post(format!("/v2/repository/models/{model}/unload")))
    }

    /// The rows of the index for one model.
    ///
    /// # Panics
    /// When there is no index.
    #[must_use]
    pub fn index_of(&self, model: &str) -> Vec<Value> {
        let rows = self.post("/v2/repository/index", &json!({})).expect(200).json();
        rows.as_array().unwrap().iter().filter(|row| row["name"] == model).cloned().collect()
    }

    /// Stops it as a signal would.
    ///
    /// # Panics
    /// When it ends with an error or by a panic.
    pub fn stop_and_expect_clean(mut self) {
        let ended = self.end().expect("it was running");
        assert_eq!(ended.expect("the server's thread panicked"), Ok(()));
    }

    fn end(&mut self) -> Option<std::thread::Result<Result<(), String>>> {
        let _ = self.stop.take()?.send(());
        Some(self.thread.take()?.join())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // A test that has failed already has better news than how its server ended.
        let _ = self.end();
    }
}
