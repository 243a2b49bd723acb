//! A limit on requests at the same time that finds its own value: as many as do not make each other wait too long.
//!
//! ```text
//!                     enter ──► inside < limit? ──► Slot ──► waited, then worked ──► end
//!                                  │ no                                               │ adds to the window
//!                                  ▼                                                  ▼
//!                                 Full        limit ◄── each window: × gradient + room for bursts
//! ```
//! The step is that of Netflix's concurrency-limits (`GradientLimit`, `Gradient2Limit`; Apache 2.0): the limit times
//! a gradient, plus the root of the limit as room for bursts, smoothed, and never raised while it is not used. Their
//! gradient is latency without load ÷ latency now, and they stand outside the server, so they have to guess the first
//! one. Here the two parts of a request's time are known apart: what it *waited* for others and how long its own work
//! took. So
//!
//! ```text
//!   gradient = tolerance × (work + wait allowed) ÷ (work + waited)      sums over the window
//! ```
//! A request with many rows is compared with its own work and not with smaller ones; a model that has become slow
//! altogether has no steeper gradient than before. With `k` threads always busy, Little's law (`inside = rate × time`)
//! puts the resting point at `tolerance × k × (1 + wait allowed ÷ work)` plus the room for bursts, whatever the
//! distribution of the work.
//!
//! It is handed the time and reads no clock. Nobody waits: entering is one compare-and-swap, ending a few additions,
//! and whoever ends a request when a window is over makes the step.

mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicU32, AtomicU64,
            Ordering::{AcqRel, Relaxed},
        },
    },
    time::Duration,
};

use crate::clock::Tick;
pub use settings::ConcurrencySettings;

/// A limit of which less was used does not shrink below what was used ÷ this share: that those few waited long may be
/// the doing of others who use the same threads.
const USED: f64 = 0.5;
/// The limit grows only when the peak was at least this share of it.
const USED_UP: f64 = 0.9;
/// Bounds of the gradient: one odd window cannot move the limit far.
const GRADIENT: (f64, f64) = (0.5, 1.5);
/// Least room for bursts.
const BURST_MIN: f64 = 4.0;

/// There is no place inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Requests that are inside.
    pub inside: u32,
    /// The limit.
    pub limit: u32,
    /// How long those inside take to leave, by the last window.
    pub drain: Duration,
}

/// A limit at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcurrencyReading {
    /// The limit now.
    pub limit: u32,
    /// Requests that are inside.
    pub inside: u32,
}

/// A limit on requests at the same time that finds its own value.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    /// Nothing where the limit is fixed.
    settings: Option<ConcurrencySettings>,
    ceiling: u32,
    limit: AtomicU32,
    /// The same with its fraction, as bits.
    exact: AtomicU64,
    inside: AtomicU32,
    window: Window,
    /// Mean time inside during the last window; before the first, the expected work of one request.
    inside_nanos: AtomicU64,
}

/// What happened since the last look.
#[derive(Debug, Default)]
struct Window {
    began: AtomicU64,
    ended: AtomicU32,
    peak: AtomicU32,
    waited_nanos: AtomicU64,
    worked_nanos: AtomicU64,
}

/// The same, taken out.
#[derive(Debug, Clone, Copy)]
struct Sums {
    ended: u32,
    peak: u32,
    waited_nanos: u64,
    worked_nanos: u64,
}

impl ConcurrencyLimit {
    /// A limit that never moves.
    #[must_use]
    pub fn fixed(limit: u32) -> Self {
        Self::of(None, limit.max(1), f64::from(limit.max(1)), Duration::ZERO)
    }

    /// A limit that begins where it would come to rest if each request worked as long as `work` and `threads` of them
    /// could work at the same time; at `ceiling`, which it never exceeds, if nobody knows how long they work. What is
    /// out of range in `settings` takes the nearest value within.
    #[must_use]
    pub fn new(settings: ConcurrencySettings, ceiling: u32, work: Option<Duration>, threads: usize) -> Self {
        let settings = settings.clamped();
        let threads = f64::from(u32::try_from(threads.max(1)).unwrap_or(u32::MAX));
        let known = work.filter(|work| !work.is_zero());
        let wait = if settings.wait.is_zero() {
            0.0
        } else {
            known.map_or(f64::INFINITY, |work| settings.wait.div_duration_f64(work))
        };
        let rest = settings.tolerance * threads * (1.0 + wait);
        let start = bounded(rest + burst(rest), settings.floor, ceiling.max(1));
        Self::of(Some(settings), ceiling.max(1), start, work.unwrap_or_default())
    }

    fn of(settings: Option<ConcurrencySettings>, ceiling: u32, start: f64, work: Duration) -> Self {
        Self {
            settings,
            ceiling,
            limit: AtomicU32::new(whole(start)),
            exact: AtomicU64::new(start.to_bits()),
            inside: AtomicU32::new(0),
            window: Window::default(),
            inside_nanos: AtomicU64::new(nanos(work)),
        }
    }

