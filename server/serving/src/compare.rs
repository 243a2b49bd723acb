//! Whether two tensors say the same, and where they do not.
//!
//! Golden pairs and the cross-check ask here. Numbers with a fraction are the same within a tolerance: relative
//! above 1, absolute below; everything else must be equal.

use std::fmt::Debug;

use candor_domain::{Tensor, TensorData};
use half::{bf16, f16};

/// How far two tensors of one shape lie apart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Distance {
    /// The largest |got − want| ÷ max(1, |want|) of numbers with a fraction; where only one of the two is finite,
    /// the largest number that there is.
    pub(crate) largest: f64,
    /// The first element beyond the tolerance.
    pub(crate) apart: Option<Apart>,
}

/// An element that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Apart {
    /// Its place, counted through the whole tensor.
    pub(crate) element: usize,
    pub(crate) want: String,
    pub(crate) got: String,
}

/// Longest value in a message.
const SHOWN_MAX: usize = 90;

/// Compares element by element: |got − want| ≤ tolerance · max(1, |want|), NaN being the same as NaN.
///
/// # Errors
/// What the tensors are when their shapes or datatypes differ.
pub(crate) fn compare(want: &Tensor, got: &Tensor, tolerance: f64) -> Result<Distance, String> {
    if want.shape() != got.shape() || want.datatype() != got.datatype() {
        return Err(format!("is {} {}, wanted {} {}", got.datatype(), got.shape(), want.datatype(), want.shape()));
    }
    macro_rules! exact {
        ($($variant:ident),*) => {
            match (want.data(), got.data()) {
                (TensorData::Fp32(want), TensorData::Fp32(got)) => near(want, got, |&one| f64::from(one), tolerance),
                (TensorData::Fp64(want), TensorData::Fp64(got)) => near(want, got, |&one| one, tolerance),
                (TensorData::Fp16(want), TensorData::Fp16(got)) => {
                    near(want, got, |&bits| f16::from_bits(bits).to_f64(), tolerance.max(f16::EPSILON.to_f64()))
                }
                (TensorData::Bf16(want), TensorData::Bf16(got)) => {
                    near(want, got, |&bits| bf16::from_bits(bits).to_f64(), tolerance.max(bf16::EPSILON.to_f64()))
                }
                $((TensorData::$variant(want), TensorData::$variant(got)) => equal(want.iter(), got.iter()),)*
                // Datatypes have been compared above.
                _ => Distance::default(),
            }
        };
    }
    #[allow(clippy::wildcard_enum_match_arm, reason = "pairs of different datatypes cannot come here")]
    let distance = exact!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Bytes);
    Ok(distance)
}

fn near<T>(want: &[T], got: &[T], number: impl Fn(&T) -> f64, tolerance: f64) -> Distance {
    let mut distance = Distance::default();
    for (element, (want, got)) in want.iter().zip(got).enumerate() {
        let (want, got) = (number(want), number(got));
        if want == got || (want.is_nan() && got.is_nan()) {
            continue;
        }
        // Around an infinity the tolerance would be infinite too.
        let both = want.is_finite() && got.is_finite();
        let apart = if both { ((got - want).abs() / want.abs().max(1.0)).min(f64::MAX) } else { f64::MAX };
        distance.largest = distance.largest.max(apart);
        if apart > tolerance && distance.apart.is_none() {
            distance.apart = Some(Apart { element, want: want.to_string(), got: got.to_string() });
        }
    }
    distance
}

fn equal<T: PartialEq + Debug>(want: impl Iterator<Item = T>, got: impl Iterator<Item = T>) -> Distance {
    let shown = |value: &T| format!("{value:?}").chars().take(SHOWN_MAX).collect();
    let apart = want.zip(got).enumerate().find(|(_, (want, got))| want != got);
    let apart = apart.map(|(element, (want, got))| Apart { element, want: shown(&want), got: shown(&got) });
    Distance { largest: 0.0, apart }
}

#[cfg(test)]
mod tests {
    use candor_domain::Shape;

    use super::*;

    fn tensor(data: TensorData) -> Tensor {
        Tensor::new(Shape::new(&[i64::try_from(data.len()).unwrap()]).unwrap(), data).unwrap()
    }

    fn distance(want: TensorData, got: TensorData, tolerance: f64) -> Distance {
        compare(&tensor(want), &tensor(got), tolerance).unwrap()
    }

    #[test]
    fn differences_are_relative_above_one_and_absolute_below() {
        let single = |value: f64| TensorData::Fp64(vec![value]);
        for (want, got, same) in [
            (0.0, 9e-5, true),
            (0.0, 2e-4, false),
            (1000.0, 1000.09, true),
            (1000.0, 1000.2, false),
            (f64::NAN, f64::NAN, true),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::NEG_INFINITY, false),
            (f64::INFINITY, f64::MAX, false),
            (1.0, f64::INFINITY, false),
            (1.0, f64::NAN, false),
            (f64::MAX, f64::MIN, false),
        ] {
            let distance = distance(single(want), single(got), 1e-4);
            assert_eq!(distance.apart.is_none(), same, "{want} against {got}");
            assert!(distance.largest.is_finite(), "{want} against {got}");
        }
    }

    #[test]
    fn the_largest_difference_and_the_first_element_beyond_are_told() {
        let want = TensorData::Fp32(vec![1.0, 2.0, 3.0]);
        let distance = distance(want, TensorData::Fp32(vec![1.0, 2.5, 6.0]), 1e-4);
        assert_eq!(distance.largest, 1.0);
        let apart = Apart { element: 1, want: "2".to_owned(), got: "2.5".to_owned() };
        assert_eq!(distance.apart, Some(apart));
    }

    #[test]
    fn labels_texts_and_truths_are_compared_exactly() {
        for (want, got) in [
            (TensorData::Int64(vec![5, 1]), TensorData::Int64(vec![5, 2])),
            (TensorData::Bool(vec![1, 0]), TensorData::Bool(vec![1, 1])),
            (TensorData::Bytes(["a", "b"].into_iter().collect()), TensorData::Bytes(["a", "c"].into_iter().collect())),
        ] {
            assert_eq!(distance(want.clone(), want.clone(), 1.0).apart, None);
            assert_eq!(distance(want, got, 1.0).apart.unwrap().element, 1);
        }
    }

    #[test]
    fn half_precision_may_differ_in_its_last_bit() {
        let halves = |value: f64| TensorData::Fp16(vec![crate::features::half_bits(value).unwrap()]);
        assert_eq!(distance(halves(1.0), halves(1.0009), 1e-4).apart, None);
        assert!(distance(halves(1.0), halves(1.01), 1e-4).apart.is_some());
    }

    #[test]
    fn other_shapes_and_datatypes_are_no_distance_at_all() {
        let (one, two) = (TensorData::Fp32(vec![0.0]), TensorData::Fp32(vec![0.0, 0.0]));
        let error = compare(&tensor(one.clone()), &tensor(two), 1.0).unwrap_err();
        assert_eq!(error, "is FP32 [2], wanted FP32 [1]");
        assert!(compare(&tensor(one), &tensor(TensorData::Fp64(vec![0.0])), 1.0).is_err());
    }
}
