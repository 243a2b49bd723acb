//! Who runs next: one lane for each version, served fairly, each within its bounds. A state machine over the time that
//! it is told: no thread, no lock, no clock.
//!
//! Before it: requests that were admitted and are too dear for the caller's thread. After it: a batch of one version.
//!
//! - **Fair**: the lane that has had least of the threads' time comes first. A lane that had nothing to do does not save
//!   up time.
//! - **Bulkhead**: while other lanes are awake, no lane holds all threads: one is left for whoever else comes. A lane is
//!   awake while it has something to do, and for a while after.
//! - **Back**: where there are threads that step back behind the others, a lane that is hardly ever idle runs on those: a
//!   run cannot be interrupted by us, but by the system. So the others have all threads of the front, and what they do
//!   not use is still used.
//! - **Order**: within a lane by arrival; each level of priority below the highest counts as having come later by a
//!   fixed step. So who comes early enough goes first whatever his level, and nobody starves.

use std::{collections::HashMap, sync::Arc, time::Duration};

use candor_domain::Tick;

use super::lane::{Entry, Key, Lane, LaneState, Verdict};
use crate::batching::{Form, Reason};

/// Where a thread stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    /// Before those at the back.
    Front,
    /// Steps back behind those of the front.
    Back,
}

/// How lanes are served.
#[derive(Debug, Clone)]
pub struct SchedulerSettings {
    /// Threads that run inferences.
    pub threads: usize,
    /// What each of them does first: it may step back behind the threads that read and write.
    pub before_work: fn(),
    /// As many again that step back behind those, for lanes that are hardly ever idle; or none. They are not there to
    /// have more run at once: one of them begins only while fewer run than there are threads, or nothing of its lane.
    pub back_threads: usize,
    /// What each of these does first.
    pub before_back_work: fn(),
    /// Requests of all versions that wait at most.
    pub queue_max: usize,
    /// How long a lane that has nothing to do still counts as awake.
    pub awake: Duration,
    /// What a level of priority is worth, in time of arrival.
    pub level_step: Duration,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            threads: 1,
            before_work: || (),
            back_threads: 0,
            before_back_work: || (),
            queue_max: 1024,
            awake: Duration::from_secs(2),
            level_step: Duration::from_secs(1),
        }
    }
}

/// Which queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFull {
    /// That of all versions.
    All(usize),
    /// That of the version.
    Lane(usize),
}

/// What a thread is to do.
pub(crate) enum Step<J> {
    /// Run these together.
    Run(Batch<J>),
    /// Read this one, then give it back.
    Read(Arc<Lane>, Entry<J>),
    /// Give these up: their time is over, or nobody waits for them.
    GiveUp(Vec<Entry<J>>),
    /// Nothing until then, or until something changes.
    Wait {
        until: Option<Tick>,
        /// Whether something waits for a thread of the back, as one of the front has seen.
        is_for_back: bool,
    },
}

/// A lane that has something to do, or had a moment ago.
struct Awake {
    id: u64,
    /// When it falls asleep, if it has nothing to do.
    until: Option<Tick>,
    is_ceaseless: bool,
}

/// Which threads a lane may hold.
struct Terms {
    post: Post,
    /// How many of them.
    allowed: usize,
    /// When this changes by itself.
    until: Option<Tick>,
}

/// Requests that run together.
pub(crate) struct Batch<J> {
    pub(crate) lane: Arc<Lane>,
    pub(crate) first: J,
    pub(crate) rest: Vec<J>,
    pub(crate) reason: Reason,
    /// What the lane has been charged for it.
    pub(crate) charged: u64,
}

/// All lanes.
pub(crate) struct Lanes<J> {
    settings: SchedulerSettings,
    lanes: HashMap<u64, LaneState<J>>,
    /// Lanes in which somebody waits.
    waiting: Vec<u64>,
    queued: usize,
    /// Threads of the front that have something to do, and of the back.
    busy: [usize; 2],
    number: u64,
    /// The time that the lane had had which was served last.
    served: u64,
    closing: bool,
}

impl<J: super::lane::Parcel> Lanes<J> {
    pub(crate) fn new(settings: SchedulerSettings) -> Self {
        Self {
            settings,
            lanes: HashMap::new(),
            waiting: Vec::new(),
            queued: 0,
            busy: [0; 2],
            number: 0,
            served: 0,
            closing: false,
        }
    }

