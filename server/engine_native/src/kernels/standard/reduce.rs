//! Many elements to one along axes (Reduce…), and running sums and products (CumSum, CumProd).
//!
//! Sums of floats are made in 64 bits and rounded once; whole numbers wrap.

use candor_domain::{Datatype, Result, Tensor, tensor::RANK_MAX};
use candor_onnx::Dim;

use super::{
    dims::{Dims, Ints, Walk, axis, ints, single},
    element::{Element, Float, Number, view},
    infer,
    moves::retyped,
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// Along which axes, and what becomes of them.
#[derive(Debug, Clone)]
struct Along {
    /// By attribute; an input since version 13 (sums) or 18 (all others).
    axes: Option<Vec<i64>>,
    keeps: bool,
    /// Whether no axes mean none, and not all.
    none_is_none: bool,
}

/// How lanes are folded: where to begin, each element, the end with how many there were.
struct Fold<A, T> {
    start: A,
    step: fn(A, T) -> A,
    end: fn(A, usize) -> T,
}

/// All operators whose name begins with `Reduce`.
pub(super) fn reduce(build: &Build<'_>) -> Result<Built> {
    let of = build.node.op_type.trim_start_matches("Reduce");
    let by_input = build.opset >= if of == "Sum" { 13 } else { 18 };
    let along = Along {
        axes: if by_input { None } else { build.ints("axes")? },
        keeps: build.flag("keepdims", true)?,
        none_is_none: build.flag("noop_with_empty_axes", false)?,
    };
    let datatype = build.input(0)?.datatype;
    if datatype == Datatype::Bool {
        // Since version 20.
        return match of {
            "Max" => folded(build, along, Fold { start: 0_u8, step: Ord::max, end: |best, _| best }),
            "Min" => folded(build, along, Fold { start: 1_u8, step: Ord::min, end: |best, _| best }),
            _ => Err(build.wrong_datatype(0, "a number")),
        };
    }
    by_float!(
        datatype,
        T => of_floats::<T>(build, along, of),
        by_whole!(datatype, T => of_whole::<T>(build, along, of), Err(build.wrong_datatype(0, "a number")))
    )
}

fn of_floats<T: Float>(build: &Build<'_>, along: Along, of: &str) -> Result<Built> {
    let sum = |step: fn(f64, T) -> f64, end: fn(f64, usize) -> T| Fold { start: 0.0, step, end };
    match of {
        "Sum" => folded(build, along, sum(added, |sum, _| T::near(sum))),
        "Mean" => folded(build, along, sum(added, |sum, count| T::near(sum / count as f64))),
        "L1" => folded(build, along, sum(|sum, x| sum + x.to_f64().abs(), |sum, _| T::near(sum))),
        "SumSquare" => folded(build, along, sum(square_added, |sum, _| T::near(sum))),
        _ => either::<T>(build, along, of),
    }
}

fn added<T: Number>(sum: f64, x: T) -> f64 {
    sum + x.to_f64()
}

fn square_added<T: Number>(sum: f64, x: T) -> f64 {
    x.to_f64().mul_add(x.to_f64(), sum)
}

/// Adds to a sum of exponentials that is kept relative to the largest exponent, so that it cannot overflow.
fn exponential_added((largest, sum): (f64, f64), x: f64) -> (f64, f64) {
    if x == f64::NEG_INFINITY {
        (largest, sum)
    } else if x <= largest {
        (largest, sum + if x == largest { 1.0 } else { (x - largest).exp() })
    } else {
        // A not-a-number comes here and stays.
        (x, sum * (largest - x).exp() + 1.0)
    }
}

fn of_whole<T: Number>(build: &Build<'_>, along: Along, of: &str) -> Result<Built> {
    let sum = |step: fn(T, T) -> T, end: fn(T, usize) -> T| Fold { start: T::ZERO, step, end };
    match of {
        "Sum" => folded(build, along, sum(T::plus, |sum, _| sum)),
        "Mean" => folded(build, along, sum(T::plus, |sum, count| sum.over(T::near(count as f64)))),
        "L1" => folded(build, along, sum(|sum, x| sum.plus(x.magnitude()), |sum, _| sum)),
        "SumSquare" => folded(build, along, sum(|sum, x| sum.plus(x.times(x)), |sum, _| sum)),
        _ => either::<T>(build, along, of),
    }
}

/// What is the same for floats and whole numbers; of whole numbers, roots and logarithms are rounded to zero.
fn either<T: Number>(build: &Build<'_>, along: Along, of: &str) -> Result<Built> {
    let sum = |step: fn(f64, T) -> f64, end: fn(f64, usize) -> T| Fold { start: 0.0, step, end };
    match of {
        "Max" => folded(build, along, Fold { start: T::LOWEST, step: T::larger, end: |best, _| best }),
        "Min" => folded(build, along, Fold { start: T::HIGHEST, step: T::smaller, end: |best, _| best }),
        "Prod" => folded(build, along, Fold { start: T::ONE, step: T::times, end: |product, _| product }),
        "L2" => folded(build, along, sum(square_added, |sum, _| T::near(sum.sqrt()))),
        "LogSum" => folded(build, along, sum(added, |sum, _| T::near(sum.ln()))),
        _ if T::WHOLE => Err(build.wrong_datatype(0, "a float")),
        _ => {
            let start = (f64::NEG_INFINITY, 0.0);
            let step = |of, x: T| exponential_added(of, x.to_f64());
            let end = |(largest, sum): (f64, f64), _| T::near(if sum == 0.0 { largest } else { largest + sum.ln() });
            folded(build, along, Fold { start, step, end })
        }
    }
}

fn folded<T: Element, A: Copy + Send + Sync + 'static>(
    build: &Build<'_>,
    along: Along,
    fold: Fold<A, T>,
) -> Result<Built> {
    let input = build.input(0)?;
    let truths = input.datatype == Datatype::Bool;
    let dims = inferred(build, &along);
    Built::by(input.datatype, dims, move |args, buffers| {
        let input = args.get(0)?;
        let from = view::<T>(input)?;
        let listed = match (&along.axes, args.optional(1)) {
            (Some(axes), _) => Some(Ints::of(axes.iter().copied())?),
            (None, Some(input)) => Some(ints(input)?),
            (None, None) => None,
        };
        let old = Dims::from(input.shape());
        let gone = along.gone(listed.as_deref().unwrap_or_default(), old.len())?;
        let (mut kept, mut lane, mut made) =
            ((Dims::default(), Dims::default()), (Dims::default(), Dims::default()), Dims::default());
        for ((size, step), gone) in old.iter().zip(old.steps().iter()).zip(gone) {
            let (dims, steps) = if gone { &mut lane } else { &mut kept };
            dims.push(*size)?;
            steps.push(*step)?;
            if !gone || along.keeps {
                made.push(if gone { 1 } else { *size })?;
            }
        }
        let shape = made.shape()?;
        let mut to = T::take(buffers, shape.elements())?;
        let (outer, inner) = (Walk::new(&kept.0, [&kept.1], [0]), Walk::new(&lane.0, [&lane.1], [0]));
        let count = lane.0.elements()?;
        outer.each_element(|[start]| {
            let mut folded = fold.start;
            inner.each(|[at]| {
                let turn = from.get(start.saturating_add(at)..).unwrap_or_default();
                let [step] = inner.steps;
                if step == 1 {
                    folded = turn.iter().take(inner.length).fold(folded, |folded, x| (fold.step)(folded, *x));
                } else {
                    let turn = turn.iter().step_by(step.max(1)).take(inner.length);
                    folded = turn.fold(folded, |folded, x| (fold.step)(folded, *x));
                }
            });
            to.push((fold.end)(folded, count));
        });
        Tensor::new(shape, retyped(T::data(to), truths))
    })
}

