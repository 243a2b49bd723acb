//! Answers that are kept: who asks a version the same again is given what it has answered before.
//!
//! Only versions whose owner has asked for it keep answers. The pipeline looks here after it has read a request and
//! before it looks for room, and brings here what a run gave. What is kept are tensors and not replies, so that all
//! doors and formats share them. One store for all versions, bounded in bytes; which answers stay is moka's choice
//! (frequency and recency). Errors are never kept. Knows no wire format and no model.
//!
//! | module | what it does |
//! |---|---|
//! | `key` | what a request asks, as 256 bits |
//! | `flight` | one run for all who ask the same at the same time |

mod flight;
mod key;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use candor_domain::{BytesArray, Clock, Tensor, Tick, for_each_datatype};
use moka::{notification::RemovalCause, sync::Cache};

pub(crate) use flight::{Flight, Told};
use flight::{Flights, Joined};
use key::{Key, Keys};

/// How large the cache is, and what it looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultCacheSettings {
    /// Most bytes of all answers that are kept; 0 keeps none.
    pub bytes_max: u64,
    /// Largest body of a request that is looked up.
    pub request_bytes_max: usize,
}

impl Default for ResultCacheSettings {
    fn default() -> Self {
        Self { bytes_max: 256 << 20, request_bytes_max: 1 << 20 }
    }
}

/// What the cache did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheNote {
    /// The answer was there.
    Hit,
    /// It was not; the model ran.
    Miss,
    /// Somebody else was asking the same; this is the answer to both.
    Shared,
    /// The request is too large to be looked up.
    Bypass,
}

impl CacheNote {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Shared, Self::Bypass];

    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Shared => "shared",
            Self::Bypass => "bypass",
        }
    }

    /// Whether the request was answered without a run of its own.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        match self {
            Self::Hit | Self::Shared => true,
            Self::Miss | Self::Bypass => false,
        }
    }
}

/// What is kept of one answer.
pub(crate) struct Answer {
    /// The outputs that were asked for, in the order of the request.
    pub(crate) outputs: Vec<Tensor>,
    /// Whose it is: see [`Keeping`].
    generation: u64,
    weight: u32,
    /// From then on it is too old.
    expires: Option<Tick>,
}

impl Answer {
    /// Bytes of its outputs, and a little more.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.weight).unwrap_or(usize::MAX)
    }
}

/// What is kept around an answer: its key, its place in moka's tables, the vectors' own heads.
const BYTES_AROUND: usize = 256;

fn bytes_of(outputs: &[Tensor]) -> usize {
    trait Bytes {
        fn bytes(&self) -> usize;
    }
    impl<T> Bytes for Vec<T> {
        fn bytes(&self) -> usize {
            size_of_val(self.as_slice())
        }
    }
    impl Bytes for BytesArray {
        fn bytes(&self) -> usize {
            self.total_bytes() + self.len() * size_of::<usize>()
        }
    }
    let bytes = |tensor: &Tensor| size_of::<Tensor>() + for_each_datatype!(tensor.data(), vector => vector.bytes());
    BYTES_AROUND + outputs.iter().map(bytes).sum::<usize>()
}

/// Answers that left the cache.
#[derive(Debug, Default)]
struct Left {
    /// For want of room, or because they were not asked for often enough to be taken in.
    size: AtomicU64,
    /// Because they were too old.
    expired: AtomicU64,
    /// Because their version left.
    unloaded: AtomicU64,
}

