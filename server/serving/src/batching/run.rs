//! One batch on a thread of the pool: a single request as it is, several put together, run once and taken apart.
//!
//! Before it: the scheduler, which chose what runs together. After it: each request's own end. A joined run that fails
//! says nothing of any one request: each runs once more, alone, so that errors land where they belong. Knows jobs
//! and no codec.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use candor_domain::{Cancel, Clock, Error, ErrorCode, Result, Run, Session, Tensor, Tick};

use super::{
    BatchNote, Reason,
    join::{concat, split},
};
use crate::{pipeline::caught, registry::ReadyVersion, scheduler::nobody_waits};

/// What the scheduler must know of a request to put it together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) rows: u64,
    /// Whether it runs with no other: its inputs do not all have as many rows, so that nobody could say whose rows of
    /// a joined run are its own.
    pub(crate) is_alone: bool,
    /// Stands for datatypes, and shapes without rows.
    pub(crate) shapes: u64,
    /// Stands for the outputs that are wanted.
    pub(crate) outputs: u64,
    /// As the caller asked; 0 for nothing.
    pub(crate) priority: u64,
    /// The caller's own limit on time.
    pub(crate) timeout: Option<Duration>,
}

/// The form of a request. Forms that are equal by accident are found out when tensors are put together.
pub(crate) fn form_of(part: Part<'_>, rows: u64, priority: u64, timeout: Option<Duration>) -> Form {
    let mut shapes = DefaultHasher::new();
    for input in part.inputs {
        (input.datatype(), input.shape().dims().get(1..)).hash(&mut shapes);
    }
    let mut outputs = DefaultHasher::new();
    part.wanted.hash(&mut outputs);
    let is_alone = part.rows().is_none();
    Form { rows, is_alone, shapes: shapes.finish(), outputs: outputs.finish(), priority, timeout }
}

/// What a request brings to a run.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) inputs: &'a [Tensor],
    pub(crate) wanted: &'a [usize],
}

impl Part<'_> {
    /// Rows of each of its inputs; nothing where they differ.
    fn rows(&self) -> Option<u64> {
        let mut each = self.inputs.iter().map(super::join::rows_of);
        let first = each.next()??;
        each.all(|rows| rows == Some(first)).then_some(first)
    }
}

/// A run that several wait for: it is cancelled when all of them have gone.
pub(crate) struct Joint {
    pub(crate) cancel: Cancel,
    left: AtomicUsize,
}

impl Joint {
    pub(crate) fn of(requests: usize) -> Arc<Self> {
        Arc::new(Self { cancel: Cancel::default(), left: AtomicUsize::new(requests) })
    }

    /// One of those who waited has gone.
    pub(crate) fn one_has_gone(&self) {
        if self.left.fetch_sub(1, SeqCst) == 1 {
            self.cancel.cancel();
        }
    }
}

/// How a thread's work for a batch ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Rows and nanoseconds of a run that succeeded.
    pub(crate) ran: Option<(u64, u64)>,
    /// Whether a joined run failed.
    pub(crate) joint_failed: bool,
}

/// One request on the pool, whatever its codec.
pub(crate) trait Job: Send {
    /// Whether nobody waits for it any more.
    fn is_cancelled(&self) -> bool;

    /// Reads and checks the request.
    fn read(&mut self) -> Result<Form>;

    /// The version that is asked.
    fn version(&self) -> &ReadyVersion;

    /// The session that its lease sits on.
    fn session(&self) -> &dyn Session;

    /// What it brings to a run, once it has been read.
    fn part(&self) -> Option<Part<'_>>;

    /// When nobody waits for it any more.
    fn deadline(&self) -> Tick;

    /// Its part in a joined run begins; false when nobody waits for it any more.
    fn begin(&mut self, joint: &Arc<Joint>, now: Tick) -> bool;

    /// The joined run has failed; what follows is a run of its own.
    fn begin_again(&mut self);

    /// Reads if need be, runs, answers.
    fn run_alone(self: Box<Self>, reason: Reason) -> Ended;

    /// Its own outputs of a joined run, with what that and each part of the version took: answers. Says how long
    /// reading and answering took.
    fn answer(self: Box<Self>, outputs: Vec<Tensor>, took: (u64, &[u64]), note: BatchNote) -> [u64; 2];

