//! One value on its way into a typed buffer.

use std::fmt;

use candor_domain::{BytesArray, Datatype, TensorData, names::quoted};
use half::{bf16, f16};

/// A value as a wire format gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing: null, or an empty cell.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Unsigned(u64),
    /// A whole number, usually a negative one.
    Signed(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(&'a str),
}

impl Cell<'_> {
    /// Whether it stands for a value that is not there.
    #[must_use]
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::Null) || matches!(self, Self::Float(value) if value.is_nan())
    }
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

/// Elements of one input, set in any order and turned into tensor data at the end.
#[derive(Debug)]
pub(super) enum Store {
    Numbers(TensorData),
    Texts(Vec<Box<[u8]>>),
}

impl Store {
    pub(super) fn of(datatype: Datatype) -> Self {
        if datatype == Datatype::Bytes {
            Self::Texts(Vec::new())
        } else {
            Self::Numbers(TensorData::zeros(datatype, 0))
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(data) => data.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Makes room up to `elements`, filled with zeros.
    pub(super) fn grow(&mut self, elements: usize) {
        macro_rules! grow {
            ($data:expr, $($variant:ident $zero:expr),*) => {
                match $data {
                    $(TensorData::$variant(values) => values.resize(elements, $zero),)*
                    TensorData::Bytes(_) => {}
                }
            };
        }
        match self {
            Self::Texts(texts) => texts.resize(elements, Box::default()),
            Self::Numbers(data) => grow!(
                data, Bool 0, Uint8 0, Uint16 0, Uint32 0, Uint64 0, Int8 0, Int16 0, Int32 0, Int64 0, Fp16 0, Bf16 0,
                Fp32 0.0, Fp64 0.0
            ),
        }
    }

    /// Whether a value has the right type and fits.
    pub(super) fn fits(mut self, cell: &Cell<'_>) -> bool {
        self.grow(1);
        self.set(0, cell)
    }

    /// Puts a value at `index`, which there must be room for; false when its type or size does not fit.
    pub(super) fn set(&mut self, index: usize, cell: &Cell<'_>) -> bool {
        macro_rules! put {
            ($data:expr, $($variant:ident $convert:expr),*) => {
                match $data {
                    $(TensorData::$variant(values) => match (values.get_mut(index), $convert(cell)) {
                        (Some(slot), Some(value)) => *slot = value,
                        (Some(_), None) | (None, _) => return false,
                    })*
                    TensorData::Bytes(_) => return false,
                }
            };
        }
        match (&mut *self, cell) {
            (Self::Texts(texts), Cell::Text(text)) => match texts.get_mut(index) {
                Some(slot) => *slot = text.as_bytes().into(),
                None => return false,
            },
            (Self::Texts(_), _) => return false,
            (Self::Numbers(data), _) => put!(
                data, Bool truth, Uint8 whole, Uint16 whole, Uint32 whole, Uint64 whole, Int8 whole, Int16 whole,
                Int32 whole, Int64 whole, Fp16 half, Bf16 brain, Fp32 single, Fp64 finite
            ),
        }
        true
    }

    pub(super) fn into_data(self) -> TensorData {
        match self {
            Self::Numbers(data) => data,
            Self::Texts(texts) => TensorData::Bytes(texts.iter().collect::<BytesArray>()),
        }
    }
}

fn truth(cell: &Cell<'_>) -> Option<u8> {
    match cell {
        Cell::Bool(value) => Some(u8::from(*value)),
        Cell::Null | Cell::Unsigned(_) | Cell::Signed(_) | Cell::Float(_) | Cell::Text(_) => None,
    }
}

/// A whole number, also one written as 5.0, which JSON Schema calls an integer too.
fn whole<T: TryFrom<u64> + TryFrom<i64>>(cell: &Cell<'_>) -> Option<T> {
    /// Whole numbers from here on have neighbours that a float cannot tell them from.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match cell {
        Cell::Unsigned(value) => T::try_from(*value).ok(),
        Cell::Signed(value) => T::try_from(*value).ok(),
        #[allow(clippy::cast_possible_truncation, reason = "whole and small, which was just checked")]
        Cell::Float(value) if value.fract() == 0.0 && value.abs() < EXACT_MAX => T::try_from(*value as i64).ok(),
        Cell::Float(_) | Cell::Null | Cell::Bool(_) | Cell::Text(_) => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "the nearest double is what JSON numbers mean")]
fn double(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Unsigned(value) => Some(*value as f64),
        Cell::Signed(value) => Some(*value as f64),
        Cell::Float(value) => Some(*value),
        Cell::Null | Cell::Bool(_) | Cell::Text(_) => None,
    }
}

