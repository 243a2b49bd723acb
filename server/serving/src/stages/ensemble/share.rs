//! The members of one request, divided among threads.
//!
//! The thread that asks takes one member after the other; threads that have nothing to do help. A member that nobody
//! else has taken is asked by the asking thread itself, so that it never waits for a thread to become free, and two
//! ensembles never wait for each other. When one member fails, the others are told to stop.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread::Builder,
};

use candor_domain::{Cancel, Clock, Error, ErrorCode, Result, Run, Tensor, Tick};
use crossbeam_channel::{Sender, bounded};

use super::{
    Member, Source,
    ask::{Asking, lease},
};
use crate::registry::Lease;

type Task = Box<dyn FnOnce() + Send>;

/// Threads that help. They end when this is dropped; nobody waits for that, because the last to let go of it may be one
/// of them.
pub(crate) struct Helpers {
    tasks: Sender<Task>,
    threads: usize,
}

impl Helpers {
    /// So many threads; none is fine.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        // What finds no room is done by who asked.
        let (tasks, inbox) = bounded::<Task>(threads.max(1) * 4);
        for _ in 0..threads {
            let inbox = inbox.clone();
            Builder::new().name("candor-member".into()).spawn(move || {
                for task in inbox {
                    let _ = catch_unwind(AssertUnwindSafe(task));
                }
            })?;
        }
        Ok(Self { tasks, threads })
    }

    fn help(&self, task: Task) {
        let _ = self.tasks.try_send(task);
    }
}

/// A member's answer, and how long it took.
type Answer = Result<(Tensor, u64)>;

/// One request's members.
struct Share {
    members: Arc<[Member]>,
    source: Arc<dyn Source>,
    clock: Arc<dyn Clock>,
    deadline: Option<Tick>,
    depth: u32,
    /// Lent to each who asks a member, and taken back when all have ended.
    inputs: Mutex<Option<Arc<Vec<Tensor>>>>,
    leases: Vec<Mutex<Option<Lease>>>,
    /// One each: a session that is told to stop by one of them would not hear another.
    cancels: Vec<Cancel>,
    next: AtomicUsize,
    answers: Mutex<Vec<Option<Answer>>>,
    changed: Condvar,
}

impl Share {
    /// Takes members as long as there are some that nobody has taken.
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, SeqCst);
            let Some(member) = self.members.get(index) else { return };
            let answer = catch_unwind(AssertUnwindSafe(|| self.ask(index, member)));
            let panicked = || Err(Error::new(ErrorCode::EngineFailed, "asking a member panicked"));
            let answer = answer.unwrap_or_else(|_| panicked());
            if answer.is_err() {
                self.cancels.iter().for_each(Cancel::cancel);
            }
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(slot) = answers.get_mut(index) {
                *slot = Some(answer);
            }
            drop(answers);
            self.changed.notify_all();
        }
    }

    fn ask(&self, index: usize, member: &Member) -> Answer {
        let lost = || Error::new(ErrorCode::Internal, "a member was asked twice");
        let lease =
            self.leases.get(index).and_then(|lease| lease.lock().unwrap_or_else(PoisonError::into_inner).take());
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut lease, inputs, cancel) = match (lease, inputs, self.cancels.get(index)) {
            (Some(lease), Some(inputs), Some(cancel)) => (lease, inputs, cancel),
            (None, _, _) | (_, None, _) | (_, _, None) => return Err(lost()),
        };
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "nobody waits for the answer any more"));
        }
        let asking = Asking { source: &*self.source, clock: &*self.clock, deadline: self.deadline, depth: self.depth };
        asking.ask(member, &mut lease, &inputs, cancel)
    }

    /// All answers, when all have ended.
    fn wait(&self) -> Vec<Answer> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        while answers.iter().any(Option::is_none) {
            answers = self.changed.wait(answers).unwrap_or_else(PoisonError::into_inner);
        }
        answers.iter_mut().filter_map(Option::take).collect()
    }
}

/// Asks all members, each of which is leased first.
pub(super) fn ask_all(
    members: &Arc<[Member]>,
    source: &Arc<dyn Source>,
    inputs: &mut [Tensor],
    run: &mut Run<'_>,
) -> Result<Vec<Tensor>> {
    let leases = members.iter().map(|member| lease(&**source, member)).collect::<Result<Vec<_>>>()?;
    let count = members.len();
    let lent = inputs.iter_mut().map(|input| std::mem::replace(input, Tensor::nothing())).collect();
    let share = Arc::new(Share {
        members: Arc::clone(members),
        source: Arc::clone(source),
        clock: Arc::clone(source.clock()),
        deadline: run.deadline,
        depth: run.depth,
        inputs: Mutex::new(Some(Arc::new(lent))),
        leases: leases.into_iter().map(|lease| Mutex::new(Some(lease))).collect(),
        cancels: (0..count).map(|_| Cancel::default()).collect(),
        next: AtomicUsize::new(0),
        answers: Mutex::new((0..count).map(|_| None).collect()),
        changed: Condvar::new(),
    });
    if let Some(helpers) = source.helpers() {
        for _ in 0..helpers.threads.min(count.saturating_sub(1)) {
            let share = Arc::clone(&share);
            helpers.help(Box::new(move || share.work()));
        }
    }
    let all = Arc::clone(&share);
    let work = || {
        share.work();
        share.wait()
    };
    let answers = match run.cancel {
        Some(cancel) => cancel.with_hook(move || all.cancels.iter().for_each(Cancel::cancel), work),
        None => work(),
    };
    let lent = share.inputs.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(lent) = lent.and_then(Arc::into_inner) {
        inputs.iter_mut().zip(lent).for_each(|(input, lent)| *input = lent);
    }
    in_order(answers, run)
}

/// The answers, or the error that made the others stop.
fn in_order(answers: Vec<Answer>, run: &mut Run<'_>) -> Result<Vec<Tensor>> {
    let is_cause = |answer: &&Answer| answer.as_ref().is_err_and(|error| error.code() != ErrorCode::Cancelled);
    if let Some(Err(error)) = answers.iter().find(is_cause) {
        return Err(error.clone());
    }
    let mut outputs = Vec::with_capacity(answers.len());
    for answer in answers {
        let (output, nanos) = answer?;
        run.laps.push(nanos);
        outputs.push(output);
    }
    Ok(outputs)
}
