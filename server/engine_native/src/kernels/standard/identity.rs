//! Operators that pass their input on: Identity, Dropout, and those that only change its shape.

use candor_domain::{Datatype, Error, Result, Tensor, TensorData};
use candor_onnx::Dim;

use super::{
    dims::{Dims, axis, ints},
    infer,
    moves::own,
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// `Identity`: the input as it is.
pub(super) fn identity(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    Built::by(input.datatype, input.dims.clone(), |args, _| args.take(0))
}

/// `Dropout` when a model only infers: the input as it is, and a mask that drops nothing.
pub(super) fn dropout(build: &Build<'_>) -> Result<Built> {
    // Version 1 and 6 train unless `is_test` is set; 12 and later only if an input says so.
    let trains = if build.opset < 7 {
        !build.flag("is_test", false)?
    } else {
        match build.optional(2).map(|known| known.constant.map(Tensor::data)) {
            None => false,
            Some(Some(TensorData::Bool(truth))) => truth.first() != Some(&0),
            Some(_) => true,
        }
    };
    if trains {
        return Err(build.unsupported("Dropout is run for inference only"));
    }
    let input = build.input(0)?;
    // Before version 10 the mask had the type of the data.
    let mask = if build.opset < 10 { input.datatype } else { Datatype::Bool };
    if build.wants(1) && mask != Datatype::Bool {
        return Err(build.unsupported("the mask of Dropout before version 10"));
    }
    let mut outputs = vec![(input.datatype, input.dims.clone())];
    if build.wants(1) {
        outputs.push((mask, input.dims.clone()));
    }
    Ok(Built { kernel: Box::new(Dropout { masks: build.wants(1) }), outputs })
}

struct Dropout {
    masks: bool,
}

impl Kernel for Dropout {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let input = args.take(0)?;
        let shape = *input.shape();
        made.push(input);
        if self.masks {
            let mut mask = buffers.take(shape.elements())?;
            mask.resize(shape.elements(), 1);
            made.push(Tensor::new(shape, TensorData::Bool(mask))?);
        }
        Ok(())
    }
}

