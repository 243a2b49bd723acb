//! A circuit breaker: keeps calls away from what fails or is slow, and tries it again later.
//!
//! ```text
//!            too many calls failed or were slow
//!   closed ───────────────────────────────────────► open ◄───────────────┐
//!     ▲                                              │ its time is over  │ the trials went badly
//!     └──────────── the trials went well ─────── half-open ──────────────┘
//! ```
//! It is handed the time and reads no clock, so that a manual one can run it. Its whole state is one word that is
//! only ever compared and swapped: callers share no lock, and every change has one author, who tells it. Whoever
//! guards something with it asks [`Breaker::enter`], works, and says how that went with [`Permit::end`]; a permit
//! that is dropped instead, by a cancellation or a panic, gives its place back and counts as nothing.
//!
//! | module | what it does |
//! |---|---|
//! | `word` | the state as one word |
//! | `window` | calls, failures and slow calls of the last while, in a ring of time slots |

mod settings;
#[cfg(test)]
mod tests;
mod window;
mod word;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::clock::Tick;
pub use settings::BreakerSettings;
use window::{Sums, Window};
use word::{Phase, Trials, Word};

/// Whether calls are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// All calls are let through, and counted.
    Closed,
    /// Some calls are let through as trials.
    HalfOpen,
    /// No call is let through.
    Open,
}

impl BreakerState {
    /// All states, in the order of their numbers in metrics.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The state as a word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// How a call ended, as far as it says something about what was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did what it should.
    Succeeded,
    /// It failed by no fault of the caller's.
    Failed,
    /// It says nothing, unless it took so long that it was slow.
    Unknown,
}

/// A call was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// How long to wait before asking again.
    pub retry_after: Duration,
}

/// A change of state, told once by the call that made it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerChange {
    /// The state before.
    pub from: BreakerState,
    /// The state now.
    pub to: BreakerState,
    /// Calls that were counted until then: those of the window, or the trials.
    pub calls: u64,
    /// Share of them that failed.
    pub failure_rate: f64,
    /// Share of them that were slow.
    pub slow_rate: f64,
    /// How long it stays open, if it opened.
    pub open: Option<Duration>,
}

/// A breaker at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerReading {
    /// Its state.
    pub state: BreakerState,
    /// Calls that count: those of the window when closed, the trials that have ended when half-open.
    pub calls: u64,
    /// Share of them that failed; 0 when there are none.
    pub failure_rate: f64,
    /// Share of them that were slow; 0 when there are none.
    pub slow_rate: f64,
    /// When the first trial is let through, if it is open.
    pub retry_at: Option<Tick>,
}

/// Hears of every change of state, on the thread of the call that made it.
pub type BreakerListener = Box<dyn Fn(&BreakerChange) + Send + Sync>;

/// Share of the open time by which it may be shorter, so that many who opened together do not come back together.
pub const JITTER: f64 = 0.2;

/// How long to wait when all trials are under way.
const TRIALS_TAKE: Duration = Duration::from_secs(1);

/// Keeps calls away from what fails or is slow.
pub struct Breaker {
    settings: BreakerSettings,
    seed: u64,
    word: AtomicU64,
    window: Window,
    listener: BreakerListener,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("settings", &self.settings).field("word", &self.word()).finish_non_exhaustive()
    }
}

impl Breaker {
    /// A closed breaker. `seed` spreads its open times; what is out of range in `settings` takes the nearest value
    /// within.
    #[must_use]
    pub fn new(settings: BreakerSettings, seed: u64, listener: BreakerListener) -> Self {
        let settings = settings.clamped();
        let window = Window::new(settings.window);
        Self { settings, seed, word: AtomicU64::new(Word::START.pack()), window, listener }
    }

