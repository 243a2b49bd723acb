//! One run for all who ask the same at the same time.
//!
//! The first one who asks flies: it makes the run. The others wait behind it and are told its answer. If it ends without
//! one (an error, a refusal, its caller has gone), the first of those who wait flies in its place: what befell one
//! request is no answer to another. Waiting takes no thread and no place in a queue; who leaves is passed over.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::oneshot;

use super::{Answer, ResultCache, key::Key};

/// What those behind are told.
pub(crate) enum Told {
    /// The answer.
    Landed(Arc<Answer>),
    /// It is their turn to fly.
    Lead(Flight),
}

/// What became of somebody who wanted to know.
pub(super) enum Joined {
    Landed(Arc<Answer>),
    First(Flight),
    Behind(oneshot::Receiver<Told>),
}

/// Locks, so that those who ask different things seldom meet at one.
const SHARDS: usize = 16;

type Behind = HashMap<Key, Vec<oneshot::Sender<Told>>>;

/// All flights.
#[derive(Default)]
pub(super) struct Flights([Mutex<Behind>; SHARDS]);

impl Flights {
    fn shard(&self, key: Key) -> Option<MutexGuard<'_, Behind>> {
        let shard = self.0.get(key.place() % SHARDS);
        shard.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a flight, or waits behind the one that there is. `look` is for an answer that came a moment ago.
    pub(super) fn join(
        &self,
        cache: &Arc<ResultCache>,
        key: Key,
        look: impl FnOnce() -> Option<Arc<Answer>>,
    ) -> Joined {
        let flight = || Joined::First(Flight { key, cache: Arc::downgrade(cache), is_over: false });
        let Some(mut shard) = self.shard(key) else { return flight() };
        if let Some(behind) = shard.get_mut(&key) {
            let (tell, told) = oneshot::channel();
            // Those who left are kept no longer than until the list would grow.
            if behind.len() == behind.capacity() {
                behind.retain(|waiting| !waiting.is_closed());
            }
            behind.push(tell);
            return Joined::Behind(told);
        }
        // A flight puts its answer in before it leaves the list.
        if let Some(answer) = look() {
            return Joined::Landed(answer);
        }
        shard.insert(key, Vec::new());
        drop(shard);
        flight()
    }

    /// Who wait behind a flight that is over.
    fn over(&self, key: Key) -> Vec<oneshot::Sender<Told>> {
        self.shard(key).and_then(|mut shard| shard.remove(&key)).unwrap_or_default()
    }

    /// The next one behind a flight that came to nothing; the flight is over when there is none.
    fn next(&self, key: Key) -> Option<oneshot::Sender<Told>> {
        let mut shard = self.shard(key)?;
        let behind = shard.get_mut(&key)?;
        if behind.is_empty() {
            shard.remove(&key);
            return None;
        }
        // The order in which they came.
        Some(behind.remove(0))
    }
}

/// The duty to find an answer for all who ask the same. Dropped before it lands, it passes to the next one.
pub(crate) struct Flight {
    key: Key,
    cache: Weak<ResultCache>,
    is_over: bool,
}

impl Flight {
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Tells the answer, which has been put into the cache, to all behind.
    pub(super) fn land(mut self, answer: &Arc<Answer>) {
        self.is_over = true;
        let Some(cache) = self.cache.upgrade() else { return };
        for waiting in cache.flights.over(self.key) {
            // Who has left needs no answer.
            let _ = waiting.send(Told::Landed(Arc::clone(answer)));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Some(cache) = self.cache.upgrade() else { return };
        while let Some(next) = cache.flights.next(self.key) {
            let flight = Self { key: self.key, cache: Weak::clone(&self.cache), is_over: false };
            match next.send(Told::Lead(flight)) {
                Ok(()) => return,
                // It has left. What it was given must not look for the next one too.
                Err(Told::Lead(mut unwanted)) => unwanted.is_over = true,
                Err(Told::Landed(_)) => {}
            }
        }
    }
}
