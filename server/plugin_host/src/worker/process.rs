//! A worker's process: started, made ready, heard, ended.
//!
//! Before it: an order. After it: `isolated`, which makes calls. It does not know calls, and believes nothing that the
//! process says.

use std::{
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Pid, PidfdFlags, Signal},
    time::{ClockId, clock_gettime},
};

use super::{
    WorkerSettings,
    control::{self, Frame, Offer, Order, Until},
    memory::Memory,
};
use crate::{
    refusal::{Reason, Refusal, Verdict},
    services::{LogLevel, MetricKind, Services},
};

/// The program that serves as a worker: it hands its standard input to [`super::serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerProgram {
    /// The program; usually the server's own.
    pub program: PathBuf,
    /// What makes it a worker.
    pub arguments: Vec<String>,
}

/// What the start of a process needs besides its order.
pub(crate) struct Around {
    /// Whose process it is, for people.
    pub name: String,
    pub program: WorkerProgram,
    pub settings: WorkerSettings,
    pub services: Arc<dyn Services>,
}

/// A process that is ready.
pub(super) struct Worker {
    pub child: Child,
    pub pidfd: OwnedFd,
    pub memory: Arc<Memory>,
    /// Whether it has let go of its socket, as it does at its end at the latest.
    pub gone: Arc<AtomicBool>,
    pub calls: u64,
    /// Which order it follows.
    pub epoch: u64,
}

/// How a wait for an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The bell says so; what the answer is worth is another question.
    Answered,
    /// Its process has ended, or does not want to be heard.
    Dead,
    /// The time is over.
    Late,
}

/// How often somebody who waits looks whether the process is there: a process that has ended may have left its socket
/// to another one.
const LOOK_NANOS: u64 = 100_000_000;

/// What a process said when it was ready.
enum Said {
    Ready(Option<String>),
    Found(Offer),
}

/// A process and the server's end of its socket.
struct Begun {
    child: Child,
    socket: UnixStream,
    memory: Memory,
    said: Said,
}

impl Around {
    fn refuse(&self, what: &dyn std::fmt::Display) -> Refusal {
        Refusal::new(Reason::Failed, format!("its process cannot be started: {what}")).at(&self.name)
    }

