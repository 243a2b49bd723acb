//! Contracts of jobs: work that takes longer than a request waits.
//!
//! Who has such work hands in a [`Job`]; [`Jobs`] runs it some time, tells how far it is, and keeps what came of it for a
//! while. In memory for now; a job knows neither who runs it nor where its result goes.

use std::{fmt, sync::Arc};

use crate::{access::Principal, clock::Tick, engine::Cancel, error::Error, error::Result};

/// Work that takes a while.
pub trait Job: Send {
    /// Does it, looking now and then whether it is still wanted.
    ///
    /// # Errors
    /// Why there is no result; `Cancelled` after a cancellation.
    fn run(self: Box<Self>, step: &dyn JobStep) -> Result<JobResult>;
}

/// What a job at work is told, and tells.
pub trait JobStep {
    /// Tells when it is not wanted any more.
    fn cancel(&self) -> &Cancel;

    /// When it is too late.
    fn deadline(&self) -> Tick;

    /// How far it is, from 0 to 1, and what it does now.
    fn progress(&self, share: f64, message: &str);
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// What the bytes are, such as `application/json`.
    pub media_type: &'static str,
    /// The result.
    pub bytes: Vec<u8>,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It waits for a thread.
    Queued,
    /// It is being done.
    Running,
    /// There is a result.
    Succeeded,
    /// There is none, and the reason is known.
    Failed,
    /// Somebody has stopped it.
    Cancelled,
}

impl JobState {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is said of a job when it is handed in.
#[derive(Debug, Clone)]
pub struct JobOrder {
    /// What kind of work it is, from a closed list of who hands it in.
    pub kind: &'static str,
    /// What it is about, such as a model and its version.
    pub about: String,
    /// Who wants it.
    pub actor: Principal,
}

/// A job, as it is now.
#[derive(Debug, Clone)]
pub struct JobView {
    /// What it is called. Ids sort by the time of their making.
    pub id: String,
    /// What kind of work it is.
    pub kind: &'static str,
    /// What it is about.
    pub about: String,
    /// Who wanted it.
    pub actor: Arc<str>,
    /// How far it has come.
    pub state: JobState,
    /// How far the work is, from 0 to 1.
    pub progress: f64,
    /// What it does now, or did last.
    pub message: String,
    /// Whether somebody has asked it to stop.
    pub is_stopping: bool,
    /// When it was handed in, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// When work on it began.
    pub started_unix_ms: Option<u64>,
    /// When it was over.
    pub ended_unix_ms: Option<u64>,
    /// When it will be forgotten.
    pub expires_unix_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<Error>,
    /// Size of its result.
    pub result_bytes: Option<usize>,
}

/// Jobs, done one after the other by a few threads.
pub trait Jobs: Send + Sync {
    /// Takes a job.
    ///
    /// # Errors
    /// `Overloaded` when too many wait; `NotReady` while the server stops.
    fn submit(&self, order: JobOrder, job: Box<dyn Job>) -> Result<JobView>;

    /// All of them, oldest first.
    fn list(&self) -> Vec<JobView>;

    /// The job of this id.
    fn get(&self, id: &str) -> Option<JobView>;

    /// What came of it; nothing for one that is not known or not over.
    ///
    /// # Errors
    /// Its own, where it failed or was stopped.
    fn result(&self, id: &str) -> Result<Option<Arc<JobResult>>>;

    /// Stops a job that is not over, and forgets one that is; says how it is left. Nothing for one that is not known.
    fn cancel(&self, id: &str) -> Option<JobView>;

    /// What has happened to all of them.
    fn totals(&self) -> JobTotals;
}

/// What has happened to jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobTotals {
    /// Those that wait now.
    pub queued: usize,
    /// Those that are being done now.
    pub running: usize,
    /// Those that are over and kept.
    pub kept: usize,
    /// Those that were refused.
    pub refused: u64,
    /// Those that ended, by how: succeeded, failed, cancelled.
    pub ended: [u64; 3],
}
