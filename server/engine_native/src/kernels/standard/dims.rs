//! Sizes of dimensions, and walks over tensors by them: axes, broadcasting, steps.
//!
//! Shapes that a model computes can be anything, so every product is checked.

use std::ops::{Deref, DerefMut};

use candor_domain::{Error, Result, Shape, Tensor, tensor::RANK_MAX};

use super::element::{other_type, view};
use crate::workspace::bounded_shape;

/// A short list; of sizes, where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Few<T, const N: usize> {
    list: [T; N],
    length: usize,
}

/// Sizes, outermost first.
pub(super) type Dims = Few<usize, RANK_MAX>;

/// Integers of an input that says something about dimensions; `Pad` needs two for each.
pub(super) type Ints = Few<i64, AXES_MAX>;

impl<T: Copy + Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self { list: [T::default(); N], length: 0 }
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.list.get(..self.length).unwrap_or_default()
    }
}

impl<T, const N: usize> DerefMut for Few<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.list.get_mut(..self.length).unwrap_or_default()
    }
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    /// A list of these.
    ///
    /// # Errors
    /// `InvalidInput` for too many.
    pub(super) fn of(items: impl IntoIterator<Item = T>) -> Result<Self> {
        let mut few = Self::default();
        for item in items {
            few.push(item)?;
        }
        Ok(few)
    }

    /// Appends one.
    ///
    /// # Errors
    /// `InvalidInput` when there is no room.
    pub(super) fn push(&mut self, item: T) -> Result<()> {
        let slot = self.list.get_mut(self.length).ok_or_else(|| {
            Error::invalid("a tensor has too many dimensions").expected(format!("at most {RANK_MAX}"))
        })?;
        *slot = item;
        self.length += 1;
        Ok(())
    }
}

impl Dims {
    /// Those of a shape.
    pub(super) fn from(shape: &Shape) -> Self {
        let mut dims = Self { length: shape.rank(), ..Self::default() };
        dims.iter_mut().zip(shape.dims()).for_each(|(to, size)| *to = usize::try_from(*size).unwrap_or(usize::MAX));
        dims
    }

    /// Out of integers, which may be negative.
    ///
    /// # Errors
    /// `InvalidInput` if one is, or there are too many.
    pub(super) fn from_ints(ints: &[i64]) -> Result<Self> {
        let size = |size: &i64| {
            usize::try_from(*size).map_err(|_| Error::invalid("a dimension is negative").got(format!("{ints:?}")))
        };
        let mut dims = Self::default();
        for int in ints {
            dims.push(size(int)?)?;
        }
        Ok(dims)
    }

    /// The shape of these dimensions.
    ///
    /// # Errors
    /// `InvalidInput` when there are too many elements.
    pub(super) fn shape(&self) -> Result<Shape> {
        let sizes: Few<i64, RANK_MAX> = Few::of(self.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)))?;
        let shape = Shape::new(&sizes)?;
        bounded_shape(&shape)?;
        Ok(shape)
    }

    /// The product.
    ///
    /// # Errors
    /// `InvalidInput` when it is too large.
    pub(super) fn elements(&self) -> Result<usize> {
        product(self)
    }

    /// How far apart neighbours along each axis lie. Of a tensor that exists, or is about to.
    pub(super) fn steps(&self) -> Self {
        let mut steps = *self;
        let mut step = 1_usize;
        for (to, size) in steps.iter_mut().zip(self.iter()).rev() {
            *to = step;
            step = step.saturating_mul(*size);
        }
        steps
    }

    /// Sizes before an axis, at it, and behind it, multiplied.
    pub(super) fn around(&self, axis: usize) -> (usize, usize, usize) {
        let product = |sizes: &[usize]| sizes.iter().fold(1_usize, |product, size| product.saturating_mul(*size));
        let before = product(self.get(..axis).unwrap_or_default());
        let behind = product(self.get(axis.saturating_add(1)..).unwrap_or_default());
        (before, self.get(axis).copied().unwrap_or(1), behind)
    }

    /// The same without an axis.
    ///
    /// # Errors
    /// Never: there are fewer then.
    pub(super) fn without(&self, axis: usize) -> Result<Self> {
        Self::of(self.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, size)| *size))
    }

    /// The same with another size at an axis.
    pub(super) fn with(mut self, axis: usize, size: usize) -> Self {
        if let Some(slot) = self.get_mut(axis) {
            *slot = size;
        }
        self
    }
}

