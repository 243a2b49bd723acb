//! Products of matrices: MatMul, Gemm.
//!
//! Sums are made in the element type, several at a time, so that they vectorise; 16-bit floats in 32 bits. A
//! constant second matrix is laid out once, when the kernel is built. Large products of floats are left to
//! `ndarray`, which uses the wide registers that the processor turns out to have.

use std::borrow::Cow;

use candor_domain::{Error, Result, Tensor};
use half::{bf16, f16};
use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};

use super::{
    dims::{Broadcast, Dims, broadcast},
    element::{Element, Float, Number, view},
    infer,
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// Fewer columns than this are summed row by row, each with several sums at a time.
const NARROW: usize = 8;

/// Sums at a time along a row.
const LANES: usize = 8;

/// From so many rows on, and so many products, a matrix is multiplied in blocks.
const BLOCK_ROWS_MIN: usize = 4;
const BLOCK_WORK_MIN: usize = 1 << 13;

/// Rows of a block; between blocks a run may be cancelled.
const BLOCK_ROWS: usize = 256;

/// The second matrix, laid out for the loop that suits its width.
struct Right<'a, T: Clone> {
    /// `across` are its columns one after the other, else its rows.
    across: bool,
    elements: Cow<'a, [T]>,
    inner: usize,
    columns: usize,
}

impl<'a, T: Number> Right<'a, T> {
    /// `elements` are `inner` rows of `columns`, or `columns` rows of `inner` if they come `across`.
    fn new(elements: &'a [T], inner: usize, columns: usize, across: bool) -> Self {
        let wanted = columns < NARROW;
        let elements = match across == wanted || inner <= 1 || columns <= 1 {
            true => Cow::Borrowed(elements),
            false if across => Cow::Owned(turned(elements, inner)),
            false => Cow::Owned(turned(elements, columns)),
        };
        Self { across: wanted, elements, inner, columns }
    }

    /// Appends the product of a row with the matrix.
    fn append(&self, row: &[T], to: &mut Vec<T>) {
        if self.inner == 0 {
            to.extend(std::iter::repeat_n(T::ZERO, self.columns));
        } else if self.across {
            to.extend(self.elements.chunks_exact(self.inner).map(|column| dot(row, column)));
        } else {
            let from = to.len();
            to.extend(std::iter::repeat_n(T::ZERO, self.columns));
            if let Some(sums) = to.get_mut(from..) {
                add_rows(row, &self.elements, sums);
            }
        }
    }
}

/// The elements of a matrix whose rows have `columns`, column by column.
fn turned<T: Copy>(elements: &[T], columns: usize) -> Vec<T> {
    let column = |at: usize| elements.iter().skip(at).step_by(columns.max(1)).copied();
    (0..columns).flat_map(column).collect()
}

fn dot<T: Number>(a: &[T], b: &[T]) -> T {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [T::ZERO; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = sum.plus(a.times(*b));
        }
    }
    let rest = a_rest.iter().zip(b_rest).fold(T::ZERO, |sum, (a, b)| sum.plus(a.times(*b)));
    sums.iter().fold(rest, |sum, part| sum.plus(*part))
}

/// Adds each row of a matrix, times its factor, to the sums.
fn add_rows<T: Number>(factors: &[T], rows: &[T], sums: &mut [T]) {
    let width = sums.len();
    let (fours, rest) = factors.as_chunks::<4>();
    let mut blocks = rows.chunks_exact(width.saturating_mul(4).max(1));
    for ([f, g, h, i], block) in fours.iter().zip(&mut blocks) {
        let mut each = block.chunks_exact(width);
        let (Some(a), Some(b), Some(c), Some(d)) = (each.next(), each.next(), each.next(), each.next()) else { return };
        for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let pair = f.times(*a).plus(g.times(*b));
            *sum = sum.plus(pair.plus(h.times(*c).plus(i.times(*d))));
        }
    }
    let done = fours.len().saturating_mul(4).saturating_mul(width);
    let left = rows.get(done..).unwrap_or_default();
    for (factor, row) in rest.iter().zip(left.chunks_exact(width)) {
        sums.iter_mut().zip(row).for_each(|(sum, element)| *sum = sum.plus(factor.times(*element)));
    }
}

