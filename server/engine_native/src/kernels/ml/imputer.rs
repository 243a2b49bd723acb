//! `Imputer` and `Binarizer`: numbers compared with one number and replaced.

use candor_domain::{Datatype, Error, Result, Tensor, TensorData};

use super::{
    attributes::{float, floats, int, ints},
    numbers::{Numbers, input, rows_of},
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::{Buffers, Pooled},
};

/// `Imputer`: elements that equal one number, or are no number if that one is none, become others: one for
/// all, or one per column.
pub(super) fn imputer(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let (floats, float) = (floats(build, "imputed_value_floats")?, float(build, "replaced_value_float", 0.0)?);
    let (ints, int) = (ints(build, "imputed_value_int64s")?, int(build, "replaced_value_int64", 0)?);
    let (length, wants_floats) =
        (floats.len().max(ints.len()), matches!(known.datatype, Datatype::Fp32 | Datatype::Fp64));
    if floats.is_empty() == ints.is_empty() || wants_floats == floats.is_empty() {
        return Err(Error::model("there must be one list of values to put in, of the input's kind")
            .expected(if wants_floats { "imputed_value_floats alone" } else { "imputed_value_int64s alone" })
            .got(format!("{} floats and {} integers", floats.len(), ints.len())));
    }
    if let Some(width) = build.width(0).filter(|width| length > 1 && length as u64 != *width) {
        return Err(Error::model("the values to put in are not for rows of this width")
            .expected(format!("1 or {width}"))
            .got(length.to_string()));
    }
    let narrow = |number: i64| {
        i32::try_from(number).map_err(|_| {
            Error::model("a value of the imputer does not fit the input").expected("INT32").got(number.to_string())
        })
    };
    let (datatype, dims) = (known.datatype, known.dims.clone());
    // ONNX Runtime has this operator for 32-bit floats and 64-bit integers only; the other two follow the
    // specification.
    let kernel = Imputer {
        f32s: Replace { old: float, new: floats.to_vec() },
        f64s: Replace { old: f64::from(float), new: floats.iter().copied().map(f64::from).collect() },
        i64s: Replace { old: int, new: ints.to_vec() },
        i32s: if datatype == Datatype::Int32 {
            Replace { old: narrow(int)?, new: ints.iter().copied().map(narrow).collect::<Result<_>>()? }
        } else {
            Replace { old: 0, new: Vec::new() }
        },
    };
    Built::one(kernel, datatype, dims)
}

/// What to replace, in each type that may come; only the list of the input's own is used.
struct Imputer {
    f32s: Replace<f32>,
    f64s: Replace<f64>,
    i64s: Replace<i64>,
    i32s: Replace<i32>,
}

struct Replace<T> {
    old: T,
    new: Vec<T>,
}

impl<T: Pooled + PartialOrd> Replace<T> {
    fn apply(&self, tensor: &Tensor, numbers: &[T], buffers: &mut Buffers) -> Result<Vec<T>> {
        let mut replaced = buffers.take(numbers.len())?;
        let is_nan = |number: T| number.partial_cmp(&number).is_none();
        let replace = |number: T, new: T| {
            if number == self.old || (is_nan(number) && is_nan(self.old)) { new } else { number }
        };
        if let [new] = *self.new {
            replaced.extend(numbers.iter().map(|number| replace(*number, new)));
            return Ok(replaced);
        }
        rows_of(tensor, self.new.len())?;
        for row in numbers.chunks_exact(self.new.len().max(1)) {
            replaced.extend(row.iter().zip(&self.new).map(|(number, new)| replace(*number, *new)));
        }
        Ok(replaced)
    }
}

impl Kernel for Imputer {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let tensor = args.get(0)?;
        let data = match Numbers::of(tensor)? {
            Numbers::F32(held) => TensorData::Fp32(self.f32s.apply(tensor, held, buffers)?),
            Numbers::F64(held) => TensorData::Fp64(self.f64s.apply(tensor, held, buffers)?),
            Numbers::I64(held) => TensorData::Int64(self.i64s.apply(tensor, held, buffers)?),
            Numbers::I32(held) => TensorData::Int32(self.i32s.apply(tensor, held, buffers)?),
        };
        made.push(Tensor::new(*tensor.shape(), data)?);
        Ok(())
    }
}

/// `Binarizer`: 1 for what is greater than the threshold, 0 for the rest.
pub(super) fn binarizer(build: &Build<'_>) -> Result<Built> {
    let known = input(build, 0)?;
    let threshold = float(build, "threshold", 0.0)?;
    Built::one(Binarizer(threshold), known.datatype, known.dims.clone())
}

struct Binarizer(f32);

impl Kernel for Binarizer {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        fn each<T: Pooled>(
            held: &[T],
            buffers: &mut Buffers,
            (zero, one): (T, T),
            is_above: impl Fn(T) -> bool,
        ) -> Result<Vec<T>> {
            let mut flags = buffers.take(held.len())?;
            flags.extend(held.iter().map(|number| if is_above(*number) { one } else { zero }));
            Ok(flags)
        }
        let tensor = args.get(0)?;
        let (narrow, wide) = (self.0, f64::from(self.0));
        let data = match Numbers::of(tensor)? {
            Numbers::F32(held) => {
                refuse_nan(held.iter().position(|number| number.is_nan()))?;
                TensorData::Fp32(each(held, buffers, (0.0, 1.0), |number| number > narrow)?)
            }
            Numbers::F64(held) => {
                refuse_nan(held.iter().position(|number| number.is_nan()))?;
                TensorData::Fp64(each(held, buffers, (0.0, 1.0), |number| number > wide)?)
            }
            #[allow(clippy::cast_precision_loss, reason = "as the reference compares")]
            Numbers::I64(held) => TensorData::Int64(each(held, buffers, (0, 1), |number| number as f64 > wide)?),
            Numbers::I32(held) => TensorData::Int32(each(held, buffers, (0, 1), |number| f64::from(number) > wide)?),
        };
        made.push(Tensor::new(*tensor.shape(), data)?);
        Ok(())
    }
}

/// The specification says nothing of what is no number; ONNX Runtime refuses it.
fn refuse_nan(at: Option<usize>) -> Result<()> {
    at.map_or(Ok(()), |at| {
        Err(Error::invalid("the operator Binarizer does not take NaN").got(format!("NaN as element {at}")))
    })
}