/// A number, but no infinity: who sends one means something that a model does not know.
fn finite(cell: &Cell<'_>) -> Option<f64> {
    double(cell).filter(|value| value.is_nan() || value.is_finite())
}

/// The nearest float32; not one that overflows to an infinity that was not meant.
#[allow(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is wanted")]
fn single(cell: &Cell<'_>) -> Option<f32> {
    double(cell).map(|value| value as f32).filter(|value| value.is_nan() || value.is_finite())
}

fn half(cell: &Cell<'_>) -> Option<u16> {
    double(cell).and_then(half_bits)
}

fn brain(cell: &Cell<'_>) -> Option<u16> {
    double(cell).and_then(brain_bits)
}

/// The nearest binary16 (IEEE 754), as its bits; `None` where it would be an infinity.
#[must_use]
pub fn half_bits(value: f64) -> Option<u16> {
    let near = f16::from_f32(to_odd(value));
    (near.is_nan() || near.is_finite()).then(|| near.to_bits())
}

/// The nearest bfloat16, as its bits; `None` where it would be an infinity.
#[must_use]
pub fn brain_bits(value: f64) -> Option<u16> {
    let near = bf16::from_f32(to_odd(value));
    (near.is_nan() || near.is_finite()).then(|| near.to_bits())
}

/// A float32 that rounds on to fewer bits as `value` itself would: where it is not exact, its last bit is odd,
/// so that it is never half way between two of them (Boldo and Melquiond, 2008).
#[allow(clippy::cast_possible_truncation, reason = "rounding is what this is about")]
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    let back = f64::from(near);
    if back == value || !near.is_finite() {
        return near;
    }
    let bits = near.to_bits();
    let toward_zero = if back.abs() > value.abs() { bits.wrapping_sub(1) } else { bits };
    f32::from_bits(toward_zero | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_datatype_or_are_refused() {
        use Datatype::{Bf16, Bool, Bytes, Fp16, Fp32, Fp64, Int8, Int64, Uint8, Uint64};
        for (datatype, cell, fits) in [
            (Bool, Cell::Bool(true), true),
            (Bool, Cell::Unsigned(1), false),
            (Uint8, Cell::Unsigned(255), true),
            (Uint8, Cell::Unsigned(256), false),
            (Uint8, Cell::Signed(-1), false),
            (Int8, Cell::Float(-128.0), true),
            (Int8, Cell::Float(1.5), false),
            (Int64, Cell::Float(1e16), false),
            (Int64, Cell::Float(9_007_199_254_740_992.0), false),
            (Int64, Cell::Float(9_007_199_254_740_991.0), true),
            (Int64, Cell::Signed(i64::MIN), true),
            (Uint64, Cell::Unsigned(u64::MAX), true),
            (Int64, Cell::Unsigned(u64::MAX), false),
            (Int64, Cell::Float(f64::NAN), false),
            (Fp32, Cell::Float(3.4e38), true),
            (Fp32, Cell::Float(3.5e38), false),
            (Fp32, Cell::Unsigned(7), true),
            (Fp64, Cell::Float(f64::INFINITY), false),
            (Fp16, Cell::Float(65504.0), true),
            (Fp16, Cell::Float(70000.0), false),
            (Bf16, Cell::Float(3.4e38), false),
            (Fp32, Cell::Text("1"), false),
            (Bytes, Cell::Text("ä"), true),
            (Bytes, Cell::Unsigned(1), false),
        ] {
            assert_eq!(Store::of(datatype).fits(&cell), fits, "{cell} as {datatype}");
        }
    }

    #[test]
    fn half_precision_keeps_the_nearest_value() {
        let mut store = Store::of(Datatype::Fp16);
        store.grow(1);
        assert!(store.set(0, &Cell::Float(0.1)));
        // IEEE 754 binary16: 0.1 is 0x2E66.
        assert_eq!(store.into_data(), TensorData::Fp16(vec![0x2E66]));
        // Just above half way between 1 and its neighbour; numpy.float16 gives 1.0009765625 (0x3C01).
        assert_eq!(half_bits(1.000_488_281_251), Some(0x3C01));
        assert_eq!(half_bits(1.000_488_281_25), Some(0x3C00));
        assert_eq!(half_bits(-1.000_488_281_251), Some(0xBC01));
        assert_eq!((half_bits(65519.99), half_bits(65520.0)), (Some(0x7BFF), None));
        assert_eq!(half_bits(2.98e-8), Some(0));
        assert_eq!(half_bits(2.981e-8), Some(1));
        assert_eq!((brain_bits(1.003_906_250_000_1), brain_bits(1.003_906_25)), (Some(0x3F81), Some(0x3F80)));
    }
}