impl Along {
    /// Which axes go.
    fn gone(&self, listed: &[i64], rank: usize) -> Result<[bool; RANK_MAX]> {
        let mut gone = [listed.is_empty() && !self.none_is_none; RANK_MAX];
        for number in listed {
            if let Some(gone) = gone.get_mut(axis(*number, rank)?) {
                *gone = true;
            }
        }
        Ok(gone)
    }
}

/// The dimensions that are left, where the axes are known.
fn inferred(build: &Build<'_>, along: &Along) -> infer::Known {
    let dims = build.input(0).ok()?.dims.clone()?;
    let listed = match (&along.axes, build.optional(1)) {
        (Some(axes), _) => axes.clone(),
        (None, Some(input)) => ints(input.constant?).ok()?.to_vec(),
        (None, None) => Vec::new(),
    };
    let gone = along.gone(&listed, dims.len()).ok()?;
    let left = dims.into_iter().zip(gone).filter(|(_, gone)| !gone || along.keeps);
    Some(left.map(|(dim, gone)| if gone { Dim::Fixed(1) } else { dim }).collect())
}

/// `CumSum` and `CumProd`: each with all before it along an axis.
pub(super) fn cumulative(build: &Build<'_>) -> Result<Built> {
    let (exclusive, reverse) = (build.flag("exclusive", false)?, build.flag("reverse", false)?);
    let sums = build.node.op_type == "CumSum";
    let input = build.input(0)?;
    build.input(1)?;
    by_number!(
        input.datatype,
        T => Built::by(input.datatype, input.dims.clone(), move |args, buffers| {
            let number = single(&ints(args.get(1)?)?)?;
            let step: fn(T, T) -> T = if sums { T::plus } else { T::times };
            let start = if sums { T::ZERO } else { T::ONE };
            run_cumulative(args, buffers, number, (exclusive, reverse), start, step)
        }),
        Err(build.wrong_datatype(0, "a number"))
    )
}

fn run_cumulative<T: Number>(
    args: &Args<'_>,
    buffers: &mut Buffers,
    number: i64,
    (exclusive, reverse): (bool, bool),
    start: T,
    step: fn(T, T) -> T,
) -> Result<Tensor> {
    let input = args.get(0)?;
    let dims = Dims::from(input.shape());
    let (before, size, behind) = dims.around(axis(number, dims.len())?);
    let mut to = T::take(buffers, input.data().len())?;
    to.extend_from_slice(view(input)?);
    for block in to.chunks_exact_mut(size.saturating_mul(behind).max(1)).take(before) {
        for at in 0..behind {
            let mut total = start;
            let mut visit = |slot: &mut T| {
                let with = step(total, *slot);
                *slot = if exclusive { total } else { with };
                total = with;
            };
            let lane = block.iter_mut().skip(at).step_by(behind);
            if reverse { lane.rev().for_each(&mut visit) } else { lane.for_each(&mut visit) }
        }
    }
    Tensor::new(*input.shape(), T::data(to))
}
