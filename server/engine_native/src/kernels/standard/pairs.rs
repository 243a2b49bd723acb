//! Two tensors, element by element: broadcasting, and the loops that operators of two inputs share.
//!
//! Since version 7 shapes are broadcast as NumPy does. Before, an attribute says whether and where the second
//! is laid along the first.

use candor_domain::{Error, Result, Tensor, TensorData};
use candor_engine_source::told;

use super::{
    dims::{Broadcast, Dims, Walk, axis, broadcast},
    element::{Element, view},
};
use crate::{
    kernel::{Args, Build},
    workspace::Buffers,
};

/// How the second tensor is laid along the first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Align {
    /// Both at their last axes.
    Ends,
    /// Not at all: both have one shape.
    Same,
    /// The second's first axis at this one of the first; at its last axes, if none is said.
    At(Option<i64>),
}

impl Align {
    /// That of an operator which broadcasts as NumPy does since version 7.
    pub(super) fn of(build: &Build<'_>) -> Result<Self> {
        if build.opset >= 7 {
            return Ok(Self::Ends);
        }
        if build.node.op_type == "PRelu" {
            return Ok(Self::At(Some(1)));
        }
        if !build.flag("broadcast", false)? {
            return Ok(Self::Same);
        }
        Ok(Self::At(build.node.int("axis").map_err(|error| told(&error))?))
    }

    /// The common shape and a walk over both.
    ///
    /// # Errors
    /// `InvalidInput` when they do not fit.
    pub(super) fn lay(self, first: &Tensor, second: &Tensor) -> Result<Broadcast<2>> {
        let (one, mut other) = (Dims::from(first.shape()), Dims::from(second.shape()));
        let misfit =
            || Error::invalid("shapes do not fit each other").got(format!("{} and {}", first.shape(), second.shape()));
        match self {
            Self::Ends => {}
            Self::Same if one == other => {}
            Self::Same => return Err(misfit()),
            Self::At(at) => {
                if let Some(number) = at {
                    let end = axis(number, one.len())?.saturating_add(other.len());
                    let behind = one.len().checked_sub(end).ok_or_else(misfit)?;
                    (0..behind).try_for_each(|_| other.push(1))?;
                }
                let both = broadcast([one, other])?;
                return if both.dims == one { Ok(both) } else { Err(misfit()) };
            }
        }
        broadcast([one, other])
    }
}

/// `of` each pair, into a new tensor.
pub(super) fn zip<A: Element, B: Element, O: Element>(
    args: &Args<'_>,
    buffers: &mut Buffers,
    align: Align,
    wrap: fn(Vec<O>) -> TensorData,
    of: impl Fn(A, B) -> O,
) -> Result<Tensor> {
    let (first, second) = (args.get(0)?, args.get(1)?);
    zip_of((first, view::<A>(first)?), (second, view::<B>(second)?), buffers, align, wrap, of)
}

/// The same for tensors whose elements are at hand, perhaps as another type.
pub(super) fn zip_of<A: Copy, B: Copy, O: Element>(
    (first, a): (&Tensor, &[A]),
    (second, b): (&Tensor, &[B]),
    buffers: &mut Buffers,
    align: Align,
    wrap: fn(Vec<O>) -> TensorData,
    of: impl Fn(A, B) -> O,
) -> Result<Tensor> {
    let Broadcast { dims, walk, .. } = align.lay(first, second)?;
    let shape = dims.shape()?;
    let mut to = O::take(buffers, shape.elements())?;
    lanes(a, b, &walk, |pairs| match pairs {
        Lane::Both(a, b) => to.extend(a.iter().zip(b).map(|(a, b)| of(*a, *b))),
        Lane::First(a, b) => to.extend(a.iter().map(|a| of(*a, b))),
        Lane::Second(a, b) => to.extend(b.iter().map(|b| of(a, *b))),
    });
    Tensor::new(shape, wrap(to))
}

/// `of` each pair, into the first tensor where nobody else needs it and its shape is that of the result.
pub(super) fn zip_onto<T: Element>(
    args: &mut Args<'_>,
    buffers: &mut Buffers,
    align: Align,
    of: impl Fn(T, T) -> T,
) -> Result<Tensor> {
    let Broadcast { dims, walk, .. } = align.lay(args.get(0)?, args.get(1)?)?;
    let _: (&[T], &[T]) = (view(args.get(0)?)?, view(args.get(1)?)?);
    if dims != Dims::from(args.get(0)?.shape()) {
        return zip(args, buffers, align, T::data, of);
    }
    let Some(first) = args.moved(0) else { return zip(args, buffers, align, T::data, of) };
    let (shape, mut data) = first.into_parts();
    let b = view::<T>(args.get(1)?)?;
    let a = T::of_mut(&mut data).unwrap_or_default();
    let [along_a, along_b] = walk.steps;
    walk.each(|[at, other]| {
        // The first is not spread, so it goes by ones; a single element goes by none.
        let length = if along_a == 0 { 1 } else { walk.length };
        let a = a.get_mut(at..at.saturating_add(length)).unwrap_or_default();
        if along_b == 0 {
            if let Some(b) = b.get(other) {
                a.iter_mut().for_each(|a| *a = of(*a, *b));
            }
        } else {
            let b = b.get(other..).unwrap_or_default();
            a.iter_mut().zip(b).for_each(|(a, b)| *a = of(*a, *b));
        }
    });
    Tensor::new(shape, data)
}

/// One turn along the innermost axis.
enum Lane<'a, A, B> {
    Both(&'a [A], &'a [B]),
    First(&'a [A], B),
    Second(A, &'a [B]),
}

fn lanes<'a, A: Copy, B: Copy>(a: &'a [A], b: &'a [B], walk: &Walk<2>, mut visit: impl FnMut(Lane<'a, A, B>)) {
    let [along_a, along_b] = walk.steps;
    walk.each(|[at_a, at_b]| {
        let a_lane = a.get(at_a..at_a.saturating_add(walk.length)).unwrap_or_default();
        let b_lane = b.get(at_b..at_b.saturating_add(walk.length)).unwrap_or_default();
        match (along_a, along_b, a.get(at_a), b.get(at_b)) {
            (0, 0, Some(a), Some(b)) => (0..walk.length).for_each(|_| visit(Lane::Second(*a, std::slice::from_ref(b)))),
            (0, _, Some(a), _) => visit(Lane::Second(*a, b_lane)),
            (_, 0, _, Some(b)) => visit(Lane::First(a_lane, *b)),
            _ => visit(Lane::Both(a_lane, b_lane)),
        }
    });
}
