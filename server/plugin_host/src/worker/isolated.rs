//! The server's side of a worker: starts it, calls it, and when it hangs, dies or lies, ends it and begins anew.
//!
//! One call at a time. A call whose deadline has passed is told to stop, waited for a little, and then its process is
//! killed; the request gets a clear error, and the next one a new process. A breaker keeps a plugin that keeps dying
//! from being started again and again. It does not know what the plugin computes.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use candor_domain::{
    Breaker, BreakerSettings, Cancel, Clock, Ending,
    error::{Error, ErrorCode, Result},
    tensor::Tensor,
};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::{
    control::{self, Bell, Frame, Order},
    memory::{Item, Memory, Named},
};
use crate::{
    host::Verified,
    refusal::{Reason, Refusal, Verdict},
    services::{LogLevel, MetricKind, Services},
};

/// The program that serves as a worker: it hands its standard input to [`super::serve`].
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    /// The program; usually the server's own.
    pub program: PathBuf,
    /// What makes it a worker.
    pub arguments: Vec<String>,
}

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
    /// Lines and numbers that one worker may send; what is more is dropped.
    pub frames_max: u64,
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
            frames_max: 100_000,
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

/// A component of a plugin in a process of its own.
pub struct Isolated {
    name: String,
    program: WorkerProgram,
    settings: WorkerSettings,
    order: Order,
    services: Arc<dyn Services>,
    clock: Arc<dyn Clock>,
    breaker: Arc<Breaker>,
    worker: Mutex<Option<Worker>>,
    started: AtomicU64,
}

/// A process that is ready.
struct Worker {
    child: Child,
    pidfd: OwnedFd,
    memory: Arc<Memory>,
    request: Bell,
    reply: Bell,
    calls: u64,
}

/// How a call of a worker ended, if not well.
enum Fault {
    /// The plugin said so; the worker is well.
    Said(Error),
    /// The worker must not be used again.
    Broken(Error),
}

impl Isolated {
    /// A component of a verified plugin, whose library lies in the private folder at `library`. Starts a worker.
    ///
    /// # Errors
    /// What the worker said against the plugin, or why it could not be started.
    pub fn open(
        (verified, library): (&Verified, PathBuf),
        (component, config_json): (&str, &str),
        (program, settings): (WorkerProgram, WorkerSettings),
        services: Arc<dyn Services>,
        clock: Arc<dyn Clock>,
    ) -> Verdict<Self> {
        let name = format!("{}/{component}", verified.manifest.name);
        let order = Order {
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            library,
            sha256: verified.sha256().to_owned(),
            libraries: verified.pin.libraries.clone(),
            component: component.to_owned(),
            config_json: config_json.to_owned(),
            region_bytes: settings.region_bytes,
            memory_bytes: settings.memory_bytes,
        };
        let (heard, hearer) = (name.clone(), Arc::clone(&services));
        let listener = Box::new(move |change: &candor_domain::BreakerChange| {
            hearer.log(LogLevel::Warn, &format!("plugin {heard}: its breaker is {}", change.to.word()));
        });
        let breaker = Arc::new(Breaker::new(settings.breaker, 0, listener));
        let isolated = Self {
            name,
            program,
            settings,
            order,
            services,
            clock,
            breaker,
            worker: Mutex::new(None),
            started: AtomicU64::new(0),
        };
        let worker = isolated.start()?;
        *isolated.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
        Ok(isolated)
    }

    /// How many workers were started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// The process that is ready now, if there is one.
    #[must_use]
    pub fn worker_id(&self) -> Option<u32> {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.as_ref().map(|worker| worker.child.id())
    }