/// Numbers whose matrices may be multiplied in blocks.
trait Product: Number {
    /// Puts the product into `to`; none if there is no such way for this type.
    fn block(_a: &[Self], _right: &Right<'_, Self>, _to: &mut [Self]) -> Option<()> {
        None
    }
}

impl Product for i32 {}
impl Product for i64 {}
impl Product for u32 {}
impl Product for u64 {}

macro_rules! product {
    ($($type:ty),*) => {
        $(impl Product for $type {
            fn block(a: &[Self], right: &Right<'_, Self>, to: &mut [Self]) -> Option<()> {
                let (inner, columns) = (right.inner, right.columns);
                let rows = to.len().checked_div(columns)?;
                let a = ArrayView2::from_shape((rows, inner), a).ok()?;
                let b = if right.across {
                    ArrayView2::from_shape((columns, inner), &right.elements).ok()?.reversed_axes()
                } else {
                    ArrayView2::from_shape((inner, columns), &right.elements).ok()?
                };
                let mut to = ArrayViewMut2::from_shape((rows, columns), to).ok()?;
                general_mat_mul(1.0, &a, &b, 0.0, &mut to);
                Some(())
            }
        })*
    };
}

product!(f32, f64);

/// What matrices hold: numbers, and halves, which are multiplied in 32 bits.
trait Factor: Element {
    type Wide: Product;
    fn widened(elements: &[Self]) -> Cow<'_, [Self::Wide]>;
    fn narrowed(products: Vec<Self::Wide>) -> Vec<Self>;
}

macro_rules! factor {
    ($($type:ty),*; $($half:ty),*) => {
        $(impl Factor for $type {
            type Wide = Self;

            fn widened(elements: &[Self]) -> Cow<'_, [Self]> {
                elements.into()
            }

            fn narrowed(products: Vec<Self>) -> Vec<Self> {
                products
            }
        })*
        $(impl Factor for $half {
            type Wide = f32;

            fn widened(elements: &[Self]) -> Cow<'_, [f32]> {
                elements.iter().map(|element| element.wide()).collect()
            }

            fn narrowed(products: Vec<f32>) -> Vec<Self> {
                products.into_iter().map(Self::narrow).collect()
            }
        })*
    };
}

factor!(f32, f64, i32, i64, u32, u64; f16, bf16);

macro_rules! by_factor {
    ($build:expr, $type:ident => $yes:expr) => {{
        let datatype = $build.input(0)?.datatype;
        if $build.input(1)?.datatype != datatype {
            return Err($build.wrong_datatype(1, datatype.name()));
        }
        by_type!(
            datatype,
            $type => $yes,
            Err($build.wrong_datatype(0, "a float, or an integer of 32 or 64 bits"));
            Fp32: f32, Fp64: f64, Int32: i32, Int64: i64, Uint32: u32, Uint64: u64, Fp16: f16, Bf16: bf16;
            Bool, Bytes, Uint8, Uint16, Int8, Int16
        )
    }};
}

