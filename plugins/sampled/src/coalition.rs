//! Coalitions: sets of players as bits, each kept once.
//!
//! Before it come the methods, which choose coalitions; after it the game, which asks what they are worth. It does not
//! know what a player is.

use crate::random::mix;

/// Different sets of the players 0 to `players`, in the order in which they came.
#[derive(Debug, Clone)]
pub struct Coalitions {
    players: usize,
    words: usize,
    bits: Vec<u64>,
    /// Open addressing: the number of a set plus 1, or 0. A power of two, at most half full.
    slots: Vec<u32>,
}

impl Coalitions {
    /// None yet.
    #[must_use]
    pub fn new(players: usize) -> Self {
        Self { players, words: players.div_ceil(64).max(1), bits: Vec::new(), slots: vec![0; 16] }
    }

    /// All sets of at most 20 players; the number of each is its bits.
    #[must_use]
    pub fn all(players: usize) -> Self {
        let count = 1_u64 << players.min(20);
        Self { players, words: 1, bits: (0..count).collect(), slots: Vec::new() }
    }

    /// How many players there are.
    #[must_use]
    pub fn players(&self) -> usize {
        self.players
    }

    /// How many 64-bit words a set has.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words
    }

    /// How many sets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits.len() / self.words
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// The sets in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u64]> + ExactSizeIterator {
        self.bits.chunks_exact(self.words)
    }

    /// A set by its number.
    #[must_use]
    pub fn get(&self, at: usize) -> &[u64] {
        let start = at.saturating_mul(self.words);
        self.bits.get(start..start.saturating_add(self.words)).unwrap_or_default()
    }

    /// Forgets the sets and keeps the memory.
    pub fn clear(&mut self) {
        self.bits.clear();
        self.slots.fill(0);
    }

    /// The number of a set, and whether it is new.
    pub fn insert(&mut self, set: &[u64]) -> (usize, bool) {
        if self.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let last = self.slots.len() - 1;
        let mut slot = hash(set) & last;
        loop {
            match self.slots.get(slot).copied().unwrap_or(0) {
                0 => break,
                at if self.get(at as usize - 1) == set => return (at as usize - 1, false),
                _ => slot = (slot + 1) & last,
            }
        }
        let at = self.len();
        if let Some(free) = self.slots.get_mut(slot) {
            *free = u32::try_from(at + 1).unwrap_or(u32::MAX);
        }
        self.bits.extend_from_slice(set);
        (at, true)
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        self.slots.clear();
        self.slots.resize(size, 0);
        for at in 0..self.len() {
            let mut slot = hash(self.get(at)) & (size - 1);
            while self.slots.get(slot).is_some_and(|&taken| taken != 0) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = self.slots.get_mut(slot) {
                *free = u32::try_from(at + 1).unwrap_or(u32::MAX);
            }
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "some bits are enough")]
fn hash(set: &[u64]) -> usize {
    set.iter().fold(0, |hash: u64, &word| mix(hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15)) as usize
}

/// Puts a player in.
pub fn add(set: &mut [u64], player: usize) {
    if let Some(word) = set.get_mut(player / 64) {
        *word |= 1 << (player % 64);
    }
}

/// Whether a player is in.
#[must_use]
pub fn has(set: &[u64], player: usize) -> bool {
    set.get(player / 64).is_some_and(|word| word >> (player % 64) & 1 == 1)
}

/// How many are in.
#[must_use]
pub fn size(set: &[u64]) -> usize {
    set.iter().map(|word| word.count_ones() as usize).sum()
}

/// All players.
#[must_use]
pub fn everyone(players: usize) -> Vec<u64> {
    let mut set = vec![0; players.div_ceil(64).max(1)];
    (0..players).for_each(|player| add(&mut set, player));
    set
}

/// Those of `everyone` who are not in `set`.
pub fn complement(set: &[u64], everyone: &[u64], into: &mut [u64]) {
    for (into, (set, all)) in into.iter_mut().zip(set.iter().zip(everyone)) {
        *into = all & !set;
    }
}

/// The players of a set, in rising order.
pub fn members(set: &[u64]) -> impl Iterator<Item = usize> {
    set.iter().enumerate().flat_map(|(at, &word)| Bits(word).map(move |bit| at * 64 + bit))
}

/// The ones of a word.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let at = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_is_kept_once_and_found_again() {
        for players in [7, 64, 65, 200] {
            let mut coalitions = Coalitions::new(players);
            let sets: Vec<Vec<u64>> = (0..players)
                .map(|player| {
                    let mut set = vec![0; coalitions.words()];
                    add(&mut set, player);
                    add(&mut set, players - 1);
                    set
                })
                .collect();
            for (at, set) in sets.iter().enumerate() {
                assert_eq!(coalitions.insert(set), (at, true));
            }
            for (at, set) in sets.iter().enumerate() {
                assert_eq!((coalitions.insert(set), coalitions.get(at)), ((at, false), &set[..]));
            }
            assert_eq!(coalitions.len(), players);
            coalitions.clear();
            assert_eq!((coalitions.insert(&sets[0]), coalitions.len()), ((0, true), 1));
        }
    }

    #[test]
    fn a_set_and_its_complement_are_everyone() {
        let all = everyone(70);
        let mut set = vec![0; 2];
        [0, 5, 63, 64, 69].into_iter().for_each(|player| add(&mut set, player));
        assert_eq!(members(&set).collect::<Vec<_>>(), [0, 5, 63, 64, 69]);
        let mut rest = vec![0; 2];
        complement(&set, &all, &mut rest);
        assert_eq!((size(&set), size(&rest), size(&all)), (5, 65, 70));
        assert!((0..70).all(|player| has(&set, player) != has(&rest, player)));
        assert_eq!(Coalitions::all(3).iter().map(|set| set[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
