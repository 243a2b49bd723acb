//! Elements and slices written by indices: ScatterElements, ScatterND, and Scatter as it was.

use candor_domain::{Error, Result, Tensor, TensorData};

use super::{
    compare::{same, strings},
    dims::{Dims, axis},
    element::{Number, view},
    gather::{Slices, places_along, slices},
    moves::{Strings, own},
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// What becomes of an element that is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reduction {
    None,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduction {
    fn of(build: &Build<'_>) -> Result<Self> {
        Ok(match build.text("reduction", "none")? {
            "none" => Self::None,
            "add" => Self::Add,
            "mul" => Self::Mul,
            "max" => Self::Max,
            "min" => Self::Min,
            other => return Err(Error::model("unknown reduction").expected("none, add, mul, max or min").got(other)),
        })
    }

    fn apply<T: Number>(self, old: T, new: T) -> T {
        match self {
            Self::None => new,
            Self::Add => old.plus(new),
            Self::Mul => old.times(new),
            Self::Max => old.larger(new),
            Self::Min => old.smaller(new),
        }
    }
}

fn same_types(build: &Build<'_>, reduction: Reduction) -> Result<()> {
    let datatype = build.input(0)?.datatype;
    if build.input(2)?.datatype != datatype {
        return Err(build.wrong_datatype(2, datatype.name()));
    }
    if reduction == Reduction::None {
        return Ok(());
    }
    by_number!(datatype, _T => Ok(()), Err(build.wrong_datatype(0, "a number")))
}

/// `ScatterElements`: for each index, the element of the same place but along an axis.
pub(super) fn elements(build: &Build<'_>) -> Result<Built> {
    let (number, reduction) = (build.int("axis", 0)?, Reduction::of(build)?);
    same_types(build, reduction)?;
    let input = build.input(0)?;
    by_index!(
        build.input(1)?.datatype,
        I => Built::by(input.datatype, input.dims.clone(), move |args, buffers| {
            let dims = Dims::from(args.get(0)?.shape());
            let places = places_along::<I>(&dims, axis(number, dims.len())?, args.get(1)?)?;
            if args.get(1)?.shape() != args.get(2)?.shape() {
                return Err(Error::invalid("there must be one update for each index")
                    .got(format!("{} and {}", args.get(1)?.shape(), args.get(2)?.shape())));
            }
            write(args, buffers, reduction, &places, 1)
        }),
        Err(build.wrong_datatype(1, "INT32 or INT64"))
    )
}

/// `ScatterND`: slices that lists of indices lead to.
pub(super) fn nd(build: &Build<'_>) -> Result<Built> {
    let reduction = Reduction::of(build)?;
    same_types(build, reduction)?;
    let input = build.input(0)?;
    Built::by(input.datatype, input.dims.clone(), move |args, buffers| {
        let Slices { places, length, dims } = slices(&Dims::from(args.get(0)?.shape()), args.get(1)?, 0)?;
        if *args.get(2)?.shape() != dims.shape()? {
            return Err(Error::invalid("the updates do not fit the indices")
                .expected(dims.shape()?.to_string())
                .got(args.get(2)?.shape().to_string()));
        }
        write(args, buffers, reduction, &places, length)
    })
}

/// Writes each run of updates to its place, in order.
fn write(
    args: &mut Args<'_>,
    buffers: &mut Buffers,
    reduction: Reduction,
    places: &[usize],
    length: usize,
) -> Result<Tensor> {
    let (shape, mut data) = own(args, 0, buffers)?;
    let updates = args.get(2)?;
    if reduction != Reduction::None {
        by_number!(
            data.datatype(),
            T => reduce::<T>(&mut data, view(updates)?, reduction, places, length),
            return Err(Error::invalid("only numbers can be combined"))
        );
        return Tensor::new(shape, data);
    }
    let data = copied!(data,
        to => {
            let mut to = to;
            let from = same(&to, updates)?;
            for (run, place) in from.chunks_exact(length.max(1)).zip(places) {
                if let Some(slots) = to.get_mut(*place..place.saturating_add(length)) {
                    slots.copy_from_slice(run);
                }
            }
            to
        },
        old => {
            let from = strings(updates)?;
            let mut new: Vec<&[u8]> = old.iter().collect();
            for (at, place) in places.iter().enumerate() {
                for offset in 0..length {
                    let (slot, update) = (place.saturating_add(offset), at.saturating_mul(length).saturating_add(offset));
                    if let (Some(slot), Some(update)) = (new.get_mut(slot), from.get(update)) {
                        *slot = update;
                    }
                }
            }
            let mut to = Strings::of(new.len())?;
            new.into_iter().try_for_each(|string| to.push(string))?;
            to.done()
        }
    );
    Tensor::new(shape, data)
}

fn reduce<T: Number>(data: &mut TensorData, from: &[T], reduction: Reduction, places: &[usize], length: usize) {
    let to = T::of_mut(data).unwrap_or_default();
    for (run, place) in from.chunks_exact(length.max(1)).zip(places) {
        let slots = to.get_mut(*place..place.saturating_add(length)).unwrap_or_default();
        slots.iter_mut().zip(run).for_each(|(old, new)| *old = reduction.apply(*old, *new));
    }
}
