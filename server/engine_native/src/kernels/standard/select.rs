//! Where the largest are: ArgMax, ArgMin, TopK; and NonZero.

use std::cmp::Ordering;

use candor_domain::{Datatype, Error, Result, Tensor, TensorData};
use candor_engine_source::told;
use candor_onnx::Dim;

use super::{
    dims::{Dims, axis, ints, single},
    element::{Element, Number, view},
    infer,
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::{Buffers, room},
};

/// `ArgMax` and `ArgMin`: the first such place along an axis, or the last.
pub(super) fn arg(build: &Build<'_>) -> Result<Built> {
    let largest = build.node.op_type == "ArgMax";
    let number = build.int("axis", 0)?;
    let (keeps, last) = (build.flag("keepdims", true)?, build.flag("select_last_index", false)?);
    let input = build.input(0)?;
    let dims = infer::without(input.dims.clone(), number, keeps);
    by_number!(
        input.datatype,
        T => Built::by(Datatype::Int64, dims, move |args, buffers| {
            let input = args.get(0)?;
            let dims = Dims::from(input.shape());
            let along = axis(number, dims.len())?;
            let (before, size, behind) = dims.around(along);
            let made = if keeps { dims.with(along, 1) } else { dims.without(along)? };
            let shape = made.shape()?;
            if size == 0 && shape.elements() > 0 {
                return Err(Error::invalid("there is no largest of nothing").got(input.shape().to_string()));
            }
            let from = view::<T>(input)?;
            let mut to = buffers.take(shape.elements())?;
            let block = size.saturating_mul(behind).max(1);
            for block in from.chunks_exact(block).take(before) {
                to.extend((0..behind).map(|at| place(block.iter().skip(at).step_by(behind), largest, last)));
            }
            Tensor::new(shape, TensorData::Int64(to))
        }),
        Err(build.wrong_datatype(0, "a number"))
    )
}

/// Where the best of a lane is.
fn place<'a, T: Number>(mut lane: impl Iterator<Item = &'a T>, largest: bool, last: bool) -> i64 {
    let Some(mut best) = lane.next() else { return 0 };
    let mut found = 0;
    for (at, number) in (1..).zip(lane) {
        let better = if largest { number > best } else { number < best };
        if better || (last && number == best) {
            (best, found) = (number, at);
        }
    }
    found
}

/// `TopK`: the largest or smallest along an axis, in order; of equal ones the earlier first.
pub(super) fn top_k(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    let (number, largest) = (build.int("axis", -1)?, build.flag("largest", true)?);
    let (attribute, constant) = if build.opset < 10 {
        let k = build.node.int("k").map_err(|error| told(&error))?;
        let k = k.ok_or_else(|| Error::model("TopK needs k"))?;
        (Some(k), Some(k))
    } else {
        let constant = build.input(1)?.constant;
        (None, constant.and_then(|constant| ints(constant).ok()).and_then(|ints| ints.first().copied()))
    };
    let size = constant.and_then(|k| u64::try_from(k).ok()).map_or(Dim::Unknown, Dim::Fixed);
    let dims = infer::with(input.dims.clone(), number, size);
    let outputs = vec![(input.datatype, dims.clone()), (Datatype::Int64, dims)];
    by_number!(
        input.datatype,
        T => {
            let order: fn(&(T, i64), &(T, i64)) -> Ordering = if largest { downwards } else { upwards };
            Ok(Built { kernel: Box::new(TopK { number, attribute, order }), outputs })
        },
        Err(build.wrong_datatype(0, "a number"))
    )
}

struct TopK<T> {
    number: i64,
    attribute: Option<i64>,
    order: fn(&(T, i64), &(T, i64)) -> Ordering,
}

/// Every pair has its place, also with numbers that are none: those are beyond all others.
fn ordered<T: Number>(one: T, other: T) -> Ordering {
    one.partial_cmp(&other).unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
}

fn downwards<T: Number>(one: &(T, i64), other: &(T, i64)) -> Ordering {
    ordered(other.0, one.0).then(one.1.cmp(&other.1))
}

fn upwards<T: Number>(one: &(T, i64), other: &(T, i64)) -> Ordering {
    ordered(one.0, other.0).then(one.1.cmp(&other.1))
}

impl<T: Number> Kernel for TopK<T> {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let input = args.get(0)?;
        let dims = Dims::from(input.shape());
        let along = axis(self.number, dims.len())?;
        let (before, size, behind) = dims.around(along);
        let k = match self.attribute {
            Some(k) => k,
            None => single(&ints(args.get(1)?)?)?,
        };
        let k = usize::try_from(k).ok().filter(|k| *k <= size).ok_or_else(|| {
            Error::invalid("TopK asks for more than there is").expected(format!("0 to {size}")).got(k.to_string())
        })?;
        let shape = dims.with(along, k).shape()?;
        let from = view::<T>(input)?;
        let (mut values, mut indices) = (T::take(buffers, shape.elements())?, buffers.take(shape.elements())?);
        values.resize(shape.elements(), T::ZERO);
        indices.resize(shape.elements(), 0_i64);
        let mut lane: Vec<(T, i64)> = Vec::new();
        room(&mut lane, if from.is_empty() { 0 } else { size })?;
        let (block, top) = (size.saturating_mul(behind).max(1), k.saturating_mul(behind).max(1));
        let outs = values.chunks_exact_mut(top).zip(indices.chunks_exact_mut(top));
        for (block, (values, indices)) in from.chunks_exact(block).take(before).zip(outs) {
            args.go_on()?;
            for at in 0..behind {
                lane.clear();
                lane.extend(block.iter().skip(at).step_by(behind).copied().zip(0..));
                if k > 0 && k < lane.len() {
                    lane.select_nth_unstable_by(k - 1, self.order);
                    lane.truncate(k);
                }
                lane.sort_unstable_by(self.order);
                let slots = values.iter_mut().zip(indices.iter_mut()).skip(at).step_by(behind);
                slots.zip(&lane).for_each(|((value, index), (number, from))| (*value, *index) = (*number, *from));
            }
        }
        made.push(Tensor::new(shape, T::data(values))?);
        made.push(Tensor::new(shape, TensorData::Int64(indices))?);
        Ok(())
    }
}

/// `NonZero`: along the second axis, the indices of each element that is not zero.
pub(super) fn non_zero(build: &Build<'_>) -> Result<Built> {
    by_stored!(
        build.input(0)?.datatype,
        T => Built::by(Datatype::Int64, Some(vec![Dim::Unknown; 2]), |args, buffers| run_non_zero::<T>(args, buffers)),
        Err(build.wrong_datatype(0, "a number or truth values"))
    )
}

fn run_non_zero<T: Element>(args: &Args<'_>, buffers: &mut Buffers) -> Result<Tensor> {
    let input = args.get(0)?;
    let from = view::<T>(input)?;
    let mut dims = Dims::from(input.shape());
    if dims.is_empty() {
        // A scalar counts as a list of one.
        dims.push(1)?;
    }
    let found = || from.iter().enumerate().filter(|(_, element)| **element != T::default()).map(|(at, _)| at);
    let count = found().count();
    let made = Dims::of([dims.len(), count])?.shape()?;
    let mut to = buffers.take(made.elements())?;
    for (step, size) in dims.steps().iter().zip(dims.iter()) {
        to.extend(found().map(|at| i64::try_from(at / (*step).max(1) % (*size).max(1)).unwrap_or(i64::MAX)));
    }
    Tensor::new(made, TensorData::Int64(to))
}
