//! The policy against fixed delays, in a world without threads: the lanes' own code, events in order of their time, a
//! seed. Clients come by chance at a given rate, or each again as soon as it has its answer.

use std::{cmp::Reverse, collections::BinaryHeap, fmt::Write as _, sync::Arc, time::Duration};

use candor_domain::Tick;

use super::{
    lane::{Lane, Parcel},
    lanes::{Batch, Lanes, Post, SchedulerSettings, Step},
};
use crate::batching::{Delay, Form, Plan};

/// A client's request, and when it was sent.
struct Sent {
    client: usize,
    at: u64,
}

impl Parcel for Sent {
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// What a run costs, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    name: &'static str,
    fixed: u64,
    per_row: u64,
}

#[derive(Debug, Clone, Copy)]
enum Load {
    /// So many clients, each of which sends again a little after it was answered.
    Closed(usize),
    /// So many per cent of what full batches could answer.
    Open(u64),
}

enum Event {
    Arrives(usize),
    Ends(Batch<Sent>, u64),
    Wakes,
}

struct At(u64, u64, Event);

impl PartialEq for At {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for At {}
impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for At {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

const MS: u64 = 1_000_000;
const ROWS_MAX: u64 = 32;
const THREADS: usize = 2;
/// What the way there and back takes, and each answer before the next.
const WAY: u64 = 60_000;
const EACH: u64 = 15_000;

struct World {
    lanes: Lanes<Sent>,
    lane: Arc<Lane>,
    events: BinaryHeap<Reverse<At>>,
    cost: Cost,
    load: Load,
    /// One seed for arrivals, which are so the same for all policies, and one for all else.
    dice: [u64; 2],
    now: u64,
    number: u64,
    latencies: Vec<u64>,
    rows_run: u64,
    runs: u64,
    /// When somebody is going to look again.
    wakes: Option<u64>,
}

/// What a policy gave.
struct Outcome {
    per_second: f64,
    mean_ms: f64,
    p99_ms: f64,
    rows: f64,
}

impl World {
    fn new(cost: Cost, load: Load, delay: Delay, seed: u64) -> Self {
        let plan =
            Plan::for_tests(ROWS_MAX, delay, &[(1, cost.fixed + cost.per_row), (8, cost.fixed + 8 * cost.per_row)]);
        let settings = SchedulerSettings { threads: THREADS, queue_max: 100_000, ..SchedulerSettings::default() };
        Self {
            lanes: Lanes::new(settings),
            lane: Lane::new(plan),
            events: BinaryHeap::new(),
            cost,
            load,
            dice: [seed, !seed],
            now: 0,
            number: 0,
            latencies: Vec::new(),
            rows_run: 0,
            runs: 0,
            wakes: None,
        }
    }

    /// From 0 to 1.
    fn unit(&mut self, which: usize) -> f64 {
        self.dice[which] = self.dice[which].wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.dice[which];
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse(At(time, self.number, event)));
    }

    fn gap(&mut self) -> u64 {
        let Load::Open(per_cent) = self.load else { return 0 };
        let full = (self.cost.fixed + ROWS_MAX * self.cost.per_row) as f64 / (ROWS_MAX as f64 * THREADS as f64);
        let mean = full * 100.0 / per_cent as f64;
        (-(1.0 - self.unit(0)).ln() * mean) as u64
    }

    fn run(mut self, until: u64) -> Outcome {
        match self.load {
            Load::Closed(clients) => {
                (0..clients).for_each(|client| self.at(client as u64 * EACH, Event::Arrives(client)))
            }
            Load::Open(_) => self.at(0, Event::Arrives(0)),
        }
        while let Some(Reverse(At(time, _, event))) = self.events.pop() {
            if time > until {
                break;
            }
            self.now = time;
            match event {
                Event::Arrives(client) => self.arrives(client),
                Event::Ends(batch, took) => self.ends(batch, took),
                Event::Wakes => {}
            }
            self.serve();
        }
        let count = self.latencies.len();
        // The first tenth is learning.
        let mut latencies = self.latencies.split_off(count / 10);
        latencies.sort_unstable();
        let sum: u64 = latencies.iter().sum();
        Outcome {
            per_second: count as f64 / (until as f64 / 1e9),
            mean_ms: sum as f64 / latencies.len() as f64 / 1e6,
            p99_ms: latencies[latencies.len() * 99 / 100] as f64 / 1e6,
            rows: self.rows_run as f64 / self.runs as f64,
        }
    }

    fn arrives(&mut self, client: usize) {
        let form = Form { rows: 1, is_alone: false, shapes: 0, outputs: 0, priority: 0, timeout: None };
        let sent = Sent { client, at: self.now };
        assert!(self.lanes.arrive(&self.lane, Some(form), Tick(u64::MAX), sent, Tick(self.now)).is_ok());
        if let Load::Open(_) = self.load {
            let next = self.now + self.gap();
            self.at(next, Event::Arrives(client + 1));
        }
    }

    fn ends(&mut self, batch: Batch<Sent>, took: u64) {
        let rows = 1 + batch.rest.len() as u64;
        self.lanes.done(Post::Front, batch.lane.id(), (batch.charged, took), Tick(self.now));
        self.lanes.learn(batch.lane.id(), Some((rows, took)), false, Tick(self.now));
        for (place, sent) in std::iter::once(batch.first).chain(batch.rest).enumerate() {
            self.latencies.push(self.now - sent.at);
            if let Load::Closed(_) = self.load {
                let again = self.now + (WAY as f64 * (1.0 + self.unit(1))) as u64 + place as u64 * EACH;
                self.at(again, Event::Arrives(sent.client));
            }
        }
    }

    fn serve(&mut self) {
        while self.lanes.idle(Post::Front) > 0 {
            match self.lanes.next(Post::Front, Tick(self.now)) {
                Step::Run(batch) => {
                    let rows = 1 + batch.rest.len() as u64;
                    assert!(rows <= ROWS_MAX);
                    (self.rows_run, self.runs) = (self.rows_run + rows, self.runs + 1);
                    let noise = 0.95 + 0.1 * self.unit(1);
                    let took = ((self.cost.fixed + rows * self.cost.per_row) as f64 * noise) as u64;
                    self.at(self.now + took, Event::Ends(batch, took));
                }
                Step::Wait { until, .. } => {
                    if let Some(until) = until {
                        let until = until.0.max(self.now + 1);
                        if self.wakes.is_none_or(|wakes| wakes <= self.now || wakes > until) {
                            self.wakes = Some(until);
                            self.at(until, Event::Wakes);
                        }
                    }
                    return;
                }
                Step::Read(..) | Step::GiveUp(_) => unreachable!("all have been read, and nobody is late"),
            }
        }
    }
}

const COSTS: [Cost; 4] = [
    Cost { name: "sentence encoder", fixed: 17 * MS / 10, per_row: 72 * MS / 10 },
    Cost { name: "dear to begin", fixed: 8 * MS, per_row: MS / 4 },
    Cost { name: "between", fixed: 2 * MS, per_row: MS },
    Cost { name: "nothing to gain", fixed: MS / 100, per_row: 4 * MS },
];
const CLOSED: [Load; 4] = [Load::Closed(1), Load::Closed(4), Load::Closed(16), Load::Closed(48)];
const OPEN: [Load; 3] = [Load::Open(25), Load::Open(60), Load::Open(90)];
/// As long as full batches would need for so many.
const REQUESTS: u64 = 8000;
const FIXED_MS: [u64; 4] = [0, 1, 5, 20];

fn outcome(cost: Cost, load: Load, delay: Delay) -> Outcome {
    let full = (cost.fixed + ROWS_MAX * cost.per_row) / (ROWS_MAX * THREADS as u64);
    World::new(cost, load, delay, 42).run(REQUESTS * full)
}

/// The policy, and fixed delays.
fn compare(cost: Cost, load: Load, table: &mut String) -> (Outcome, Vec<Outcome>) {
    let adaptive = outcome(cost, load, Delay::Adaptive);
    let fixed: Vec<Outcome> =
        FIXED_MS.iter().map(|&millis| outcome(cost, load, Delay::Fixed(Duration::from_millis(millis)))).collect();
    for (name, o) in std::iter::once("adaptive".to_owned())
        .chain(FIXED_MS.iter().map(|millis| format!("{millis} ms")))
        .zip(std::iter::once(&adaptive).chain(&fixed))
    {
        let Outcome { per_second, mean_ms, p99_ms, rows } = o;
        let _ = writeln!(
            table,
            "{:18} {load:?} {name:>9}: {per_second:8.1}/s mean {mean_ms:7.2} ms p99 {p99_ms:7.2} ms rows {rows:5.2}",
            cost.name
        );
    }
    (adaptive, fixed)
}

fn best(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(of).fold(f64::INFINITY, f64::min)
}

#[test]
fn the_policy_comes_near_the_best_fixed_delay_at_every_load() {
    let (mut table, mut behind) = (String::new(), Vec::new());
    for cost in COSTS {
        for load in CLOSED.into_iter().chain(OPEN) {
            let (own, fixed) = compare(cost, load, &mut table);
            let rate = -best(&fixed, |outcome| -outcome.per_second);
            if own.per_second < 0.95 * rate {
                behind.push(format!("{} {load:?}: {:.1}/s against {rate:.1}/s", cost.name, own.per_second));
            }
            let mean = best(&fixed, |outcome| outcome.mean_ms);
            if own.mean_ms > 1.05 * mean {
                behind.push(format!("{} {load:?}: mean {:.2} ms against {mean:.2} ms", cost.name, own.mean_ms));
            }
        }
    }
    assert!(behind.is_empty(), "{behind:#?}\n{table}");
}

#[test]
fn a_lone_client_is_not_kept_waiting() {
    for cost in COSTS {
        let own = outcome(cost, Load::Closed(1), Delay::Adaptive);
        let alone = (cost.fixed + cost.per_row) as f64 / 1e6;
        assert!(own.mean_ms < 1.01 * alone, "{}: {} ms against {alone} ms", cost.name, own.mean_ms);
    }
}
