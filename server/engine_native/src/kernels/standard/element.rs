//! Elements of tensors as Rust types, so that one generic function serves every datatype.
//!
//! Integers wrap, as they do in ONNX Runtime. 16-bit floats compute in 32 bits and round back. Truth values
//! are read as `u8`. The macros choose a type for a datatype when a kernel is built.

use candor_domain::{Error, ErrorCode, Result, Tensor, TensorData};
use half::{
    bf16, f16,
    slice::HalfBitsSliceExt,
    vec::{HalfBitsVecExt, HalfFloatVecExt},
};

use super::curves;
use crate::workspace::Buffers;

/// Runs an expression with a type in place of a datatype: numbers.
macro_rules! by_number {
    ($datatype:expr, $type:ident => $yes:expr, $no:expr) => {
        by_type!($datatype, $type => $yes, $no; Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64, Int8: i8, Int16: i16, Int32: i32, Int64: i64, Fp16: half::f16, Bf16: half::bf16, Fp32: f32, Fp64: f64; Bool, Bytes)
    };
}

/// The same: floats.
macro_rules! by_float {
    ($datatype:expr, $type:ident => $yes:expr, $no:expr) => {
        by_type!($datatype, $type => $yes, $no; Fp16: half::f16, Bf16: half::bf16, Fp32: f32, Fp64: f64; Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Bool, Bytes)
    };
}

/// The same: integers.
macro_rules! by_whole {
    ($datatype:expr, $type:ident => $yes:expr, $no:expr) => {
        by_type!($datatype, $type => $yes, $no; Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64, Int8: i8, Int16: i16, Int32: i32, Int64: i64; Fp16, Bf16, Fp32, Fp64, Bool, Bytes)
    };
}

/// The same: numbers and truth values, those as `u8`.
macro_rules! by_stored {
    ($datatype:expr, $type:ident => $yes:expr, $no:expr) => {
        by_type!($datatype, $type => $yes, $no; Bool: u8, Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64, Int8: i8, Int16: i16, Int32: i32, Int64: i64, Fp16: half::f16, Bf16: half::bf16, Fp32: f32, Fp64: f64; Bytes)
    };
}

/// The same: what indices are.
macro_rules! by_index {
    ($datatype:expr, $type:ident => $yes:expr, $no:expr) => {
        by_type!($datatype, $type => $yes, $no; Int32: i32, Int64: i64; Uint8, Uint16, Uint32, Uint64, Int8, Int16, Fp16, Bf16, Fp32, Fp64, Bool, Bytes)
    };
}

macro_rules! by_type {
    ($datatype:expr, $type:ident => $yes:expr, $no:expr; $($of:ident: $is:ty),*; $($not:ident),*) => {
        match $datatype {
            $(candor_domain::Datatype::$of => {
                type $type = $is;
                $yes
            })*
            $(candor_domain::Datatype::$not)|* => $no,
        }
    };
}

/// What lies in a tensor.
pub(super) trait Element: Copy + Default + PartialOrd + Send + Sync + 'static {
    /// The elements of a tensor of this type.
    fn of(data: &TensorData) -> Option<&[Self]>;
    /// The same, to be changed.
    fn of_mut(data: &mut TensorData) -> Option<&mut [Self]>;
    /// An empty vector with room for `elements`.
    fn take(buffers: &mut Buffers, elements: usize) -> Result<Vec<Self>>;
    /// Takes a vector back.
    fn give(buffers: &mut Buffers, vector: Vec<Self>);
    /// A tensor's data out of a vector.
    fn data(vector: Vec<Self>) -> TensorData;
}

macro_rules! element {
    ($($type:ty: $variant:ident $(| $other:ident)*),*) => {
        $(impl Element for $type {
            fn of(data: &TensorData) -> Option<&[Self]> {
                if let TensorData::$variant(vector) $(| TensorData::$other(vector))* = data {
                    Some(vector)
                } else {
                    None
                }
            }

            fn of_mut(data: &mut TensorData) -> Option<&mut [Self]> {
                if let TensorData::$variant(vector) $(| TensorData::$other(vector))* = data {
                    Some(vector)
                } else {
                    None
                }
            }

            fn take(buffers: &mut Buffers, elements: usize) -> Result<Vec<Self>> {
                buffers.take(elements)
            }

            fn give(buffers: &mut Buffers, vector: Vec<Self>) {
                buffers.give(vector);
            }

            fn data(vector: Vec<Self>) -> TensorData {
                TensorData::$variant(vector)
            }
        })*
    };
}

