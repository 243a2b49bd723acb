//! Dimensions of outputs as far as they follow from the file; none where they do not.
//!
//! They only help to choose and to describe: kernels look at the shapes that come.

use candor_domain::Tensor;
use candor_onnx::Dim;

use super::dims::{Ints, ints};
use crate::kernel::Build;

/// Dimensions, or nothing known.
pub(super) type Known = Option<Vec<Dim>>;

fn fixed(size: i64) -> Dim {
    u64::try_from(size).map_or(Dim::Unknown, Dim::Fixed)
}

/// Dimensions of an input.
pub(super) fn of(build: &Build<'_>, at: usize) -> Known {
    build.optional(at)?.dims.clone()
}

/// A constant input's integers.
fn constant(build: &Build<'_>, at: usize) -> Option<Ints> {
    build.optional(at)?.constant.and_then(|constant: &Tensor| ints(constant).ok())
}

/// Which axis a number means, if there is one.
fn at(axis: i64, rank: usize) -> Option<usize> {
    super::dims::axis(axis, rank).ok()
}

/// `Reshape` to these numbers.
pub(super) fn reshape(build: &Build<'_>, wanted: &[i64], allow_zero: bool) -> Vec<Dim> {
    let old = of(build, 0);
    let size = |(at, size): (usize, &i64)| match size {
        0 if !allow_zero => old.as_ref().and_then(|old| old.get(at).cloned()).unwrap_or(Dim::Unknown),
        size => fixed(*size),
    };
    wanted.iter().enumerate().map(size).collect()
}

/// `Flatten` at an axis.
pub(super) fn flatten(build: &Build<'_>, axis: i64) -> Known {
    let old = of(build, 0)?;
    let at = if usize::try_from(axis) == Ok(old.len()) { old.len() } else { at(axis, old.len())? };
    let (first, second) = old.split_at_checked(at)?;
    let product = |dims: &[Dim]| match dims {
        [one] => one.clone(),
        dims => dims
            .iter()
            .try_fold(1_u64, |product, dim| if let Dim::Fixed(size) = dim { product.checked_mul(*size) } else { None })
            .map_or(Dim::Unknown, Dim::Fixed),
    };
    Some(vec![product(first), product(second)])
}

/// `Squeeze` of axes that are an attribute or a constant.
pub(super) fn squeeze(build: &Build<'_>, attribute: Option<&[i64]>) -> Known {
    let old = of(build, 0)?;
    let input = constant(build, 1);
    let axes: Option<Vec<usize>> = attribute.or(input.as_deref())?.iter().map(|axis| at(*axis, old.len())).collect();
    let axes = axes?;
    Some(old.into_iter().enumerate().filter(|(at, _)| !axes.contains(at)).map(|(_, dim)| dim).collect())
}

/// `Unsqueeze` at axes that are an attribute or a constant.
pub(super) fn unsqueeze(build: &Build<'_>, attribute: Option<&[i64]>) -> Known {
    let input = constant(build, 1);
    let axes = attribute.or(input.as_deref())?;
    let old = of(build, 0)?;
    let rank = old.len().checked_add(axes.len())?;
    let axes: Option<Vec<usize>> = axes.iter().map(|axis| at(*axis, rank)).collect();
    let axes = axes?;
    let mut sizes = old.into_iter();
    Some(
        (0..rank)
            .map(|at| if axes.contains(&at) { Dim::Fixed(1) } else { sizes.next().unwrap_or(Dim::Unknown) })
            .collect(),
    )
}

/// Two or more broadcast together.
pub(super) fn broadcast(build: &Build<'_>) -> Known {
    let all = build.inputs.iter().flatten().map(|known| known.dims.clone()).collect::<Option<Vec<_>>>()?;
    let rank = all.iter().map(Vec::len).max()?;
    let common = |from_end: usize| {
        let mut sizes =
            all.iter().filter_map(|dims| dims.iter().rev().nth(from_end)).filter(|dim| **dim != Dim::Fixed(1));
        let first = sizes.next().cloned().unwrap_or(Dim::Fixed(1));
        let mut rest = sizes;
        // A fixed size holds whatever the others turn out to be.
        match (&first, rest.find(|other| **other != first)) {
            (Dim::Fixed(_) | Dim::Unknown | Dim::Symbol(_), None) => first,
            (Dim::Fixed(_), Some(_)) => first,
            (Dim::Unknown | Dim::Symbol(_), Some(Dim::Fixed(size))) => Dim::Fixed(*size),
            (Dim::Unknown | Dim::Symbol(_), Some(_)) => Dim::Unknown,
        }
    };
    Some((0..rank).rev().map(common).collect())
}

/// The same with another dimension at an axis.
pub(super) fn with(known: Known, axis: i64, dim: Dim) -> Known {
    let mut dims = known?;
    let at = at(axis, dims.len())?;
    *dims.get_mut(at)? = dim;
    Some(dims)
}

/// The same without an axis, or with size 1 there.
pub(super) fn without(known: Known, axis: i64, keep: bool) -> Known {
    let mut dims = known?;
    let at = at(axis, dims.len())?;
    if keep {
        *dims.get_mut(at)? = Dim::Fixed(1);
    } else {
        dims.remove(at);
    }
    Some(dims)
}

/// `Concat` along an axis.
pub(super) fn concat(build: &Build<'_>, axis: i64) -> Known {
    let all = build.inputs.iter().flatten().map(|known| known.dims.clone()).collect::<Option<Vec<_>>>()?;
    let first = all.first()?.clone();
    let at = at(axis, first.len())?;
    let sum = all.iter().try_fold(0_u64, |sum, dims| match dims.get(at) {
        Some(Dim::Fixed(size)) => sum.checked_add(*size),
        Some(Dim::Unknown | Dim::Symbol(_)) | None => None,
    });
    with(Some(first), axis, sum.map_or(Dim::Unknown, Dim::Fixed))
}

/// `MatMul` and `Gemm` of matrices.
pub(super) fn matrices(build: &Build<'_>, [first_across, second_across]: [bool; 2]) -> Known {
    let (first, second) = (of(build, 0)?, of(build, 1)?);
    let ([rows, columns], [other_rows, other_columns]) = (first.as_slice(), second.as_slice()) else { return None };
    let rows = if first_across { columns } else { rows };
    let columns = if second_across { other_rows } else { other_columns };
    Some(vec![rows.clone(), columns.clone()])
}

/// `Gather` along an axis.
pub(super) fn gather(build: &Build<'_>, axis: i64) -> Known {
    let (data, indices) = (of(build, 0)?, of(build, 1)?);
    let at = at(axis, data.len())?;
    let (before, behind) = (data.get(..at)?, data.get(at.checked_add(1)?..)?);
    Some([before, &indices, behind].concat())
}

/// `Transpose` by a permutation.
pub(super) fn transpose(build: &Build<'_>, order: Option<&[i64]>) -> Known {
    let old = of(build, 0)?;
    let Some(order) = order else { return Some(old.into_iter().rev().collect()) };
    order.iter().map(|from| usize::try_from(*from).ok().and_then(|from| old.get(from).cloned())).collect()
}
