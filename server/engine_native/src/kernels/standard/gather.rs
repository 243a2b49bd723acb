//! Elements and slices chosen by indices: Gather, GatherElements, GatherND; and OneHot.
//!
//! Negative indices count from the end. An index that is out of range is an error.

use candor_domain::{Error, Result, Tensor};

use super::{
    dims::{Dims, Walk, axis, place, product, single},
    element::{Element, Number, view, wide},
    infer,
    moves::tensor_of_runs,
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::{Buffers, bounded, room},
};

/// What indices are.
pub(super) trait Index: Element + Into<i64> {}

impl Index for i32 {}
impl Index for i64 {}

/// `Gather`: slices along an axis.
pub(super) fn gather(build: &Build<'_>) -> Result<Built> {
    let number = build.int("axis", 0)?;
    let dims = infer::gather(build, number);
    by_index!(
        build.input(1)?.datatype,
        I => Built::by(build.input(0)?.datatype, dims, move |args, buffers| run_gather::<I>(args, buffers, number)),
        Err(build.wrong_datatype(1, "INT32 or INT64"))
    )
}

fn run_gather<I: Index>(args: &Args<'_>, buffers: &mut Buffers, number: i64) -> Result<Tensor> {
    let (input, chosen) = (args.get(0)?, args.get(1)?);
    let dims = Dims::from(input.shape());
    let along = axis(number, dims.len())?;
    let (before, size, behind) = dims.around(along);
    let indices = view::<I>(chosen)?;
    for index in indices {
        place((*index).into(), size)?;
    }
    let mut made = Dims::of(dims.iter().take(along).copied())?;
    Dims::from(chosen.shape()).iter().try_for_each(|size| made.push(*size))?;
    dims.iter().skip(along + 1).try_for_each(|size| made.push(*size))?;
    let runs = (0..before).flat_map(|outer| {
        let at = move |index: &I| place((*index).into(), size).unwrap_or(usize::MAX);
        let start = move |at: usize| outer.saturating_mul(size).saturating_add(at).saturating_mul(behind);
        indices.iter().map(move |index| (start(at(index)), behind))
    });
    tensor_of_runs(input, made.shape()?, buffers, runs)
}

/// For each element of `indices`, where in a tensor of `dims` the element of the same place is whose axis
/// `along` has that index: what `GatherElements` reads and `ScatterElements` writes.
pub(super) fn places_along<I: Index>(dims: &Dims, along: usize, indices: &Tensor) -> Result<Vec<usize>> {
    let chosen = Dims::from(indices.shape());
    let fits = chosen.len() == dims.len()
        && chosen.iter().zip(dims.iter()).enumerate().all(|(at, (own, size))| at == along || own <= size);
    if !fits {
        return Err(Error::invalid("the indices do not fit the tensor")
            .got(format!("{:?} for {:?} along {along}", &*chosen, &**dims)));
    }
    let steps = dims.steps();
    let (size, step) = (dims.get(along).copied().unwrap_or(0), steps.get(along).copied().unwrap_or(0));
    let indices = view::<I>(indices)?;
    let places = indices.iter().map(|index| Ok(place((*index).into(), size)?.saturating_mul(step)));
    let mut places = places.collect::<Result<Vec<usize>>>()?;
    let mut each = places.iter_mut();
    Walk::new(&chosen, [&steps.with(along, 0)], [0]).each_element(|[base]| {
        if let Some(place) = each.next() {
            *place = place.saturating_add(base);
        }
    });
    Ok(places)
}

/// `GatherElements`: for each index, the element of the same place but along an axis.
pub(super) fn elements(build: &Build<'_>) -> Result<Built> {
    let number = build.int("axis", 0)?;
    let chosen = build.input(1)?;
    by_index!(
        chosen.datatype,
        I => Built::by(build.input(0)?.datatype, chosen.dims.clone(), move |args, buffers| {
            let (input, indices) = (args.get(0)?, args.get(1)?);
            let dims = Dims::from(input.shape());
            let places = places_along::<I>(&dims, axis(number, dims.len())?, indices)?;
            tensor_of_runs(input, *indices.shape(), buffers, places.into_iter().map(|place| (place, 1)))
        }),
        Err(build.wrong_datatype(1, "INT32 or INT64"))
    )
}

/// Slices that lists of indices choose.
pub(super) struct Slices {
    /// Where each begins.
    pub(super) places: Vec<usize>,
    /// How long each is.
    pub(super) length: usize,
    /// The dimensions of all of them together.
    pub(super) dims: Dims,
}

