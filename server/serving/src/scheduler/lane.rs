//! The lane of one version: who waits, in which order, and which of them run together now.
//!
//! Before it: `lanes`, which asks when this lane's turn has come. After it: `batching`, whose curve and foresight say
//! how many and how long. Knows no other lane and no thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use candor_domain::Tick;

use super::demand::Demand;
use crate::batching::{Curve, Delay, Foresight, Form, Line, Plan, Reason};

/// Entries that are looked at for one batch at most, so that choosing stays cheap.
const LOOKED_AT_MAX: usize = 256;
/// For how long requests run alone after a joined run has failed: doubled each time in a row, up to the second.
const APART: Duration = Duration::from_secs(1);
const APART_DOUBLINGS_MAX: u32 = 6;

/// What the scheduler must know of what waits.
pub(crate) trait Parcel {
    /// Whether nobody waits for it any more.
    fn is_cancelled(&self) -> bool;
}

/// A version's place in the scheduler.
#[derive(Debug)]
pub struct Lane {
    id: u64,
    plan: Plan,
}

impl Lane {
    /// A new lane for a version with this plan.
    #[must_use]
    pub fn new(plan: Plan) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self { id: NEXT.fetch_add(1, Relaxed), plan })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What holds for its batches.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// The place of an entry: when it is due, then when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    due: u64,
    number: u64,
}

/// A request that waits.
pub(crate) struct Entry<J> {
    key: Key,
    came: Tick,
    deadline: Tick,
    form: Option<Form>,
    is_urgent: bool,
    pub(crate) job: J,
}

impl<J> Entry<J> {
    pub(super) fn new(
        plan: &Plan,
        number: u64,
        form: Option<Form>,
        deadline: Tick,
        job: J,
        now: Tick,
        step: Duration,
    ) -> Self {
        let key = Key { due: now.0, number };
        let mut entry = Self { key, came: now, deadline, form: None, is_urgent: false, job };
        entry.rank(plan, form.map_or(0, |form| form.priority), step);
        entry.form = form;
        entry
    }

    fn rank(&mut self, plan: &Plan, priority: u64, step: Duration) {
        let level = plan.level(priority);
        let levels_below = u32::try_from(level.saturating_sub(1)).unwrap_or(u32::MAX);
        self.key.due = self.came.after(step.saturating_mul(levels_below)).0;
        self.is_urgent = level < plan.level_default.value;
    }

    /// How long it may have waited.
    pub(super) fn waited(&self, now: Tick) -> Duration {
        self.came.until(self.deadline.min(now))
    }

    pub(super) fn has_been_read(&mut self, plan: &Plan, form: Form, step: Duration) {
        self.rank(plan, form.priority, step);
        if let Some(own) = form.timeout {
            self.deadline = self.deadline.min(self.came.after(own));
        }
        self.form = Some(form);
    }
}

/// What is to be done with a lane.
pub(super) enum Verdict<J> {
    /// These are late, or nobody waits for them.
    Late(Vec<Entry<J>>),
    /// This one must be read before anything can be decided.
    Read(Key),
    /// Those that were chosen run now; why not more.
    Run(Reason),
    /// More may come until then.
    Hold(Tick),
}

/// A lane and all that it knows.
pub(crate) struct LaneState<J> {
    lane: Arc<Lane>,
    queue: BTreeMap<Key, Entry<J>>,
    /// Those that were chosen last.
    chosen: Vec<Key>,
    /// Threads that work for it.
    pub(super) running: usize,
    /// Time of threads that it has had.
    pub(super) attained: u64,
    /// When it last had something to do.
    pub(super) seen: Tick,
    demand: Demand,
    curve: Curve,
    foresight: Foresight,
    /// How many have come.
    arrivals: u64,
    /// Since when what waits could have run, and how many had come until then.
    could_run: Option<(Tick, u64)>,
    apart_until: Option<Tick>,
    failures: u32,
}