/// A constant second matrix, laid out, unless it is right as it is.
fn fixed<T: Factor>(build: &Build<'_>, across: bool) -> Result<Option<Right<'static, T::Wide>>> {
    let Some(constant) = build.input(1)?.constant else { return Ok(None) };
    let &[rows, columns] = &*Dims::from(constant.shape()) else { return Ok(None) };
    let (inner, columns) = if across { (columns, rows) } else { (rows, columns) };
    let elements = T::widened(view(constant)?);
    let Right { across, elements, .. } = Right::new(&elements, inner, columns, across);
    Ok(match elements {
        Cow::Borrowed(_) => None,
        Cow::Owned(elements) => Some(Right { across, elements: Cow::Owned(elements), inner, columns }),
    })
}

/// `MatMul`, as numpy's `matmul`: matrices, stacks of them, vectors.
pub(super) fn matmul(build: &Build<'_>) -> Result<Built> {
    fn of<T: Factor>(build: &Build<'_>) -> Result<Built> {
        let fixed = fixed::<T>(build, false)?;
        Built::by(build.input(0)?.datatype, infer::matrices(build, [false; 2]), move |args, buffers| {
            stacks::<T>(args, buffers, fixed.as_ref())
        })
    }
    by_factor!(build, T => of::<T>(build))
}

fn misfit(first: &Tensor, second: &Tensor) -> Error {
    Error::invalid("matrices do not fit each other").got(format!("{} and {}", first.shape(), second.shape()))
}

fn stacks<T: Factor>(
    args: &Args<'_>,
    buffers: &mut Buffers,
    fixed: Option<&Right<'static, T::Wide>>,
) -> Result<Tensor> {
    let (first, second) = (args.get(0)?, args.get(1)?);
    let (a_dims, b_dims) = (Dims::from(first.shape()), Dims::from(second.shape()));
    let wrong = || misfit(first, second);
    // A vector is a row on the left and a column on the right, and that axis is left out of the result.
    let (a_stack, rows, inner) = match &*a_dims {
        [stack @ .., rows, inner] => (stack, Some(*rows), *inner),
        [inner] => (&[][..], None, *inner),
        [] => return Err(wrong()),
    };
    let (b_stack, other_inner, columns) = match &*b_dims {
        [stack @ .., inner, columns] => (stack, *inner, Some(*columns)),
        [inner] => (&[][..], *inner, None),
        [] => return Err(wrong()),
    };
    if inner != other_inner {
        return Err(wrong());
    }
    let Broadcast { mut dims, walk, .. } =
        broadcast([Dims::of(a_stack.iter().copied())?, Dims::of(b_stack.iter().copied())?])?;
    let stacked = dims.elements()?;
    rows.into_iter().chain(columns).try_for_each(|size| dims.push(size))?;
    let shape = dims.shape()?;
    let (rows, columns) = (rows.unwrap_or(1), columns.unwrap_or(1));
    let (a, b) = (T::widened(view(first)?), T::widened(view(second)?));
    let mut to = T::Wide::take(buffers, shape.elements())?;
    let mut run = |a: &[T::Wide], right: &Right<'_, T::Wide>| multiply(args, a, right, &mut to);
    if let Some(fixed) = fixed {
        run(&a, fixed)?;
    } else if b_stack.iter().all(|size| *size == 1) {
        run(&a, &Right::new(&b, inner, columns, false))?;
    } else if stacked > 0 {
        let (a_size, b_size) = (rows.saturating_mul(inner), inner.saturating_mul(columns));
        let mut outcome = Ok(());
        walk.each_element(|[a_at, b_at]| {
            let (a_from, b_from) = (a_at.saturating_mul(a_size), b_at.saturating_mul(b_size));
            let a = a.get(a_from..a_from.saturating_add(a_size)).unwrap_or_default();
            let b = b.get(b_from..b_from.saturating_add(b_size)).unwrap_or_default();
            if outcome.is_ok() {
                outcome = run(a, &Right::new(b, inner, columns, false));
            }
        });
        outcome?;
    }
    // Rows of no elements are not seen one by one.
    to.resize(shape.elements(), T::Wide::ZERO);
    Tensor::new(shape, T::data(T::narrowed(to)))
}

/// Appends the product of `a` with the matrix.
fn multiply<T: Product>(args: &Args<'_>, a: &[T], right: &Right<'_, T>, to: &mut Vec<T>) -> Result<()> {
    let inner = right.inner.max(1);
    let rows = a.len() / inner;
    let in_blocks = rows >= BLOCK_ROWS_MIN && a.len().saturating_mul(right.columns) >= BLOCK_WORK_MIN;
    for block in a.chunks(inner.saturating_mul(if in_blocks { BLOCK_ROWS } else { 1 })) {
        args.go_on()?;
        let from = to.len();
        if in_blocks {
            to.resize(from.saturating_add((block.len() / inner).saturating_mul(right.columns)), T::ZERO);
            if to.get_mut(from..).and_then(|to| T::block(block, right, to)).is_some() {
                continue;
            }
            to.truncate(from);
        }
        block.chunks_exact(inner).for_each(|row| right.append(row, to));
    }
    Ok(())
}

/// `Gemm`: `alpha · A · B + beta · C`, with A and B turned as attributes say.
pub(super) fn gemm(build: &Build<'_>) -> Result<Built> {
    let (a_turned, b_turned) = (build.flag("transA", false)?, build.flag("transB", false)?);
    let (alpha, beta) = (build.float("alpha", 1.0)?, build.float("beta", 1.0)?);
    let datatype = build.input(0)?.datatype;
    if build.optional(2).is_some_and(|known| known.datatype != datatype) {
        return Err(build.wrong_datatype(2, datatype.name()));
    }
    let dims = infer::matrices(build, [a_turned, b_turned]);
    by_factor!(build, T => {
        let plain = alpha == 1.0 && beta == 1.0;
        if <T as Factor>::Wide::WHOLE && !plain {
            return Err(build.unsupported("Gemm of integers with factors"));
        }
        let gemm = Gemm::<T> { a_turned, b_turned, alpha, beta, fixed: fixed::<T>(build, b_turned)? };
        Built::by(datatype, dims, move |args, buffers| gemm.run(args, buffers))
    })
}

struct Gemm<T: Factor> {
    a_turned: bool,
    b_turned: bool,
    alpha: f32,
    beta: f32,
    fixed: Option<Right<'static, T::Wide>>,
}

impl<T: Factor> Gemm<T> {
    fn run(&self, args: &Args<'_>, buffers: &mut Buffers) -> Result<Tensor> {
        let (first, second) = (args.get(0)?, args.get(1)?);
        let wrong = || misfit(first, second);
        let (a_dims, b_dims) = (Dims::from(first.shape()), Dims::from(second.shape()));
        let (&[a_rows, a_columns], &[b_rows, b_columns]) = (&*a_dims, &*b_dims) else { return Err(wrong()) };
        let (rows, inner) = if self.a_turned { (a_columns, a_rows) } else { (a_rows, a_columns) };
        let (other, columns) = if self.b_turned { (b_columns, b_rows) } else { (b_rows, b_columns) };
        if inner != other {
            return Err(wrong());
        }
        let dims = Dims::of([rows, columns])?;
        let shape = dims.shape()?;
        let (a, b) = (T::widened(view(first)?), T::widened(view(second)?));
        let a = if self.a_turned { Cow::Owned(turned(&a, a_columns)) } else { a };
        let mut to = T::Wide::take(buffers, shape.elements())?;
        match &self.fixed {
            Some(fixed) => multiply(args, &a, fixed, &mut to)?,
            None => multiply(args, &a, &Right::new(&b, inner, columns, self.b_turned), &mut to)?,
        }
        to.resize(shape.elements(), T::Wide::ZERO);
        self.scale(args.optional(2), dims, &mut to)?;
        Tensor::new(shape, T::data(T::narrowed(to)))
    }

    fn scale(&self, addend: Option<&Tensor>, dims: Dims, to: &mut [T::Wide]) -> Result<()> {
        if self.alpha != 1.0 {
            let alpha = T::Wide::near(self.alpha.into());
            to.iter_mut().for_each(|product| *product = product.times(alpha));
        }
        let Some(addend) = addend.filter(|_| self.beta != 0.0) else { return Ok(()) };
        let both = broadcast([dims, Dims::from(addend.shape())])?;
        if both.dims != dims {
            return Err(Error::invalid("the third input does not fit the product")
                .expected(format!("{:?}", &*dims))
                .got(addend.shape().to_string()));
        }
        let from = T::widened(view(addend)?);
        let beta = (self.beta != 1.0).then(|| T::Wide::near(self.beta.into()));
        both.walk.each_element(|[at, from_at]| {
            if let (Some(to), Some(from)) = (to.get_mut(at), from.get(from_at)) {
                *to = to.plus(beta.map_or(*from, |beta| beta.times(*from)));
            }
        });
        Ok(())
    }
}
