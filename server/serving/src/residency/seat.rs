//! A session in memory, and the place of one that may come and go.
//!
//! Whoever runs a session holds it ([`Seated`]); when the last who holds it lets go, it is sent to the thread that frees
//! sessions, so that no request pays for that and its bytes are given back only afterwards. Knows no budget.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use candor_domain::{Cancel, Error, ErrorCode, Result, Session, Tensor};
use crossbeam_channel::Sender;

use super::{
    ledger::{Grant, SeatId},
    policy::Usage,
};
use crate::{faults::FaultySession, registry::ReadyVersion};

/// What there is of a session: itself, and itself with what is ordered to go wrong.
pub(crate) struct Body {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) faulty: Option<FaultySession>,
}

/// A session that has left, on its way to being freed.
pub(crate) struct Departure {
    pub(crate) body: Option<Body>,
    /// What it was counted as.
    pub(crate) bytes: u64,
    /// What is to be given back when it is gone.
    pub(crate) grant: Option<Grant>,
}

/// A session in memory.
pub struct Seated {
    body: Option<Body>,
    bytes: u64,
    grant: Option<Grant>,
    departures: Sender<Departure>,
}

impl Seated {
    pub(crate) fn new(body: Body, bytes: u64, grant: Option<Grant>, departures: Sender<Departure>) -> Self {
        Self { body: Some(body), bytes, grant, departures }
    }

    /// The session as requests meet it.
    pub(crate) fn session(&self) -> &dyn Session {
        match &self.body {
            Some(Body { faulty: Some(faulty), .. }) => faulty,
            Some(Body { session, .. }) => &**session,
            None => &ABSENT,
        }
    }

    pub(crate) fn may_be_delayed(&self) -> bool {
        let faulty = self.body.as_ref().and_then(|body| body.faulty.as_ref());
        faulty.is_some_and(FaultySession::may_delay)
    }

    /// Takes it apart on this thread, which frees it.
    pub(crate) fn depart(&mut self) -> Departure {
        Departure { body: self.body.take(), bytes: self.bytes, grant: self.grant.take() }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if self.body.is_some() || self.grant.is_some() {
            let departure = self.depart();
            // Fails only when nobody frees any more, and then it is freed here.
            let _ = self.departures.send(departure);
        }
    }
}

/// As another engine that is asked for its opinion meets it: the truth, without what is ordered to go wrong.
impl Session for Seated {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        match &self.body {
            Some(body) => body.session.run(inputs, wanted, cancel),
            None => ABSENT.run(inputs, wanted, cancel),
        }
    }
}

/// A session in the hands of who must not keep it in memory: it is run while it is there.
pub(crate) struct Visited(pub(crate) Weak<Seated>);

impl Session for Visited {
    fn run(&self, inputs: &[Tensor], wanted: &[usize], cancel: Option<&Cancel>) -> Result<Vec<Tensor>> {
        match self.0.upgrade() {
            Some(seated) => seated.run(inputs, wanted, cancel),
            None => ABSENT.run(inputs, wanted, cancel),
        }
    }
}

/// What stands where no session is.
pub(crate) struct Absent;

pub(crate) static ABSENT: Absent = Absent;

impl Session for Absent {
    fn run(&self, _: &[Tensor], _: &[usize], _: Option<&Cancel>) -> Result<Vec<Tensor>> {
        Err(Error::new(ErrorCode::Internal, "a version was run whose session is not in memory"))
    }
}

/// A place whose session comes and goes.
pub(crate) struct Place {
    pub(crate) id: SeatId,
    pub(crate) seated: ArcSwapOption<Seated>,
    pub(crate) version: std::sync::OnceLock<Weak<ReadyVersion>>,
    uses: AtomicU64,
}

impl Place {
    pub(crate) fn new(id: SeatId) -> Self {
        Self { id, seated: ArcSwapOption::empty(), version: std::sync::OnceLock::new(), uses: AtomicU64::new(0) }
    }

    /// The session, for one use of it.
    pub(crate) fn take(&self) -> Option<Arc<Seated>> {
        self.uses.fetch_add(1, Relaxed);
        self.seated.load_full()
    }

    /// How it is used. Who only looks does not count as a user.
    pub(crate) fn usage(&self) -> Usage {
        let busy = self.seated.load().as_ref().is_some_and(|seated| Arc::strong_count(seated) > 1);
        Usage { uses: self.uses.load(Relaxed), busy, ..Usage::default() }
    }
}