/// The product of sizes.
///
/// # Errors
/// `InvalidInput` when it is too large.
pub(super) fn product(sizes: &[usize]) -> Result<usize> {
    let product = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul((*size).max(1)));
    let product = product.filter(|product| i64::try_from(*product).is_ok());
    let product = product.ok_or_else(|| Error::invalid("a tensor is too large").got(format!("{sizes:?}")))?;
    Ok(if sizes.contains(&0) { 0 } else { product })
}

/// Which axis a number means; negative ones count from the end.
///
/// # Errors
/// `InvalidInput` when there is none.
pub(super) fn axis(number: i64, rank: usize) -> Result<usize> {
    let from_end = if number < 0 { number.saturating_add(i64::try_from(rank).unwrap_or(i64::MAX)) } else { number };
    usize::try_from(from_end).ok().filter(|axis| *axis < rank).ok_or_else(|| {
        Error::invalid("there is no such axis").expected(format!("one of {rank} axes")).got(number.to_string())
    })
}

/// Which of `size` places an index means; negative ones count from the end.
///
/// # Errors
/// `InvalidInput` when there is none.
pub(super) fn place(index: i64, size: usize) -> Result<usize> {
    let from_end = if index < 0 { index.saturating_add(i64::try_from(size).unwrap_or(i64::MAX)) } else { index };
    usize::try_from(from_end).ok().filter(|place| *place < size).ok_or_else(|| {
        Error::invalid("an index is out of range").expected(format!("an index into {size}")).got(index.to_string())
    })
}

/// The integers of a short input, of either width.
///
/// # Errors
/// `InvalidInput` when there are too many, `EngineFailed` when they are no integers.
pub(super) fn ints(tensor: &Tensor) -> Result<Ints> {
    if let Ok(narrow) = view::<i32>(tensor) {
        return Ints::of(narrow.iter().map(|int| i64::from(*int)));
    }
    Ints::of(view::<i64>(tensor).map_err(|_| other_type(tensor))?.iter().copied())
}

/// The only element of an input.
///
/// # Errors
/// `InvalidInput` when there are more, or none.
pub(super) fn single<T: Copy>(elements: &[T]) -> Result<T> {
    match elements {
        [element] => Ok(*element),
        other => Err(Error::invalid("an input must have one element").got(other.len().to_string())),
    }
}

/// Most axes of a walk: `Tile` needs two for each dimension.
const AXES_MAX: usize = 2 * RANK_MAX;

/// One axis of a walk over several tensors.
#[derive(Debug, Clone, Copy)]
struct Axis<const N: usize> {
    size: usize,
    /// How far to go in each tensor; backwards by wrapping.
    steps: [usize; N],
}

/// A walk over several tensors at once, in the order of a common shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<const N: usize> {
    axes: [Axis<N>; AXES_MAX],
    rank: usize,
    start: [usize; N],
    /// How often the innermost axis is gone along, by `each`.
    pub(super) length: usize,
    /// How far to go in each tensor along the innermost axis.
    pub(super) steps: [usize; N],
}

impl<const N: usize> Walk<N> {
    /// A walk over `dims`; `steps` are those of each tensor along each axis, and `start` is where each begins.
    pub(super) fn new(dims: &[usize], steps: [&[usize]; N], start: [usize; N]) -> Self {
        let mut walk =
            Self { axes: [Axis { size: 1, steps: [0; N] }; AXES_MAX], rank: 0, start, length: 1, steps: [0; N] };
        for (at, size) in dims.iter().enumerate().filter(|(_, size)| **size != 1) {
            let axis = Axis { size: *size, steps: steps.map(|steps| steps.get(at).copied().unwrap_or(0)) };
            walk.push(axis);
        }
        if let Some(last) = walk.rank.checked_sub(1) {
            walk.rank = last;
            if let Some(innermost) = walk.axes.get(last) {
                (walk.length, walk.steps) = (innermost.size, innermost.steps);
            }
        }
        walk
    }

