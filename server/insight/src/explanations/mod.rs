//! Explanations: the share of each feature in an answer of a version.
//!
//! A door hands in a [`Subject`] (a version that it holds), rows and a [`Question`]; [`Explanations`] chooses the method,
//! opens the component that knows it, lends it the model, and checks what it says against what the engine answered. All
//! of that runs on threads of its own, never on those of inferences.
//!
//! | module | what it does |
//! |---|---|
//! | `subject` | a version as it is seen here |
//! | `question` | what is asked |
//! | `layout` | features as numbers: tensors to a matrix and back, texts by codes |
//! | `players` | features that are explained together |
//! | `target` | which outputs are explained, in which space |
//! | `lend` | the model, as an explainer calls it |
//! | `method` | methods, and the components that know them |
//! | `explainers` | components that are open, for as long as their version is there |
//! | `background` | rows that stand for "absent": where they come from, their digest, summaries |
//! | `kmeans` | k centres that stand for many rows |
//! | `scene` | what is the same for every question about some rows, and asking a component |
//! | `choose` | which method, by which component |
//! | `cost` | what a question may cost at most |
//! | `explain` | one explanation from question to answer |
//! | `told`, `values` | what a component told, taken apart; the values of features, to be shown |
//! | `found` | what a search told, by name |
//! | `what_if` | the smallest changes that give another answer |
//! | `anchors` | rules that hold an answer |
//! | `effect` | what a model does with a feature over many rows |
//! | `answer` | what is answered |
//! | `additivity` | whether the shares add up to the answer |
//! | `pool` | threads of its own behind a bounded queue |
//! | `counts` | what has happened, for metrics |

mod additivity;
mod anchors;
mod answer;
mod background;
mod choose;
mod cost;
mod counts;
mod effect;
mod explain;
mod explainers;
mod found;
mod kmeans;
mod layout;
mod lend;
mod method;
mod players;
mod pool;
mod question;
mod scene;
mod subject;
mod target;
#[cfg(test)]
mod tests;
mod told;
mod values;
mod what_if;

use std::{io, sync::Arc, time::Duration};

use candor_domain::{Cancel, Clock, Component, Components, Error, ErrorCode, Result, Tensor, Tick};

pub use additivity::{Additivity, Served};
pub use anchors::{Anchors, Condition, RowAnchor};
pub use answer::{BackgroundNote, Explanation, Heat, MethodNote, RowExplanation, Shown, ShownCell};
pub use background::{BackgroundView, Source, rows_between};
pub use counts::{CountsView, DURATION_BUCKETS_NANOS, MethodCounts};
pub use effect::{Effect, EffectKind, EffectQuestion, EffectTensor, EffectValues};
pub use method::Method;
pub use players::Groups;
pub use pool::PoolView;
pub use question::{BackgroundChoice, OutputPick, Question};
pub use subject::{About, EngineNote, FeatureNote, Kind, OutputNote, Placed, Role, RowsAtOnce, Subject};
pub use target::Space;
pub use what_if::{Change, Counterfactual, Counterfactuals, Direction, Limits, RowCounterfactuals, Wanted, WhatIf};

use background::Backgrounds;
use counts::{Counts, Sums, Work};
use explainers::Explainers;
use pool::Pool;

/// How explanations behave.
#[derive(Debug, Clone)]
pub struct ExplanationSettings {
    /// Threads of its own.
    pub threads: usize,
    /// What each of them does before its first work.
    pub before_work: fn(),
    /// Explanations that wait for a thread at most.
    pub queue_max: usize,
    /// Longest explanation, from admission to answer.
    pub time_max: Duration,
    /// Most rows of one request.
    pub rows_max: usize,
    /// Most rows of a job.
    pub job_rows_max: usize,
    /// Most features (numbers of a row) of a model that is explained.
    pub features_max: usize,
    /// Most evaluations of the model per row that a request may ask for.
    pub budget_max: u64,
    /// Most rows that the model evaluates for one request.
    pub evaluations_max: u64,
    /// Most bytes of what the model answers to those: they are kept until the explanation is over.
    pub answers_bytes_max: u64,
    /// Most rows that are handed to the engine at once.
    pub batch_rows_max: usize,
    /// Most rows of a background.
    pub background_rows_max: usize,
    /// Largest file of a background.
    pub background_bytes_max: u64,
    /// Uploaded backgrounds of one version at most.
    pub backgrounds_max: usize,
    /// Components that are kept open at most.
    pub explainers_max: usize,
}

