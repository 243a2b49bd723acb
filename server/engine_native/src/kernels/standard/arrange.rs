//! Elements put in another order, next to each other, or more than once: Concat, Transpose, Expand, Tile, Trilu.

use candor_domain::{Error, Result, Shape, Tensor, TensorData, tensor::RANK_MAX};
use candor_onnx::Dim;

use super::{
    compare::{same, strings},
    dims::{Dims, Walk, axis, broadcast, ints, single},
    infer,
    moves::{self, Strings, own},
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// `Concat`: tensors one behind the other along an axis.
pub(super) fn concat(build: &Build<'_>) -> Result<Built> {
    // Version 1 had this default; since version 4 the axis must be said.
    let number = build.int("axis", 1)?;
    let datatype = build.input(0)?.datatype;
    for at in 1..build.inputs.len() {
        if build.input(at)?.datatype != datatype {
            return Err(build.wrong_datatype(at, datatype.name()));
        }
    }
    Built::by(datatype, infer::concat(build, number), move |args, buffers| run_concat(args, buffers, number))
}

fn run_concat(args: &mut Args<'_>, buffers: &mut Buffers, number: i64) -> Result<Tensor> {
    let first = args.get(0)?;
    let dims = Dims::from(first.shape());
    let at = axis(number, dims.len())?;
    let (before, _, behind) = dims.around(at);
    let mut size = 0_usize;
    for input in 0..args.len() {
        let other = Dims::from(args.get(input)?.shape());
        let own = other.get(at).copied().unwrap_or(0);
        if other.len() != dims.len() || other.with(at, 0) != dims.with(at, 0) {
            return Err(Error::invalid("tensors that are put together must differ along that axis only")
                .got(format!("{:?} and {:?} along {at}", &*dims, &*other)));
        }
        size = size.saturating_add(own);
    }
    let shape = dims.with(at, size).shape()?;
    if shape.elements() == 0 {
        return Tensor::new(shape, TensorData::zeros(first.datatype(), 0));
    }
    // Of each input in turn, what stands in this place of the axes before.
    let part = |input: usize| -> Result<(&Tensor, usize)> {
        let tensor = args.get(input)?;
        let own = Dims::from(tensor.shape()).get(at).copied().unwrap_or(0);
        Ok((tensor, own.saturating_mul(behind)))
    };
    let data = copied!(first.data(),
        from => {
            let mut to = buffers.take(shape.elements())?;
            for outer in 0..before {
                for input in 0..args.len() {
                    let (tensor, length) = part(input)?;
                    let from = same(from, tensor)?;
                    let start = outer.saturating_mul(length);
                    to.extend_from_slice(from.get(start..start.saturating_add(length)).unwrap_or_default());
                }
            }
            to
        },
        _from => {
            let mut to = Strings::of(shape.elements())?;
            for outer in 0..before {
                for input in 0..args.len() {
                    let (tensor, length) = part(input)?;
                    moves::push_strings(&mut to, strings(tensor)?, outer.saturating_mul(length), length)?;
                }
            }
            to.done()
        }
    );
    Tensor::new(shape, data)
}

/// A tensor of what a walk over another visits.
pub(super) fn walked(from: &Tensor, shape: Shape, walk: &Walk<1>, buffers: &mut Buffers) -> Result<Tensor> {
    Tensor::new(shape, moves::walked(from.data(), shape.elements(), walk, buffers)?)
}

/// `Transpose`: axes in another order, the opposite one if none is said.
pub(super) fn transpose(build: &Build<'_>) -> Result<Built> {
    let order = build.ints("perm")?;
    let input = build.input(0)?;
    Built::by(input.datatype, infer::transpose(build, order.as_deref()), move |args, buffers| {
        let input = args.get(0)?;
        let (old, old_steps) = (Dims::from(input.shape()), Dims::from(input.shape()).steps());
        let (mut dims, mut steps) = (Dims::default(), Dims::default());
        let mut seen = [false; RANK_MAX];
        let rank = i64::try_from(old.len()).unwrap_or(i64::MAX);
        for at in 0..rank {
            let from = match &order {
                Some(order) => usize::try_from(at).ok().and_then(|at| order.get(at)).copied().unwrap_or(-1),
                None => rank - 1 - at,
            };
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            match (old.get(from), old_steps.get(from), seen.get_mut(from)) {
                (Some(size), Some(step), Some(seen)) if !*seen => {
                    *seen = true;
                    dims.push(*size)?;
                    steps.push(*step)?;
                }
                _ => {
                    return Err(Error::invalid("the order of axes does not fit the tensor")
                        .expected(format!("each of {rank} axes once"))
                        .got(format!("{order:?}")));
                }
            }
        }
        if order.as_ref().is_some_and(|order| order.len() != old.len()) {
            return Err(Error::invalid("the order of axes does not fit the tensor").got(format!("{order:?}")));
        }
        walked(input, dims.shape()?, &Walk::new(&dims, [&steps], [0]), buffers)
    })
}

/// `Expand`: broadcast together with a shape.
pub(super) fn expand(build: &Build<'_>) -> Result<Built> {
    build.input(1)?;
    Built::by(build.input(0)?.datatype, None, |args, buffers| {
        let input = args.get(0)?;
        let wanted = Dims::from_ints(&ints(args.get(1)?)?)?;
        let both = broadcast([Dims::from(input.shape()), wanted])?;
        let shape = both.dims.shape()?;
        let [steps, _] = both.steps;
        walked(input, shape, &Walk::new(&both.dims, [&steps], [0]), buffers)
    })
}

/// `Tile`: repeated along each axis.
pub(super) fn tile(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    let old = build.opset < 6;
    build.input(if old { 2 } else { 1 })?;
    let dims = input.dims.as_ref().map(|dims| vec![Dim::Unknown; dims.len()]);
    Built::by(input.datatype, dims, move |args, buffers| {
        let input = args.get(0)?;
        let dims = Dims::from(input.shape());
        let mut repeats = Dims::of(std::iter::repeat_n(1, dims.len()))?;
        if old {
            // Version 1: how often, along which axis.
            let (times, along) = (single(&ints(args.get(1)?)?)?, single(&ints(args.get(2)?)?)?);
            let times = Dims::from_ints(&[times])?;
            repeats = repeats.with(axis(along, dims.len())?, times.first().copied().unwrap_or(1));
        } else {
            let wanted = Dims::from_ints(&ints(args.get(1)?)?)?;
            if wanted.len() != dims.len() {
                return Err(Error::invalid("Tile needs one number for each axis")
                    .expected(dims.len().to_string())
                    .got(wanted.len().to_string()));
            }
            repeats = wanted;
        }
        let mut sizes = super::dims::Few::<usize, 16>::default();
        let mut steps = sizes;
        let mut tiled = Dims::default();
        for ((size, times), step) in dims.iter().zip(repeats.iter()).zip(dims.steps().iter()) {
            tiled.push(size.saturating_mul(*times))?;
            [*times, *size].into_iter().try_for_each(|size| sizes.push(size))?;
            [0, *step].into_iter().try_for_each(|step| steps.push(step))?;
        }
        walked(input, tiled.shape()?, &Walk::new(&sizes, [&steps], [0]), buffers)
    })
}

/// `Trilu`: the upper or lower triangle of each matrix, zeros elsewhere.
pub(super) fn trilu(build: &Build<'_>) -> Result<Built> {
    let upper = build.flag("upper", true)?;
    let input = build.input(0)?;
    if input.datatype == candor_domain::Datatype::Bytes {
        return Err(build.wrong_datatype(0, "numbers or truth values"));
    }
    Built::by(input.datatype, input.dims.clone(), move |args, buffers| {
        let k = args.optional(1).map_or(Ok(0), |k| single(&ints(k)?))?;
        let (shape, data) = own(args, 0, buffers)?;
        let &[.., rows, columns] = &*Dims::from(&shape) else {
            return Err(Error::invalid("Trilu needs matrices").got(shape.to_string()));
        };
        let data = copied!(data,
            matrix => {
                let mut matrix = matrix;
                cut(&mut matrix, rows, columns, k, upper);
                matrix
            },
            strings => strings
        );
        Tensor::new(shape, data)
    })
}

fn cut<T: Copy + Default>(elements: &mut [T], rows: usize, columns: usize, k: i64, upper: bool) {
    let width = i64::try_from(columns).unwrap_or(i64::MAX);
    for (at, row) in elements.chunks_exact_mut(columns.max(1)).enumerate() {
        let at = i64::try_from(at % rows.max(1)).unwrap_or(i64::MAX);
        // The upper triangle begins at the diagonal; the lower one ends behind it.
        let diagonal = at.saturating_add(k).saturating_add(i64::from(!upper)).clamp(0, width);
        let (left, right) = row.split_at_mut(usize::try_from(diagonal).unwrap_or(0));
        if upper { left } else { right }.fill(T::default());
    }
}
