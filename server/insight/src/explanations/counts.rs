//! What has happened: explanations by method and by how they ended, their times, rows that models evaluated for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use candor_domain::{ErrorCode, Result};

use super::{Explanation, Method};

/// Upper bounds of the histogram of times, in nanoseconds.
pub const DURATION_BUCKETS_NANOS: [u64; 12] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    50_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
    30_000_000_000,
    120_000_000_000,
];

/// How explanations end.
const OUTCOMES: [&str; 5] = ["success", "invalid", "rejected", "cancelled", "failed"];

/// Methods with words, and one place for all components that have none: no caller can make a series.
const METHODS: usize = Method::WORDS.len() + 1;

/// What has happened since the start.
pub(crate) struct Counts {
    ended: [[AtomicU64; OUTCOMES.len()]; METHODS],
    buckets: [AtomicU64; DURATION_BUCKETS_NANOS.len() + 1],
    nanos: AtomicU64,
    rows: AtomicU64,
    evaluations: AtomicU64,
    apart: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            ended: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            evaluations: AtomicU64::new(0),
            apart: AtomicU64::new(0),
        }
    }
}

/// What has happened, for metrics.
#[derive(Debug, Clone)]
pub struct CountsView {
    /// By method.
    pub methods: Vec<MethodCounts>,
    /// Explanations by the time that they took, not cumulative; the last for those beyond all bounds.
    pub buckets: Vec<u64>,
    /// Seconds of all of them.
    pub seconds: f64,
    /// Rows that were explained.
    pub rows: u64,
    /// Rows that models evaluated for that.
    pub evaluations: u64,
    /// Explained outputs of rows whose shares did not add up, or not to what was served.
    pub apart: u64,
    /// Components that are kept open.
    pub open: usize,
}

/// How explanations by one method ended.
#[derive(Debug, Clone)]
pub struct MethodCounts {
    /// The method's word.
    pub method: &'static str,
    /// How many ended how.
    pub outcomes: Vec<(&'static str, u64)>,
}

impl Counts {
    /// Counts one that has ended; `asked` is the method that was asked for.
    pub(crate) fn count(&self, asked: &Method, ended: &Result<Explanation>, nanos: u64) {
        let method = ended.as_ref().map_or(asked, |explanation| &explanation.method.method);
        let place = Method::WORDS.iter().position(|(_, known)| known == method).unwrap_or(METHODS - 1);
        let outcome = ended.as_ref().map_or_else(|error| outcome(error.code()), |_| 0);
        if let Some(slot) = self.ended.get(place).and_then(|outcomes| outcomes.get(outcome)) {
            slot.fetch_add(1, Relaxed);
        }
        let bucket = DURATION_BUCKETS_NANOS.iter().position(|bound| nanos <= *bound);
        if let Some(slot) = self.buckets.get(bucket.unwrap_or(DURATION_BUCKETS_NANOS.len())) {
            slot.fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(nanos, Relaxed);
        if let Ok(explanation) = ended {
            self.rows.fetch_add(explanation.rows.len() as u64, Relaxed);
            self.evaluations.fetch_add(explanation.evaluations, Relaxed);
            let apart = if explanation.method.is_additive { explanation.outputs_apart() } else { 0 };
            self.apart.fetch_add(apart, Relaxed);
        }
    }

    pub(crate) fn view(&self, open: usize) -> CountsView {
        let words = Method::WORDS.iter().map(|(word, _)| *word).chain(["component"]);
        let methods = words.zip(&self.ended).map(|(method, ended)| MethodCounts {
            method,
            outcomes: OUTCOMES.into_iter().zip(ended.iter().map(|count| count.load(Relaxed))).collect(),
        });
        CountsView {
            methods: methods.collect(),
            buckets: self.buckets.iter().map(|count| count.load(Relaxed)).collect(),
            seconds: self.nanos.load(Relaxed) as f64 / 1e9,
            rows: self.rows.load(Relaxed),
            evaluations: self.evaluations.load(Relaxed),
            apart: self.apart.load(Relaxed),
            open,
        }
    }
}

/// The place of an ending among [`OUTCOMES`].
fn outcome(code: ErrorCode) -> usize {
    match code {
        ErrorCode::InvalidInput
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::BodyTimeout
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::NotAcceptable
        | ErrorCode::Unsupported
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden => 1,
        ErrorCode::QuotaExceeded | ErrorCode::Overloaded | ErrorCode::NotReady | ErrorCode::BreakerOpen => 2,
        ErrorCode::DeadlineExceeded | ErrorCode::Cancelled => 3,
        ErrorCode::InvalidModel | ErrorCode::EngineFailed | ErrorCode::Internal => 4,
    }
}
