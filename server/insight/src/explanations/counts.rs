//! What has happened: explanations by method and by how they ended, their times, rows that models evaluated for them;
//! rules, counterfactuals and effects by words of their own beside the methods.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use candor_domain::{ErrorCode, Result};

use super::{EffectKind, Explanation, Method};

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

/// What attributes nothing, by its words.
const OTHERS: [&str; 5] =
    ["counterfactuals", "anchors", "permutation_importance", "partial_dependence", "local_effects"];

/// Methods with words, what attributes nothing, and one place for all components that have no word: no caller can make a
/// series.
const METHODS: usize = Method::WORDS.len() + OTHERS.len() + 1;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work<'a> {
    /// Shares, by a method.
    Shares(&'a Method),
    /// Changes that give another answer.
    Counterfactuals,
    /// Rules that hold an answer.
    Anchors,
    /// What a model does with a feature.
    Effect(EffectKind),
}

impl Work<'_> {
    /// Its place: methods in the order of their words, then what attributes nothing, then components without a word.
    fn place(self) -> usize {
        let other = match self {
            Self::Shares(method) => {
                return Method::WORDS.iter().position(|(_, known)| known == method).unwrap_or(METHODS - 1);
            }
            Self::Counterfactuals => 0,
            Self::Anchors => 1,
            Self::Effect(EffectKind::PermutationImportance) => 2,
            Self::Effect(EffectKind::PartialDependence) => 3,
            Self::Effect(EffectKind::LocalEffects) => 4,
        };
        Method::WORDS.len() + other
    }
}

/// What work has come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sums {
    /// Rows that were explained.
    pub(crate) rows: u64,
    /// Rows that the model evaluated.
    pub(crate) evaluations: u64,
    /// Explained outputs that are apart.
    pub(crate) apart: u64,
}

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

impl Sums {
    /// Of what has nothing to add up.
    pub(crate) fn of(rows: usize, evaluations: u64) -> Self {
        Self { rows: rows as u64, evaluations, apart: 0 }
    }
}

impl Counts {
    /// Counts an explanation that has ended; `asked` is the method that was asked for.
    pub(crate) fn count(&self, asked: &Method, ended: &Result<Explanation>, nanos: u64) {
        let method = ended.as_ref().map_or(asked, |explanation| &explanation.method.method);
        let sums = |explanation: &Explanation| Sums {
            rows: explanation.rows.len() as u64,
            evaluations: explanation.evaluations,
            apart: if explanation.method.is_additive { explanation.outputs_apart() } else { 0 },
        };
        self.work(Work::Shares(method), ended.as_ref().map(sums).map_err(candor_domain::Error::code), nanos);
    }

    /// Counts work of any kind that has ended.
    pub(crate) fn work(&self, work: Work<'_>, ended: std::result::Result<Sums, ErrorCode>, nanos: u64) {
        let outcome = ended.map_or_else(outcome, |_| 0);
        if let Some(slot) = self.ended.get(work.place()).and_then(|outcomes| outcomes.get(outcome)) {
            slot.fetch_add(1, Relaxed);
        }
        let bucket = DURATION_BUCKETS_NANOS.iter().position(|bound| nanos <= *bound);
        if let Some(slot) = self.buckets.get(bucket.unwrap_or(DURATION_BUCKETS_NANOS.len())) {
            slot.fetch_add(1, Relaxed);
        }
        self.nanos.fetch_add(nanos, Relaxed);
        if let Ok(sums) = ended {
            self.rows.fetch_add(sums.rows, Relaxed);
            self.evaluations.fetch_add(sums.evaluations, Relaxed);
            self.apart.fetch_add(sums.apart, Relaxed);
        }
    }

    pub(crate) fn view(&self, open: usize) -> CountsView {
        let words = Method::WORDS.iter().map(|(word, _)| *word).chain(OTHERS).chain(["component"]);
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
