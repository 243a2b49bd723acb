//! Numbers that look random and are the same every time: `SplitMix64` (Steele, Lea and Flood, 2014).

/// Throws from a seed.
pub(crate) struct Dice(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// From 0 to 1, without 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what a double has")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to `below`, without it; 0 when there is nothing below.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.next().checked_rem(below).unwrap_or(0)
    }
}

/// The throw at a place, for those who count in an atomic.
pub(crate) fn throw(place: u64) -> u64 {
    mixed(place.wrapping_add(1).wrapping_mul(STEP))
}

fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_throws_what_the_reference_throws() {
        // The first values of the reference implementation for the seed 1234567 (rosettacode.org, "Pseudo-random
        // numbers/Splitmix64").
        let mut dice = Dice::new(1_234_567);
        let first: Vec<u64> = (0..5).map(|_| dice.next()).collect();
        let reference = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(first, reference);
        assert_eq!(throw(0), Dice::new(0).next());
    }

    #[test]
    fn throws_stay_in_their_range() {
        let mut dice = Dice::new(1);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&dice.unit())));
        assert!((0..1000).all(|_| dice.below(3) < 3));
        assert_eq!(dice.below(0), 0);
    }
}