impl Default for ExplanationSettings {
    fn default() -> Self {
        Self {
            threads: 1,
            before_work: || (),
            queue_max: 64,
            time_max: Duration::from_secs(30),
            rows_max: 100,
            job_rows_max: 10_000,
            features_max: 4096,
            budget_max: 100_000,
            evaluations_max: 50_000_000,
            answers_bytes_max: 256 << 20,
            batch_rows_max: 1024,
            background_rows_max: 1000,
            background_bytes_max: 16 << 20,
            backgrounds_max: 16,
            explainers_max: 64,
        }
    }
}

/// What runs an explanation: until when, and who may stop it.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The server's clock.
    pub clock: &'a dyn Clock,
    /// Tells when nobody waits any more.
    pub cancel: &'a Cancel,
    /// When it is too late.
    pub deadline: Tick,
}

impl Turn<'_> {
    /// Whether it is worth going on.
    ///
    /// # Errors
    /// `Cancelled`, `DeadlineExceeded`.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "nobody waits for the explanation any more"));
        }
        if self.clock.now() > self.deadline {
            return Err(pool::too_slow());
        }
        Ok(())
    }
}

/// Rows to explain, in tensors, with what the version answered to them if that is known.
#[derive(Debug)]
pub struct Rows {
    /// All inputs of the signature, in its order.
    pub inputs: Vec<Tensor>,
    /// All outputs, in their order, if the version was run on them.
    pub outputs: Option<Vec<Tensor>>,
    /// The rows that stand for "absent", if they are another version's.
    pub background: Option<SharedBackground>,
    /// Whether nothing stands for "absent" but these rows themselves.
    pub alone: bool,
}

impl Rows {
    /// Rows of which nothing else is known.
    #[must_use]
    pub fn new(inputs: Vec<Tensor>) -> Self {
        Self { inputs, outputs: None, background: None, alone: false }
    }
}

impl SharedBackground {
    /// Its rows, in tensors.
    #[must_use]
    pub fn inputs(&self) -> &[Tensor] {
        &self.0.inputs
    }

    /// As it is shown.
    #[must_use]
    pub fn view(&self) -> &BackgroundView {
        &self.0.view
    }
}

/// A background of one version, for another one that has the same features.
#[derive(Clone)]
pub struct SharedBackground(Arc<background::Stored>);

impl std::fmt::Debug for SharedBackground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedBackground({:?})", self.0.view)
    }
}

/// Explains versions.
pub struct Explanations {
    pool: Pool,
    core: Arc<Core>,
}

/// What threads of the pool and of jobs share.
pub(crate) struct Core {
    settings: ExplanationSettings,
    components: Arc<dyn Components>,
    clock: Arc<dyn Clock>,
    explainers: Explainers,
    backgrounds: Backgrounds,
    counts: Counts,
}

impl Core {
    /// A component of ours, by its name. One that is not there is no fault of the question.
    fn own(
        &self,
        subject: &dyn Subject,
        component: &str,
        options: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Arc<dyn Component>> {
        self.explainers.get(&*self.components, subject, component, options).map_err(|error| blame(component, error))
    }

    /// Counts work that began then and has ended so.
    fn count(&self, work: Work<'_>, ended: std::result::Result<Sums, &Error>, began: Tick) {
        let nanos = self.clock.now().nanos_since(began);
        self.counts.work(work, ended.map_err(Error::code), nanos);
    }
}

/// An error of a component of ours, with its name.
fn blame(component: &str, error: Error) -> Error {
    let code = if error.code() == ErrorCode::NotFound { ErrorCode::Unsupported } else { error.code() };
    error.with_code(code).with_prefix(&format!("{component}: "))
}

impl Explanations {
    /// Starts its threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        components: Arc<dyn Components>,
        clock: Arc<dyn Clock>,
        settings: ExplanationSettings,
    ) -> io::Result<Self> {
        let pool = Pool::start(settings.threads, settings.queue_max, settings.before_work, Arc::clone(&clock))?;
        let (explainers, counts) = (Explainers::new(settings.explainers_max), Counts::default());
        let backgrounds = Backgrounds::new(&settings);
        Ok(Self { pool, core: Arc::new(Core { settings, components, clock, explainers, backgrounds, counts }) })
    }

    /// What holds for requests.
    #[must_use]
    pub fn settings(&self) -> &ExplanationSettings {
        &self.core.settings
    }

    /// Explains rows, on a thread of its own. Whoever stops waiting stops the work.
    ///
    /// # Errors
    /// `InvalidInput` with the member of the question; `Overloaded` when there is no room; `Unsupported` for what cannot
    /// be explained; the model's own.
    pub async fn explain(&self, subject: Arc<dyn Subject>, question: Question, rows: Rows) -> Result<Explanation> {
        let (method, time_max) = (question.method.clone(), question.time_max);
        let (core, began) = (Arc::clone(&self.core), self.core.clock.now());
        let work = move |turn: &Turn<'_>| core.explain(&*subject, &question, rows, turn);
        let explained = self.run(time_max, work).await;
        self.core.counts.count(&method, &explained, self.core.clock.now().nanos_since(began));
        explained
    }

