//! What is remembered of one inference on the facts lane: outcome, time per phase, rows.
//!
//! Facts are never dropped: serving writes them to per-worker counters. Names follow the statistics
//! extension of the Open Inference Protocol, which clients already graph.

/// How an inference ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered.
    Success,
    /// Refused because the request was wrong.
    Invalid,
    /// Refused because there was no room.
    Rejected,
    /// The caller went away or the time was up.
    Cancelled,
    /// The engine or the server failed.
    Failed,
}

impl Outcome {
    /// All outcomes, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::Success, Self::Invalid, Self::Rejected, Self::Cancelled, Self::Failed];

    /// The outcome as a metric label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Invalid => "invalid",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A part of an inference's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// From admission to the reply's last byte being ready.
    Request,
    /// Waiting for a thread.
    Queue,
    /// Reading the request into tensors.
    Decode,
    /// Inside the engine.
    Run,
    /// Writing tensors into the reply.
    Encode,
}

impl Phase {
    /// All phases, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::Request, Self::Queue, Self::Decode, Self::Run, Self::Encode];

    /// The phase as a metric label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Queue => "queue",
            Self::Decode => "decode",
            Self::Run => "run",
            Self::Encode => "encode",
        }
    }
}

/// The facts of one inference.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// How it ended.
    pub outcome: Outcome,
    /// Rows that the engine was given (the first dimension; 1 for a model without a batch dimension).
    pub rows: u64,
    /// Nanoseconds per phase, indexed as [`Phase::ALL`]; phases that were not reached are `None`.
    pub nanos: [Option<u64>; Phase::ALL.len()],
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_unix_ms: u64,
}