/// The slices of a tensor of `dims` that the last axis of `indices` leads to, behind `batch` common axes.
pub(super) fn slices(dims: &Dims, indices: &Tensor, batch: usize) -> Result<Slices> {
    let chosen = Dims::from(indices.shape());
    let misfit =
        || Error::invalid("the indices do not fit the tensor").got(format!("{:?} for {:?}", &*chosen, &**dims));
    let (depth, before) = chosen.split_last().ok_or_else(misfit)?;
    let inner = dims.get(batch..).ok_or_else(misfit)?;
    let (led, rest) = inner.split_at_checked(*depth).ok_or_else(misfit)?;
    if batch > before.len() || before.iter().zip(dims.iter()).take(batch).any(|(one, other)| one != other) {
        return Err(misfit());
    }
    let length = product(rest)?;
    let steps = dims.steps();
    let steps = steps.get(batch..).unwrap_or_default();
    let batches = product(before.get(..batch).unwrap_or_default())?;
    let each = product(before.get(batch..).unwrap_or_default())?;
    let size = product(inner)?;
    let count = batches.saturating_mul(each);
    let indices = view::<i64>(indices)?;
    let mut places = Vec::new();
    room(&mut places, count)?;
    for at in 0..count {
        let from = at.saturating_mul(*depth);
        let list = indices.get(from..from.saturating_add(*depth)).unwrap_or_default();
        let mut start = (at / each.max(1)).saturating_mul(size);
        for ((index, size), step) in list.iter().zip(led).zip(steps) {
            start = start.saturating_add(place(*index, *size)?.saturating_mul(*step));
        }
        places.push(start);
    }
    Ok(Slices { places, length, dims: Dims::of(before.iter().chain(rest).copied())? })
}

/// `GatherND`.
pub(super) fn nd(build: &Build<'_>) -> Result<Built> {
    let batch = usize::try_from(build.int("batch_dims", 0)?).map_err(|_| Error::model("batch_dims is negative"))?;
    build.input(1)?;
    Built::by(build.input(0)?.datatype, None, move |args, buffers| {
        let input = args.get(0)?;
        let Slices { places, length, dims } = slices(&Dims::from(input.shape()), args.get(1)?, batch)?;
        tensor_of_runs(input, dims.shape()?, buffers, places.into_iter().map(|place| (place, length)))
    })
}

/// `OneHot`: the second of two values where an index says, the first elsewhere.
pub(super) fn one_hot(build: &Build<'_>) -> Result<Built> {
    let number = build.int("axis", -1)?;
    let datatype = build.input(2)?.datatype;
    by_number!(build.input(1)?.datatype, _D => (), return Err(build.wrong_datatype(1, "a number")));
    by_number!(
        build.input(0)?.datatype,
        I => Built::by(datatype, None, move |args, buffers| run_one_hot::<I>(args, buffers, number)),
        Err(build.wrong_datatype(0, "a number"))
    )
}

fn run_one_hot<I: Number>(args: &Args<'_>, buffers: &mut Buffers, number: i64) -> Result<Tensor> {
    let (chosen, values) = (args.get(0)?, args.get(2)?);
    let depth = single(&wide(args.get(1)?, buffers)?)?;
    if !(1.0..=9e15).contains(&depth) || values.data().len() != 2 {
        return Err(Error::invalid("OneHot needs a depth of at least 1 and two values")
            .got(format!("a depth of {depth} and {} values", values.data().len())));
    }
    let (depth, size) = (depth.trunc(), depth as usize);
    let dims = Dims::from(chosen.shape());
    let along = axis(number, dims.len().saturating_add(1))?;
    let (first, second) = dims.split_at_checked(along).unwrap_or_default();
    let made = Dims::of(first.iter().copied().chain([size]).chain(second.iter().copied()))?;
    let behind = product(second)?;
    let shape = made.shape()?;
    bounded(shape.elements())?;
    let indices = view::<I>(chosen)?;
    let is = move |index: &I, at: usize| {
        let index = index.to_f64().trunc();
        (if index < 0.0 { index + depth } else { index }) == at as f64
    };
    let runs = indices
        .chunks(behind.max(1))
        .flat_map(|block| (0..size).flat_map(move |at| block.iter().map(move |index| (usize::from(is(index, at)), 1))));
    tensor_of_runs(values, shape, buffers, runs)
}