    /// Appends an axis, as part of the one before where they are one in every tensor.
    fn push(&mut self, axis: Axis<N>) {
        if let Some(before) = self.rank.checked_sub(1).and_then(|at| self.axes.get_mut(at)) {
            let pairs = before.steps.iter().zip(&axis.steps);
            if pairs.clone().all(|(outer, inner)| *outer == inner.wrapping_mul(axis.size)) {
                *before = Axis { size: before.size.saturating_mul(axis.size), steps: axis.steps };
                return;
            }
        }
        if let Some(slot) = self.axes.get_mut(self.rank) {
            *slot = axis;
            self.rank += 1;
        }
    }

    /// Calls `visit` with where each tensor is at the beginning of each turn of the innermost axis.
    pub(super) fn each(&self, mut visit: impl FnMut([usize; N])) {
        let axes = self.axes.get(..self.rank).unwrap_or_default();
        if self.length == 0 || axes.iter().any(|axis| axis.size == 0) {
            return;
        }
        let mut indices = [0_usize; AXES_MAX];
        let mut at = self.start;
        'turns: loop {
            visit(at);
            for (axis, index) in axes.iter().zip(indices.iter_mut().take(self.rank)).rev() {
                *index += 1;
                if *index < axis.size {
                    at.iter_mut().zip(&axis.steps).for_each(|(at, step)| *at = at.wrapping_add(*step));
                    continue 'turns;
                }
                let back = *index - 1;
                *index = 0;
                at.iter_mut().zip(&axis.steps).for_each(|(at, step)| *at = at.wrapping_sub(step.wrapping_mul(back)));
            }
            return;
        }
    }

    /// Calls `visit` with where each tensor is, for every element.
    pub(super) fn each_element(&self, mut visit: impl FnMut([usize; N])) {
        self.each(|mut at| {
            for _ in 0..self.length {
                visit(at);
                at.iter_mut().zip(&self.steps).for_each(|(at, step)| *at = at.wrapping_add(*step));
            }
        });
    }
}

/// Tensors over one shape, as NumPy broadcasts them.
pub(super) struct Broadcast<const N: usize> {
    pub(super) dims: Dims,
    /// How far to go in each tensor along each axis; not at all where it is spread.
    pub(super) steps: [Dims; N],
    pub(super) walk: Walk<N>,
}

/// The common shape of several, aligned at their last axes, and a walk over all of them; innermost steps are
/// 0 or 1.
///
/// # Errors
/// `InvalidInput` when a dimension is neither the same nor 1.
pub(super) fn broadcast<const N: usize>(of: [Dims; N]) -> Result<Broadcast<N>> {
    let rank = of.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let mut dims = Dims::of(std::iter::repeat_n(1, rank))?;
    for each in &of {
        for (to, size) in dims.iter_mut().rev().zip(each.iter().rev()) {
            if *to == 1 {
                *to = *size;
            } else if *size != 1 && *size != *to {
                let shapes = of.map(|dims| format!("{:?}", &*dims)).join(" and ");
                return Err(Error::invalid("shapes cannot be broadcast together").got(shapes));
            }
        }
    }
    let steps = of.map(|each| {
        let mut steps = Dims { length: rank, ..Dims::default() };
        let own = each.steps();
        for ((to, step), size) in steps.iter_mut().rev().zip(own.iter().rev()).zip(each.iter().rev()) {
            *to = if *size == 1 { 0 } else { *step };
        }
        steps
    });
    let walk = Walk::new(&dims, steps.each_ref().map(|steps| &**steps), [0; N]);
    Ok(Broadcast { dims, steps, walk })
}