// As bits, so that what only moves elements need not know all types.
element!(u8: Uint8 | Bool, u16: Uint16 | Fp16 | Bf16, u32: Uint32, u64: Uint64, i8: Int8, i16: Int16, i32: Int32, i64: Int64);
element!(f32: Fp32, f64: Fp64);

macro_rules! half_element {
    ($($type:ty: $variant:ident),*) => {
        $(impl Element for $type {
            fn of(data: &TensorData) -> Option<&[Self]> {
                if let TensorData::$variant(bits) = data { Some(bits.reinterpret_cast()) } else { None }
            }

            fn of_mut(data: &mut TensorData) -> Option<&mut [Self]> {
                if let TensorData::$variant(bits) = data { Some(bits.reinterpret_cast_mut()) } else { None }
            }

            fn take(buffers: &mut Buffers, elements: usize) -> Result<Vec<Self>> {
                Ok(buffers.take::<u16>(elements)?.reinterpret_into())
            }

            fn give(buffers: &mut Buffers, vector: Vec<Self>) {
                buffers.give::<u16>(vector.reinterpret_into());
            }

            fn data(vector: Vec<Self>) -> TensorData {
                TensorData::$variant(vector.reinterpret_into())
            }
        })*
    };
}

half_element!(f16: Fp16, bf16: Bf16);

/// What one can compute with.
pub(super) trait Number: Element {
    const ZERO: Self;
    const ONE: Self;
    /// Not above any number.
    const LOWEST: Self;
    /// Not below any number.
    const HIGHEST: Self;
    /// The lowest that is finite.
    const LEAST: Self;
    /// The highest that is finite.
    const MOST: Self;
    /// Whether a division by zero has no result.
    const WHOLE: bool;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// The quotient, whole numbers towards zero; 0 for whole numbers divided by 0, which callers refuse.
    fn over(self, other: Self) -> Self;
    /// The remainder, with the sign of `other` if `floored`, else of `self`; 0 for whole numbers and 0.
    fn modulo(self, other: Self, floored: bool) -> Self;
    fn negative(self) -> Self;
    fn magnitude(self) -> Self;
    fn is_nan(self) -> bool;
    /// The number in 64 bits, or the nearest to it.
    fn to_f64(self) -> f64;
    /// The nearest of this type; whole numbers towards zero.
    fn near(number: f64) -> Self;
    /// `self + at · step`; halves compute in 32 bits.
    fn stepped(self, step: Self, at: usize) -> Self;

    fn is_below_zero(self) -> bool {
        self < Self::ZERO
    }

    /// The larger; a not-a-number, if there is one.
    fn larger(self, other: Self) -> Self {
        if self.is_nan() || self > other { self } else { other }
    }

    /// The smaller; a not-a-number, if there is one.
    fn smaller(self, other: Self) -> Self {
        if self.is_nan() || self < other { self } else { other }
    }
}