    /// Ends without a run.
    fn give_up(self: Box<Self>, error: Error);
}

/// Runs one batch: those of the first and the rest that somebody still waits for.
pub(crate) fn run(first: Box<dyn Job>, rest: Vec<Box<dyn Job>>, reason: Reason, clock: &dyn Clock) -> Ended {
    if rest.is_empty() {
        return first.run_alone(reason);
    }
    let joint = Joint::of(rest.len() + 1);
    let now = clock.now();
    let mut members = Vec::with_capacity(rest.len() + 1);
    for mut job in std::iter::once(first).chain(rest) {
        if job.begin(&joint, now) {
            members.push(job);
        } else {
            job.give_up(nobody_waits());
        }
    }
    if members.len() < 2 {
        return members.pop().map_or_else(Ended::default, |mut only| {
            only.begin_again();
            only.run_alone(reason)
        });
    }
    // As long as one of them waits.
    let deadline = members.iter().map(|job| job.deadline()).max();
    let mut joined = Run::new(clock, Some(&joint.cancel), deadline);
    let outputs = run_joined(&members, &mut joined);
    let run_nanos = clock.now().nanos_since(now);
    let laps = joined.laps;
    members.iter().take(1).for_each(|job| job.version().parts.count(&laps, outputs.is_err()));
    match outputs {
        Ok((outputs, rows)) => answer_all(members, outputs, (rows, run_nanos, &laps), reason),
        Err(_) => one_by_one(members, &joint),
    }
}

/// Runs what all bring, and gives each its own; and how many rows that were.
fn run_joined(members: &[Box<dyn Job>], run: &mut Run<'_>) -> Result<(Vec<Vec<Tensor>>, u64)> {
    let lost = || Error::new(ErrorCode::Internal, "a request was taken apart twice");
    let parts: Vec<Part<'_>> = members.iter().map(|job| job.part()).collect::<Option<_>>().ok_or_else(lost)?;
    let first = parts.first().ok_or_else(lost)?;
    // Rows are given back by counting: where the inputs of one have different rows, it would get those of others.
    let uneven = || Error::new(ErrorCode::Internal, "inputs with different rows were put together");
    let rows: Vec<u64> = parts.iter().map(|part| part.rows().ok_or_else(uneven)).collect::<Result<_>>()?;
    let column = |place: usize| {
        let column: Vec<&Tensor> = parts.iter().filter_map(|part| part.inputs.get(place)).collect();
        if column.len() == parts.len() { concat(&column) } else { Err(lost()) }
    };
    let mut inputs: Vec<Tensor> = (0..first.inputs.len()).map(column).collect::<Result<_>>()?;
    let session = members.first().ok_or_else(lost)?.session();
    let outputs = caught(|| session.run_as(&mut inputs, first.wanted, run))?;
    Ok((split(&outputs, &rows)?, rows.iter().sum()))
}

fn answer_all(
    members: Vec<Box<dyn Job>>,
    outputs: Vec<Vec<Tensor>>,
    (rows, run_nanos, laps): (u64, u64, &[u64]),
    reason: Reason,
) -> Ended {
    let Some(facts) = members.first().map(|job| Arc::clone(job.version().facts())) else { return Ended::default() };
    let note = BatchNote { rows, requests: members.len() as u64, reason };
    // Before the answers, so that whoever has one finds it counted.
    facts.count_batch(note);
    facts.count_run(rows, [0, run_nanos, 0]);
    let (mut decode, mut encode) = (0, 0);
    for (job, own) in members.into_iter().zip(outputs) {
        let [read, wrote] = job.answer(own, (run_nanos, laps), note);
        (decode, encode) = (decode + read, encode + wrote);
    }
    facts.add_to_run(rows, [decode, 0, encode]);
    Ended { ran: Some((rows, run_nanos)), joint_failed: false }
}

fn one_by_one(members: Vec<Box<dyn Job>>, joint: &Joint) -> Ended {
    let all_gone = joint.cancel.is_cancelled();
    for mut job in members {
        if all_gone {
            job.give_up(nobody_waits());
        } else {
            job.begin_again();
            job.run_alone(Reason::Retried);
        }
    }
    Ended { ran: None, joint_failed: !all_gone }
}
