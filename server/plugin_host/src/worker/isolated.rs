//! The server's side of a worker: starts it, calls it, and when it hangs, dies or lies, ends it and begins anew.
//!
//! One call at a time for each process. A call whose deadline has passed is told to stop, waited for a little, and then its process is
//! killed; the request gets a clear error, and the next one a new process. A breaker keeps a plugin that keeps dying
//! from being started again and again. It does not know what the plugin computes.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use candor_domain::{
    Breaker, BreakerSettings, BreakerState, Cancel, Clock, Ending, Tick,
    error::{Error, ErrorCode, Result},
    tensor::Tensor,
};

use super::{
    control::{Order, Task},
    memory::{Item, Named},
    process::{Around, Outcome, Worker, WorkerProgram},
};
use crate::{
    host::Verified,
    manifest::Manifest,
    refusal::{Reason, Refusal, Verdict},
    services::{Age, LogLevel, Services},
};

/// How a worker is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSettings {
    /// How long a call may take.
    pub deadline: Duration,
    /// How long a call that was told to stop may go on.
    pub grace: Duration,
    /// How long a worker may take to be ready.
    pub start: Duration,
    /// Bytes for the inputs of a call, and as many for its outputs.
    pub region_bytes: usize,
    /// Bytes of its address space.
    pub memory_bytes: u64,
    /// How old a host the plugin is to see.
    pub age: Age,
    /// Lines that one worker may send, and with numbers those before it is ready; what is more is dropped.
    pub frames_max: u64,
    /// Processes of one component in use, each for one call at a time.
    pub workers_max: usize,
    /// When no more workers are started for a while. Only deaths and lies count.
    pub breaker: BreakerSettings,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(1),
            grace: Duration::from_millis(50),
            start: Duration::from_secs(10),
            region_bytes: 16 << 20,
            memory_bytes: 1 << 30,
            age: Age::Today,
            frames_max: 100_000,
            workers_max: 1,
            // Three deaths in a minute.
            breaker: BreakerSettings {
                window: Duration::from_secs(60),
                calls_min: 3,
                failure_rate: 1.0,
                slow: None,
                slow_rate: 1.0,
                open: Duration::from_secs(30),
                open_max: Duration::from_secs(300),
                trials: 1,
            },
        }
    }
}

/// What has happened to the processes and calls of a plugin.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls.
    pub calls: AtomicU64,
    /// Calls that gave an error.
    pub errors: AtomicU64,
    /// Processes that died, lied or were killed during a call.
    pub deaths: AtomicU64,
    /// Processes that were started.
    pub starts: AtomicU64,
}

/// A component of a plugin in processes of its own.
pub struct Isolated {
    around: Around,
    clock: Arc<dyn Clock>,
    breaker: Arc<Breaker>,
    counts: Arc<Counts>,
    current: ArcSwap<Current>,
    /// Each for one call at a time.
    slots: Box<[Mutex<Option<Worker>>]>,
    next: AtomicUsize,
}

/// What new processes are to do.
struct Current {
    order: Order,
    epoch: u64,
    described: Option<String>,
}

/// A process of another library, ready and not yet used.
pub(crate) struct Prepared(Current, Worker);

/// Inputs, who may leave, and when it is too late.
type Asked<'a> = (&'a [(&'a str, &'a Tensor)], Option<&'a Cancel>, Tick);

/// How a call of a worker ended, if not well.
enum Fault {
    /// The plugin said so; the worker is well.
    Said(Error),
    /// The worker must not be used again.
    Broken(Error),
}

/// What a worker of this plugin is to do.
pub(crate) fn order(verified: &Verified, library: PathBuf, task: Task, settings: &WorkerSettings) -> Order {
    Order {
        parent: rustix::process::getpid().as_raw_nonzero().get(),
        library,
        sha256: verified.sha256().to_owned(),
        libraries: verified.pin.libraries.clone(),
        manifest: verified.manifest.clone(),
        task,
        region_bytes: settings.region_bytes,
        memory_bytes: settings.memory_bytes,
        age: settings.age,
    }
}

/// Kinds whose contract is to fit or to route. A worker is asked to run, and nothing else.
const FIT_OR_ROUTE: [&str; 4] = ["detector", "selector", "trainer", "router"];

