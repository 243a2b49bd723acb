//! `FeatureVectorizer` and `ArrayFeatureExtractor`: columns put together and picked out.

use candor_domain::{Datatype, Error, Result, Shape, Tensor, TensorData, tensor::RANK_MAX};
use candor_onnx::Dim;

use super::{
    attributes::ints,
    numbers::{Number, Numbers, cells, input, matrix, rows_dim, with_numbers},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    kernels::standard::moves::Strings,
    workspace::{Buffers, Pooled},
};

/// `FeatureVectorizer`: the columns of all inputs beside each other, as 32-bit floats.
pub(super) fn feature_vectorizer(build: &Build<'_>) -> Result<Built> {
    let sizes = ints(build, "inputdimensions")?;
    if sizes.is_empty() || sizes.len() != build.inputs.len() {
        return Err(Error::model("inputdimensions is not as long as the list of inputs")
            .expected(build.inputs.len().to_string())
            .got(sizes.len().to_string()));
    }
    (0..sizes.len()).try_for_each(|at| input(build, at).map(drop))?;
    let size = |size: &i64| {
        let error = || Error::model("inputdimensions has a negative size").got(size.to_string());
        usize::try_from(*size).map_err(|_| error())
    };
    let widths = sizes.iter().map(size).collect::<Result<Vec<_>>>()?;
    let width = widths.iter().fold(0, |sum: usize, width| sum.saturating_add(*width));
    let dims = rows_dim(build.input(0)?).map(|rows| vec![rows, Dim::Fixed(width as u64)]);
    Built::one(Vectorizer { widths, width }, Datatype::Fp32, dims)
}

struct Vectorizer {
    widths: Vec<usize>,
    width: usize,
}

/// Rows, and elements of a row: all dimensions but the first; `[C]` is one row.
fn rows_and_elements(tensor: &Tensor) -> Result<(usize, usize)> {
    let elements = tensor.data().len();
    match tensor.shape().dims() {
        [] => Err(Error::invalid("the operator takes rows").expected("1 dimension or more").got("none")),
        [_] => Ok((1, elements)),
        [rows, ..] => {
            let rows = usize::try_from(*rows).unwrap_or_default();
            Ok((rows, elements.checked_div(rows).unwrap_or_default()))
        }
    }
}

/// Copies the first of each row's elements to the front of the target's rows.
fn copy<'t, T: Number>(from: &[T], width: usize, targets: impl Iterator<Item = &'t mut [f32]>) {
    for (row, target) in from.chunks_exact(width).zip(targets) {
        row.iter().zip(target).for_each(|(number, cell)| *cell = number.float());
    }
}

impl Kernel for Vectorizer {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (rows, _) = rows_and_elements(args.get(0)?)?;
        let count = cells(rows, self.width);
        let mut vectors = buffers.take::<f32>(count)?;
        vectors.resize(count, 0.0);
        let mut from = 0;
        for (at, width) in self.widths.iter().enumerate() {
            let tensor = args.get(at)?;
            let (found, elements) = rows_and_elements(tensor)?;
            if found != rows {
                return Err(Error::invalid("the inputs do not have the same number of rows")
                    .expected(rows.to_string())
                    .got(format!("{found} in input {at}")));
            }
            // The specification is silent of a size that is not the input's: ONNX Runtime leaves out what is
            // too much and lets zeros stand for what is missing.
            if let Some(first) = vectors.get_mut(from..).filter(|_| elements > 0 && *width > 0) {
                let targets = first.chunks_mut(self.width).filter_map(|row| row.get_mut(..*width));
                with_numbers!(Numbers::of(tensor)?, held => copy(held, elements, targets));
            }
            from += width;
        }
        made.push(matrix(rows, self.width, TensorData::Fp32(vectors))?);
        Ok(())
    }
}