/// A kernel that gives its first input another shape.
fn reshaped(
    build: &Build<'_>,
    dims: Option<Vec<Dim>>,
    to: impl Fn(&Args<'_>, Dims) -> Result<Dims> + Send + Sync + 'static,
) -> Result<Built> {
    Built::by(build.input(0)?.datatype, dims, move |args, buffers| {
        let dims = to(args, Dims::from(args.get(0)?.shape()))?;
        let shape = dims.shape()?;
        let (old, data) = own(args, 0, buffers)?;
        if old.elements() != shape.elements() {
            return Err(Error::invalid("the elements do not fit the new shape")
                .expected(format!("{} elements for {shape}", shape.elements()))
                .got(format!("{} elements of {old}", old.elements())));
        }
        Tensor::new(shape, data)
    })
}

/// `Reshape`: −1 is what remains, 0 copies a size unless `allowzero`.
pub(super) fn reshape(build: &Build<'_>) -> Result<Built> {
    let allow_zero = build.flag("allowzero", false)?;
    if build.opset >= 5 {
        build.input(1)?;
        let wanted = build.optional(1).and_then(|known| known.constant).and_then(|constant| ints(constant).ok());
        let dims = wanted.map(|wanted| infer::reshape(build, &wanted, allow_zero));
        return reshaped(build, dims, move |args, old| reshape_to(&old, &ints(args.get(1)?)?, allow_zero));
    }
    let wanted = build.ints("shape")?.unwrap_or_default();
    let dims = Some(infer::reshape(build, &wanted, false));
    reshaped(build, dims, move |_, old| reshape_to(&old, &wanted, false))
}

fn reshape_to(old: &Dims, wanted: &[i64], allow_zero: bool) -> Result<Dims> {
    let bad = |what: &'static str| Error::invalid(what).got(format!("{wanted:?} for {:?}", &**old));
    let mut rest = None;
    let mut dims = Dims::default();
    for (at, size) in wanted.iter().enumerate() {
        dims.push(match size {
            0 if !allow_zero => {
                *old.get(at).ok_or_else(|| bad("a 0 in a shape copies a dimension that is not there"))?
            }
            -1 if rest.is_some() => return Err(bad("a shape has more than one −1")),
            -1 => {
                rest = Some(at);
                1
            }
            size => usize::try_from(*size).map_err(|_| bad("a dimension is negative"))?,
        })?;
    }
    let Some(rest) = rest else { return Ok(dims) };
    if allow_zero && wanted.contains(&0) {
        return Err(bad("a shape has both −1 and 0"));
    }
    let (all, known) = (old.elements()?, dims.elements()?);
    let size = if known == 0 { Some(0) } else { all.checked_div(known) };
    Ok(dims.with(rest, size.unwrap_or(0)))
}

/// `Flatten`: two dimensions, split before `axis`.
pub(super) fn flatten(build: &Build<'_>) -> Result<Built> {
    let at = build.int("axis", 1)?;
    let dims = infer::flatten(build, at);
    reshaped(build, dims, move |_, old| {
        // The end is an axis too.
        let at = if at == i64::try_from(old.len()).unwrap_or(i64::MAX) { old.len() } else { axis(at, old.len())? };
        let (first, second) = old.split_at_checked(at).unwrap_or_default();
        Dims::of([Dims::of(first.iter().copied())?.elements()?, Dims::of(second.iter().copied())?.elements()?])
    })
}

/// Axes of an attribute before version 13, of an input since.
fn axes(args: &Args<'_>, attribute: Option<&[i64]>) -> Result<Option<super::dims::Ints>> {
    match (attribute, args.optional(1)) {
        (Some(list), _) => Ok(Some(super::dims::Ints::of(list.iter().copied())?)),
        (None, Some(input)) => Ok(Some(ints(input)?)),
        (None, None) => Ok(None),
    }
}

/// `Squeeze`: without axes of size 1.
pub(super) fn squeeze(build: &Build<'_>) -> Result<Built> {
    let attribute = if build.opset < 13 { build.ints("axes")? } else { None };
    reshaped(build, infer::squeeze(build, attribute.as_deref()), move |args, old| {
        let Some(axes) = axes(args, attribute.as_deref())? else {
            return Dims::of(old.iter().copied().filter(|size| *size != 1));
        };
        let mut gone = [false; candor_domain::tensor::RANK_MAX];
        for number in axes.iter() {
            let at = axis(*number, old.len())?;
            if old.get(at) != Some(&1) {
                return Err(
                    Error::invalid("only axes of size 1 can be squeezed").got(format!("axis {number} of {:?}", &*old))
                );
            }
            if let Some(gone) = gone.get_mut(at) {
                *gone = true;
            }
        }
        Dims::of(old.iter().zip(gone).filter(|(_, gone)| !gone).map(|(size, _)| *size))
    })
}

/// `Unsqueeze`: axes of size 1 where the result shall have them.
pub(super) fn unsqueeze(build: &Build<'_>) -> Result<Built> {
    let attribute = if build.opset < 13 { build.ints("axes")? } else { None };
    reshaped(build, infer::unsqueeze(build, attribute.as_deref()), move |args, old| {
        let axes = axes(args, attribute.as_deref())?.ok_or_else(|| Error::invalid("Unsqueeze needs axes"))?;
        let rank = old.len().saturating_add(axes.len());
        let mut dims = Dims::of(std::iter::repeat_n(usize::MAX, rank))?;
        for number in axes.iter() {
            let at = axis(*number, rank)?;
            match dims.get_mut(at) {
                Some(slot) if *slot == usize::MAX => *slot = 1,
                _ => return Err(Error::invalid("an axis stands twice in a list of axes").got(number.to_string())),
            }
        }
        let mut sizes = old.iter();
        for slot in dims.iter_mut().filter(|slot| **slot == usize::MAX) {
            *slot = sizes.next().copied().unwrap_or(1);
        }
        Ok(dims)
    })
}