    /// Requests that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Threads of a post that have nothing to do.
    pub(crate) fn idle(&self, post: Post) -> usize {
        let [front, back] = self.busy;
        match post {
            Post::Front => self.settings.threads.saturating_sub(front),
            Post::Back => self.settings.back_threads.saturating_sub(back),
        }
    }

    fn busy(&mut self, post: Post) -> &mut usize {
        let [front, back] = &mut self.busy;
        match post {
            Post::Front => front,
            Post::Back => back,
        }
    }

    /// From now on nobody is waited for.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn lane(&self, id: u64) -> Option<&LaneState<J>> {
        self.lanes.get(&id)
    }

    fn lane_of(&mut self, lane: &Arc<Lane>) -> &mut LaneState<J> {
        if !self.lanes.contains_key(&lane.id()) {
            // Lanes of versions that have left memory are swept when new ones come.
            self.lanes.retain(|_, state| !state.is_left());
        }
        self.lanes.entry(lane.id()).or_insert_with(|| LaneState::new(Arc::clone(lane)))
    }

    /// Lets a request wait. `form` is known where it has been read.
    pub(crate) fn arrive(
        &mut self,
        lane: &Arc<Lane>,
        form: Option<Form>,
        deadline: Tick,
        job: J,
        now: Tick,
    ) -> Result<u64, (QueueFull, J)> {
        let queue_max = self.settings.queue_max;
        if self.queued >= queue_max {
            return Err((QueueFull::All(queue_max), job));
        }
        let (step, served) = (self.settings.level_step, self.served);
        let number = self.number;
        let state = self.lane_of(lane);
        let lane_max = lane.plan().queue_max.value;
        if state.len() >= lane_max {
            return Err((QueueFull::Lane(lane_max), job));
        }
        if state.is_idle() {
            state.attained = state.attained.max(served);
        }
        let was_empty = state.len() == 0;
        state.arrive(Entry::new(lane.plan(), number, form, deadline, job, now, step), now);
        if was_empty {
            self.waiting.push(lane.id());
        }
        self.number += 1;
        self.queued += 1;
        Ok(number)
    }

    /// Takes out a request that nobody waits for any more, if it has not been taken yet.
    pub(crate) fn remove(&mut self, lane: u64, number: u64, now: Tick) -> Option<J> {
        let state = self.lanes.get_mut(&lane)?;
        let entry = state.remove(number, now)?;
        self.left(lane, 1);
        Some(entry.job)
    }

    /// Books that so many have left a lane.
    fn left(&mut self, lane: u64, count: usize) {
        self.queued = self.queued.saturating_sub(count);
        if self.lanes.get(&lane).is_none_or(|state| state.len() == 0) {
            self.waiting.retain(|waiting| *waiting != lane);
        }
    }

    /// What a thread of this post that has nothing to do is to do now. Whatever it is given to run or to read, it tells
    /// the end of with [`Self::done`].
    pub(crate) fn next(&mut self, post: Post, now: Tick) -> Step<J> {
        let mut order: Vec<(u64, u64)> =
            self.waiting.iter().filter_map(|id| Some((self.lanes.get(id)?.attained, *id))).collect();
        order.sort_unstable();
        let awake = if order.is_empty() { Vec::new() } else { self.awake(now) };
        let (mut until, mut is_for_back) = (None, false);
        let sooner = |until: Option<Tick>, other: Tick| Some(until.map_or(other, |until: Tick| until.min(other)));
        for (_, id) in order {
            let terms = self.terms(id, &awake);
            let (idle, closing) = (self.idle(post), self.closing);
            let may_begin = post == Post::Front || self.busy.iter().sum::<usize>() < self.settings.threads;
            let Some(state) = self.lanes.get_mut(&id) else { continue };
            is_for_back |= post == Post::Front && terms.post == Post::Back && state.running < terms.allowed;
            if terms.post != post || state.running >= terms.allowed || !(may_begin || state.running == 0) {
                until = terms.until.map_or(until, |change| sooner(until, change));
                continue;
            }
            // Whether nobody else could run what comes while this thread runs.
            let is_last = idle <= 1 || state.running + 1 >= terms.allowed;
            match state.decide(now, is_last, closing) {
                Verdict::Late(late) => {
                    self.left(id, late.len());
                    return Step::GiveUp(late);
                }
                Verdict::Read(key) => {
                    if let Some(step) = self.take_to_read(id, key, post) {
                        return step;
                    }
                }
                Verdict::Run(reason) => {
                    if let Some(step) = self.take(id, reason, post) {
                        return step;
                    }
                }
                Verdict::Hold(tick) => until = sooner(until, tick),
            }
        }
        Step::Wait { until, is_for_back }
    }

    /// Lanes that have something to do, or had a moment ago.
    fn awake(&self, now: Tick) -> Vec<Awake> {
        let awake = |(id, state): (&u64, &LaneState<J>)| {
            let until = if state.is_idle() { Some(state.seen.after(self.settings.awake)) } else { None };
            let is_ceaseless = self.settings.back_threads > 0 && state.is_ceaseless(now);
            until.is_none_or(|until| until > now).then_some(Awake { id: *id, until, is_ceaseless })
        };
        self.lanes.iter().filter_map(awake).collect()
    }

    /// Which threads a lane may hold.
    fn terms(&self, id: u64, awake: &[Awake]) -> Terms {
        let (all, but_one) = (self.settings.threads, (self.settings.threads - 1).max(1));
        let is_ceaseless = awake.iter().any(|lane| lane.id == id && lane.is_ceaseless);
        // Those at the back take no thread of the front from anybody.
        let others = awake.iter().filter(|lane| lane.id != id && (is_ceaseless || !lane.is_ceaseless));
        let (mut any, mut busy, mut until) = (false, false, None);
        for other in others {
            any = true;
            busy |= other.until.is_none();
            until = until.max(other.until);
        }
        let post = if is_ceaseless { Post::Back } else { Post::Front };
        Terms { post, allowed: if any { but_one } else { all }, until: until.filter(|_| !busy) }
    }

    /// Whether a lane's requests are for threads of the back now.
    pub(crate) fn is_for_back(&self, lane: u64, now: Tick) -> bool {
        self.settings.back_threads > 0 && self.lanes.get(&lane).is_some_and(|state| state.is_ceaseless(now))
    }

    fn take_to_read(&mut self, id: u64, key: Key, post: Post) -> Option<Step<J>> {
        let state = self.lanes.get_mut(&id)?;
        let entry = state.take_to_read(key)?;
        state.running += 1;
        let lane = Arc::clone(state.shared());
        *self.busy(post) += 1;
        self.left(id, 1);
        Some(Step::Read(lane, entry))
    }

    fn take(&mut self, id: u64, reason: Reason, post: Post) -> Option<Step<J>> {
        let state = self.lanes.get_mut(&id)?;
        let (first, rest, rows) = state.take_chosen()?;
        let charged = state.estimate(rows);
        self.served = self.served.max(state.attained);
        state.attained = state.attained.saturating_add(charged);
        state.running += 1;
        let lane = Arc::clone(state.shared());
        *self.busy(post) += 1;
        self.left(id, 1 + rest.len());
        Some(Step::Run(Batch { lane, first, rest, reason, charged }))
    }

    /// Gives back a request that has been read. It comes back at once when nobody waits for it any more.
    pub(crate) fn put_back(
        &mut self,
        lane: &Arc<Lane>,
        mut entry: Entry<J>,
        form: Form,
        now: Tick,
    ) -> Option<Entry<J>> {
        entry.has_been_read(lane.plan(), form, self.settings.level_step);
        if entry.job.is_cancelled() {
            return Some(entry);
        }
        let state = self.lane_of(lane);
        let was_empty = state.len() == 0;
        state.put_back(entry, now);
        if was_empty {
            self.waiting.push(lane.id());
        }
        self.queued += 1;
        None
    }

    /// A thread of this post has done what it was given for `lane`: that took `nanos`, of which `charged` has been booked.
    pub(crate) fn done(&mut self, post: Post, lane: u64, (charged, nanos): (u64, u64), now: Tick) {
        let busy = self.busy(post);
        *busy = busy.saturating_sub(1);
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.attained = state.attained.saturating_add(nanos).saturating_sub(charged);
            state.has_done(now);
        }
    }

    /// What a batch taught.
    pub(crate) fn learn(&mut self, lane: u64, ran: Option<(u64, u64)>, joint_failed: bool, now: Tick) {
        if let Some(state) = self.lanes.get_mut(&lane) {
            state.learn(ran, joint_failed, now);
        }
    }
}
