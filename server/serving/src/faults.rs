//! Faults on order: delays, errors and panics around a session's run, to see what the rest makes of them.
//!
//! Wiring makes the [`Faults`] only when the configuration says so; the registry then wraps every session that it
//! makes for requests. Without them no session is wrapped and nothing is looked up. What is ordered strikes inside the run, so
//! breaker, counters, limits and doors meet it as they meet what goes wrong by itself.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use candor_domain::{Cancel, Error, ErrorCode, ModelName, Result, Run, Session, Tensor, Version, breaker::fraction};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The run takes so much longer.
    Delay(Duration),
    /// The run fails with `EngineFailed` and this message.
    Error(String),
    /// The run panics.
    Panic,
}

/// Which runs it strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultRate {
    /// Every run of so many: 1 is every run, 3 the third, the sixth, ….
    Every(u64),
    /// Each run with this probability, drawn from a seed.
    Probability(f64, u64),
}

/// An order.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The version that it strikes; all of the model's if absent.
    pub version: Option<Version>,
    /// Which of its runs.
    pub rate: FaultRate,
    /// How often at most; without end if absent.
    pub count_max: Option<u64>,
}

/// An order and how often it has struck.
#[derive(Debug)]
pub struct LiveFault {
    /// The order.
    pub fault: Fault,
    runs: AtomicU64,
    struck: AtomicU64,
}

impl LiveFault {
    /// How often it has struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.load(SeqCst)
    }

    fn concerns(&self, version: &Version) -> bool {
        self.fault.version.as_ref().is_none_or(|wanted| wanted == version)
    }

    /// Counts a run, and says whether it is struck.
    fn strikes(&self) -> bool {
        let run = self.runs.fetch_add(1, SeqCst);
        let chosen = match self.fault.rate {
            FaultRate::Every(every) => (run + 1).is_multiple_of(every.max(1)),
            FaultRate::Probability(share, seed) => fraction(seed ^ run.rotate_left(32)) < share,
        };
        let more = |struck: u64| self.fault.count_max.is_none_or(|max| struck < max).then_some(struck + 1);
        chosen && self.struck.fetch_update(SeqCst, SeqCst, more).is_ok()
    }
}

type LiveFaults = ArcSwap<Vec<Arc<LiveFault>>>;

/// The orders of all models.
#[derive(Debug, Default)]
pub struct Faults {
    models: Mutex<BTreeMap<ModelName, Arc<LiveFaults>>>,
}

impl Faults {
    fn models(&self) -> MutexGuard<'_, BTreeMap<ModelName, Arc<LiveFaults>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, model: &ModelName) -> Arc<LiveFaults> {
        Arc::clone(self.models().entry(model.clone()).or_default())
    }

    /// Puts these orders in the place of those that the model has; none at all takes them back.
    pub fn set(&self, model: &ModelName, faults: Vec<Fault>) {
        let live = |fault| Arc::new(LiveFault { fault, runs: AtomicU64::new(0), struck: AtomicU64::new(0) });
        tracing::warn!(%model, faults = faults.len(), "faults are ordered anew");
        self.slot(model).store(Arc::new(faults.into_iter().map(live).collect()));
    }

    /// The model's orders.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> Vec<Arc<LiveFault>> {
        self.models().get(model).map(|faults| faults.load().to_vec()).unwrap_or_default()
    }

    /// A session that does what is ordered for its version before it runs.
    pub(crate) fn around(&self, model: &ModelName, version: &Version, session: Arc<dyn Session>) -> FaultySession {
        FaultySession { session, version: version.clone(), faults: self.slot(model) }
    }
}

/// A session in whose runs things go wrong as ordered.
pub(crate) struct FaultySession {
    session: Arc<dyn Session>,
    version: Version,
    faults: Arc<LiveFaults>,
}

impl FaultySession {
    /// Whether runs may be held up, and so belong on no thread that others wait for.
    pub(crate) fn may_delay(&self) -> bool {
        let delays = |fault: &Arc<LiveFault>| matches!(fault.fault.kind, FaultKind::Delay(_));
        self.faults.load().iter().any(|fault| delays(fault) && fault.concerns(&self.version))
    }
}

impl FaultySession {
    /// Does what is ordered.
    fn strike(&self, cancel: Option<&Cancel>) -> Result<()> {
        for fault in self.faults.load().iter().filter(|fault| fault.concerns(&self.version) && fault.strikes()) {
            match &fault.fault.kind {
                FaultKind::Delay(span) => delay(*span, cancel)?,
                FaultKind::Error(message) => return Err(Error::new(ErrorCode::EngineFailed, message.clone())),
                FaultKind::Panic => panics(),
            }
        }
        Ok(())
    }
}

