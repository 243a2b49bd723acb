//! How many answers of a door had which word of a closed list: counted there, read by metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

/// A counter for each word.
#[derive(Debug)]
pub struct Tally(Box<[(&'static str, CachePadded<AtomicU64>)]>);

impl Tally {
    /// Counters at zero.
    #[must_use]
    pub fn of(words: &[&'static str]) -> Self {
        Self(words.iter().map(|word| (*word, CachePadded::default())).collect())
    }

    /// Counts one more of the word at `place`.
    pub fn count(&self, place: usize) {
        if let Some((_, count)) = self.0.get(place) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// The words with their counts.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(word, count)| (*word, count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn each_word_has_its_count_and_what_is_no_word_has_none() {
        let tally = Tally::of(&["ok", "internal"]);
        [0, 1, 0, 2].into_iter().for_each(|place| tally.count(place));
        assert_eq!(tally.totals().collect::<Vec<_>>(), [("ok", 2), ("internal", 1)]);
    }
}
