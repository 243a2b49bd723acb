//! All jobs and their states. What may become of a job is decided here and nowhere else; time is a number that is
//! handed in.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use candor_domain::{
    Cancel, Clock, Error, ErrorCode, Job, JobOrder, JobResult, JobState, JobTotals, JobView, Reason, Result,
};

/// Longest message that is kept of a job, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// All jobs.
#[derive(Default)]
pub(super) struct Book {
    /// By id, and so by age.
    jobs: BTreeMap<String, Entry>,
    waiting: VecDeque<String>,
    made: u64,
    closed: bool,
    refused: u64,
    ended: [u64; 3],
}

struct Entry {
    view: JobView,
    job: Option<Box<dyn Job>>,
    cancel: Arc<Cancel>,
    result: Option<Arc<JobResult>>,
}

/// A job on its way to being done.
pub(super) struct Taken {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) about: String,
    pub(super) job: Box<dyn Job>,
    pub(super) cancel: Arc<Cancel>,
}

impl Book {
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes no more; what waits is cancelled, what is at work is told to stop.
    pub(super) fn close(&mut self, now: u64) {
        self.closed = true;
        let waiting = std::mem::take(&mut self.waiting);
        for id in waiting {
            self.over(&id, JobState::Cancelled, now, now);
        }
        self.jobs.values().filter(|entry| !entry.view.state.is_over()).for_each(|entry| entry.cancel.cancel());
    }

    pub(super) fn add(&mut self, order: JobOrder, job: Box<dyn Job>, now: u64, queue_max: usize) -> Result<JobView> {
        if self.closed {
            let error = Error::new(ErrorCode::NotReady, "the server is stopping and takes no more jobs");
            return Err(error.retry_after_s(1));
        }
        if self.waiting.len() >= queue_max {
            self.refused += 1;
            let error = Error::no_room(Reason::QueueFull, "the queue for jobs is full").at("jobs.queue_max");
            return Err(error.expected(format!("at most {queue_max} that wait")).retry_after_s(30));
        }
        // Milliseconds and a count: unique in this process, and in the order of their making.
        self.made += 1;
        let id = format!("j{now:012x}{:06x}", self.made & 0x00ff_ffff);
        let view = JobView {
            id: id.clone(),
            kind: order.kind,
            about: order.about,
            actor: order.actor.name,
            state: JobState::Queued,
            progress: 0.0,
            message: String::new(),
            is_stopping: false,
            created_unix_ms: now,
            started_unix_ms: None,
            ended_unix_ms: None,
            expires_unix_ms: None,
            error: None,
            result_bytes: None,
        };
        let entry = Entry { view: view.clone(), job: Some(job), cancel: Arc::default(), result: None };
        self.waiting.push_back(id.clone());
        self.jobs.insert(id, entry);
        Ok(view)
    }

    /// The job that has waited longest, which is at work from now on.
    pub(super) fn take(&mut self, now: u64) -> Option<Taken> {
        while let Some(id) = self.waiting.pop_front() {
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            let Some(job) = entry.job.take() else { continue };
            entry.view.state = JobState::Running;
            entry.view.started_unix_ms = Some(now);
            let (kind, about) = (entry.view.kind, entry.view.about.clone());
            return Some(Taken { id, kind, about, job, cancel: Arc::clone(&entry.cancel) });
        }
        None
    }

    /// How far a job is; it never goes back.
    pub(super) fn progress(&mut self, id: &str, share: f64, message: &str) {
        if let Some(entry) = self.jobs.get_mut(id) {
            if share.is_finite() {
                entry.view.progress = share.clamp(entry.view.progress, 1.0);
            }
            entry.view.message = message.chars().take(MESSAGE_CHARS_MAX).collect();
        }
    }

