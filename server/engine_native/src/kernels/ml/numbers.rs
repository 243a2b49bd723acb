//! What the operators of `ai.onnx.ml` share: inputs of four number types, rows, 32-bit copies.

use std::borrow::Cow;

use candor_domain::{Datatype, Error, Result, Shape, Tensor, TensorData};
use candor_onnx::Dim;

use crate::{
    kernel::{Build, Known},
    workspace::{Buffers, Pooled},
};

/// Elements of the number types that the specification allows in.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    I64(&'a [i64]),
    I32(&'a [i32]),
}

impl<'a> Numbers<'a> {
    /// The elements of a tensor whose datatype was checked when the kernel was built.
    ///
    /// # Errors
    /// `InvalidInput` for any other datatype.
    pub(super) fn of(tensor: &'a Tensor) -> Result<Self> {
        Ok(match tensor.data() {
            TensorData::Fp32(held) => Self::F32(held),
            TensorData::Fp64(held) => Self::F64(held),
            TensorData::Int64(held) => Self::I64(held),
            TensorData::Int32(held) => Self::I32(held),
            TensorData::Bool(_)
            | TensorData::Uint8(_)
            | TensorData::Uint16(_)
            | TensorData::Uint32(_)
            | TensorData::Uint64(_)
            | TensorData::Int8(_)
            | TensorData::Int16(_)
            | TensorData::Fp16(_)
            | TensorData::Bf16(_)
            | TensorData::Bytes(_) => {
                return Err(Error::invalid("the operator takes numbers")
                    .expected(NUMBERS)
                    .got(tensor.datatype().name()));
            }
        })
    }
}

const NUMBERS: &str = "FP32, FP64, INT64 or INT32";

/// An input that must be of numbers.
///
/// # Errors
/// `Unsupported` when it is not, `InvalidModel` when it is left out.
pub(super) fn input<'b, 'a>(build: &'b Build<'a>, at: usize) -> Result<&'b Known<'a>> {
    let known = build.input(at)?;
    let allowed = [Datatype::Fp32, Datatype::Fp64, Datatype::Int64, Datatype::Int32];
    if allowed.contains(&known.datatype) { Ok(known) } else { Err(build.wrong_datatype(at, NUMBERS)) }
}

/// A number type, and how ONNX Runtime computes with it.
pub(super) trait Number: Pooled {
    /// As 32 bits.
    fn float(self) -> f32;
    /// `(self - offset) * scale`: doubles in 64 bits, everything else in 32.
    fn scaled(self, offset: f32, scale: f32) -> f32;
    /// `|self|`, taken in its own type.
    fn magnitude(self) -> f32;
    /// `self²`, taken in its own type.
    fn square(self) -> f32;
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "that is the computation")]
mod number {
    use super::Number;

    impl Number for f32 {
        fn float(self) -> f32 {
            self
        }
        fn scaled(self, offset: f32, scale: f32) -> f32 {
            (self - offset) * scale
        }
        fn magnitude(self) -> f32 {
            self.abs()
        }
        fn square(self) -> f32 {
            self * self
        }
    }

    impl Number for f64 {
        fn float(self) -> f32 {
            self as f32
        }
        fn scaled(self, offset: f32, scale: f32) -> f32 {
            ((self - Self::from(offset)) * Self::from(scale)) as f32
        }
        fn magnitude(self) -> f32 {
            self.abs() as f32
        }
        fn square(self) -> f32 {
            (self * self) as f32
        }
    }

    macro_rules! integer {
        ($($type:ty),*) => {
            $(impl Number for $type {
                fn float(self) -> f32 {
                    self as f32
                }
                fn scaled(self, offset: f32, scale: f32) -> f32 {
                    (self as f32 - offset) * scale
                }
                fn magnitude(self) -> f32 {
                    self.unsigned_abs() as f32
                }
                fn square(self) -> f32 {
                    // Wide enough for every square, where ONNX Runtime's may overflow.
                    (i128::from(self) * i128::from(self)) as f32
                }
            })*
        };
    }

