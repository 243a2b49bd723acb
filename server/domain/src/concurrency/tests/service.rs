//! A simulated server before which a limit stands: arrivals at random, a queue, threads. No clock but its own.

use std::{cmp::Reverse, collections::BinaryHeap, collections::VecDeque};

use super::super::*;
use crate::breaker::fraction;

/// How long a request's own work takes, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    Fixed(u64),
    Exponential(u64),
    /// A log-normal whose standard deviation is twice its mean.
    HeavyTail(u64),
    Stalling {
        usual: u64,
        stall: u64,
        every: u64,
    },
    Mixed {
        small: u64,
        large: u64,
        every: u64,
    },
    Batched {
        fixed: u64,
        row: u64,
        max: usize,
    },
}

impl Work {
    fn mean(self) -> f64 {
        let mix = |one: u64, other: u64, every: u64| (one * (every - 1) + other) as f64 / every as f64;
        match self {
            Self::Fixed(mean) | Self::Exponential(mean) | Self::HeavyTail(mean) => mean as f64,
            Self::Stalling { usual, stall, every } => mix(usual, stall, every),
            Self::Mixed { small, large, every } => mix(small, large, every),
            Self::Batched { fixed, row, .. } => (fixed + row) as f64,
        }
    }

    pub fn mean_ms(self) -> f64 {
        self.mean() / 1e6
    }
}

/// How many requests come.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// So many times what the threads can do.
    Times(f64),
    PerSecond(f64),
}

impl Load {
    pub fn times(times: f64) -> Self {
        Self::Times(times)
    }

    pub fn per_second(rate: f64) -> Self {
        Self::PerSecond(rate)
    }
}

/// Times inside, in milliseconds.
#[derive(Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    pub fn p99(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() * 99 / 100).min(sorted.len() - 1)]
    }
}

/// What became of the requests of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Share of the threads' time that went into requests that were answered.
    pub busy: f64,
    pub inside_ms: Times,
    pub refused: u64,
    pub answered: u64,
}

struct Waiting {
    slot: Slot,
    work: u64,
}

pub struct Server {
    limit: Arc<ConcurrencyLimit>,
    threads: usize,
    work: Work,
    patience: u64,
    now: u64,
    draws: u64,
    queue: VecDeque<Waiting>,
    /// Ends of runs, each with its place among `running`.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    running: Vec<Option<(u64, Vec<Waiting>)>>,
}

impl Server {
    pub fn new(limit: &Arc<ConcurrencyLimit>, threads: usize, work: Work) -> Self {
        Self {
            limit: Arc::clone(limit),
            threads,
            work,
            patience: u64::MAX,
            now: 0,
            draws: 42,
            queue: VecDeque::new(),
            ends: BinaryHeap::new(),
            running: (0..threads).map(|_| None).collect(),
        }
    }

    /// Requests that have waited so long leave.
    pub fn with_patience(self, patience: u64) -> Self {
        Self { patience, ..self }
    }

    pub fn work(&mut self, work: Work) {
        self.work = work;
    }

    fn draw(&mut self) -> f64 {
        self.draws += 1;
        fraction(self.draws.wrapping_mul(0x2545_F491_4F6C_DD1D))
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        (-(1.0 - self.draw()).ln() * mean) as u64
    }

    fn draw_work(&mut self) -> u64 {
        match self.work {
            Work::Fixed(work) => work,
            Work::Exponential(mean) => self.exponential(mean as f64),
            Work::HeavyTail(mean) => {
                let variance = 5.0_f64.ln();
                let normal = (-2.0 * (1.0 - self.draw()).ln()).sqrt() * (std::f64::consts::TAU * self.draw()).cos();
                (mean as f64 * (variance.sqrt() * normal - variance / 2.0).exp()) as u64
            }
            Work::Stalling { usual: one, stall: other, every } | Work::Mixed { small: one, large: other, every } => {
                if self.draw() * (every as f64) < 1.0 {
                    other
                } else {
                    one
                }
            }
            Work::Batched { .. } => 0,
        }
    }

    /// Lets requests come for `span`.
    pub fn run(&mut self, load: Load, span: u64) -> Outcome {
        let between = match load {
            Load::Times(times) => self.work.mean() / (times * self.threads as f64),
            Load::PerSecond(rate) => 1e9 / rate,
        };
        let (end, mut outcome) = (self.now + span, Outcome::default());
        let mut next = self.now + self.exponential(between);
        while next < end {
            while let Some(&Reverse((ends, place))) = self.ends.peek().filter(|Reverse((ends, _))| *ends <= next) {
                self.ends.pop();
                self.now = ends;
                self.leave(place, &mut outcome);
                self.begin();
            }
            self.now = next;
            let work = self.draw_work();
            match self.limit.enter(Tick(self.now)) {
                Ok(slot) => self.queue.push_back(Waiting { slot, work }),
                Err(_) => outcome.refused += 1,
            }
            self.begin();
            next += self.exponential(between).max(1);
        }
        self.now = end;
        outcome.busy /= span as f64 * self.threads as f64;
        outcome
    }

    fn leave(&mut self, place: usize, outcome: &mut Outcome) {
        let (took, batch) = self.running[place].take().unwrap();
        outcome.busy += took as f64;
        for Waiting { slot, .. } in batch {
            outcome.answered += 1;
            outcome.inside_ms.0.push((self.now - slot.entered().0) as f64 / 1e6);
            slot.end(Duration::from_nanos(took), Tick(self.now));
        }
    }

    /// Free threads take what waits.
    fn begin(&mut self) {
        while self.queue.front().is_some_and(|first| self.now - first.slot.entered().0 >= self.patience) {
            let gone = self.queue.pop_front().unwrap();
            gone.slot.end(Duration::ZERO, Tick(self.now));
        }
        while let Some(place) = self.running.iter().position(Option::is_none).filter(|_| !self.queue.is_empty()) {
            let (rows, took) = if let Work::Batched { fixed, row, max } = self.work {
                let rows = self.queue.len().min(max);
                (rows, fixed + row * rows as u64)
            } else {
                (1, self.queue[0].work.max(1))
            };
            let batch = self.queue.drain(..rows).collect();
            self.running[place] = Some((took, batch));
            self.ends.push(Reverse((self.now + took, place)));
        }
    }
}