    /// Looks for the smallest changes of rows that give another answer, on a thread of its own.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub async fn what_if(
        &self,
        subject: Arc<dyn Subject>,
        (question, what_if): (Question, WhatIf),
        rows: Rows,
    ) -> Result<Counterfactuals> {
        let (core, began, time_max) = (Arc::clone(&self.core), self.core.clock.now(), question.time_max);
        let work = move |turn: &Turn<'_>| core.what_if(&*subject, (&question, &what_if), rows, turn);
        let found = self.run(time_max, work).await;
        let sums = |found: &Counterfactuals| Sums::of(found.rows.len(), found.evaluations);
        self.core.count(Work::Counterfactuals, found.as_ref().map(sums), began);
        found
    }

    /// Looks for rules that hold the answers of rows, on a thread of its own.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub async fn anchors(&self, subject: Arc<dyn Subject>, question: Question, rows: Rows) -> Result<Anchors> {
        let (core, began, time_max) = (Arc::clone(&self.core), self.core.clock.now(), question.time_max);
        let found = self.run(time_max, move |turn| core.anchors(&*subject, &question, rows, turn)).await;
        let sums = |found: &Anchors| Sums::of(found.rows.len(), found.evaluations);
        self.core.count(Work::Anchors, found.as_ref().map(sums), began);
        found
    }

    /// Finds out what a model does with features over many rows, on this thread: for jobs.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub fn effect_here(
        &self,
        subject: &dyn Subject,
        (question, effect): (&Question, &EffectQuestion),
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Effect> {
        let (began, count) = (self.core.clock.now(), layout::rows_of(&rows.inputs));
        let found = self.core.effect(subject, (question, effect), rows, turn);
        let sums = |found: &Effect| Sums::of(count, found.evaluations);
        self.core.count(Work::Effect(effect.kind), found.as_ref().map(sums), began);
        found
    }

    /// Runs work of another kind on the same threads: what belongs to explanations and is none of its own.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub async fn run<T: Send + 'static>(
        &self,
        time_max: Option<Duration>,
        work: impl FnOnce(&Turn<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let own = self.core.settings.time_max;
        let time = time_max.map_or(own, |time| time.min(own));
        let done = self.pool.run(self.core.clock.now().after(time), work).await;
        let is_callers = |error: &Error| error.code() == ErrorCode::DeadlineExceeded && time < own;
        done.map_err(|error| if is_callers(&error) { error.at("timeout_ms") } else { error })
    }

    /// Explains rows on this thread: for jobs, which have threads of their own and other limits.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub fn explain_here(
        &self,
        subject: &dyn Subject,
        question: &Question,
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Explanation> {
        let began = self.core.clock.now();
        let explained = self.core.explain(subject, question, rows, turn);
        self.core.counts.count(&question.method, &explained, self.core.clock.now().nanos_since(began));
        explained
    }

    /// Keeps rows as a background of a version, and says what they are called.
    ///
    /// # Errors
    /// `TooLarge`, `Overloaded` when the version has as many as it may, `InvalidInput` for rows that are none.
    pub fn keep_background(&self, subject: &dyn Subject, rows: Vec<Tensor>) -> Result<BackgroundView> {
        self.core.backgrounds.keep(subject, rows)
    }

    /// The backgrounds of a version: its own file's if it has one, and those that were uploaded.
    #[must_use]
    pub fn backgrounds(&self, subject: &dyn Subject) -> Vec<BackgroundView> {
        self.core.backgrounds.list(subject)
    }

    /// Forgets an uploaded background.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn forget_background(&self, subject: &dyn Subject, id: &str) -> Result<()> {
        self.core.backgrounds.forget(subject, id)
    }

    /// The background of a version that a caller chooses, for another version or to be looked at.
    ///
    /// # Errors
    /// As [`Self::explain`] for what is wrong with it.
    pub fn background(&self, subject: &dyn Subject, choice: &BackgroundChoice) -> Result<SharedBackground> {
        self.core.backgrounds.get(subject, choice).map(SharedBackground)
    }

    /// Takes no more work from now on; what is under way ends.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Threads and queue, now.
    #[must_use]
    pub fn pool(&self) -> PoolView {
        self.pool.view()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> CountsView {
        self.core.explainers.sweep();
        self.core.backgrounds.sweep();
        self.core.counts.view(self.core.explainers.len())
    }
}
