//! Softmax, LogSoftmax and Hardmax: along one axis since version 13, over everything from an axis on before.

use candor_domain::{Result, Tensor};

use super::{
    dims::{Dims, axis},
    element::{Element, Float, Real, view},
};
use crate::kernel::{Build, Built};

/// What a float computes in.
type Wide<T> = <T as Float>::Wide;

/// Which of the three.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Soft,
    Log,
    Hard,
}

/// `Softmax`.
pub(super) fn softmax(build: &Build<'_>) -> Result<Built> {
    any(build, Kind::Soft)
}

/// `LogSoftmax`.
pub(super) fn log_softmax(build: &Build<'_>) -> Result<Built> {
    any(build, Kind::Log)
}

/// `Hardmax`: 1 at the first of the largest.
pub(super) fn hardmax(build: &Build<'_>) -> Result<Built> {
    any(build, Kind::Hard)
}

fn any(build: &Build<'_>, kind: Kind) -> Result<Built> {
    let flattens = build.opset < 13;
    let number = build.int("axis", if flattens { 1 } else { -1 })?;
    let input = build.input(0)?;
    by_float!(
        input.datatype,
        T => Built::by(input.datatype, input.dims.clone(), move |args, buffers| {
            let input = args.get(0)?;
            let dims = Dims::from(input.shape());
            // Flattening may begin behind the last axis, as the default of version 1 does with one axis.
            let behind_all = flattens && usize::try_from(number) == Ok(dims.len());
            let (outer, size, inner) = if dims.is_empty() || behind_all {
                (usize::MAX, 1, 1)
            } else {
                let at = axis(number, dims.len())?;
                let (before, size, behind) = dims.around(at);
                if flattens { (before, size.saturating_mul(behind), 1) } else { (before, size, behind) }
            };
            let from = view::<T>(input)?;
            let mut to = T::take(buffers, from.len())?;
            to.extend_from_slice(from);
            let mut lane = Wide::<T>::take(buffers, size)?;
            let block = size.saturating_mul(inner).max(1);
            for block in to.chunks_exact_mut(block).take(outer) {
                for at in 0..inner {
                    lane.clear();
                    lane.extend(block.iter().skip(at).step_by(inner).map(|number| number.wide()));
                    of_lane(&mut lane, kind);
                    let slots = block.iter_mut().skip(at).step_by(inner);
                    slots.zip(&lane).for_each(|(slot, number)| *slot = T::narrow(*number));
                }
            }
            Wide::<T>::give(buffers, lane);
            Tensor::new(*input.shape(), T::data(to))
        }),
        Err(build.wrong_datatype(0, "a float"))
    )
}

/// One lane, in place. The largest is subtracted first, so that nothing overflows.
fn of_lane<R: Real>(lane: &mut [R], kind: Kind) {
    let largest = lane.iter().fold(R::LOWEST, |largest, number| largest.larger(*number));
    match kind {
        Kind::Soft => {
            let mut sum = R::ZERO;
            for number in &mut *lane {
                *number = number.minus(largest).exp();
                sum = sum.plus(*number);
            }
            lane.iter_mut().for_each(|number| *number = number.over(sum));
        }
        Kind::Log => {
            let sum = lane.iter().fold(R::ZERO, |sum, number| sum.plus(number.minus(largest).exp()));
            let logarithm = sum.ln();
            lane.iter_mut().for_each(|number| *number = number.minus(largest).minus(logarithm));
        }
        Kind::Hard => {
            let mut found = false;
            for number in lane {
                let is = !found && *number == largest;
                found |= is;
                *number = if is { R::ONE } else { R::ZERO };
            }
        }
    }
}