    /// A job has come to its end; how, is what its state says then.
    pub(super) fn end(
        &mut self,
        id: &str,
        ended: Result<JobResult>,
        clock: &Arc<dyn Clock>,
        kept: Duration,
    ) -> Option<JobState> {
        let now = clock.unix_ms();
        let entry = self.jobs.get_mut(id)?;
        let state = match ended {
            Ok(result) => {
                entry.view.progress = 1.0;
                entry.view.result_bytes = Some(result.bytes.len());
                entry.result = Some(Arc::new(result));
                JobState::Succeeded
            }
            // What fails because it was stopped was stopped.
            Err(_) if entry.cancel.is_cancelled() => JobState::Cancelled,
            Err(error) => {
                entry.view.error = Some(error);
                JobState::Failed
            }
        };
        self.over(id, state, now, now.saturating_add(millis(kept)));
        Some(state)
    }

    fn over(&mut self, id: &str, state: JobState, now: u64, expires: u64) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        entry.job = None;
        entry.view.state = state;
        entry.view.ended_unix_ms = Some(now);
        entry.view.expires_unix_ms = Some(expires);
        let place = match state {
            JobState::Succeeded => 0,
            JobState::Failed => 1,
            JobState::Cancelled | JobState::Queued | JobState::Running => 2,
        };
        if let Some(count) = self.ended.get_mut(place) {
            *count += 1;
        }
    }

    /// Stops a job, or forgets it if it is over. With it goes what stops the work, to be called without the book.
    pub(super) fn cancel(&mut self, id: &str, now: u64, kept: Duration) -> Option<(JobView, Option<Arc<Cancel>>)> {
        let entry = self.jobs.get_mut(id)?;
        match entry.view.state {
            JobState::Queued => {
                entry.cancel.cancel();
                self.waiting.retain(|waiting| waiting != id);
                self.over(id, JobState::Cancelled, now, now.saturating_add(millis(kept)));
                self.jobs.get(id).map(|entry| (entry.view.clone(), None))
            }
            JobState::Running => {
                entry.view.is_stopping = true;
                Some((entry.view.clone(), Some(Arc::clone(&entry.cancel))))
            }
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => {
                self.jobs.remove(id).map(|entry| (entry.view, None))
            }
        }
    }

    /// Forgets what is over and too old, and beyond so many the oldest.
    pub(super) fn forget(&mut self, now: u64, kept_max: usize) {
        self.jobs.retain(|_, entry| entry.view.expires_unix_ms.is_none_or(|expires| expires > now));
        let over = self.jobs.iter().filter(|(_, entry)| entry.view.state.is_over());
        let mut over: Vec<(u64, String)> =
            over.map(|(id, entry)| (entry.view.ended_unix_ms.unwrap_or(0), id.clone())).collect();
        over.sort();
        let beyond = over.len().saturating_sub(kept_max);
        for (_, id) in over.into_iter().take(beyond) {
            self.jobs.remove(&id);
        }
    }

    pub(super) fn list(&self) -> Vec<JobView> {
        self.jobs.values().map(|entry| entry.view.clone()).collect()
    }

    pub(super) fn get(&self, id: &str) -> Option<JobView> {
        self.jobs.get(id).map(|entry| entry.view.clone())
    }

    pub(super) fn result(&self, id: &str) -> Result<Option<Arc<JobResult>>> {
        let Some(entry) = self.jobs.get(id) else { return Ok(None) };
        match (&entry.view.error, entry.view.state) {
            (Some(error), _) => Err(error.clone()),
            (None, JobState::Cancelled) => Err(Error::new(ErrorCode::Cancelled, "the job was stopped")),
            (None, _) => Ok(entry.result.clone()),
        }
    }

    pub(super) fn totals(&self) -> JobTotals {
        let count = |state: JobState| self.jobs.values().filter(|entry| entry.view.state == state).count();
        let kept = self.jobs.values().filter(|entry| entry.view.state.is_over()).count();
        let (queued, running) = (count(JobState::Queued), count(JobState::Running));
        JobTotals { queued, running, kept, refused: self.refused, ended: self.ended }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