impl<J: Parcel> LaneState<J> {
    pub(super) fn new(lane: Arc<Lane>) -> Self {
        let curve = Curve::from_points(&lane.plan.points);
        Self {
            lane,
            queue: BTreeMap::new(),
            chosen: Vec::new(),
            running: 0,
            attained: 0,
            seen: Tick::default(),
            demand: Demand::default(),
            curve,
            foresight: Foresight::default(),
            arrivals: 0,
            could_run: None,
            apart_until: None,
            failures: 0,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Requests that wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.running == 0
    }

    /// Whether it is hardly ever idle.
    pub(super) fn is_ceaseless(&self, now: Tick) -> bool {
        self.demand.is_ceaseless(now)
    }

    /// A thread that worked for it has ended.
    pub(super) fn has_done(&mut self, now: Tick) {
        self.running = self.running.saturating_sub(1);
        self.seen = now;
        self.demand.note(!self.is_idle(), now);
    }

    /// Whether nobody else knows of it any more.
    pub(super) fn is_left(&self) -> bool {
        self.is_idle() && Arc::strong_count(&self.lane) == 1
    }

    /// The cost of its runs, once there is one.
    pub(crate) fn line(&self) -> Option<Line> {
        self.curve.line()
    }

    /// Runs that the cost was learned from.
    pub(crate) fn runs(&self) -> u64 {
        self.curve.runs()
    }

    pub(super) fn arrive(&mut self, entry: Entry<J>, now: Tick) {
        self.foresight.arrived(now.0);
        self.put_back(entry, now);
        self.arrivals += 1;
    }

    pub(super) fn put_back(&mut self, entry: Entry<J>, now: Tick) {
        self.queue.insert(entry.key, entry);
        self.seen = now;
        self.demand.note(true, now);
    }

    pub(super) fn remove(&mut self, number: u64, now: Tick) -> Option<Entry<J>> {
        let key = *self.queue.keys().find(|key| key.number == number)?;
        let entry = self.queue.remove(&key);
        self.demand.note(!self.is_idle(), now);
        entry
    }

    pub(super) fn take_to_read(&mut self, key: Key) -> Option<Entry<J>> {
        self.queue.remove(&key)
    }

    /// Those that were chosen, and their rows.
    pub(super) fn take_chosen(&mut self) -> Option<(J, Vec<J>, u64)> {
        let mut chosen = self.chosen.drain(..);
        let first = self.queue.remove(&chosen.next()?)?;
        let mut rows = first.form.map_or(1, |form| form.rows);
        let mut rest = Vec::with_capacity(chosen.len());
        for key in chosen {
            if let Some(entry) = self.queue.remove(&key) {
                rows += entry.form.map_or(1, |form| form.rows);
                rest.push(entry.job);
            }
        }
        self.could_run = None;
        Some((first.job, rest, rows))
    }

    /// What a run over so many rows is expected to take, in nanoseconds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
    pub(super) fn estimate(&self, rows: u64) -> u64 {
        self.curve.line().map_or(0, |line| line.at(rows) as u64)
    }

    pub(super) fn learn(&mut self, ran: Option<(u64, u64)>, joint_failed: bool, now: Tick) {
        if joint_failed {
            self.apart_until = Some(now.after(APART * 2_u32.pow(self.failures.min(APART_DOUBLINGS_MAX))));
            self.failures += 1;
        }
        if let Some((rows, nanos)) = ran {
            self.curve.learn(rows, nanos);
        }
    }

    /// What is to be done now. `is_last` says that nobody else could run what comes while this runs.
    pub(super) fn decide(&mut self, now: Tick, is_last: bool, closing: bool) -> Verdict<J> {
        let late: Vec<Key> = self
            .queue
            .values()
            .take_while(|entry| entry.deadline < now || entry.job.is_cancelled())
            .map(|entry| entry.key)
            .collect();
        if !late.is_empty() {
            let late = late.iter().filter_map(|key| self.queue.remove(key)).collect();
            self.demand.note(!self.is_idle(), now);
            return Verdict::Late(late);
        }
        self.chosen.clear();
        let Some(head) = self.queue.first_key_value().map(|(key, _)| *key) else { return Verdict::Hold(now) };
        let apart = self.apart_until.is_some_and(|until| now < until);
        if !self.lane.plan.is_on() || apart {
            self.chosen.push(head);
            return Verdict::Run(if apart { Reason::AfterFailure } else { Reason::Off });
        }
        match self.choose() {
            Choice::Read(key) => Verdict::Read(key),
            Choice::Chosen { rows, obstacle: Some(obstacle), .. } if rows > 0 => Verdict::Run(obstacle),
            Choice::Chosen { rows, deadline, is_urgent, .. } => {
                self.wait_or_run(now, (rows, deadline, is_urgent), is_last, closing)
            }
        }
    }

    /// Rows that a batch takes at most now, and why not more.
    fn limit(&self) -> (u64, Reason) {
        let plan = &self.lane.plan;
        let max = plan.rows_max.value;
        match plan.delay.value {
            // Who says how long to wait is not to be second-guessed.
            Delay::Fixed(_) => (max, Reason::RowsMax),
            Delay::Adaptive => {
                let enough = self.curve.line().map_or(max, |line| line.rows_enough(max));
                if enough < max { (enough, Reason::RowsEnough) } else { (max, Reason::RowsMax) }
            }
        }
    }

    /// The first that waits and all that fit to it, in their order.
    fn choose(&mut self) -> Choice {
        let (limit, full) = self.limit();
        let mut like: Option<Form> = None;
        let (mut rows, mut obstacle) = (0, None);
        let (mut deadline, mut is_urgent) = (Tick(u64::MAX), false);
        for entry in self.queue.values().take(LOOKED_AT_MAX) {
            if rows >= limit {
                break;
            }
            let Some(form) = entry.form else {
                return Choice::Read(entry.key);
            };
            if entry.job.is_cancelled() {
                continue;
            }
            let first = *like.get_or_insert(form);
            let new_obstacle = if form.shapes != first.shapes || (form.is_alone && !self.chosen.is_empty()) {
                Some(Reason::OtherShapes)
            } else if form.outputs != first.outputs {
                Some(Reason::OtherOutputs)
            } else if rows > 0 && rows + form.rows > limit {
                Some(Reason::DidNotFit)
            } else {
                None
            };
            if new_obstacle.is_some() {
                obstacle = obstacle.or(new_obstacle);
                continue;
            }
            self.chosen.push(entry.key);
            rows += form.rows;
            deadline = deadline.min(entry.deadline);
            is_urgent |= entry.is_urgent;
            if form.is_alone {
                obstacle = Some(Reason::OtherShapes);
                break;
            }
        }
        let obstacle = if rows >= limit { Some(full) } else { obstacle };
        Choice::Chosen { rows, obstacle, deadline, is_urgent }
    }

    /// Nothing stands against more rows but that nobody else is there: is it worth to wait for them?
    fn wait_or_run(
        &mut self,
        now: Tick,
        (rows, deadline, is_urgent): (u64, Tick, bool),
        is_last: bool,
        closing: bool,
    ) -> Verdict<J> {
        let since = self.note_chance(now, rows);
        if closing || rows == 0 {
            return Verdict::Run(Reason::QueueEmpty);
        }
        let plan = &self.lane.plan;
        let oldest = self.chosen.iter().filter_map(|key| self.queue.get(key)).map(|entry| entry.came).min();
        let oldest = oldest.unwrap_or(now);
        let until = match plan.delay.value {
            Delay::Fixed(delay) => {
                if delay.is_zero() {
                    return Verdict::Run(Reason::QueueEmpty);
                }
                if rows >= plan.rows_full.value {
                    return Verdict::Run(Reason::FullBatch);
                }
                oldest.after(delay)
            }
            Delay::Adaptive => {
                let Some(line) = self.curve.line().filter(|_| is_last) else {
                    return Verdict::Run(Reason::QueueEmpty);
                };
                let wait = self.foresight.wait(rows, line.fixed);
                if wait == 0 {
                    return Verdict::Run(if since < now { Reason::DelayOver } else { Reason::QueueEmpty });
                }
                let spare = plan.target_nanos(Some(line)) - line.at(rows + 1);
                let mut latest = oldest.after(Duration::from_nanos(positive(spare)));
                if latest < since {
                    // The target was missed before a thread was free: a run that is spared brings all others forward.
                    latest = since.after(Duration::from_nanos(positive(line.fixed)));
                }
                since.after(Duration::from_nanos(wait)).min(latest)
            }
        };
        if is_urgent {
            return Verdict::Run(Reason::Priority);
        }
        // Half as long again as the run is expected to take, so that the deadline is kept.
        let run = self.estimate(rows + 1);
        let too_late = Tick(deadline.0.saturating_sub(run.saturating_add(run / 2)));
        if until <= now {
            return Verdict::Run(Reason::DelayOver);
        }
        if too_late <= now {
            return Verdict::Run(Reason::DeadlineNear);
        }
        Verdict::Hold(until.min(too_late))
    }

    /// Notes that a thread could run these rows, once for the same ones; and since when it could.
    fn note_chance(&mut self, now: Tick, rows: u64) -> Tick {
        match self.could_run {
            Some((since, arrivals)) if arrivals == self.arrivals => since,
            Some(_) | None => {
                self.could_run = Some((now, self.arrivals));
                self.foresight.could_run(rows, now.0);
                now
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of less than hours")]
fn positive(nanos: f64) -> u64 {
    nanos.max(0.0) as u64
}

/// What a look at the queue gave.
enum Choice {
    /// An entry that has to be read first.
    Read(Key),
    /// Those in `chosen`.
    Chosen { rows: u64, obstacle: Option<Reason>, deadline: Tick, is_urgent: bool },
}
