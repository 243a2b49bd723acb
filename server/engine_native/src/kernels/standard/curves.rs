//! `exp` and `tanh` of 32 bits without branches, so that loops over them vectorise; within 4 units in the last place.
//!
//! Polynomials are those of the Cephes library (`expf`) and of Eigen (`ptanh`), which ONNX Runtime uses too.

/// Added to a number of up to 22 bits, it leaves its nearest whole number in the lowest bits.
const ROUNDS: f32 = 12_582_912.0;

/// `e` to the power of `x`.
pub(super) fn exp(x: f32) -> f32 {
    // Beyond these, the result is infinite or 0 in any case.
    let x = x.clamp(-104.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDS;
    let whole = shifted - ROUNDS;
    // ln 2 in two parts, the first of few bits.
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        sum = sum * rest + factor;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    // Two steps, since the power of 2 alone may be beyond what there is.
    let power = shifted.to_bits().wrapping_sub(ROUNDS.to_bits()).cast_signed();
    let half = power >> 1;
    fraction * power_of_2(half) * power_of_2(power.wrapping_sub(half))
}

fn power_of_2(power: i32) -> f32 {
    f32::from_bits(power.wrapping_add(127).cast_unsigned() << 23)
}

/// The hyperbolic tangent.
pub(super) fn tanh(x: f32) -> f32 {
    let near = x.clamp(-7.905_311, 7.905_311);
    let square = near * near;
    let mut above = -2.760_768_5e-16;
    for factor in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_525e-3] {
        above = above * square + factor;
    }
    let mut below = 1.198_258_4e-6;
    for factor in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525_2e-3] {
        below = below * square + factor;
    }
    // The fraction is not exact near 0, where the tangent is the number itself.
    if x.abs() < 4e-4 { x } else { near * above / below }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many numbers of 32 bits are between them.
    fn apart(one: f32, other: f64) -> f64 {
        let unit = f64::from((other as f32).abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
        (f64::from(one) - other).abs() / unit
    }

    #[test]
    fn curves_are_those_of_64_bits_to_the_last_places() {
        for at in -1_200_000..1_200_000 {
            let x = at as f32 / 10_007.0;
            let (exact, wide) = (f64::from(x).exp(), f64::from(x));
            if exact < f64::from(f32::MAX) {
                assert!(apart(exp(x), exact) <= 2.0, "exp({x}) is {}", exp(x));
            }
            assert!(apart(tanh(x), wide.tanh()) <= 4.0, "tanh({x}) is {}", tanh(x));
        }
    }

    #[test]
    fn ends_and_special_numbers_are_right() {
        for (x, want) in [
            (0.0, 1.0),
            (-0.0, 1.0),
            (89.0, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
            (f32::NEG_INFINITY, 0.0),
            (-1e30, 0.0),
        ] {
            assert_eq!(exp(x), want, "exp({x})");
        }
        assert!(exp(-100.0) > 0.0, "small results are not cut to 0");
        for (x, want) in [(0.0, 0.0), (f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0), (20.0, 1.0), (1e-30, 1e-30)] {
            assert!((tanh(x) - want).abs() <= want.abs() * f32::EPSILON, "tanh({x}) is {}", tanh(x));
        }
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert!(tanh(-0.0).is_sign_negative());
    }
}
