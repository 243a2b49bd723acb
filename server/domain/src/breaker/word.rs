//! A breaker's state in 64 bits, so that every change is one compare-and-swap.
//!
//! ```text
//! bits   0–1  closed, half-open or open
//!        2–6  openings in a row, up to 31
//!       7–23  epoch: changes of state, modulo 2¹⁷; a permit of another epoch does not count
//!      24–63  open: when the first trial may come, in milliseconds of the clock (35 years)
//!             half-open: trials that run, have ended, have failed, were slow: ten bits each
//! ```
//! A permit could be taken for one of a later epoch only if it were held for exactly 131 072 changes, each cycle of
//! three of which takes at least the open time.

use super::{BreakerState, Counted, window::Sums};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) epoch: u32,
    /// Openings since it was last closed.
    pub(super) row: u8,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    HalfOpen(Trials),
    Open { retry_ms: u64 },
}

/// Trials of a half-open breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trials {
    pub(super) running: u16,
    pub(super) ended: u16,
    pub(super) failed: u16,
    pub(super) slow: u16,
}

/// Most trials that a word can count.
pub(super) const TRIALS_MAX: u16 = (1 << 10) - 1;

const ROW_MAX: u8 = 31;
const EPOCH_MASK: u32 = (1 << 17) - 1;
const PAYLOAD_SHIFT: u32 = 24;
const PAYLOAD_MASK: u64 = (1 << 40) - 1;

const CLOSED: u64 = 0;
const HALF_OPEN: u64 = 1;
const OPEN: u64 = 2;

impl Word {
    pub(super) const START: Self = Self { epoch: 0, row: 0, phase: Phase::Closed };

    /// The next epoch, in `phase`.
    pub(super) const fn followed_by(self, phase: Phase) -> Self {
        Self { epoch: self.epoch.wrapping_add(1) & EPOCH_MASK, row: self.row, phase }
    }

    pub(super) fn next_row(self) -> u8 {
        (self.row + 1).min(ROW_MAX)
    }

    pub(super) fn pack(self) -> u64 {
        let (kind, payload) = match self.phase {
            Phase::Closed => (CLOSED, 0),
            Phase::HalfOpen(trials) => (HALF_OPEN, trials.pack()),
            Phase::Open { retry_ms } => (OPEN, retry_ms.min(PAYLOAD_MASK)),
        };
        kind | u64::from(self.row) << 2 | u64::from(self.epoch) << 7 | payload << PAYLOAD_SHIFT
    }

    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    pub(super) fn unpack(word: u64) -> Self {
        let payload = word >> PAYLOAD_SHIFT;
        let phase = match word & 3 {
            CLOSED => Phase::Closed,
            HALF_OPEN => Phase::HalfOpen(Trials::unpack(payload)),
            _ => Phase::Open { retry_ms: payload },
        };
        Self { epoch: (word >> 7) as u32 & EPOCH_MASK, row: (word >> 2) as u8 & ROW_MAX, phase }
    }
}

impl Phase {
    pub(super) const fn state(self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::HalfOpen(_) => BreakerState::HalfOpen,
            Self::Open { .. } => BreakerState::Open,
        }
    }
}

impl Trials {
    /// After one that ran has ended.
    pub(super) fn after(self, call: Option<Counted>) -> Self {
        let running = self.running.saturating_sub(1);
        match call {
            None => Self { running, ..self },
            Some(Counted { failed, slow }) => Self {
                running,
                ended: self.ended + 1,
                failed: self.failed + u16::from(failed),
                slow: self.slow + u16::from(slow),
            },
        }
    }

    fn pack(self) -> u64 {
        let Self { running, ended, failed, slow } = self;
        [slow, failed, ended, running].into_iter().fold(0, |word, part| word << 10 | u64::from(part & TRIALS_MAX))
    }

    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn unpack(word: u64) -> Self {
        let part = |index: u32| (word >> (10 * index)) as u16 & TRIALS_MAX;
        Self { running: part(0), ended: part(1), failed: part(2), slow: part(3) }
    }
}

impl From<Trials> for Sums {
    fn from(trials: Trials) -> Self {
        let Trials { ended, failed, slow, .. } = trials;
        Self { calls: ended.into(), failed: failed.into(), slow: slow.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_survives_packing() {
        let trials = Trials { running: 1, ended: 1022, failed: 512, slow: 3 };
        for phase in [Phase::Closed, Phase::HalfOpen(trials), Phase::Open { retry_ms: PAYLOAD_MASK }] {
            for (epoch, row) in [(0, 0), (1, 31), (EPOCH_MASK, 7)] {
                let word = Word { epoch, row, phase };
                assert_eq!(Word::unpack(word.pack()), word);
            }
        }
        assert_eq!(Word { epoch: EPOCH_MASK, ..Word::START }.followed_by(Phase::Closed).epoch, 0);
        assert_eq!(Word { row: 31, ..Word::START }.next_row(), 31);
    }
}
