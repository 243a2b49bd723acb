//! Counters as the statistics extension gives them.

use candor_domain::{ModelName, Outcome, Phase, Result};

use crate::{CacheNote, FactsTotals, Registry, VersionView, batching::size_of_slot};

/// How often, and how long together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// How often.
    pub count: u64,
    /// Nanoseconds together.
    pub nanos: u64,
}

/// Counts and time by outcome and phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// Requests that were answered.
    pub success: Span,
    /// Requests that were not.
    pub fail: Span,
    /// Waiting for a thread.
    pub queue: Span,
    /// Reading requests.
    pub compute_input: Span,
    /// Inside the engine.
    pub compute_infer: Span,
    /// Writing replies.
    pub compute_output: Span,
    /// Answers that were kept, or were another request's too; looking for them and taking them out.
    pub cache_hit: Span,
    /// Looks that found nothing; looking, and putting the answer in.
    pub cache_miss: Span,
}

impl From<&FactsTotals> for Spans {
    fn from(totals: &FactsTotals) -> Self {
        let phase = |phase: Phase| {
            let histogram = totals.phase(phase);
            Span { count: histogram.count(), nanos: histogram.nanos }
        };
        let looks = |notes: &[CacheNote]| {
            notes.iter().map(|note| totals.looks(*note)).fold(Span::default(), |sum, [count, nanos]| Span {
                count: sum.count + count,
                nanos: sum.nanos + nanos,
            })
        };
        let success = phase(Phase::Request);
        let failures = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Success);
        Self {
            fail: Span {
                count: failures.map(|outcome| totals.outcome(outcome)).sum(),
                nanos: totals.unsuccessful_nanos,
            },
            // A request that never waited has waited zero nanoseconds: Triton counts it, so clients that divide
            // by the count expect it.
            queue: Span { count: success.count, nanos: phase(Phase::Queue).nanos },
            compute_input: phase(Phase::Decode),
            compute_infer: phase(Phase::Run),
            compute_output: phase(Phase::Encode),
            cache_hit: looks(&[CacheNote::Hit, CacheNote::Shared]),
            cache_miss: looks(&[CacheNote::Miss]),
            success,
        }
    }
}

/// Runs of the engine over so many rows: counts and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSpans {
    /// Rows; above 64 the next power of two.
    pub rows: u64,
    /// Reading requests.
    pub compute_input: Span,
    /// Inside the engine.
    pub compute_infer: Span,
    /// Writing replies.
    pub compute_output: Span,
}

/// The sizes that there were, smallest first.
pub fn batches(totals: &FactsTotals) -> impl Iterator<Item = BatchSpans> {
    totals.sizes.iter().enumerate().filter(|(_, size)| size.runs > 0).map(|(slot, size)| {
        let [input, infer, output] = size.nanos.map(|nanos| Span { count: size.runs, nanos });
        BatchSpans { rows: size_of_slot(slot), compute_input: input, compute_infer: infer, compute_output: output }
    })
}

/// The counters of one model, or of one of its versions.
///
/// # Errors
/// Why there is nothing to count.
pub fn of_model(registry: &Registry, model: &str, version: Option<&str>) -> Result<Vec<VersionView>> {
    let name = ModelName::parse(model)?;
    let wanted =
        |view: &VersionView| view.model == name && version.is_none_or(|version| view.version.as_str() == version);
    let views: Vec<_> = registry.views().into_iter().filter(wanted).collect();
    if views.is_empty() {
        registry.lease(model, version)?;
    }
    Ok(views)
}
