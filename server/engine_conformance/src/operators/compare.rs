//! How near an answer must be: numpy's `assert_allclose`, with the bounds of the onnx package's own runner.
//!
//! Shape and datatype must be the same, whole numbers and strings too; a not-a-number equals a
//! not-a-number, and an infinity itself.

use candor_domain::{Tensor, TensorData};
use half::{bf16, f16};

/// `|got − want| ≤ absolute + relative · |want|`.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Share of the wanted number.
    pub relative: f64,
    /// Beside the share.
    pub absolute: f64,
}

impl Tolerance {
    /// What every test of the onnx package allows.
    pub const ONNX: Self = Self { relative: 1e-3, absolute: 1e-7 };
    /// For `ai.onnx.ml`, whose answers are sums of a few numbers.
    pub const CLASSICAL: Self = Self { relative: 1e-5, absolute: 1e-7 };

    /// Says how `got` is not what was wanted.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(self, want: &Tensor, got: &Tensor) -> Result<(), String> {
        if want.shape() != got.shape() || want.datatype() != got.datatype() {
            return Err(format!("is {} {}, wanted {} {}", got.datatype(), got.shape(), want.datatype(), want.shape()));
        }
        let floats = match (want.data(), got.data()) {
            (TensorData::Fp32(want), TensorData::Fp32(got)) => self.floats(want, got, |bits| f64::from(*bits)),
            (TensorData::Fp64(want), TensorData::Fp64(got)) => self.floats(want, got, |bits| *bits),
            (TensorData::Fp16(want), TensorData::Fp16(got)) => {
                self.floats(want, got, |bits| f16::from_bits(*bits).to_f64())
            }
            (TensorData::Bf16(want), TensorData::Bf16(got)) => {
                self.floats(want, got, |bits| bf16::from_bits(*bits).to_f64())
            }
            (want, got) if want == got => None,
            (want, got) => Some(format!("is {}, wanted {}", shown(got), shown(want))),
        };
        floats.map_or(Ok(()), Err)
    }

    fn floats<T>(self, want: &[T], got: &[T], read: impl Fn(&T) -> f64) -> Option<String> {
        let mut pairs = want.iter().map(&read).zip(got.iter().map(&read)).enumerate();
        let (at, (want, got)) = pairs.find(|(_, (want, got))| !self.is_near(*want, *got))?;
        Some(format!("element {at} is {got}, wanted {want}"))
    }

    /// Whether two numbers are near enough.
    #[must_use]
    pub fn is_near(self, want: f64, got: f64) -> bool {
        let equal = want == got || (want.is_nan() && got.is_nan());
        // An infinite `want` would allow anything.
        equal || (want.is_finite() && (got - want).abs() <= self.absolute + self.relative * want.abs())
    }
}

fn shown(data: &TensorData) -> String {
    format!("{data:?}").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_domain::Shape;

    fn tensor(data: TensorData) -> Tensor {
        Tensor::new(Shape::new(&[1]).unwrap(), data).unwrap()
    }

    #[test]
    fn near_is_near_and_special_numbers_are_themselves() {
        let near = |want, got| Tolerance::ONNX.is_near(want, got);
        assert!(
            near(1.0, 1.0009) && near(0.0, 1e-8) && near(f64::NAN, -f64::NAN) && near(f64::INFINITY, f64::INFINITY)
        );
        for (want, got) in [
            (1.0, 1.002),
            (0.0, 1e-6),
            (f64::NAN, 0.0),
            (0.0, f64::NAN),
            (f64::INFINITY, f64::NEG_INFINITY),
            (f64::INFINITY, 1.0),
            (1.0, f64::INFINITY),
        ] {
            assert!(!near(want, got), "{want} {got}");
        }
    }

    #[test]
    fn halves_are_compared_as_numbers_and_whole_numbers_exactly() {
        let half = |number: f32| tensor(TensorData::Fp16(vec![f16::from_f32(number).to_bits()]));
        assert!(Tolerance::ONNX.check(&half(1.0), &half(1.0)).is_ok());
        assert!(Tolerance::ONNX.check(&half(1.0), &half(1.01)).is_err());
        let whole = |number| tensor(TensorData::Int64(vec![number]));
        assert!(Tolerance::ONNX.check(&whole(1_000_000), &whole(1_000_001)).is_err());
        assert!(Tolerance::ONNX.check(&whole(0), &half(0.0)).is_err());
        assert!(Tolerance::ONNX.check(&half(-0.0), &half(0.0)).is_ok());
    }
}
