//! The two precisions in which an ensemble is computed, behind one trait.

use std::ops::{Add, Div, Neg};

use crate::workspace::Pooled;

/// `f32` or `f64`, as the thresholds, weights and inputs of an ensemble need it.
pub(super) trait Number:
    Pooled + PartialOrd + Default + Send + Sync + Add<Output = Self> + Div<Output = Self> + Neg<Output = Self> + 'static
{
    /// Below every number.
    const LOWEST: Self;

    /// Not a number.
    const NAN: Self;

    /// The nearest number.
    fn of(number: f64) -> Self;

    /// Exact for 32 bits.
    fn of_f32(number: f32) -> Self;

    /// The nearest number, rounded once, as C++ converts.
    fn of_i64(number: i64) -> Self;

    /// As [`Number::of_i64`].
    fn of_i32(number: i32) -> Self;

    fn widened(self) -> f64;

    fn is_nan(self) -> bool;

    /// The next smaller number; NaN when there is none. `x < t` is `x <= t.before()` for every x.
    fn before(self) -> Self;

    /// A position below 2³⁰ as a number that is neither negative nor NaN nor subnormal.
    fn of_position(position: u32) -> Self;

    /// The position again.
    fn position(self) -> u32;
}

/// Keeps the numbers of positions away from the subnormal ones, whose comparison can be slow.
const FIRST_NORMAL: u32 = 1 << 23;

impl Number for f32 {
    const LOWEST: Self = Self::NEG_INFINITY;
    const NAN: Self = Self::NAN;

    fn of(number: f64) -> Self {
        number as Self
    }

    fn of_f32(number: f32) -> Self {
        number
    }

    fn of_i64(number: i64) -> Self {
        number as Self
    }

    fn of_i32(number: i32) -> Self {
        number as Self
    }

    fn widened(self) -> f64 {
        f64::from(self)
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn before(self) -> Self {
        if self == Self::NEG_INFINITY { Self::NAN } else { self.next_down() }
    }

    fn of_position(position: u32) -> Self {
        Self::from_bits(position.saturating_add(FIRST_NORMAL))
    }

    fn position(self) -> u32 {
        self.to_bits().saturating_sub(FIRST_NORMAL)
    }
}

impl Number for f64 {
    const LOWEST: Self = Self::NEG_INFINITY;
    const NAN: Self = Self::NAN;

    fn of(number: f64) -> Self {
        number
    }

    fn of_f32(number: f32) -> Self {
        Self::from(number)
    }

    fn of_i64(number: i64) -> Self {
        number as Self
    }

    fn of_i32(number: i32) -> Self {
        Self::from(number)
    }

    fn widened(self) -> f64 {
        self
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn before(self) -> Self {
        if self == Self::NEG_INFINITY { Self::NAN } else { self.next_down() }
    }

    fn of_position(position: u32) -> Self {
        Self::from(position)
    }

    fn position(self) -> u32 {
        self as u32
    }
}
