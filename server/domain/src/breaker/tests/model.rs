//! The same rules written plainly, without a ring, a packed word or a place that is shared; and random histories in
//! which the breaker must agree with them after every step.

use proptest::prelude::*;

use super::*;

/// A step of a history.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Somebody asks, and keeps the permit if there is one.
    Enter,
    /// One of those who hold a permit ends.
    End(usize, Ending, Duration),
    /// One of those who hold a permit goes without a word.
    Drop(usize),
    Wait(Duration),
    /// Just until, or just before, the open time is over.
    WaitOut(bool),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![3 => Just(Ending::Failed), 3 => Just(Ending::Succeeded), 1 => Just(Ending::Unknown)];
    let took = prop_oneof![4 => Just(MS), 2 => Just(10 * MS), 1 => Just(Duration::from_secs(30))];
    prop_oneof![
        8 => Just(Step::Enter),
        8 => (any::<usize>(), ending, took).prop_map(|(who, ending, took)| Step::End(who, ending, took)),
        1 => any::<usize>().prop_map(Step::Drop),
        3 => (0_u64..300).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        2 => any::<bool>().prop_map(Step::WaitOut),
        1 => Just(Step::Reset).boxed(),
    ]
}

fn some_settings() -> impl Strategy<Value = BreakerSettings> {
    let rate = prop_oneof![Just(0.01), Just(0.3), Just(0.5), Just(0.75), Just(1.0)];
    (100_u64..2000, 1_u32..8, rate.clone(), any::<bool>(), rate, 1_u64..2000, 1_u64..8000, 1_u16..6).prop_map(
        |(window, calls_min, failure_rate, has_slow, slow_rate, open, open_max, trials)| BreakerSettings {
            // A whole number of milliseconds to a slot, as the model counts them.
            window: Duration::from_millis(window / 10 * 10),
            calls_min,
            failure_rate,
            slow: has_slow.then_some(10 * MS),
            slow_rate,
            open: Duration::from_millis(open),
            open_max: Duration::from_millis(open_max.max(open)),
            trials,
        },
    )
}

/// What the rules say, in words of their own.
struct Model {
    settings: BreakerSettings,
    state: BreakerState,
    /// Every change begins another age; permits belong to theirs.
    age: u32,
    /// When each call ended, whether it failed, whether it was slow: of this age.
    calls: Vec<(u64, bool, bool)>,
    running: usize,
    openings: i32,
    retry_at: Option<Tick>,
}

impl Model {
    fn change(&mut self, state: BreakerState) {
        self.state = state;
        self.age += 1;
        self.calls.clear();
        self.running = 0;
        self.retry_at = None;
        if state == Closed {
            self.openings = 0;
        }
    }

    /// Whether there is a permit, and whether it is a trial's.
    fn enter(&mut self, now: Tick) -> Option<bool> {
        match self.state {
            Closed => return Some(false),
            Open if self.retry_at.is_some_and(|retry_at| now < retry_at) => return None,
            Open => self.change(HalfOpen),
            HalfOpen if self.running + self.calls.len() == usize::from(self.settings.trials) => return None,
            HalfOpen => {}
        }
        self.running += 1;
        Some(true)
    }

    /// Calls that count now: all of them, how many failed, how many were slow.
    fn counted(&self, now: Tick) -> (usize, usize, usize) {
        let slot = u64::try_from(self.settings.window.as_nanos()).unwrap() / 10;
        let counts = |call: &&(u64, bool, bool)| self.state != Closed || call.0 / slot + 10 > now.0 / slot;
        let calls: Vec<_> = self.calls.iter().filter(counts).collect();
        (calls.len(), calls.iter().filter(|call| call.1).count(), calls.iter().filter(|call| call.2).count())
    }

    fn end(&mut self, held: Held, ending: Ending, took: Duration, now: Tick) {
        if held.age != self.age {
            return;
        }
        self.running -= usize::from(held.is_trial);
        let (failed, slow) = (ending == Ending::Failed, self.settings.slow.is_some_and(|slow| took >= slow));
        if ending == Ending::Unknown && !slow {
            return;
        }
        self.calls.push((now.0, failed, slow));
        let (calls, failures, slows) = self.counted(now);
        let of = if held.is_trial { usize::from(self.settings.trials) } else { calls };
        let enough = held.is_trial || calls >= self.settings.calls_min as usize;
        let too_many = |count: usize, rate: f64| count > 0 && count as f64 / of as f64 >= rate - 1e-12;
        let is_bad = too_many(failures, self.settings.failure_rate) || too_many(slows, self.settings.slow_rate);
        if (failed || slow) && enough && is_bad || held.is_trial && is_bad {
            self.change(Open);
            self.openings += 1;
        } else if held.is_trial && calls == of {
            self.change(Closed);
        }
    }