    /// How it behaves.
    #[must_use]
    pub fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(SeqCst))
    }

    fn swap(&self, before: Word, after: Word) -> bool {
        self.word.compare_exchange(before.pack(), after.pack(), SeqCst, SeqCst).is_ok()
    }

    /// Asks to make a call.
    ///
    /// # Errors
    /// When it is open, or half-open with all trials under way or used up.
    pub fn enter(self: &Arc<Self>, now: Tick) -> Result<Permit, Refusal> {
        loop {
            let word = self.word();
            let (next, is_trial) = match word.phase {
                Phase::Closed => (word, false),
                Phase::Open { retry_ms } => {
                    let retry_at = retry_tick(retry_ms);
                    if now < retry_at {
                        return Err(Refusal { retry_after: now.until(retry_at) });
                    }
                    (word.followed_by(Phase::HalfOpen(Trials { running: 1, ..Trials::default() })), true)
                }
                Phase::HalfOpen(trials) => {
                    if trials.running + trials.ended >= self.settings.trials {
                        return Err(Refusal { retry_after: TRIALS_TAKE });
                    }
                    let trials = Trials { running: trials.running + 1, ..trials };
                    (Word { phase: Phase::HalfOpen(trials), ..word }, true)
                }
            };
            if is_trial {
                if !self.swap(word, next) {
                    continue;
                }
                self.tell(word, next, Sums::default(), None);
            }
            return Ok(Permit { breaker: Arc::clone(self), epoch: next.epoch, is_trial });
        }
    }

    /// Why a call would be refused now; `None` when it would be let through.
    #[must_use]
    pub fn refusal(&self, now: Tick) -> Option<Refusal> {
        match self.word().phase {
            Phase::Open { retry_ms } if now < retry_tick(retry_ms) => {
                Some(Refusal { retry_after: now.until(retry_tick(retry_ms)) })
            }
            Phase::HalfOpen(trials) if trials.running + trials.ended >= self.settings.trials => {
                Some(Refusal { retry_after: TRIALS_TAKE })
            }
            Phase::Closed | Phase::Open { .. } | Phase::HalfOpen(_) => None,
        }
    }

    /// Its state and what that rests on.
    #[must_use]
    pub fn reading(&self, now: Tick) -> BreakerReading {
        let word = self.word();
        let (sums, retry_at) = match word.phase {
            Phase::Closed => (self.window.sums(now), None),
            Phase::Open { retry_ms } => (Sums::default(), Some(retry_tick(retry_ms))),
            Phase::HalfOpen(trials) => (Sums::from(trials), None),
        };
        let (failure_rate, slow_rate) = (sums.rate(sums.failed), sums.rate(sums.slow));
        BreakerReading { state: word.phase.state(), calls: sums.calls, failure_rate, slow_rate, retry_at }
    }

    /// Closes it and forgets what was counted. Calls under way do not count any more.
    pub fn reset(&self) {
        loop {
            let word = self.word();
            self.window.clear();
            let next = Word { row: 0, ..word.followed_by(Phase::Closed) };
            if self.swap(word, next) {
                return self.tell(word, next, Sums::default(), None);
            }
        }
    }

    /// A call that was let through while it was closed has ended.
    fn count(&self, epoch: u32, call: Counted, now: Tick) {
        let word = self.word();
        if word.epoch != epoch {
            return;
        }
        self.window.record(now, call);
        // A good call makes no rate rise.
        if !(call.failed || call.slow) {
            return;
        }
        let sums = self.window.sums(now);
        if sums.calls >= u64::from(self.settings.calls_min) && self.is_bad(sums, sums.calls) {
            let (next, open) = self.opened(word, now);
            // If somebody else was quicker, it is no longer closed, and the change is theirs.
            if self.swap(word, next) {
                self.tell(word, next, sums, Some(open));
            }
        }
    }

    /// A trial has ended; `None` when it says nothing, and then its place is free again.
    fn count_trial(&self, epoch: u32, call: Option<Counted>, now: Tick) {
        loop {
            let word = self.word();
            let Phase::HalfOpen(before) = word.phase else { return };
            if word.epoch != epoch {
                return;
            }
            let trials = before.after(call);
            let sums = Sums::from(trials);
            let (next, open) = if self.is_bad(sums, u64::from(self.settings.trials)) {
                let (next, open) = self.opened(word, now);
                (next, Some(open))
            } else if trials.ended >= self.settings.trials {
                // Before it closes nobody counts there, so nothing of now is lost.
                self.window.clear();
                (Word { row: 0, ..word.followed_by(Phase::Closed) }, None)
            } else {
                (Word { phase: Phase::HalfOpen(trials), ..word }, None)
            };
            if self.swap(word, next) {
                return self.tell(word, next, sums, open);
            }
        }
    }

    /// Whether failures or slow calls reach their rate of `calls`.
    #[allow(clippy::cast_precision_loss, reason = "counts of calls in a window are far below 2^53")]
    fn is_bad(&self, sums: Sums, calls: u64) -> bool {
        let reaches = |count: u64, rate: f64| count > 0 && count as f64 >= rate * calls as f64;
        reaches(sums.failed, self.settings.failure_rate) || reaches(sums.slow, self.settings.slow_rate)
    }

    /// What follows when it opens, and for how long: base × 2ⁿ after n openings in a row, at most the cap, less up
    /// to [`JITTER`] of it.
    fn opened(&self, word: Word, now: Tick) -> (Word, Duration) {
        let BreakerSettings { open, open_max, .. } = self.settings;
        let full = open.saturating_mul(1 << u32::from(word.row).min(31)).min(open_max);
        let spread = fraction(self.seed ^ (u64::from(word.epoch) << 32));
        let open = full.mul_f64(1.0 - JITTER * spread);
        let retry_ms = now.after(open).0.div_ceil(NANOS_PER_MS);
        let next = Word { row: word.next_row(), ..word.followed_by(Phase::Open { retry_ms }) };
        (next, open)
    }

    fn tell(&self, before: Word, after: Word, sums: Sums, open: Option<Duration>) {
        let (from, to) = (before.phase.state(), after.phase.state());
        if from != to {
            let (failure_rate, slow_rate) = (sums.rate(sums.failed), sums.rate(sums.slow));
            (self.listener)(&BreakerChange { from, to, calls: sums.calls, failure_rate, slow_rate, open });
        }
    }
}

