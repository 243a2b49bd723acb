//! Random numbers that are the same for a seed on every machine and in every version.
//!
//! xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47(4), 2021), seeded
//! through SplitMix64 as its authors advise. It does not know what is drawn.

/// A generator.
#[derive(Debug, Clone)]
pub struct Random([u64; 4]);

impl Random {
    /// Of a seed. Another `stream` of the same seed is another sequence.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut state = seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15));
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(state)
        }))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// At least 0 and below 1, in steps of 2⁻⁵³.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Above 0 and below 1, in steps of 2⁻⁵².
    #[allow(clippy::cast_precision_loss, reason = "52 bits and a half are exact")]
    pub fn open(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
    }

    /// Below `bound`, all equally often (Lemire, "Fast Random Integer Generation in an Interval", ACM TOMACS 29(1),
    /// 2019). 0 for a bound of 0.
    #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            let reject = bound.wrapping_neg() % bound;
            while (product as u64) < reject {
                product = u128::from(self.bits()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// Puts `first` of the things in front, in random order: the first steps of Fisher and Yates.
    pub fn shuffle<T>(&mut self, things: &mut [T], first: usize) {
        for at in 0..first.min(things.len().saturating_sub(1)) {
            let other = self.below((things.len() - at) as u64);
            things.swap(at, at + usize::try_from(other).unwrap_or(0));
        }
    }
}

/// The output step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[must_use]
pub const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the authors' C code for the state 1, 2, 3, 4.
    #[test]
    fn it_is_the_authors_generator() {
        let mut random = Random([1, 2, 3, 4]);
        let got: Vec<u64> = (0..5).map(|_| random.bits()).collect();
        assert_eq!(
            got,
            [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386, 9_228_616_714_210_784_205]
        );
    }

    #[test]
    fn ends_are_left_out() {
        assert!((u64::MAX >> 12) as f64 + 0.5 < 4_503_599_627_370_496.0);
        let mut random = Random::new(1, 1);
        assert!((0..1000).map(|_| random.open()).all(|one| one > 0.0 && one < 1.0));
    }

    #[test]
    fn numbers_below_a_bound_are_equally_frequent() {
        let mut random = Random::new(7, 0);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[usize::try_from(random.below(6)).unwrap()] += 1;
        }
        // Six standard deviations of a count.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 550), "{counts:?}");
    }

    #[test]
    fn streams_of_a_seed_differ_and_orders_are_permutations() {
        assert_ne!(Random::new(1, 0).bits(), Random::new(1, 1).bits());
        let mut order: Vec<u32> = (0..50).collect();
        Random::new(3, 0).shuffle(&mut order, 50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