/// What the cache holds, and what has left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultCacheView {
    /// Bytes of the answers that are kept.
    pub bytes: u64,
    /// Most bytes of them.
    pub bytes_max: u64,
    /// How many are kept.
    pub entries: u64,
    /// How many left for want of room, because they were too old, and because their version left.
    pub evictions: [(&'static str, u64); 3],
}

/// The answers of all versions that keep them.
pub struct ResultCache {
    settings: ResultCacheSettings,
    entries: Cache<Key, Arc<Answer>>,
    flights: Flights,
    left: Arc<Left>,
    clock: Arc<dyn Clock>,
    generations: AtomicU64,
    /// Bytes that were put in since moka has last made room.
    unswept: AtomicU64,
}

/// moka makes room a while after it was needed; it is told to whenever so large a part of the bound was put in.
const SWEEP_PART: u64 = 64;

impl ResultCache {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: ResultCacheSettings, clock: Arc<dyn Clock>) -> Self {
        let left = Arc::<Left>::default();
        let counted = Arc::clone(&left);
        let entries = Cache::builder()
            .max_capacity(settings.bytes_max)
            .weigher(|_: &Key, answer: &Arc<Answer>| answer.weight)
            .eviction_listener(move |_, _, cause| match cause {
                RemovalCause::Size => {
                    counted.size.fetch_add(1, Relaxed);
                }
                // Those that are too old and those of a version that left are taken out by hand, and counted there.
                RemovalCause::Expired | RemovalCause::Explicit | RemovalCause::Replaced => {}
            })
            .build();
        let (generations, unswept) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { settings, entries, flights: Flights::default(), left, clock, generations, unswept }
    }

    /// What a version needs that keeps its answers, each for `time_to_live` at most; nothing where none are kept at
    /// all. `sha256` is that of its file.
    pub(crate) fn keeping(self: &Arc<Self>, sha256: &str, time_to_live: Option<Duration>) -> Option<Keeping> {
        let generation = self.generations.fetch_add(1, Relaxed);
        let keys = Keys::new(generation, sha256);
        (self.settings.bytes_max > 0).then(|| Keeping { cache: Arc::clone(self), generation, keys, time_to_live })
    }

    /// What it holds now.
    #[must_use]
    pub fn view(&self) -> ResultCacheView {
        self.entries.run_pending_tasks();
        let count = |count: &AtomicU64| count.load(Relaxed);
        ResultCacheView {
            bytes: self.entries.weighted_size(),
            bytes_max: self.settings.bytes_max,
            entries: self.entries.entry_count(),
            evictions: [
                ("size", count(&self.left.size)),
                ("expired", count(&self.left.expired)),
                ("unloaded", count(&self.left.unloaded)),
            ],
        }
    }

    fn get(&self, key: &Key) -> Option<Arc<Answer>> {
        let answer = self.entries.get(key)?;
        if answer.expires.is_none_or(|expires| self.clock.now() < expires) {
            return Some(answer);
        }
        // Of two who find the same one too old, one takes it out and counts it.
        if self.entries.remove(key).is_some() {
            self.left.expired.fetch_add(1, Relaxed);
        }
        None
    }

    fn put(&self, key: Key, answer: &Arc<Answer>) {
        let weight = u64::from(answer.weight);
        // What can never fit would only push others out.
        if weight > self.settings.bytes_max {
            return;
        }
        self.entries.insert(key, Arc::clone(answer));
        if self.unswept.fetch_add(weight, Relaxed).saturating_add(weight) > self.settings.bytes_max / SWEEP_PART {
            self.unswept.store(0, Relaxed);
            self.entries.run_pending_tasks();
        }
    }

    /// Takes out all answers of a version.
    fn forget(&self, generation: u64) {
        // Nobody puts in any more: whoever could has let the version go.
        let mine = self.entries.iter().filter(|(_, answer)| answer.generation == generation);
        let keys: Vec<Arc<Key>> = mine.map(|(key, _)| key).collect();
        for key in keys {
            if self.entries.remove(&*key).is_some() {
                self.left.unloaded.fetch_add(1, Relaxed);
            }
        }
        self.entries.run_pending_tasks();
    }
}

impl fmt::Debug for ResultCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultCache").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a look into the cache comes to.
pub(crate) enum Found {
    /// It is there.
    Here(Arc<Answer>),
    /// Nobody knows it: who asks has to find it out, for all who ask the same.
    Lead(Flight),
    /// Somebody is finding it out.
    Follow(tokio::sync::oneshot::Receiver<Told>),
}

/// One version's part in the cache. Its answers go with it.
pub(crate) struct Keeping {
    cache: Arc<ResultCache>,
    /// Of all versions that were ever loaded by this process, which one it is.
    generation: u64,
    keys: Keys,
    time_to_live: Option<Duration>,
}

impl Keeping {
    /// Largest body of a request that is looked up.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.cache.settings.request_bytes_max
    }

    /// Looks for what these inputs, all of the signature in its order, were answered with at the outputs `wanted`.
    pub(crate) fn look(&self, inputs: &[Tensor], wanted: &[usize]) -> Found {
        let key = self.keys.of(inputs, wanted);
        if let Some(answer) = self.cache.get(&key) {
            return Found::Here(answer);
        }
        // Whoever was first may have put it in and left since the look before.
        match self.cache.flights.join(&self.cache, key, || self.cache.get(&key)) {
            Joined::Landed(answer) => Found::Here(answer),
            Joined::First(flight) => Found::Lead(flight),
            Joined::Behind(told) => Found::Follow(told),
        }
    }

    /// Keeps what a run gave and tells it to all who wait for it.
    pub(crate) fn keep(&self, flight: Flight, outputs: &[Tensor]) {
        let expires = self.time_to_live.map(|time| self.cache.clock.now().after(time));
        let weight = u32::try_from(bytes_of(outputs)).unwrap_or(u32::MAX);
        let answer = Arc::new(Answer { outputs: outputs.to_vec(), generation: self.generation, weight, expires });
        self.cache.put(flight.key(), &answer);
        flight.land(&answer);
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.cache.forget(self.generation);
    }
}

#[cfg(test)]
mod tests;