    /// The shortest and the longest that it may be open.
    fn open_times(&self) -> (f64, f64) {
        let full = self.settings.open.as_secs_f64() * 2_f64.powi((self.openings - 1).min(31));
        let full = full.min(self.settings.open_max.as_secs_f64());
        (full * (1.0 - JITTER), full + 0.001)
    }
}

/// What the model knows of a permit.
#[derive(Debug, Clone, Copy)]
struct Held {
    age: u32,
    is_trial: bool,
}

struct Run {
    breaker: Arc<Breaker>,
    told: Arc<Mutex<Vec<BreakerState>>>,
    model: Model,
    held: Vec<(Permit, Held)>,
    now: Tick,
}

impl Run {
    fn new(settings: BreakerSettings, seed: u64) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let for_breaker = Arc::clone(&told);
        let listener = Box::new(move |change: &BreakerChange| for_breaker.lock().unwrap().push(change.to));
        let breaker = Arc::new(Breaker::new(settings, seed, listener));
        let model = Model { settings, state: Closed, age: 0, calls: vec![], running: 0, openings: 0, retry_at: None };
        Self { breaker, told, model, held: Vec::new(), now: Tick(0) }
    }

    fn take(&mut self, who: usize) -> Option<(Permit, Held)> {
        let count = self.held.len();
        (count > 0).then(|| self.held.swap_remove(who % count))
    }

    fn step(&mut self, step: Step) {
        let before = self.model.state;
        match step {
            Step::Enter => {
                let refused = self.breaker.refusal(self.now);
                let (got, want) = (self.breaker.enter(self.now), self.model.enter(self.now));
                assert_eq!(got.as_ref().ok().map(Permit::is_trial), want);
                assert_eq!(got.as_ref().err().copied(), refused);
                let age = self.model.age;
                self.held.extend(got.ok().map(|permit| (permit, Held { age, is_trial: want == Some(true) })));
            }
            Step::End(who, ending, took) => {
                if let Some((permit, held)) = self.take(who) {
                    permit.end(ending, took, self.now);
                    self.model.end(held, ending, took, self.now);
                }
            }
            Step::Drop(who) => {
                if let Some((permit, held)) = self.take(who) {
                    drop(permit);
                    self.model.end(held, Ending::Unknown, Duration::ZERO, self.now);
                }
            }
            Step::Wait(span) => self.now = self.now.after(span),
            Step::WaitOut(early) => {
                let until = self.model.retry_at.map_or(0, |retry_at| retry_at.0 - u64::from(early));
                self.now = self.now.max(Tick(until));
            }
            Step::Reset => {
                self.breaker.reset();
                self.model.change(Closed);
            }
        }
        self.agree(before);
    }

    fn agree(&mut self, before: BreakerState) {
        let reading = self.breaker.reading(self.now);
        assert_eq!(reading.state, self.model.state);
        let (calls, failed, slow) = self.model.counted(self.now);
        let rate = |count: usize| if calls == 0 { 0.0 } else { count as f64 / calls as f64 };
        assert_eq!((reading.calls, reading.failure_rate, reading.slow_rate), (calls as u64, rate(failed), rate(slow)));
        if self.model.state == Open && self.model.retry_at.is_none() {
            let (shortest, longest) = self.model.open_times();
            let open = self.now.until(reading.retry_at.unwrap()).as_secs_f64();
            assert!(open >= shortest && open <= longest, "open for {open} s, not {shortest} to {longest}");
            self.model.retry_at = reading.retry_at;
        }
        assert_eq!(reading.retry_at, self.model.retry_at);
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let want: Vec<_> = (before != self.model.state).then_some(self.model.state).into_iter().collect();
        assert_eq!(told, want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_breaker_does_what_the_plain_rules_say(
        settings in some_settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut run = Run::new(settings, seed);
        for one in steps {
            run.step(one);
        }
        // Nothing is lost: when all have let go, an open breaker can be brought back.
        run.held.clear();
        let retry_at = run.breaker.reading(run.now).retry_at.unwrap_or(run.now);
        let now = run.now.max(retry_at);
        for _ in 0..settings.trials {
            if let Ok(permit) = run.breaker.enter(now) {
                permit.end(Ending::Succeeded, Duration::ZERO, now);
            }
        }
        let state = run.breaker.reading(now).state;
        prop_assert!(state != HalfOpen, "a place among the trials was lost");
    }
}