impl Session for FaultySession {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        self.strike(cancel)?;
        self.session.run(inputs, wanted, cancel)
    }

    fn run_as(&self, inputs: &mut [Tensor], wanted: &[usize], run: &mut Run<'_>) -> Result<Vec<Tensor>> {
        self.strike(run.cancel)?;
        self.session.run_as(inputs, wanted, run)
    }
}

#[allow(clippy::panic, reason = "it has been ordered")]
fn panics() {
    panic!("a fault was ordered: this panic");
}

/// Waits, but not longer than anybody waits for the run.
fn delay(span: Duration, cancel: Option<&Cancel>) -> Result<()> {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let wait = || {
        let cancelled = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = gate.1.wait_timeout_while(cancelled, span, |cancelled| !*cancelled);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    };
    let for_hook = Arc::clone(&gate);
    let wake = move || {
        *for_hook.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        for_hook.1.notify_all();
    };
    let cancelled = cancel.map_or_else(wait, |cancel| cancel.with_hook(wake, wait));
    if cancelled { Err(Error::new(ErrorCode::Cancelled, "cancelled during a delay that was ordered")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fine;

    impl Session for Fine {
        fn run(&self, _: &[Tensor], _: &[usize], _: Option<&Cancel>) -> Result<Vec<Tensor>> {
            Ok(Vec::new())
        }
    }

    fn version(raw: &str) -> Version {
        Version::parse(raw).unwrap()
    }

    /// Which of so many runs of version 1 fail.
    fn struck(faults: Vec<Fault>, runs: usize) -> Vec<usize> {
        let (all, model) = (Faults::default(), ModelName::parse("m").unwrap());
        let session = all.around(&model, &version("1"), Arc::new(Fine));
        all.set(&model, faults);
        (0..runs).filter(|_| session.run(&[], &[], None).is_err()).collect()
    }

    fn error(rate: FaultRate) -> Fault {
        Fault { kind: FaultKind::Error("ordered".to_owned()), version: None, rate, count_max: None }
    }

    #[test]
    fn faults_strike_by_count_by_version_and_at_most_so_often() {
        assert_eq!(struck(vec![error(FaultRate::Every(3))], 8), [2, 5]);
        assert_eq!(struck(vec![Fault { count_max: Some(2), ..error(FaultRate::Every(1)) }], 8), [0, 1]);
        let of = |raw: &str| vec![Fault { version: Some(version(raw)), ..error(FaultRate::Every(1)) }];
        assert_eq!((struck(of("1"), 2), struck(of("2"), 2)), (vec![0, 1], vec![]));
        assert!(struck(vec![], 3).is_empty());
    }

    #[test]
    fn chance_is_drawn_from_the_seed_and_comes_near_its_probability() {
        let draw = |seed| struck(vec![error(FaultRate::Probability(0.25, seed))], 4000);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // Four standard deviations of a binomial: 4 √(4000 · ¼ · ¾) ≈ 110.
        assert!((890..=1110).contains(&draw(1).len()), "{}", draw(1).len());
        assert_eq!(struck(vec![error(FaultRate::Probability(1.0, 0))], 3), [0, 1, 2]);
    }

    #[test]
    fn orders_are_counted_and_replaced_while_sessions_live() {
        let (all, model) = (Faults::default(), ModelName::parse("m").unwrap());
        let session = all.around(&model, &version("1"), Arc::new(Fine));
        assert!(session.run(&[], &[], None).is_ok() && all.of(&model).is_empty());
        all.set(&model, vec![error(FaultRate::Every(1))]);
        let failure = session.run(&[], &[], None).unwrap_err();
        assert_eq!((failure.code(), failure.what()), (ErrorCode::EngineFailed, "ordered"));
        assert_eq!(all.of(&model)[0].struck(), 1);
        all.set(&model, Vec::new());
        assert!(session.run(&[], &[], None).is_ok());
    }

    #[test]
    fn a_panic_is_a_panic() {
        let panics = Fault { kind: FaultKind::Panic, ..error(FaultRate::Every(1)) };
        assert!(std::panic::catch_unwind(|| struck(vec![panics], 1)).is_err());
    }

    #[test]
    fn a_delay_holds_the_run_up_and_ends_when_nobody_waits() {
        let (all, model) = (Faults::default(), ModelName::parse("m").unwrap());
        let session = all.around(&model, &version("1"), Arc::new(Fine));
        let hour = Duration::from_secs(3600);
        let delay = |span| vec![Fault { kind: FaultKind::Delay(span), ..error(FaultRate::Every(1)) }];
        assert!(!session.may_delay());
        all.set(&model, delay(Duration::from_millis(1)));
        assert!(session.may_delay());
        assert!(session.run(&[], &[], None).is_ok());
        all.set(&model, delay(hour));
        let cancel = Cancel::default();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| session.run(&[], &[], Some(&cancel)));
            cancel.cancel();
            assert_eq!(run.join().unwrap().unwrap_err().code(), ErrorCode::Cancelled);
        });
    }
}