macro_rules! whole {
    ($($type:ty, $magnitude:expr, $negative_remainder:expr;)*) => {
        $(impl Number for $type {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LOWEST: Self = Self::MIN;
            const HIGHEST: Self = Self::MAX;
            const LEAST: Self = Self::MIN;
            const MOST: Self = Self::MAX;
            const WHOLE: bool = true;

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn over(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }

            fn modulo(self, other: Self, floored: bool) -> Self {
                if other == 0 {
                    return 0;
                }
                let rest = self.wrapping_rem(other);
                let signs_differ: fn(Self, Self) -> bool = $negative_remainder;
                if floored && rest != 0 && signs_differ(rest, other) { rest.wrapping_add(other) } else { rest }
            }

            fn negative(self) -> Self {
                self.wrapping_neg()
            }

            fn magnitude(self) -> Self {
                let magnitude: fn(Self) -> Self = $magnitude;
                magnitude(self)
            }

            fn is_nan(self) -> bool {
                false
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn near(number: f64) -> Self {
                number as Self
            }

            fn stepped(self, step: Self, at: usize) -> Self {
                self.wrapping_add(step.wrapping_mul(at as Self))
            }
        })*
    };
}

whole! {
    u8, |number| number, |_, _| false;
    u16, |number| number, |_, _| false;
    u32, |number| number, |_, _| false;
    u64, |number| number, |_, _| false;
    i8, i8::wrapping_abs, |rest, other| (rest < 0) != (other < 0);
    i16, i16::wrapping_abs, |rest, other| (rest < 0) != (other < 0);
    i32, i32::wrapping_abs, |rest, other| (rest < 0) != (other < 0);
    i64, i64::wrapping_abs, |rest, other| (rest < 0) != (other < 0);
}

/// A float, and the type in which it computes.
pub(super) trait Float: Number {
    type Wide: Real;
    fn wide(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
}

/// What floats compute in.
pub(super) trait Real: Float<Wide = Self> {
    fn exp(self) -> Self;
    fn tanh(self) -> Self;
    fn ln(self) -> Self;
}

impl Real for f32 {
    fn exp(self) -> Self {
        curves::exp(self)
    }

    fn tanh(self) -> Self {
        curves::tanh(self)
    }

    fn ln(self) -> Self {
        self.ln()
    }
}

impl Real for f64 {
    fn exp(self) -> Self {
        self.exp()
    }

    fn tanh(self) -> Self {
        self.tanh()
    }

    fn ln(self) -> Self {
        self.ln()
    }
}

/// `A - floor(A / B) * B`: the sign of `other`, also that of a zero.
macro_rules! floored {
    ($number:expr, $other:expr) => {{
        let rest = $number % $other;
        if rest == 0.0 {
            rest.copysign($other)
        } else if (rest < 0.0) != ($other < 0.0) {
            rest + $other
        } else {
            rest
        }
    }};
}

macro_rules! float {
    ($($type:ty, $wide:ty, $one:expr, $to:expr, $from:expr, $from_f64:expr;)*) => {
        $(impl Number for $type {
            const ZERO: Self = <$type>::from_bits(0);
            const ONE: Self = $one;
            const LOWEST: Self = <$type>::NEG_INFINITY;
            const HIGHEST: Self = <$type>::INFINITY;
            const LEAST: Self = <$type>::MIN;
            const MOST: Self = <$type>::MAX;
            const WHOLE: bool = false;

            fn plus(self, other: Self) -> Self {
                self + other
            }

            fn minus(self, other: Self) -> Self {
                self - other
            }

            fn times(self, other: Self) -> Self {
                self * other
            }

            fn over(self, other: Self) -> Self {
                self / other
            }

            fn modulo(self, other: Self, floored: bool) -> Self {
                let (number, other) = (self.wide(), other.wide());
                Self::narrow(if floored { floored!(number, other) } else { number % other })
            }

            fn negative(self) -> Self {
                -self
            }

            fn magnitude(self) -> Self {
                Self::narrow(self.wide().abs())
            }

            fn is_nan(self) -> bool {
                self.is_nan()
            }

            fn to_f64(self) -> f64 {
                self.into()
            }

            fn near(number: f64) -> Self {
                let from: fn(f64) -> $type = $from_f64;
                from(number)
            }

            fn stepped(self, step: Self, at: usize) -> Self {
                Self::narrow(self.wide() + step.wide() * at as $wide)
            }
        }

        impl Float for $type {
            type Wide = $wide;

            fn wide(self) -> $wide {
                let to: fn($type) -> $wide = $to;
                to(self)
            }

            fn narrow(wide: $wide) -> Self {
                let from: fn($wide) -> $type = $from;
                from(wide)
            }
        })*
    };
}

float! {
    f32, f32, 1.0, |number| number, |wide| wide, |number| number as f32;
    f64, f64, 1.0, |number| number, |wide| wide, |number| number;
    f16, f32, f16::ONE, f16::to_f32, f16::from_f32, f16::from_f64;
    bf16, f32, bf16::ONE, bf16::to_f32, bf16::from_f32, bf16::from_f64;
}

/// The elements of an input.
///
/// # Errors
/// `EngineFailed` when they are of another type than the file says.
pub(super) fn view<T: Element>(tensor: &Tensor) -> Result<&[T]> {
    T::of(tensor.data()).ok_or_else(|| other_type(tensor))
}

/// The numbers of an input of any type, in 64 bits.
///
/// # Errors
/// As [`view`].
pub(super) fn wide(tensor: &Tensor, buffers: &mut Buffers) -> Result<Vec<f64>> {
    by_number!(
        tensor.datatype(),
        T => {
            let from = view::<T>(tensor)?;
            let mut to = buffers.take(from.len())?;
            to.extend(from.iter().map(|number| number.to_f64()));
            Ok(to)
        },
        Err(other_type(tensor))
    )
}

/// An input is of another type than the file says.
pub(super) fn other_type(tensor: &Tensor) -> Error {
    Error::new(ErrorCode::EngineFailed, "an input of a step has another datatype than the file says")
        .got(tensor.datatype().name())
}
