//! How many responses had which status: one set of counters per worker, added up when read.
//!
//! The gate counts, metrics read. Statuses come from a closed list, so that the number of series is fixed.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use actix_web::http::StatusCode;

/// The statuses that are counted by themselves; any other counts as the last, "other".
const STATUSES: [u16; 16] = [200, 308, 400, 401, 403, 404, 405, 406, 408, 413, 415, 429, 500, 501, 503, 0];

/// Counters of one worker.
#[derive(Debug, Default)]
pub struct ResponseCounts([AtomicU64; STATUSES.len()]);

impl ResponseCounts {
    pub(crate) fn count(&self, status: StatusCode) {
        let place = STATUSES.iter().position(|&known| known == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        if let Some(counter) = self.0.get(place) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// Counters of all workers.
#[derive(Debug, Default)]
pub(crate) struct Responses(Mutex<Vec<Arc<ResponseCounts>>>);

impl Responses {
    /// Counters for one more worker.
    pub(crate) fn for_worker(&self) -> Arc<ResponseCounts> {
        let counts = Arc::<ResponseCounts>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counts));
        counts
    }

    /// How many responses had each status, by the status as a label.
    pub(crate) fn totals(&self) -> Vec<(String, u64)> {
        let workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let label = |status: u16| if status == 0 { "other".to_owned() } else { status.to_string() };
        let total =
            |place: usize| workers.iter().filter_map(|worker| worker.0.get(place)).map(|n| n.load(Relaxed)).sum();
        STATUSES.iter().enumerate().map(|(place, &status)| (label(status), total(place))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up_and_odd_statuses_share_a_label() {
        let responses = Responses::default();
        let (one, two) = (responses.for_worker(), responses.for_worker());
        one.count(StatusCode::OK);
        two.count(StatusCode::OK);
        two.count(StatusCode::IM_A_TEAPOT);
        let seen: Vec<_> = responses.totals().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(seen, [("200".to_owned(), 2), ("other".to_owned(), 1)]);
    }
}