    integer!(i64, i32);
}

/// Runs one expression with the elements in whichever type they are.
macro_rules! with_numbers {
    ($numbers:expr, $held:ident => $run:expr) => {
        match $numbers {
            $crate::kernels::ml::numbers::Numbers::F32($held) => $run,
            $crate::kernels::ml::numbers::Numbers::F64($held) => $run,
            $crate::kernels::ml::numbers::Numbers::I64($held) => $run,
            $crate::kernels::ml::numbers::Numbers::I32($held) => $run,
        }
    };
}
pub(super) use with_numbers;

/// The elements as 32-bit floats, the precision of nearly all of `ai.onnx.ml`: borrowed if they are, else a
/// copy from `buffers`, which [`release`] takes back.
pub(super) fn floats<'a>(tensor: &'a Tensor, buffers: &mut Buffers) -> Result<Cow<'a, [f32]>> {
    fn copied<T: Number>(held: &[T], buffers: &mut Buffers) -> Result<Vec<f32>> {
        let mut floats = buffers.take(held.len())?;
        floats.extend(held.iter().map(|number| number.float()));
        Ok(floats)
    }
    Ok(match Numbers::of(tensor)? {
        Numbers::F32(held) => Cow::Borrowed(held),
        Numbers::F64(held) => Cow::Owned(copied(held, buffers)?),
        Numbers::I64(held) => Cow::Owned(copied(held, buffers)?),
        Numbers::I32(held) => Cow::Owned(copied(held, buffers)?),
    })
}

/// Gives back what [`floats`] may have taken.
pub(super) fn release(floats: Cow<'_, [f32]>, buffers: &mut Buffers) {
    if let Cow::Owned(vector) = floats {
        buffers.give(vector);
    }
}

/// Rows and columns of a tensor `[N, C]`, or of `[C]`, which is one row.
///
/// # Errors
/// `InvalidInput` for more dimensions or none.
pub(super) fn rows(tensor: &Tensor) -> Result<(usize, usize)> {
    let size = |size: i64| usize::try_from(size).unwrap_or_default();
    match *tensor.shape().dims() {
        [columns] => Ok((1, size(columns))),
        [rows, columns] => Ok((size(rows), size(columns))),
        _ => Err(Error::invalid("the operator takes rows")
            .expected("1 or 2 dimensions")
            .got(format!("shape {}", tensor.shape()))),
    }
}

/// The rows of a tensor that must have `columns` columns.
///
/// # Errors
/// `InvalidInput` when it has not.
pub(super) fn rows_of(tensor: &Tensor, columns: usize) -> Result<usize> {
    let (rows, found) = rows(tensor)?;
    if found == columns {
        return Ok(rows);
    }
    Err(Error::invalid("the rows have another width than the model was made for")
        .expected(format!("{columns} columns"))
        .got(found.to_string()))
}

/// The dimensions `[N, columns]` of what is made out of each row of an input.
pub(super) fn row_dims(known: &Known<'_>, columns: usize) -> Option<Vec<Dim>> {
    Some(vec![rows_dim(known)?, Dim::Fixed(columns as u64)])
}

/// The first dimension of what is made out of each row of an input.
pub(super) fn rows_dim(known: &Known<'_>) -> Option<Dim> {
    match known.dims.as_deref()? {
        [_] => Some(Dim::Fixed(1)),
        [rows, _] => Some(rows.clone()),
        _ => None,
    }
}

/// A tensor of `rows` rows.
///
/// # Errors
/// When the elements are not as many.
pub(super) fn matrix(rows: usize, columns: usize, data: TensorData) -> Result<Tensor> {
    let size = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    Tensor::new(Shape::new(&[size(rows), size(columns)])?, data)
}

/// `rows * columns` without overflow: what is too large is refused where memory is taken.
pub(super) const fn cells(rows: usize, columns: usize) -> usize {
    rows.saturating_mul(columns)
}
