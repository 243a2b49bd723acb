//! What each worker has had: responses by status, and connections. One set of counters per worker, added up when read.
//!
//! The gate counts, metrics read. Statuses come from a closed list, so that the number of series is fixed.

use std::{
    any::Any,
    cell::RefCell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::ThreadId,
};

use actix_web::{dev::Extensions, http::StatusCode};

/// The statuses that are counted by themselves; any other counts as the last, "other".
const STATUSES: [u16; 16] = [200, 308, 400, 401, 403, 404, 405, 406, 408, 413, 415, 429, 500, 501, 503, 0];

/// Counters of one worker.
#[derive(Debug, Default)]
pub struct WorkerCounts {
    responses: [AtomicU64; STATUSES.len()],
    /// Connections that are open.
    open: AtomicU64,
    /// Connections that ever were.
    opened: AtomicU64,
}

impl WorkerCounts {
    pub(crate) fn count(&self, status: StatusCode) {
        let place = STATUSES.iter().position(|&known| known == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        if let Some(counter) = self.responses.get(place) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// What one worker has had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WorkerTotals {
    pub(crate) responses: u64,
    pub(crate) open: u64,
    pub(crate) opened: u64,
}

struct Worker {
    thread: ThreadId,
    counts: Arc<WorkerCounts>,
}

/// Counters of all workers.
#[derive(Default)]
pub(crate) struct Responses(Mutex<Vec<Worker>>);

impl Responses {
    fn workers(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of the worker whose thread this is. It has one gate for each address that the server listens on,
    /// and the same counters for all of them; who comes in the place of a worker that is gone takes over its counters.
    pub(crate) fn for_worker(&self) -> Arc<WorkerCounts> {
        let (thread, mut workers) = (std::thread::current().id(), self.workers());
        let known = workers.iter().position(|worker| worker.thread == thread);
        let place = known.or_else(|| workers.iter().position(|worker| Arc::strong_count(&worker.counts) == 1));
        let counts = match place.and_then(|place| workers.get_mut(place)) {
            Some(worker) => {
                worker.thread = thread;
                Arc::clone(&worker.counts)
            }
            None => {
                let counts = Arc::<WorkerCounts>::default();
                workers.push(Worker { thread, counts: Arc::clone(&counts) });
                counts
            }
        };
        HERE.set(Arc::downgrade(&counts));
        counts
    }

    /// How many responses had each status, by the status as a label.
    pub(crate) fn totals(&self) -> Vec<(String, u64)> {
        let workers = self.workers();
        let label = |status: u16| if status == 0 { "other".to_owned() } else { status.to_string() };
        let total = |place: usize| {
            let counters = workers.iter().filter_map(|worker| worker.counts.responses.get(place));
            counters.map(|count| count.load(Relaxed)).sum()
        };
        STATUSES.iter().enumerate().map(|(place, &status)| (label(status), total(place))).collect()
    }

    /// What each worker has had, in the order in which they came.
    pub(crate) fn by_worker(&self) -> Vec<WorkerTotals> {
        let totals = |worker: &Worker| WorkerTotals {
            responses: worker.counts.responses.iter().map(|count| count.load(Relaxed)).sum(),
            open: worker.counts.open.load(Relaxed),
            opened: worker.counts.opened.load(Relaxed),
        };
        self.workers().iter().map(totals).collect()
    }
}

thread_local! {
    /// The counters of the worker whose thread this is, for connections: they are made before any gate sees them.
    static HERE: RefCell<Weak<WorkerCounts>> = const { RefCell::new(Weak::new()) };
}

/// Counts a connection until it is closed. Wiring has the server call it, on the worker's thread, for each new one.
pub fn connected(_: &dyn Any, extensions: &mut Extensions) {
    if let Some(counts) = HERE.with_borrow(Weak::upgrade) {
        counts.opened.fetch_add(1, Relaxed);
        counts.open.fetch_add(1, Relaxed);
        extensions.insert(OpenConnection(counts));
    }
}

/// Lives as long as its connection.
struct OpenConnection(Arc<WorkerCounts>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn workers_add_up_and_odd_statuses_share_a_label() {
        let responses = Responses::default();
        let (one, two) = (responses.for_worker(), on_a_thread(|| responses.for_worker()));
        one.count(StatusCode::OK);
        two.count(StatusCode::OK);
        two.count(StatusCode::IM_A_TEAPOT);
        let seen: Vec<_> = responses.totals().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(seen, [("200".to_owned(), 2), ("other".to_owned(), 1)]);
        let responses: Vec<u64> = responses.by_worker().iter().map(|worker| worker.responses).collect();
        assert_eq!(responses, [1, 2]);
    }

    #[test]
    fn a_worker_is_a_thread_and_the_place_of_one_that_is_gone_is_taken() {
        let responses = Responses::default();
        let (first, again) = (responses.for_worker(), responses.for_worker());
        assert!(Arc::ptr_eq(&first, &again));
        on_a_thread(|| responses.for_worker().count(StatusCode::OK));
        assert_eq!(responses.by_worker().len(), 2);
        on_a_thread(|| responses.for_worker().count(StatusCode::OK));
        let counts: Vec<u64> = responses.by_worker().iter().map(|worker| worker.responses).collect();
        assert_eq!(counts, [0, 2], "nothing that was counted falls");
    }

    #[test]
    fn a_connection_counts_until_it_is_closed() {
        let responses = Responses::default();
        let _worker = responses.for_worker();
        let mut connections = [Extensions::new(), Extensions::new()];
        connections.iter_mut().for_each(|connection| connected(&(), connection));
        assert_eq!(responses.by_worker(), [WorkerTotals { responses: 0, open: 2, opened: 2 }]);
        connections[0].clear();
        assert_eq!(responses.by_worker(), [WorkerTotals { responses: 0, open: 1, opened: 2 }]);
    }
}
