//! Tensors made out of little: Constant, ConstantOfShape, EyeLike, Range, Shape, Size.

use candor_domain::{BytesArray, Datatype, Error, Result, Shape, Tensor, TensorData};
use candor_engine_source::{datatype, told};
use candor_onnx::{Attribute, DataType, Dim};

use super::{
    dims::{Dims, Walk, ints, single},
    element::{Element, Number, view},
    moves,
};
use crate::{
    constants::dims_of,
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// `Constant`, in any of its forms but the sparse one.
pub(super) fn constant(build: &Build<'_>) -> Result<Built> {
    let tensor = held(build)?;
    Built::by(tensor.datatype(), Some(dims_of(&tensor)), move |_, _| Ok(tensor.clone()))
}

fn held(build: &Build<'_>) -> Result<Tensor> {
    if let Some(tensor) = build.tensor("value")? {
        return Ok(tensor);
    }
    let list = |data: TensorData| {
        let length = i64::try_from(data.len()).unwrap_or(i64::MAX);
        Tensor::new(Shape::new(&[length])?, data)
    };
    let scalar = |data: TensorData| Tensor::new(Shape::new(&[])?, data);
    for (name, attribute) in &build.node.attributes {
        return match (name.as_str(), attribute) {
            ("value_int", Attribute::Int(int)) => scalar(TensorData::Int64(vec![*int])),
            ("value_ints", Attribute::Ints(ints)) => list(TensorData::Int64(ints.clone())),
            ("value_float", Attribute::Float(float)) => scalar(TensorData::Fp32(vec![*float])),
            ("value_floats", Attribute::Floats(floats)) => list(TensorData::Fp32(floats.clone())),
            ("value_string", Attribute::String(string)) => {
                scalar(TensorData::Bytes(BytesArray::from_iter([string.as_ref()])))
            }
            ("value_strings", Attribute::Strings(strings)) => list(TensorData::Bytes(strings.iter().collect())),
            ("sparse_value", _) => Err(build.unsupported("sparse constants")),
            _ => continue,
        };
    }
    Err(Error::model("a Constant has no value"))
}

/// `ConstantOfShape`: one value everywhere, zero if none is said.
pub(super) fn of_shape(build: &Build<'_>) -> Result<Built> {
    let value = match build.tensor("value")? {
        Some(value) if value.data().len() == 1 => value,
        Some(value) => return Err(Error::model("the value must have one element").got(value.shape().to_string())),
        None => Tensor::new(Shape::new(&[1])?, TensorData::Fp32(vec![0.0]))?,
    };
    let known = build.input(0)?.constant.and_then(|constant| ints(constant).ok());
    let dims =
        known.map(|sizes| sizes.iter().map(|size| u64::try_from(*size).map_or(Dim::Unknown, Dim::Fixed)).collect());
    Built::by(value.datatype(), dims, move |args, buffers| {
        let shape = Dims::from_ints(&ints(args.get(0)?)?)?.shape()?;
        filled(value.data(), shape, buffers)
    })
}

/// The only element of `value`, everywhere.
fn filled(value: &TensorData, shape: Shape, buffers: &mut Buffers) -> Result<Tensor> {
    let walk = Walk::new(&[shape.elements()], [&[0]], [0]);
    Tensor::new(shape, moves::walked(value, shape.elements(), &walk, buffers)?)
}

/// `EyeLike`: 1 on the `k`-th diagonal.
pub(super) fn eye_like(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    let (k, number) = (build.int("k", 0)?, build.node.int("dtype").map_err(|error| told(&error))?);
    let of = match number {
        None => input.datatype,
        Some(number) => i32::try_from(number)
            .ok()
            .and_then(DataType::from_number)
            .and_then(datatype)
            .ok_or_else(|| build.unsupported("a datatype that is not supported").got(number.to_string()))?,
    };
    // Truth values are whole numbers of one byte.
    let is_truth = of == Datatype::Bool;
    by_number!(
        if is_truth { Datatype::Uint8 } else { of },
        T => Built::by(of, input.dims.clone(), move |args, buffers| {
            let shape = *args.get(0)?.shape();
            let &[_, columns] = &*Dims::from(&shape) else {
                return Err(Error::invalid("EyeLike needs a matrix").got(shape.to_string()));
            };
            let mut to = T::take(buffers, shape.elements())?;
            to.resize(shape.elements(), T::ZERO);
            for (row, line) in to.chunks_exact_mut(columns.max(1)).enumerate() {
                let at = i64::try_from(row).ok().and_then(|row| row.checked_add(k)).and_then(|at| usize::try_from(at).ok());
                if let Some(slot) = at.and_then(|at| line.get_mut(at)) {
                    *slot = T::ONE;
                }
            }
            Tensor::new(shape, moves::retyped(T::data(to), is_truth))
        }),
        Err(build.unsupported("EyeLike of strings"))
    )
}

/// `Range`: from the first, before the second, by the third.
pub(super) fn range(build: &Build<'_>) -> Result<Built> {
    let datatype = build.input(0)?.datatype;
    for at in 1..3 {
        if build.input(at)?.datatype != datatype {
            return Err(build.wrong_datatype(at, datatype.name()));
        }
    }
    by_number!(
        datatype,
        T => Built::by(datatype, Some(vec![Dim::Unknown]), run_range::<T>),
        Err(build.wrong_datatype(0, "a number"))
    )
}

fn run_range<T: Number>(args: &mut Args<'_>, buffers: &mut Buffers) -> Result<Tensor> {
    let [start, limit, delta] = [0, 1, 2].map(|at| args.get(at).and_then(|tensor| single(view::<T>(tensor)?)));
    let (start, limit, delta) = (start?, limit?, delta?);
    if delta == T::ZERO || [start, limit, delta].iter().any(|number| number.is_nan()) {
        return Err(Error::invalid("a range needs numbers, and a step that is not 0"));
    }
    let count = ((limit.to_f64() - start.to_f64()) / delta.to_f64()).ceil().max(0.0);
    // Beyond what a tensor may hold, what the count is does not matter.
    let count = count as usize;
    let mut to = T::take(buffers, count)?;
    to.extend((0..count).map(|at| start.stepped(delta, at)));
    let length = i64::try_from(count).unwrap_or(i64::MAX);
    Tensor::new(Shape::new(&[length])?, T::data(to))
}

/// `Shape`, of the axes from `start` to before `end`.
pub(super) fn shape(build: &Build<'_>) -> Result<Built> {
    let (start, end) = (build.int("start", 0)?, build.int("end", i64::MAX)?);
    build.input(0)?;
    Built::by(Datatype::Int64, Some(vec![Dim::Unknown]), move |args, buffers| {
        let dims = args.get(0)?.shape().dims();
        let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
        let within = |at: i64| {
            let from_end = if at < 0 { at.saturating_add(rank) } else { at };
            usize::try_from(from_end.clamp(0, rank)).unwrap_or(0)
        };
        let sizes = dims.get(within(start)..within(end)).unwrap_or_default();
        let mut to = buffers.take(sizes.len())?;
        to.extend_from_slice(sizes);
        Tensor::new(Dims::of([to.len()])?.shape()?, TensorData::Int64(to))
    })
}

/// `Size`: how many elements there are.
pub(super) fn size(build: &Build<'_>) -> Result<Built> {
    build.input(0)?;
    Built::by(Datatype::Int64, Some(Vec::new()), |args, buffers| {
        let mut to = buffers.take(1)?;
        to.push(i64::try_from(args.get(0)?.shape().elements()).unwrap_or(i64::MAX));
        Tensor::new(Shape::new(&[])?, TensorData::Int64(to))
    })
}
