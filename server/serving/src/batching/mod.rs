//! Requests of one version run together: whether they may be, how many, and what that gave.
//!
//! Before it: the load, which measures whether rows of a batch are answered as each alone, and requests that wait in
//! the lanes of the `scheduler`, which asks here how many to take and whether to wait for more. After it: runs, and
//! each request's own rows. Knows no thread, no queue and no wire format.
//!
//! | module | what it does |
//! |---|---|
//! | `plan` | what holds for a version, and where each setting came from |
//! | `probe` | rows alone and together, at load |
//! | `curve` | what a run costs by its rows |
//! | `foresight` | whether waiting for one more request pays |
//! | `join` | tensors put together and taken apart |
//! | `run` | one batch on a thread |
//! | `counts` | how large batches were, and why |
//! | `view` | what doors show of all that |

mod counts;
mod curve;
mod foresight;
mod join;
mod plan;
mod probe;
mod run;
mod view;

pub use counts::{BatchTotals, ROWS_EXACT_MAX, SizeTotals, size_of_slot};
pub use curve::Line;
pub use plan::{BatchingSettings, Delay, Plan, Sourced, TARGET_MIN};
pub use probe::Invariance;
pub use view::BatchingView;

pub(crate) use counts::{BatchCounts, RunSizes};
pub(crate) use curve::Curve;
pub(crate) use foresight::Foresight;
pub(crate) use probe::{Probe, Subject};
pub(crate) use run::{Ended, Form, Job, Joint, Part, form_of, run};

/// Why a batch had the size that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nobody else waited, and a thread was free.
    QueueEmpty,
    /// It had waited for more as long as that pays, or as long as it was told to.
    DelayOver,
    /// It has as many rows as a batch may have, or a single request has more.
    RowsMax,
    /// It has as many rows as a batch is to wait for, and may have more.
    FullBatch,
    /// More rows would hardly have raised the throughput.
    RowsEnough,
    /// The next request had too many rows to fit.
    DidNotFit,
    /// Those that waited have rows of other shapes or datatypes.
    OtherShapes,
    /// Those that waited want other outputs.
    OtherOutputs,
    /// A request of high priority does not wait for more rows.
    Priority,
    /// A request's time would have been over.
    DeadlineNear,
    /// Requests of this version are not put together.
    Off,
    /// A batch has failed, so that requests run alone for a while.
    AfterFailure,
    /// The batch that it was in failed, so that it ran once more alone.
    Retried,
}

impl Reason {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 13] = [
        Self::QueueEmpty,
        Self::DelayOver,
        Self::RowsMax,
        Self::FullBatch,
        Self::RowsEnough,
        Self::DidNotFit,
        Self::OtherShapes,
        Self::OtherOutputs,
        Self::Priority,
        Self::DeadlineNear,
        Self::Off,
        Self::AfterFailure,
        Self::Retried,
    ];

    /// The reason as a word, for headers, metrics and documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::QueueEmpty => "queue_empty",
            Self::DelayOver => "delay_over",
            Self::RowsMax => "rows_max",
            Self::FullBatch => "full_batch",
            Self::RowsEnough => "rows_enough",
            Self::DidNotFit => "did_not_fit",
            Self::OtherShapes => "other_shapes",
            Self::OtherOutputs => "other_outputs",
            Self::Priority => "priority",
            Self::DeadlineNear => "deadline_near",
            Self::Off => "off",
            Self::AfterFailure => "after_failure",
            Self::Retried => "retried",
        }
    }
}

/// The batch that a request was answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchNote {
    /// Rows of all requests together.
    pub rows: u64,
    /// Requests.
    pub requests: u64,
    /// Why not more.
    pub reason: Reason,
}

impl std::fmt::Display for BatchNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rows={}, requests={}, reason={}", self.rows, self.requests, self.reason.word())
    }
}
