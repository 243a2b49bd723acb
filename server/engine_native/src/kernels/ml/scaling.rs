//! `Scaler` and `Normalizer`: numbers moved, stretched, or divided by the size of their row.

use candor_domain::{Datatype, Error, Result, Tensor, TensorData};

use super::{
    attributes::{floats, text},
    numbers::{Number, Numbers, input, rows, rows_of, with_numbers},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// `Scaler`: `(x - offset) * scale`, with one of each, or one per column.
pub(super) fn scaler(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let (scale, offset) = (floats(build, "scale")?.to_vec(), floats(build, "offset")?.to_vec());
    // The specification calls both optional; ONNX Runtime wants both, and as long as each other.
    if scale.is_empty() || scale.len() != offset.len() {
        return Err(Error::model("scale and offset must be lists of the same length")
            .expected("one or more of each")
            .got(format!("{} and {}", scale.len(), offset.len())));
    }
    if let Some(width) = build.width(0).filter(|width| scale.len() > 1 && scale.len() as u64 != *width) {
        return Err(Error::model("scale is not for rows of this width")
            .expected(format!("1 or {width} numbers"))
            .got(scale.len().to_string()));
    }
    Built::one(Scaler { scale, offset }, Datatype::Fp32, known.dims.clone())
}

struct Scaler {
    scale: Vec<f32>,
    offset: Vec<f32>,
}

impl Scaler {
    fn apply<T: Number>(&self, numbers: &[T], scaled: &mut Vec<f32>) {
        if let ([scale], [offset]) = (&*self.scale, &*self.offset) {
            scaled.extend(numbers.iter().map(|number| number.scaled(*offset, *scale)));
            return;
        }
        for row in numbers.chunks_exact(self.scale.len()) {
            let columns = row.iter().zip(&self.offset).zip(&self.scale);
            scaled.extend(columns.map(|((number, offset), scale)| number.scaled(*offset, *scale)));
        }
    }
}

impl Kernel for Scaler {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let tensor = args.get(0)?;
        // With one number any shape will do. With several ONNX Runtime cuts more than two dimensions by the
        // second; the specification knows no such case, and it is refused.
        if self.scale.len() > 1 {
            rows_of(tensor, self.scale.len())?;
        }
        let mut scaled = buffers.take(tensor.data().len())?;
        with_numbers!(Numbers::of(tensor)?, held => self.apply(held, &mut scaled));
        made.push(Tensor::new(*tensor.shape(), TensorData::Fp32(scaled))?);
        Ok(())
    }
}

/// `Normalizer`: each row divided by its largest element, its sum of magnitudes, or its length. A row whose
/// divisor is zero stays as it is.
pub(super) fn normalizer(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let norm = match text(build, "norm", "MAX")? {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => {
            return Err(Error::model("norm is no known choice")
                .expected("MAX, L1 or L2")
                .got(candor_onnx::quoted(other)));
        }
    };
    Built::one(Normalizer(norm), Datatype::Fp32, known.dims.clone())
}

#[derive(Clone, Copy)]
enum Norm {
    /// By the largest element itself, not by the largest magnitude.
    Max,
    L1,
    L2,
}

struct Normalizer(Norm);

impl Norm {
    fn apply<T: Number>(self, row: &[T], normal: &mut Vec<f32>) {
        let divisor = match self {
            Self::Max => row.iter().fold(f32::MIN, |max, number| max.max(number.float())),
            Self::L1 => row.iter().fold(0.0, |sum, number| sum + number.magnitude()),
            Self::L2 => row.iter().fold(0.0, |sum, number| sum + number.square()),
        };
        if divisor == 0.0 {
            normal.extend(row.iter().map(|number| number.float()));
            return;
        }
        match self {
            Self::Max | Self::L1 => normal.extend(row.iter().map(|number| number.float() / divisor)),
            // As the specification writes it and ONNX Runtime does: the root of the share, with x's sign.
            Self::L2 => normal.extend(row.iter().map(|number| {
                let root = (number.square() / divisor).sqrt();
                if number.float() < 0.0 { -root } else { root }
            })),
        }
    }
}

impl Kernel for Normalizer {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let tensor = args.get(0)?;
        let (_, columns) = rows(tensor)?;
        let mut normal = buffers.take(tensor.data().len())?;
        with_numbers!(Numbers::of(tensor)?, held => {
            held.chunks_exact(columns.max(1)).for_each(|row| self.0.apply(row, &mut normal));
        });
        made.push(Tensor::new(*tensor.shape(), TensorData::Fp32(normal))?);
        Ok(())
    }
}