const NANOS_PER_MS: u64 = 1_000_000;

fn retry_tick(retry_ms: u64) -> Tick {
    Tick(retry_ms.saturating_mul(NANOS_PER_MS))
}

/// A number from 0 to 1 that looks random: one step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "only 53 bits are kept")]
pub fn fraction(seed: u64) -> f64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// What is counted of a call.
#[derive(Debug, Clone, Copy)]
struct Counted {
    failed: bool,
    slow: bool,
}

/// The right to make one call.
#[derive(Debug)]
#[must_use = "a permit that is dropped says nothing about the call"]
pub struct Permit {
    breaker: Arc<Breaker>,
    epoch: u32,
    /// Whether it holds a place among the trials.
    is_trial: bool,
}

impl Permit {
    /// Whether the call is one of the trials of a half-open breaker.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// Says how the call ended and how long it took.
    pub fn end(mut self, ending: Ending, took: Duration, now: Tick) {
        let slow = self.breaker.settings.slow.is_some_and(|slow| took >= slow);
        let failed = ending == Ending::Failed;
        let counts = slow || ending != Ending::Unknown;
        if self.is_trial {
            self.is_trial = false;
            self.breaker.count_trial(self.epoch, counts.then_some(Counted { failed, slow }), now);
        } else if counts {
            self.breaker.count(self.epoch, Counted { failed, slow }, now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_trial {
            // Giving a place back neither opens nor closes, so the time does not matter.
            self.breaker.count_trial(self.epoch, None, Tick::default());
        }
    }
}
