//! May the server get traffic, and which part says no? The same answer at every door.
//!
//! Doors and the health listener ask. Whether the server is ready is read from atomics: asking costs nothing,
//! whatever the server does meanwhile. The look at the repository's disk, which may hang, has a thread of its own, and
//! there is one such thread at most, however often somebody asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use candor_domain::{BreakerState, ModelName, Version};
use tokio::{sync::watch, time::timeout};

use crate::registry::Registry;

/// Longest wait for a look at the model repository.
const REPOSITORY_LOOK_MAX: Duration = Duration::from_millis(500);

/// Whether the server is ready, and whether it is on its way out.
pub struct Readiness {
    registry: Arc<Registry>,
    strict: bool,
    stopping: AtomicBool,
    look: Arc<Look>,
}

/// One part of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// Whether it is well.
    pub ready: bool,
    /// Whether the server is not ready without it.
    pub required: bool,
    /// What it has to say.
    pub detail: String,
}

impl Readiness {
    /// Readiness over `registry`; if `strict`, one model that failed to load makes the server not ready.
    #[must_use]
    pub fn new(registry: Arc<Registry>, strict: bool) -> Self {
        Self { registry, strict, stopping: AtomicBool::new(false), look: Arc::default() }
    }

    /// Whether the first round of loads is over, the server is not stopping, and, if strict, no model failed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.registry.has_started()
            && !self.is_stopping()
            && (!self.strict || self.registry.standing().failed.is_empty())
    }

    /// From now on the server says that it is not ready, while it still answers.
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the server is stopping.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Every part, and whether all that are required are well. Those that look at memory answer at once; the one that
    /// looks at a disk is not waited for long.
    pub async fn components(&self) -> (bool, Vec<Component>) {
        let repository = self.repository().await;
        let components = vec![self.server(), self.startup(), self.models(), self.breakers(), repository];
        (components.iter().all(|component| component.ready || !component.required), components)
    }

    fn server(&self) -> Component {
        let stopping = self.is_stopping();
        let detail = if stopping { "stopping" } else { "running" };
        Component { name: "server", ready: !stopping, required: true, detail: detail.into() }
    }

    fn startup(&self) -> Component {
        let started = self.registry.has_started();
        let detail = if started { "all models were tried" } else { "models are being loaded" };
        Component { name: "startup", ready: started, required: true, detail: detail.into() }
    }

    fn models(&self) -> Component {
        let standing = self.registry.standing();
        let mut detail = format!("{} versions ready", standing.ready);
        if !standing.failed.is_empty() {
            let failed: Vec<_> = standing.failed.iter().map(|name| name.as_str()).collect();
            detail.push_str(&format!("; failed: {}", failed.join(", ")));
        }
        Component { name: "models", ready: standing.failed.is_empty(), required: self.strict, detail }
    }

    /// Not required: other versions answer, and those will be tried again.
    fn breakers(&self) -> Component {
        let shown = |(model, version, state): &(ModelName, Version, BreakerState)| {
            format!("{model} version {version} ({})", state.word().replace('_', "-"))
        };
        let shut: Vec<String> = self.registry.breakers_not_closed().iter().map(shown).collect();
        let detail = if shut.is_empty() { "all closed".to_owned() } else { format!("not closed: {}", shut.join(", ")) };
        Component { name: "breakers", ready: shut.is_empty(), required: false, detail }
    }

    /// Not required: versions in memory answer without their files.
    async fn repository(&self) -> Component {
        let (ready, detail) = match timeout(REPOSITORY_LOOK_MAX, self.look.at(&self.registry)).await {
            Ok(Some(models)) => (true, format!("{models} models")),
            // The error holds a path, and whoever asks here may be anybody.
            Ok(None) => (false, "cannot be read; see the server's log".to_owned()),
            Err(_) => (false, format!("did not answer within {} ms", REPOSITORY_LOOK_MAX.as_millis())),
        };
        Component { name: "repository", ready, required: false, detail }
    }
}

/// Looks at the repository, one at a time; all who ask meanwhile get the same answer.
struct Look {
    is_under_way: AtomicBool,
    /// How many models there are; `None` when that cannot be read.
    seen: watch::Sender<Option<usize>>,
}

impl Default for Look {
    fn default() -> Self {
        Self { is_under_way: AtomicBool::new(false), seen: watch::channel(None).0 }
    }
}

impl Look {
    async fn at(self: &Arc<Self>, registry: &Arc<Registry>) -> Option<usize> {
        let mut news = self.seen.subscribe();
        if !self.is_under_way.swap(true, Ordering::SeqCst) {
            let (look, registry) = (Arc::clone(self), Arc::clone(registry));
            let work = move || {
                let models = registry.repository().models();
                // Before the word is out, so that whoever asks after it begins a look of its own.
                look.is_under_way.store(false, Ordering::SeqCst);
                if let Err(error) = &models {
                    tracing::warn!("{error}");
                }
                look.seen.send_replace(models.ok().map(|(names, _)| names.len()));
            };
            if let Err(error) = std::thread::Builder::new().name("candor-look".into()).spawn(work) {
                self.is_under_way.store(false, Ordering::SeqCst);
                tracing::warn!("the system gives no thread to look at the model repository: {error}");
                return None;
            }
        }
        news.changed().await.ok()?;
        *news.borrow()
    }
}
