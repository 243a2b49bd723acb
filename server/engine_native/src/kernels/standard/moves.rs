//! Elements of any type copied from where they are to where they shall be.
//!
//! Operators say which: as runs of neighbours, or as a walk in steps. Strings go the same way.

use candor_domain::{BytesArray, Error, Result, Shape, Tensor, TensorData};

use super::dims::Walk;
use crate::{
    kernel::Args,
    workspace::{Buffers, bounded},
};

/// Most bytes of all strings of a tensor that a kernel makes.
const BYTES_MAX: usize = 1 << 30;

/// Copies vectors of any type by the same expression; strings by another.
macro_rules! copied {
    ($data:expr, $from:ident => $copy:expr, $strings:ident => $copy_strings:expr) => {
        match $data {
            TensorData::Bool($from) => TensorData::Bool($copy),
            TensorData::Uint8($from) => TensorData::Uint8($copy),
            TensorData::Uint16($from) => TensorData::Uint16($copy),
            TensorData::Uint32($from) => TensorData::Uint32($copy),
            TensorData::Uint64($from) => TensorData::Uint64($copy),
            TensorData::Int8($from) => TensorData::Int8($copy),
            TensorData::Int16($from) => TensorData::Int16($copy),
            TensorData::Int32($from) => TensorData::Int32($copy),
            TensorData::Int64($from) => TensorData::Int64($copy),
            TensorData::Fp16($from) => TensorData::Fp16($copy),
            TensorData::Bf16($from) => TensorData::Bf16($copy),
            TensorData::Fp32($from) => TensorData::Fp32($copy),
            TensorData::Fp64($from) => TensorData::Fp64($copy),
            TensorData::Bytes($strings) => TensorData::Bytes($copy_strings),
        }
    };
}

/// Strings in the making, within what a tensor may hold.
pub(crate) struct Strings(BytesArray);

impl Strings {
    /// None yet of so many.
    ///
    /// # Errors
    /// `InvalidInput` for too many.
    pub(crate) fn of(elements: usize) -> Result<Self> {
        bounded(elements)?;
        Ok(Self(BytesArray::default()))
    }

    /// Appends one.
    ///
    /// # Errors
    /// `InvalidInput` when all together become too long.
    pub(crate) fn push(&mut self, string: &[u8]) -> Result<()> {
        if self.0.total_bytes().saturating_add(string.len()) > BYTES_MAX {
            return Err(Error::invalid("the model makes strings that are too long together")
                .expected(format!("at most {BYTES_MAX} bytes")));
        }
        self.0.push(string);
        Ok(())
    }

    /// The strings.
    pub(crate) fn done(self) -> BytesArray {
        self.0
    }
}

/// Copies runs of neighbours: for each, where it begins and how long it is; `elements` altogether.
///
/// # Errors
/// `InvalidInput` for too many.
pub(super) fn runs(
    from: &TensorData,
    elements: usize,
    buffers: &mut Buffers,
    runs: impl Iterator<Item = (usize, usize)>,
) -> Result<TensorData> {
    Ok(copied!(from,
        from => {
            let mut to = buffers.take(elements)?;
            runs.for_each(|(start, length)| append(&mut to, from, start, length));
            to
        },
        strings => {
            let mut to = Strings::of(elements)?;
            for (start, length) in runs {
                push_strings(&mut to, strings, start, length)?;
            }
            to.done()
        }
    ))
}

fn append<T: Copy>(to: &mut Vec<T>, from: &[T], start: usize, length: usize) {
    // What lies outside would make the tensor too short, which is an error then.
    to.extend_from_slice(from.get(start..start.saturating_add(length)).unwrap_or_default());
}

/// Appends neighbours.
///
/// # Errors
/// As [`Strings::push`].
pub(super) fn push_strings(to: &mut Strings, from: &BytesArray, start: usize, length: usize) -> Result<()> {
    (start..start.saturating_add(length)).filter_map(|at| from.get(at)).try_for_each(|string| to.push(string))
}

/// Copies what a walk visits, `elements` altogether.
///
/// # Errors
/// `InvalidInput` for too many.
pub(super) fn walked(from: &TensorData, elements: usize, walk: &Walk<1>, buffers: &mut Buffers) -> Result<TensorData> {
    Ok(copied!(from,
        from => {
            let mut to = buffers.take(elements)?;
            along(&mut to, from, walk);
            to
        },
        strings => {
            let mut to = Strings::of(elements)?;
            let mut outcome = Ok(());
            walk.each_element(|[at]| {
                if outcome.is_ok() && let Some(string) = strings.get(at) {
                    outcome = to.push(string);
                }
            });
            outcome?;
            to.done()
        }
    ))
}

fn along<T: Copy>(to: &mut Vec<T>, from: &[T], walk: &Walk<1>) {
    let [step] = walk.steps;
    match step {
        1 => walk.each(|[start]| append(to, from, start, walk.length)),
        0 => walk.each(|[start]| {
            if let Some(element) = from.get(start) {
                to.extend(std::iter::repeat_n(*element, walk.length));
            }
        }),
        _ => walk.each_element(|[at]| to.extend(from.get(at))),
    }
}

/// A tensor of runs of another.
///
/// # Errors
/// As [`runs`].
pub(super) fn tensor_of_runs(
    from: &Tensor,
    shape: Shape,
    buffers: &mut Buffers,
    of: impl Iterator<Item = (usize, usize)>,
) -> Result<Tensor> {
    Tensor::new(shape, runs(from.data(), shape.elements(), buffers, of)?)
}

/// An input of its own: moved where nobody else needs it, else copied into a vector that is used again.
///
/// # Errors
/// As [`runs`].
pub(super) fn own(args: &mut Args<'_>, at: usize, buffers: &mut Buffers) -> Result<(Shape, TensorData)> {
    if let Some(tensor) = args.moved(at) {
        return Ok(tensor.into_parts());
    }
    let tensor = args.get(at)?;
    let elements = tensor.data().len();
    Ok((*tensor.shape(), runs(tensor.data(), elements, buffers, std::iter::once((0, elements)))?))
}

/// Bytes that are truth values, as those; all else as it is.
pub(super) fn retyped(data: TensorData, truths: bool) -> TensorData {
    if truths { truths_of(data) } else { data }
}

fn truths_of(data: TensorData) -> TensorData {
    if let TensorData::Uint8(bytes) = data { TensorData::Bool(bytes) } else { data }
}