/// `ArrayFeatureExtractor`: elements of the last dimension, by their positions.
pub(super) fn array_feature_extractor(build: &Build<'_>) -> Result<Built> {
    let (known, picks) = (build.input(0)?, build.input(1)?);
    match known.datatype {
        Datatype::Fp32 | Datatype::Fp64 | Datatype::Int64 | Datatype::Int32 | Datatype::Bytes => {}
        Datatype::Bool
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Fp16
        | Datatype::Bf16 => return Err(build.wrong_datatype(0, "FP32, FP64, INT64, INT32 or BYTES")),
    }
    if picks.datatype != Datatype::Int64 {
        return Err(build.wrong_datatype(1, "INT64"));
    }
    if let (Some(constant), Some(width)) = (picks.constant, build.width(0)) {
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        checked(constant, width).map_err(|error| Error::model(error.to_string()))?;
    }
    let count = picks.constant.map_or(Dim::Unknown, |constant| Dim::Fixed(constant.data().len() as u64));
    let dims = known.dims.clone().and_then(|mut dims| {
        if dims.len() == 1 {
            return Some(vec![Dim::Fixed(1), count]);
        }
        *dims.last_mut()? = count;
        Some(dims)
    });
    Built::one(Extractor, known.datatype, dims)
}

struct Extractor;

/// The positions, of which there must be some, within `0..width`.
fn checked(picks: &Tensor, width: usize) -> Result<&[i64]> {
    let TensorData::Int64(picks) = picks.data() else {
        return Err(Error::invalid("positions must be integers").expected("INT64").got(picks.datatype().name()));
    };
    if picks.is_empty() {
        return Err(Error::invalid("there are no positions to pick"));
    }
    let is_outside = |pick: &&i64| usize::try_from(**pick).map_or(true, |pick| pick >= width);
    match picks.iter().find(is_outside) {
        None => Ok(picks),
        Some(pick) => Err(Error::invalid("a position lies outside of the input's last dimension")
            .expected(format!("0 or more, less than {width}"))
            .got(pick.to_string())),
    }
}

fn at(pick: i64) -> usize {
    usize::try_from(pick).unwrap_or(usize::MAX)
}

fn extracted<T: Pooled>(from: &[T], width: usize, picks: &[i64], buffers: &mut Buffers) -> Result<Vec<T>> {
    let mut picked = buffers.take(cells(from.len() / width.max(1), picks.len()))?;
    for row in from.chunks_exact(width.max(1)) {
        picked.extend(picks.iter().filter_map(|pick| row.get(at(*pick)).copied()));
    }
    Ok(picked)
}

impl Kernel for Extractor {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let (tensor, picks) = (args.get(0)?, args.get(1)?);
        let known = tensor.shape().dims();
        let Some((last, outer)) = known.split_last() else {
            return Err(Error::invalid("the operator picks out of a dimension").expected("1 or more").got("a scalar"));
        };
        let width = usize::try_from(*last).unwrap_or_default();
        let picks = checked(picks, width)?;
        let data = match tensor.data() {
            TensorData::Bytes(held) => {
                let rows = held.len() / width.max(1);
                let mut picked = Strings::of(cells(rows, picks.len()))?;
                for row in 0..rows {
                    let start = row.saturating_mul(width);
                    for pick in picks {
                        picked.push(held.get(start.saturating_add(at(*pick))).unwrap_or_default())?;
                    }
                }
                TensorData::Bytes(picked.done())
            }
            TensorData::Fp32(_)
            | TensorData::Fp64(_)
            | TensorData::Int64(_)
            | TensorData::Int32(_)
            | TensorData::Bool(_)
            | TensorData::Uint8(_)
            | TensorData::Uint16(_)
            | TensorData::Uint32(_)
            | TensorData::Uint64(_)
            | TensorData::Int8(_)
            | TensorData::Int16(_)
            | TensorData::Fp16(_)
            | TensorData::Bf16(_) => match Numbers::of(tensor)? {
                Numbers::F32(held) => TensorData::Fp32(extracted(held, width, picks, buffers)?),
                Numbers::F64(held) => TensorData::Fp64(extracted(held, width, picks, buffers)?),
                Numbers::I64(held) => TensorData::Int64(extracted(held, width, picks, buffers)?),
                Numbers::I32(held) => TensorData::Int32(extracted(held, width, picks, buffers)?),
            },
        };
        // One row of ONNX Runtime has two dimensions, also when it came with one.
        let mut dims = [1; RANK_MAX];
        dims.iter_mut().zip(outer).for_each(|(dim, size)| *dim = *size);
        let rank = known.len().max(2);
        dims.get_mut(rank - 1).into_iter().for_each(|dim| *dim = i64::try_from(picks.len()).unwrap_or(i64::MAX));
        made.push(Tensor::new(Shape::new(dims.get(..rank).unwrap_or_default())?, data)?);
        Ok(())
    }
}
