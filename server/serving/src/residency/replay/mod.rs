//! What a policy would have made of a trace of requests: the ledger that serves, run on simulated time.
//!
//! Before it: a trace, read from a file or made up from a seed. After it: [`Outcome`], the same for the same trace and
//! settings. Loads take as long as the trace says, so many at a time; runs take none; what leaves is gone at once.
//!
//! | module | what it does |
//! |---|---|
//! | `synthetic` | traces from a seed: Zipf, days and nights, bursts |
//! | `outcome` | what is counted |

mod outcome;
mod synthetic;

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use candor_domain::Tick;

pub use outcome::Outcome;
pub use synthetic::{Shape, synthetic};

use super::{
    ledger::{Change, Grant, Ledger, Need, SeatId, Watch},
    policy::{Policy, Usage},
};
use outcome::Counts;

/// Models and the requests to them.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// What each model takes.
    pub models: Vec<Need>,
    /// When which model was asked, in order of time: milliseconds and the model's place in `models`.
    pub requests: Vec<(u64, u32)>,
}

impl Trace {
    /// Bytes of all models together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.models.iter().map(|need| need.steady_bytes).sum()
    }
}

/// What a trace is played to.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Who leaves first.
    pub policy: Policy,
    /// The budget.
    pub budget: u64,
    /// After how long without a request a model leaves.
    pub idle_ttl: Option<Duration>,
    /// Loads at the same time.
    pub load_threads: usize,
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// What is known of the requests to each model, past and future.
struct Book(RefCell<Vec<Page>>);

#[derive(Default)]
struct Page {
    uses: u64,
    last: Option<Tick>,
    /// Those to come, the nearest last.
    to_come: Vec<Tick>,
}

impl Watch for Book {
    fn look(&self, seat: SeatId) -> Usage {
        let pages = self.0.borrow();
        let page = usize::try_from(seat.0).ok().and_then(|place| pages.get(place));
        page.map_or_else(Usage::default, |page| Usage {
            uses: page.uses,
            last_used: page.last,
            busy: false,
            next_use: page.to_come.last().copied(),
        })
    }
}

/// One run through a trace.
struct Replay<'a> {
    trace: &'a Trace,
    load_threads: usize,
    ledger: Ledger,
    book: Book,
    now: Tick,
    resident: Vec<bool>,
    /// Since when the requests to each model wait; nobody waits where it is in memory.
    waiting: Vec<Vec<Tick>>,
    granted: VecDeque<(SeatId, Grant)>,
    /// Loads under way by the time at which they end.
    under_way: BinaryHeap<Reverse<(Tick, SeatId, Grant)>>,
    counts: Counts,
}

/// Plays `trace`.
#[must_use]
pub fn replay(trace: &Trace, setting: Setting) -> Outcome {
    let mut replay = Replay::new(trace, setting);
    let mut tick = SECOND;
    for &(at_ms, model) in &trace.requests {
        let at = Tick(at_ms.saturating_mul(MS));
        while tick <= at.0 && setting.idle_ttl.is_some() {
            replay.run_until(Tick(tick));
            replay.ledger.tick(replay.now, &replay.book);
            replay.obey();
            tick += SECOND;
        }
        replay.run_until(at);
        replay.request(model);
    }
    replay.run_until(Tick(u64::MAX));
    let Replay { counts, ledger, .. } = replay;
    counts.outcome(ledger.totals())
}

impl<'a> Replay<'a> {
    fn new(trace: &'a Trace, setting: Setting) -> Self {
        let mut ledger = Ledger::new(setting.budget, setting.policy, setting.idle_ttl);
        for (seat, need) in (0..).zip(&trace.models) {
            ledger.know(SeatId(seat), *need, false);
        }
        let mut pages: Vec<Page> = trace.models.iter().map(|_| Page::default()).collect();
        for &(at_ms, model) in trace.requests.iter().rev() {
            if let Some(page) = pages.get_mut(model as usize) {
                page.to_come.push(Tick(at_ms.saturating_mul(MS)));
            }
        }
        Self {
            trace,
            load_threads: setting.load_threads.max(1),
            ledger,
            book: Book(RefCell::new(pages)),
            now: Tick(0),
            resident: vec![false; trace.models.len()],
            waiting: vec![Vec::new(); trace.models.len()],
            granted: VecDeque::new(),
            under_way: BinaryHeap::new(),
            counts: Counts::new(trace.models.len()),
        }
    }

    /// Moves time on, and holds memory for so long.
    fn advance(&mut self, to: Tick) {
        self.counts.hold(self.ledger.totals().reserved_bytes, to.nanos_since(self.now));
        self.now = self.now.max(to);
    }

    /// Ends the loads that end by then.
    fn run_until(&mut self, until: Tick) {
        while let Some(Reverse((at, seat, grant))) = self.under_way.peek().copied().filter(|next| next.0.0 <= until) {
            self.under_way.pop();
            self.advance(at);
            let load_ms = self.need(seat).map_or(0, |need| need.load_ms);
            self.counts.loaded(place(seat), load_ms);
            self.ledger.loaded(seat, grant, load_ms, self.now, &self.book);
            if let Some(resident) = self.resident.get_mut(place(seat)) {
                *resident = true;
            }
            self.end_waiting(seat);
            self.obey();
        }
        if until.0 < u64::MAX {
            self.advance(until);
        }
    }

    fn end_waiting(&mut self, seat: SeatId) {
        let waiting = self.waiting.get_mut(place(seat)).map(std::mem::take).unwrap_or_default();
        waiting.into_iter().for_each(|since| self.counts.waited(self.now.nanos_since(since)));
    }

    fn request(&mut self, model: u32) {
        let seat = SeatId(u64::from(model));
        if let Some(page) = self.book.0.borrow_mut().get_mut(place(seat)) {
            page.uses += 1;
            page.last = Some(self.now);
            page.to_come.pop();
        }
        if self.resident.get(place(seat)).copied().unwrap_or(false) {
            self.counts.hit();
            return;
        }
        if let Some(waiting) = self.waiting.get_mut(place(seat)) {
            waiting.push(self.now);
        }
        self.ledger.ask(seat, Tick(u64::MAX), self.now, &self.book);
        self.obey();
    }

    fn need(&self, seat: SeatId) -> Option<Need> {
        self.trace.models.get(place(seat)).copied()
    }

    fn obey(&mut self) {
        let mut changes = self.ledger.take_changes();
        while !changes.is_empty() {
            for change in changes {
                match change {
                    Change::Load(seat, grant) => self.granted.push_back((seat, grant)),
                    Change::Evict(seat, grant) => {
                        if let Some(resident) = self.resident.get_mut(place(seat)) {
                            *resident = false;
                        }
                        self.ledger.released(grant, self.now, &self.book);
                    }
                    Change::Refuse(seat, _) | Change::Expire(seat) => {
                        let waiting = self.waiting.get_mut(place(seat)).map(std::mem::take).unwrap_or_default();
                        self.counts.refused(waiting.len());
                    }
                }
            }
            changes = self.ledger.take_changes();
        }
        while self.under_way.len() < self.load_threads
            && let Some((seat, grant)) = self.granted.pop_front()
        {
            let load_ms = self.need(seat).map_or(0, |need| need.load_ms);
            let end = self.now.after(Duration::from_millis(load_ms));
            self.under_way.push(Reverse((end, seat, grant)));
        }
    }
}

fn place(seat: SeatId) -> usize {
    usize::try_from(seat.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