    /// Starts a process that answers, and what it told of its inputs and outputs.
    pub(super) fn start(&self, order: &Order, epoch: u64) -> Verdict<(Worker, Option<String>)> {
        let mut begun = self.begin(order)?;
        let pid = i32::try_from(begun.child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        let (Said::Ready(described), Some(pidfd)) = (begun.said, pidfd) else {
            end(&mut begun.child);
            return Err(self.refuse(&"it cannot be watched, or did something else"));
        };
        let Begun { child, socket, memory, .. } = begun;
        let worker = Worker { child, pidfd, memory: Arc::new(memory), gone: Arc::default(), calls: 0, epoch };
        self.listen(socket, &worker).map_err(|error| self.refuse(&error))?;
        Ok((worker, described))
    }

    /// Starts a process that looks into the library and ends.
    pub(crate) fn look(&self, order: &Order) -> Verdict<Offer> {
        let mut begun = self.begin(order)?;
        end(&mut begun.child);
        match begun.said {
            Said::Found(offer) => Ok(offer),
            Said::Ready(_) => Err(self.refuse(&"it did something else")),
        }
    }

    fn begin(&self, order: &Order) -> Verdict<Begun> {
        let (memory, file) = Memory::create(self.settings.region_bytes).map_err(|errno| self.refuse(&errno))?;
        let (socket, theirs) = UnixStream::pair().map_err(|error| self.refuse(&error))?;
        socket.set_write_timeout(Some(self.settings.start)).map_err(|error| self.refuse(&error))?;
        let until = Until::after(self.settings.start);
        let mut child = spawn(&self.program, theirs.into()).map_err(|error| self.refuse(&error))?;
        let said = control::send_order(&socket, order, &file).and_then(|()| self.until_ready(&socket, until));
        match said {
            Ok(Ok(said)) => Ok(Begun { child, socket, memory, said }),
            Ok(Err(refusal)) => {
                end(&mut child);
                Err(refusal.or_at(&self.name))
            }
            Err(error) => {
                // Gone already, or about to be.
                let _ = child.kill();
                let how = child.wait().map_or_else(|error| error.to_string(), ended);
                Err(self.refuse(&format!("it was not ready in time ({error}); it ended with {how}")))
            }
        }
    }

    /// Waits until it is ready, which all that it says meanwhile does not prolong; what it says instead, if it is not.
    fn until_ready(&self, socket: &UnixStream, until: Until) -> std::io::Result<Verdict<Said>> {
        for _ in 0..self.settings.frames_max {
            match control::receive_until(socket, until)? {
                Frame::Ready(described) => return Ok(Ok(Said::Ready(described))),
                Frame::Found(offer) => return Ok(Ok(Said::Found(offer))),
                Frame::Refused(reason, said) => return Ok(Err(Refusal::new(Reason::of(&reason), said))),
                frame @ (Frame::Log(..) | Frame::Metric(..)) => tell(&*self.services, frame),
            }
        }
        Ok(Err(Refusal::new(Reason::Failed, "its process talked and was not ready")))
    }

    /// Hears the worker's lines and numbers until it is gone, and tells who waits for an answer then.
    fn listen(&self, socket: UnixStream, worker: &Worker) -> std::io::Result<()> {
        let (services, most) = (Arc::clone(&self.services), self.settings.frames_max);
        let (gone, memory) = (Arc::clone(&worker.gone), Arc::clone(&worker.memory));
        socket.set_read_timeout(None)?;
        thread::Builder::new().name("plugin-ears".to_owned()).spawn(move || {
            let mut heard = 0_u64;
            // A frame that cannot be ends the hearing, and with it the worker.
            while let Ok(frame) = control::receive::<Frame>(&socket) {
                let is_line = matches!(frame, Frame::Log(..));
                heard += u64::from(is_line);
                // Numbers become few series, however many are told.
                if !is_line || heard <= most {
                    tell(&*services, frame);
                }
            }
            gone.store(true, Ordering::Release);
            memory.answered().wake();
        })?;
        Ok(())
    }
}

/// Longest line, and name of a number with its labels. A worker that writes to the socket itself is held to it too.
const LINE_BYTES_MAX: usize = 4096;

fn tell(services: &dyn Services, frame: Frame) {
    match frame {
        Frame::Log(level, message) => {
            services.log(LogLevel::of(level), message.get(..message.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or(""));
        }
        Frame::Metric(kind, name, value, labels) if name.len() + labels.len() < LINE_BYTES_MAX => {
            if let Some(kind) = MetricKind::of(kind) {
                services.metric(kind, &name, value.unwrap_or(f64::NAN), &labels);
            }
        }
        Frame::Metric(..) | Frame::Ready(_) | Frame::Found(_) | Frame::Refused(..) => {}
    }
}

/// The clock that waits are measured on; it is nobody's business what time it is.
fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Its status is of no more use.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// How a process ended, for people.
fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal().map_or_else(|| format!("{status}"), |signal| format!("signal {signal}"))
}

impl Worker {
    /// Itself, if it is not dead.
    pub(super) fn alive(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    /// The number of the call on the bells. Only the last digits: who answers another call is found out by its answer.
    pub(super) fn number(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the last digits are enough")]
        let number = self.calls as u32;
        number
    }

    /// Waits for the answer to the last call.
    pub(super) fn wait(&self, span: Duration) -> Outcome {
        let number = self.number();
        let end = monotonic_nanos().saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        loop {
            let word = self.memory.answered().word();
            if word == number {
                return Outcome::Answered;
            }
            if self.gone.load(Ordering::Acquire) {
                // It may have answered with its last breath.
                let answered = self.memory.answered().word() == number;
                return if answered { Outcome::Answered } else { Outcome::Dead };
            }
            let left = end.saturating_sub(monotonic_nanos());
            if left == 0 {
                return Outcome::Late;
            }
            self.memory.answered().wait(word, Some(left.min(LOOK_NANOS)));
            if left > LOOK_NANOS && self.memory.answered().word() == word && self.is_dead() {
                return Outcome::Dead;
            }
        }
    }

    fn is_dead(&self) -> bool {
        let mut dead = [PollFd::new(&self.pidfd, PollFlags::IN)];
        rustix::event::poll(&mut dead, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// How it ended; ends it if it has not, and gives it a moment before that.
    pub(super) fn buried(&mut self) -> String {
        let mut dead = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ = rustix::event::poll(&mut dead, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        // One that is dead stays as it ended.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        self.child.wait().map_or_else(|error| error.to_string(), ended)
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Ears(Mutex<Vec<usize>>);

    impl Services for Ears {
        fn log(&self, _level: LogLevel, message: &str) {
            self.0.lock().unwrap().push(message.len());
        }
        fn metric(&self, _kind: MetricKind, name: &str, _value: f64, labels_json: &str) {
            self.0.lock().unwrap().push(name.len() + labels_json.len());
        }
        fn now_ns(&self) -> u64 {
            1
        }
        fn of(&self, _plugin: &str) -> Box<dyn Services> {
            Box::new(Self::default())
        }
    }

    #[test]
    fn a_line_is_cut_and_a_number_with_a_long_name_is_none() {
        let ears = Ears::default();
        tell(&ears, Frame::Log(0, "ä".repeat(1 << 19)));
        tell(&ears, Frame::Log(0, "short".to_owned()));
        tell(&ears, Frame::Metric(candor_plugin_abi::METRIC_COUNTER, "n".repeat(1 << 20), Some(1.0), "{}".to_owned()));
        tell(&ears, Frame::Metric(candor_plugin_abi::METRIC_COUNTER, "n".to_owned(), Some(1.0), "{}".to_owned()));
        assert_eq!(*ears.0.lock().unwrap(), [4096, 5, 3]);
    }
}