/// # Errors
/// `NotIsolated` for a component of which a process of its own could not be asked what it is for.
fn answers_apart(manifest: &Manifest, component: &str) -> Verdict<()> {
    let declared = manifest.component.iter().find(|one| one.id == component);
    let Some(kinds) = declared.map(|one| &one.kinds).filter(|kinds| !kinds.is_empty()) else { return Ok(()) };
    if Isolated::answers(kinds) {
        return Ok(());
    }
    let what = format!(
        "component {component} is a {}: it fits or routes, and a process of its own can only be asked to run",
        kinds.join(" and ")
    );
    let hint =
        "pin the plugin in plugins.allow with isolation = \"in_process\", if you trust it with the server's process";
    Err(Refusal::new(Reason::NotIsolated, what).at(&manifest.name).hint(hint))
}

impl Isolated {
    /// Whether a component of these kinds can be used in a process of its own: one of them runs.
    #[must_use]
    pub fn answers(kinds: &[String]) -> bool {
        !kinds.iter().all(|kind| FIT_OR_ROUTE.contains(&kind.as_str()))
    }

    /// A component of a verified plugin, whose library lies in the private folder at `library`. Starts a worker.
    ///
    /// # Errors
    /// `NotIsolated` for a component that fits or routes; what the worker said against the plugin, or why it could not
    /// be started.
    pub fn open(
        (verified, library): (&Verified, PathBuf),
        (component, config_json): (&str, &str),
        (program, settings): (WorkerProgram, WorkerSettings),
        (services, clock): (Arc<dyn Services>, Arc<dyn Clock>),
        counts: Arc<Counts>,
    ) -> Verdict<Self> {
        let name = format!("{}/{component}", verified.manifest.name);
        answers_apart(&verified.manifest, component)?;
        let task = Task::Serve(component.to_owned(), config_json.to_owned());
        let order = order(verified, library, task, &settings);
        let (heard, hearer) = (name.clone(), Arc::clone(&services));
        let listener = Box::new(move |change: &candor_domain::BreakerChange| {
            hearer.log(LogLevel::Warn, &format!("plugin {heard}: its breaker is {}", change.to.word()));
        });
        let breaker = Arc::new(Breaker::new(settings.breaker, 0, listener));
        let slots = (0..settings.workers_max.max(1)).map(|_| Mutex::new(None)).collect();
        let around = Around { name, program, settings, services };
        let (worker, described) = around.start(&order, 1)?;
        counts.starts.fetch_add(1, Ordering::Relaxed);
        let current = ArcSwap::from_pointee(Current { order, epoch: 1, described });
        let isolated = Self { around, clock, breaker, counts, current, slots, next: AtomicUsize::new(0) };
        isolated.put(worker);
        Ok(isolated)
    }

    /// A process of another library of the same plugin, ready to take over. Nothing changes yet.
    pub(crate) fn prepare(&self, verified: &Verified, library: PathBuf) -> Verdict<Prepared> {
        let before = self.current.load_full();
        if let Task::Serve(component, _) = &before.order.task {
            answers_apart(&verified.manifest, component)?;
        }
        let order = order(verified, library, before.order.task.clone(), &self.around.settings);
        let epoch = before.epoch + 1;
        let (worker, described) = self.around.start(&order, epoch)?;
        self.counts.starts.fetch_add(1, Ordering::Relaxed);
        Ok(Prepared(Current { order, epoch, described }, worker))
    }

    /// From now on this library answers. Calls under way end on the old one, whose processes end with them.
    pub(crate) fn swap(&self, Prepared(current, worker): Prepared) {
        self.current.store(Arc::new(current));
        self.breaker.reset();
        self.put(worker);
    }

    /// Puts a process where nobody is at work; waits if everybody is.
    fn put(&self, worker: Worker) {
        *self.slot() = Some(worker);
    }