    /// Runs on tensors, and gives tensors.
    ///
    /// # Errors
    /// What the plugin said; `DeadlineExceeded` when it was stopped; `NotReady` when its process died or lied;
    /// `BreakerOpen` after it did so too often; `TooLarge` for inputs that do not fit.
    pub fn infer(&self, inputs: &[(&str, &Tensor)], cancel: Option<&Cancel>) -> Result<Named> {
        let before = self.clock.now();
        let permit = self.breaker.enter(before).map_err(|refusal| {
            let seconds = u32::try_from(refusal.retry_after.as_secs()).unwrap_or(u32::MAX).max(1);
            let what = format!("the process of plugin {} ended too often", self.name);
            Error::new(ErrorCode::BreakerOpen, what).retry_after_s(seconds)
        })?;
        let mut slot = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.answer(&mut slot, inputs, cancel);
        drop(slot);
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

    fn answer(
        &self,
        slot: &mut Option<Worker>,
        inputs: &[(&str, &Tensor)],
        cancel: Option<&Cancel>,
    ) -> Result<Named, Fault> {
        // One that died since the last call has taken no request with it.
        let mut worker = match slot.take().and_then(Worker::alive) {
            Some(worker) => worker,
            None => self.start().map_err(|refusal| {
                let what = format!("a new process for plugin {} could not be started: {refusal}", self.name);
                Fault::Broken(Error::new(ErrorCode::NotReady, what).retry_after_s(1))
            })?,
        };
        // The caller before may have left at the last moment.
        worker.memory.set_cancel(false);
        let answer = match cancel {
            None => self.call(&mut worker, inputs),
            Some(cancel) => {
                let memory = Arc::clone(&worker.memory);
                cancel.with_hook(move || memory.set_cancel(true), || self.call(&mut worker, inputs))
            }
        };
        if !matches!(answer, Err(Fault::Broken(_))) {
            *slot = Some(worker);
        }
        answer
    }

    fn call(&self, worker: &mut Worker, inputs: &[(&str, &Tensor)]) -> Result<Named, Fault> {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        worker.calls += 1;
        let mut lead = worker.calls.to_le_bytes().to_vec();
        lead.extend(nanos(self.settings.deadline).to_le_bytes());
        let items: Vec<Item<'_>> = inputs.iter().map(|(name, tensor)| Item::of(name, tensor)).collect();
        worker.memory.request().put(&lead, &items).map_err(Fault::Said)?;
        worker.reply.hear();
        let system = |errno: rustix::io::Errno| Fault::Broken(Error::new(ErrorCode::Internal, errno.to_string()));
        worker.request.ring().map_err(system)?;
        let wait = |span| control::either(worker.reply.file(), &worker.pidfd, Some(nanos(span))).map_err(system);
        let mut late = false;
        let (mut answered, mut dead) = wait(self.settings.deadline)?;
        if !answered && !dead {
            late = true;
            worker.memory.set_cancel(true);
            (answered, dead) = wait(self.settings.grace)?;
        }
        let told = worker.memory.cancel().swap(0, Ordering::Relaxed) != 0;
        let deadline = || {
            let what = format!("plugin {} did not answer in {} ms", self.name, self.settings.deadline.as_millis());
            Error::new(ErrorCode::DeadlineExceeded, what)
        };
        if dead && !answered {
            return Err(Fault::Broken(self.died(worker)));
        }
        if !answered {
            worker.kill();
            return Err(Fault::Broken(deadline().hint("its process did not stop when it was told to, and was killed")));
        }
        worker.reply.hear();
        let answer = self.read(worker);
        match answer {
            Err(Fault::Said(_)) if late => Err(Fault::Said(deadline())),
            Ok(_) if late && told => Err(Fault::Said(deadline())),
            other => other,
        }
    }

    /// Reads what the worker answered, and believes none of it unchecked.
    fn read(&self, worker: &mut Worker) -> Result<Named, Fault> {
        let lies = |worker: &mut Worker, what: String| {
            worker.kill();
            let what = format!("plugin {} answered what cannot be: {what}", self.name);
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
        let how = worker.child.wait().map_or_else(|error| error.to_string(), ended);
        let what = format!("the process of plugin {} ended during the call: {how}", self.name);
        Error::new(ErrorCode::NotReady, what).retry_after_s(1).hint("the next call gets a new process")
    }

    fn start(&self) -> Verdict<Worker> {
        let refuse = |what: &dyn std::fmt::Display| {
            Refusal::new(Reason::Failed, format!("its process cannot be started: {what}")).at(&self.name)
        };
        let (memory, file) = Memory::create(self.settings.region_bytes).map_err(|errno| refuse(&errno))?;
        let bell = || Bell::new().map_err(|errno| refuse(&errno));
        let (request, reply) = (bell()?, bell()?);
        let (socket, theirs) = UnixStream::pair().map_err(|error| refuse(&error))?;
        let mut child = spawn(&self.program, theirs.into()).map_err(|error| refuse(&error))?;
        self.started.fetch_add(1, Ordering::Relaxed);
        let ready = control::send_order(&socket, &self.order, [&file, request.file(), reply.file()])
            .and_then(|()| socket.set_read_timeout(Some(self.settings.start)))
            .and_then(|()| self.until_ready(&socket));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        let (Ok(None), Some(pidfd)) = (&ready, pidfd) else {
            // Gone already, or about to be; its status is of no more use.
            let _ = child.kill();
            let status = child.wait();
            return Err(match ready {
                Ok(Some(said)) => Refusal::new(Reason::Failed, said).at(&self.name),
                Ok(None) => refuse(&"it cannot be watched"),
                Err(error) => {
                    let how = status.map_or_else(|error| error.to_string(), ended);
                    refuse(&format!("it was not ready in time ({error}); it ended with {how}"))
                }
            });
        };
        self.listen(socket).map_err(|error| refuse(&error))?;
        Ok(Worker { child, pidfd, memory: Arc::new(memory), request, reply, calls: 0 })
    }

    /// Waits until it is ready; what it says instead, if it is not.
    fn until_ready(&self, socket: &UnixStream) -> std::io::Result<Option<String>> {
        for _ in 0..self.settings.frames_max {
            match control::receive(socket)? {
                Frame::Ready => return Ok(None),
                Frame::Refused(said) => return Ok(Some(said)),
                frame @ (Frame::Log(..) | Frame::Metric(..)) => tell(&*self.services, frame),
            }
        }
        Ok(Some("it talked and was not ready".to_owned()))
    }

    /// Hears the worker's lines and numbers until it is gone.
    fn listen(&self, socket: UnixStream) -> std::io::Result<()> {
        let (services, most) = (Arc::clone(&self.services), self.settings.frames_max);
        socket.set_read_timeout(None)?;
        thread::Builder::new().name("plugin-ears".to_owned()).spawn(move || {
            let mut heard = 0_u64;
            // A frame that cannot be ends the hearing; a worker that is not heard waits, and runs into its deadline.
            while let Ok(frame) = control::receive::<Frame>(&socket) {
                heard += 1;
                if heard <= most {
                    tell(&*services, frame);
                }
            }
        })?;
        Ok(())
    }
}

fn tell(services: &dyn Services, frame: Frame) {
    match frame {
        Frame::Log(level, message) => services.log(LogLevel::of(level), &message),
        Frame::Metric(kind, name, value, labels) => {
            if let Some(kind) = MetricKind::of(kind) {
                services.metric(kind, &name, value, &labels);
            }
        }
        Frame::Ready | Frame::Refused(_) => {}
    }
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().map_or_else(|| format!("{status}"), |signal| format!("signal {signal}"))
}

impl Worker {
    /// Itself, if it is not dead.
    fn alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    /// Ends it at once.
    fn kill(&mut self) {
        // Failing means that it is gone.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a process from a thread that lives as long as the server: the kernel ends a worker with the *thread* that
/// started it.
fn spawn(program: &WorkerProgram, socket: OwnedFd) -> std::io::Result<Child> {
    type Job = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let mut command = Command::new(&program.program);
    command.args(&program.arguments).env_clear().current_dir("/");
    command.stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(Stdio::null());
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = channel::<Job>();
        // If it cannot be made, sending fails, and so does every start.
        let _ = thread::Builder::new().name("plugin-spawner".to_owned()).spawn(move || {
            for (mut command, answer) in inbox {
                let child = command.spawn();
                // Our copy of the worker's end of the socket goes with the command.
                drop(command);
                // Who asked is waiting.
                let _ = answer.send(child);
            }
        });
        jobs
    });
    let (answer, child) = channel();
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