    /// Whether it is full now; one load of each number.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.inside.load(Relaxed) >= self.limit.load(Relaxed)
    }

    /// The limit and how much of it is used.
    #[must_use]
    pub fn reading(&self) -> ConcurrencyReading {
        ConcurrencyReading { limit: self.limit.load(Relaxed), inside: self.inside.load(Relaxed) }
    }

    /// What somebody is told who is not let in.
    #[must_use]
    pub fn full(&self) -> Full {
        let ConcurrencyReading { limit, inside } = self.reading();
        Full { inside, limit, drain: self.drain() }
    }

    /// How long those inside take to leave: by Little's law as long as each of them is inside, which the last window
    /// measured.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_nanos(self.inside_nanos.load(Relaxed))
    }

    /// Takes a place inside.
    ///
    /// # Errors
    /// When there is none.
    pub fn enter(self: &Arc<Self>, now: Tick) -> Result<Slot, Full> {
        let limit = self.limit.load(Relaxed);
        let place = |inside: u32| (inside < limit).then_some(inside + 1);
        let before = self.inside.fetch_update(AcqRel, Relaxed, place).map_err(|_| self.full())?;
        self.window.peak.fetch_max(before + 1, Relaxed);
        Ok(Slot { limit: Arc::clone(self), entered: now })
    }

    /// Adds a request that has left to the window, and makes a step if the window is over.
    fn count(&self, waited: u64, worked: u64, now: Tick) {
        let Some(settings) = &self.settings else {
            // Only the drain time is told; a mean over the last few will do.
            let before = self.inside_nanos.load(Relaxed);
            let mean = before - before / 8 + (waited + worked) / 8;
            return self.inside_nanos.store(mean, Relaxed);
        };
        let window = &self.window;
        window.waited_nanos.fetch_add(waited, Relaxed);
        window.worked_nanos.fetch_add(worked, Relaxed);
        let ended = window.ended.fetch_add(1, Relaxed) + 1;
        let began = window.began.load(Relaxed);
        if ended < settings.calls_min || u128::from(now.nanos_since(Tick(began))) < settings.window.as_nanos() {
            return;
        }
        // One of those who see the window over closes it; a request that ends meanwhile counts here or there.
        if window.began.compare_exchange(began, now.0, AcqRel, Relaxed).is_ok() {
            self.step(settings, window.take(self.inside.load(Relaxed)));
        }
    }

    fn step(&self, settings: &ConcurrencySettings, sums: Sums) {
        if sums.ended == 0 {
            return;
        }
        self.inside_nanos.store((sums.waited_nanos + sums.worked_nanos) / u64::from(sums.ended), Relaxed);
        let before = f64::from_bits(self.exact.load(Relaxed));
        let after = bounded(next(settings, before, sums), settings.floor, self.ceiling);
        self.exact.store(after.to_bits(), Relaxed);
        self.limit.store(whole(after), Relaxed);
    }
}

impl Window {
    fn take(&self, inside: u32) -> Sums {
        Sums {
            ended: self.ended.swap(0, Relaxed),
            peak: self.peak.swap(inside, Relaxed),
            waited_nanos: self.waited_nanos.swap(0, Relaxed),
            worked_nanos: self.worked_nanos.swap(0, Relaxed),
        }
    }
}

/// The limit after a window, before its bounds.
#[allow(clippy::cast_precision_loss, reason = "nanoseconds of a window are far below 2^53")]
fn next(settings: &ConcurrencySettings, limit: f64, sums: Sums) -> f64 {
    let peak = f64::from(sums.peak);
    let inside = (sums.waited_nanos + sums.worked_nanos) as f64;
    if inside <= 0.0 {
        return limit;
    }
    let wait = settings.wait.as_nanos() as f64 * f64::from(sums.ended);
    let gradient = settings.tolerance * (sums.worked_nanos as f64 + wait) / inside;
    let target = limit * gradient.clamp(GRADIENT.0, GRADIENT.1) + burst(limit);
    let target = if target > limit {
        if peak >= USED_UP * limit { target } else { limit }
    } else if peak >= USED * limit {
        target
    } else {
        target.max(peak / USED)
    };
    limit + settings.smoothing * (target - limit)
}

/// Room for bursts.
fn burst(limit: f64) -> f64 {
    limit.sqrt().max(BURST_MIN)
}

fn bounded(limit: f64, floor: u32, ceiling: u32) -> f64 {
    limit.max(f64::from(floor)).min(f64::from(ceiling))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and the ceiling")]
fn whole(limit: f64) -> u32 {
    limit.max(1.0) as u32
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A place inside; given back when dropped.
#[derive(Debug)]
#[must_use = "a slot that is dropped says nothing about the request"]
pub struct Slot {
    limit: Arc<ConcurrencyLimit>,
    entered: Tick,
}

impl Slot {
    /// When it was taken.
    #[must_use]
    pub fn entered(&self) -> Tick {
        self.entered
    }

    /// Gives it back and says how much of the time since it was taken the request's own work took; nothing, if it
    /// never began.
    pub fn end(self, worked: Duration, now: Tick) {
        let inside = now.nanos_since(self.entered);
        let worked = nanos(worked).min(inside);
        self.limit.count(inside - worked, worked, now);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limit.inside.fetch_sub(1, AcqRel);
    }
}
