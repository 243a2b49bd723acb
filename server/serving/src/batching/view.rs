//! How requests of a version are put together at one moment, and what came of it: what doors show.

use super::{BatchTotals, Delay, Line, Plan};
use crate::{registry::ReadyVersion, scheduler::LaneReading};

/// Settings in force, what they rest on, and counters.
#[derive(Debug, Clone)]
pub struct BatchingView {
    /// What holds, and who said so.
    pub plan: Plan,
    /// The lane as it is now.
    pub reading: LaneReading,
    /// Rows that a batch takes now: as many as almost reach the best throughput.
    pub rows_now: u64,
    /// How late a request may be answered for the sake of others, in microseconds; nothing where the delay is fixed.
    pub target_us: Option<u64>,
    /// What came of it, over all loads of the version.
    pub totals: BatchTotals,
}

impl BatchingView {
    pub(crate) fn of(version: &ReadyVersion, reading: LaneReading) -> Self {
        let plan = version.lane().plan().clone();
        let rows_now = rows_now(&plan, reading.line);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
        let target_us = match plan.delay.value {
            Delay::Adaptive => Some((plan.target_nanos(reading.line) / 1e3) as u64),
            Delay::Fixed(_) => None,
        };
        Self { plan, reading, rows_now, target_us, totals: version.facts().batches() }
    }
}

fn rows_now(plan: &Plan, line: Option<Line>) -> u64 {
    let max = plan.rows_max.value;
    if !plan.is_on() {
        return 1;
    }
    match plan.delay.value {
        Delay::Fixed(_) => max,
        Delay::Adaptive => line.map_or(max, |line| line.rows_enough(max)),
    }
}