    /// A place where nobody is at work, the first of them if possible, so that no more processes are started than
    /// are needed.
    fn slot(&self) -> MutexGuard<'_, Option<Worker>> {
        for slot in &self.slots {
            match slot.try_lock() {
                Ok(free) => return free,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len().max(1);
        #[allow(clippy::indexing_slicing, reason = "there is at least one, and the number is below theirs")]
        self.slots[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has happened.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many workers were started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.counts.starts.load(Ordering::Relaxed)
    }

    /// How its breaker stands.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.breaker.reading(self.clock.now()).state
    }

    /// Its inputs and outputs as JSON, if it tells them.
    #[must_use]
    pub fn described(&self) -> Option<String> {
        self.current.load().described.clone()
    }

    /// The processes that are ready now and have no call.
    #[must_use]
    pub fn worker_ids(&self) -> Vec<u32> {
        let free = self.slots.iter().filter_map(|slot| slot.try_lock().ok());
        free.filter_map(|slot| slot.as_ref().map(|worker| worker.child.id())).collect()
    }

    /// Runs on tensors, and gives tensors.
    ///
    /// # Errors
    /// What the plugin said; `DeadlineExceeded` when it was stopped; `NotReady` when its process died or lied;
    /// `BreakerOpen` after it did so too often; `TooLarge` for inputs that do not fit.
    pub fn infer(&self, inputs: &[(&str, &Tensor)], cancel: Option<&Cancel>) -> Result<Named> {
        self.infer_within(inputs, cancel, self.around.settings.deadline)
    }

    /// As [`Self::infer`], in this time instead of the deadline of the settings. Waiting for a process counts.
    ///
    /// # Errors
    /// As there.
    pub fn infer_within(
        &self,
        inputs: &[(&str, &Tensor)],
        cancel: Option<&Cancel>,
        deadline: Duration,
    ) -> Result<Named> {
        let until = self.clock.now().after(deadline);
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.permitted((inputs, cancel, until));
        if answer.is_err() {
            self.counts.errors.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn permitted(&self, asked: Asked<'_>) -> Result<Named> {
        let before = self.clock.now();
        let permit = self.breaker.enter(before).map_err(|refusal| {
            let seconds = u32::try_from(refusal.retry_after.as_secs()).unwrap_or(u32::MAX).max(1);
            let what = format!("the process of plugin {} ended too often", self.around.name);
            Error::new(ErrorCode::BreakerOpen, what).retry_after_s(seconds)
        })?;
        let mut slot = self.slot();
        let answer = self.answer(&mut slot, asked);
        drop(slot);
        if matches!(answer, Err(Fault::Broken(_))) {
            self.counts.deaths.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.clock.now();
        let ending = match &answer {
            Err(Fault::Broken(_)) => Ending::Failed,
            // Good calls would thin out the deaths; only a trial tells that it went well.
            Ok(_) | Err(Fault::Said(_)) if permit.is_trial() => Ending::Succeeded,
            Ok(_) | Err(Fault::Said(_)) => Ending::Unknown,
        };
        permit.end(ending, Duration::from_nanos(now.nanos_since(before)), now);
        answer.map_err(|fault| match fault {
            Fault::Said(error) | Fault::Broken(error) => error,
        })
    }

    /// What is left of a call's time; an error if nothing is, or nobody waits any more.
    fn left(&self, cancel: Option<&Cancel>, until: Tick) -> Result<Duration, Fault> {
        if cancel.is_some_and(Cancel::is_cancelled) {
            return Err(Fault::Said(Error::new(ErrorCode::Cancelled, "nobody waits for the answer any more")));
        }
        let left = self.clock.now().until(until);
        if left.is_zero() {
            let what = format!("no process of plugin {} was free in time", self.around.name);
            return Err(Fault::Said(Error::new(ErrorCode::DeadlineExceeded, what)));
        }
        Ok(left)
    }

    fn answer(&self, slot: &mut Option<Worker>, (inputs, cancel, until): Asked<'_>) -> Result<Named, Fault> {
        self.left(cancel, until)?;
        // One that died since the last call has taken no request with it.
        let current = self.current.load();
        let mut worker = match slot.take().filter(|worker| worker.epoch == current.epoch).and_then(Worker::alive) {
            Some(worker) => worker,
            None => {
                let (worker, _) = self.around.start(&current.order, current.epoch).map_err(|refusal| {
                    let name = &self.around.name;
                    let what = format!("a new process for plugin {name} could not be started: {refusal}");
                    Fault::Broken(Error::new(ErrorCode::NotReady, what).retry_after_s(1))
                })?;
                self.counts.starts.fetch_add(1, Ordering::Relaxed);
                worker
            }
        };
        let deadline = match self.left(cancel, until) {
            Ok(left) => left,
            Err(fault) => {
                *slot = Some(worker);
                return Err(fault);
            }
        };
        // The caller before may have left at the last moment.
        worker.memory.set_cancel(false);
        let answer = match cancel {
            None => self.call(&mut worker, inputs, deadline),
            Some(cancel) => {
                let memory = Arc::clone(&worker.memory);
                cancel.with_hook(move || memory.set_cancel(true), || self.call(&mut worker, inputs, deadline))
            }
        };
        if !matches!(answer, Err(Fault::Broken(_))) {
            *slot = Some(worker);
        }
        answer
    }

    fn call(&self, worker: &mut Worker, inputs: &[(&str, &Tensor)], deadline: Duration) -> Result<Named, Fault> {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        worker.calls += 1;
        let mut lead = worker.calls.to_le_bytes().to_vec();
        lead.extend(nanos(deadline).to_le_bytes());
        let items: Vec<Item<'_>> = inputs.iter().map(|(name, tensor)| Item::of(name, tensor)).collect();
        worker.memory.request().put(&lead, &items).map_err(Fault::Said)?;
        worker.memory.asked().ring(worker.number());
        let mut late = false;
        let mut outcome = worker.wait(deadline);
        if outcome == Outcome::Late {
            late = true;
            worker.memory.set_cancel(true);
            // A caller in a hurry does not cost the others a process: it has the plugin's own time before it is killed.
            let rest = self.around.settings.deadline.saturating_sub(deadline);
            outcome = worker.wait(rest + self.around.settings.grace);
        }
        let told = worker.memory.cancel().swap(0, Ordering::Relaxed) != 0;
        let late_error = || {
            let what = format!("plugin {} did not answer in {} ms", self.around.name, deadline.as_millis());
            Error::new(ErrorCode::DeadlineExceeded, what)
        };
        match outcome {
            Outcome::Answered => {}
            Outcome::Dead => return Err(Fault::Broken(self.died(worker))),
            Outcome::Late => {
                worker.kill();
                let error = late_error().hint("its process did not stop when it was told to, and was killed");
                return Err(Fault::Broken(error));
            }
        }
        let answer = self.read(worker);
        match answer {
            Err(Fault::Said(_)) if late => Err(Fault::Said(late_error())),
            Ok(_) if late && told => Err(Fault::Said(late_error())),
            other => other,
        }
    }

    /// Reads what the worker answered, and believes none of it unchecked.
    fn read(&self, worker: &mut Worker) -> Result<Named, Fault> {
        let lies = |worker: &mut Worker, what: String| {
            worker.kill();
            let what = format!("plugin {} answered what cannot be: {what}", self.around.name);
            let error = Error::new(ErrorCode::NotReady, what).retry_after_s(1);
            Fault::Broken(error.hint("its process was killed; the next call gets a new one"))
        };
        let (lead, outputs) = match worker.memory.reply().take() {
            Ok(message) => message,
            Err(error) => return Err(lies(worker, error.what().to_owned())),
        };
        let number = lead.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if number != Some(worker.calls) {
            return Err(lies(worker, format!("an answer to call {number:?}, asked was {}", worker.calls)));
        }
        match lead.get(8..) {
            Some([0]) => Ok(outputs),
            Some([1, code, message @ ..]) => {
                let code = ErrorCode::ALL.get(usize::from(*code)).copied().unwrap_or(ErrorCode::EngineFailed);
                let message = message.get(..message.len().min(4096)).unwrap_or_default();
                Err(Fault::Said(Error::new(code, String::from_utf8_lossy(message).into_owned())))
            }
            _ => Err(lies(worker, "a status that is none".to_owned())),
        }
    }

    fn died(&self, worker: &mut Worker) -> Error {
        let how = worker.buried();
        let what = format!("the process of plugin {} ended during the call: {how}", self.around.name);
        Error::new(ErrorCode::NotReady, what).retry_after_s(1).hint("the next call gets a new process")
    }
}
