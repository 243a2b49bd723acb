//! Waiting for a condition, with an end: no test sleeps for a guessed time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longest wait of anything that must come: far beyond what a slow machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until `look` gives something.
///
/// # Panics
/// When it has not within [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited {} s in vain for: {what}", PATIENCE.as_secs());
        thread::sleep(BETWEEN_LOOKS);
    }
}

/// Does something and says how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}
