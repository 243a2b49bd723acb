//! Parts of a tensor along its axes: Slice, Split, Compress.

use candor_domain::{Datatype, Error, Result, Tensor};
use candor_onnx::Dim;

use super::{
    arrange::walked,
    dims::{Dims, Ints, Walk, axis, ints},
    element::view,
    infer,
    moves::tensor_of_runs,
};
use crate::{
    kernel::{Args, Build, Built, Kernel},
    workspace::Buffers,
};

/// `Slice`: from starts to before ends along axes, in steps; by attributes before version 10.
pub(super) fn slice(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    let attributes = if build.opset < 10 {
        let list = |name: &str| build.ints(name)?.map(Ints::of).transpose();
        Some([list("starts")?, list("ends")?, list("axes")?, None])
    } else {
        build.input(1)?;
        build.input(2)?;
        None
    };
    let dims = input.dims.as_ref().map(|dims| vec![Dim::Unknown; dims.len()]);
    Built::by(input.datatype, dims, move |args, buffers| {
        let of_input = |at: usize| args.optional(at).map(ints).transpose();
        let lists = match &attributes {
            Some(lists) => *lists,
            None => [of_input(1)?, of_input(2)?, of_input(3)?, of_input(4)?],
        };
        run_slice(args.get(0)?, lists, buffers)
    })
}

fn run_slice(input: &Tensor, lists: [Option<Ints>; 4], buffers: &mut Buffers) -> Result<Tensor> {
    let [Some(starts), Some(ends), axes, by] = lists else { return Err(Error::invalid("Slice needs starts and ends")) };
    let old = Dims::from(input.shape());
    let (mut dims, mut steps) = (old, old.steps());
    let mut begin = 0_usize;
    let lengths = [Some(ends.len()), axes.map(|axes| axes.len()), by.map(|by| by.len())];
    if lengths.iter().flatten().any(|length| *length != starts.len()) {
        return Err(Error::invalid("the lists of Slice differ in length"));
    }
    for (at, (start, end)) in starts.iter().zip(ends.iter()).enumerate() {
        let number = axes.and_then(|axes| axes.get(at).copied()).or_else(|| i64::try_from(at).ok());
        let along = axis(number.unwrap_or(i64::MAX), old.len())?;
        let by = by.and_then(|by| by.get(at).copied()).unwrap_or(1);
        let size = old.get(along).copied().unwrap_or(0);
        let (first, count) = part(*start, *end, by, size)?;
        let step = old.steps().get(along).copied().unwrap_or(0);
        begin = begin.wrapping_add(first.wrapping_mul(step));
        if let (Some(size), Some(slot)) = (dims.get_mut(along), steps.get_mut(along)) {
            *size = count;
            // Backwards by wrapping.
            *slot = step.wrapping_mul(by as usize);
        }
    }
    walked(input, dims.shape()?, &Walk::new(&dims, [&steps], [begin]), buffers)
}

/// Where a part begins along an axis of some size, and how many it has.
fn part(start: i64, end: i64, by: i64, size: usize) -> Result<(usize, usize)> {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = (from_end(start), from_end(end));
    let (start, way) = match by {
        0 => return Err(Error::invalid("a step of Slice is 0")),
        1.. => {
            let start = start.clamp(0, size);
            (start, end.clamp(0, size).saturating_sub(start))
        }
        _ => {
            let start = start.clamp(0, size.saturating_sub(1).max(0));
            (start, start.saturating_sub(end.clamp(-1, size.saturating_sub(1))))
        }
    };
    let by = i64::try_from(by.unsigned_abs()).unwrap_or(i64::MAX);
    let count = if way <= 0 || size == 0 { 0 } else { (way - 1) / by + 1 };
    Ok((usize::try_from(start).unwrap_or(0), usize::try_from(count).unwrap_or(0)))
}

/// `Split`: parts of said sizes, or of equal size, along an axis.
pub(super) fn split(build: &Build<'_>) -> Result<Built> {
    let input = build.input(0)?;
    let number = build.int("axis", 0)?;
    let parts = build.node.outputs.len();
    let attribute = if build.opset < 13 { build.ints("split")? } else { None };
    // Since version 18 the last part may be smaller than the others.
    let uneven = build.opset >= 18;
    if uneven && build.optional(1).is_none() {
        let said = build.int("num_outputs", 0)?;
        if usize::try_from(said).ok() != Some(parts) {
            return Err(Error::model("Split has another number of outputs than it says")
                .expected(said.to_string())
                .got(parts.to_string()));
        }
    }
    let constant = build.optional(1).and_then(|known| known.constant).and_then(|constant| view::<i64>(constant).ok());
    let sizes = attribute.as_deref().or(constant);
    let size = |at: usize| sizes.and_then(|sizes| sizes.get(at)).and_then(|size| u64::try_from(*size).ok());
    let dims = |at: usize| infer::with(input.dims.clone(), number, size(at).map_or(Dim::Unknown, Dim::Fixed));
    let outputs = (0..parts).map(|at| (input.datatype, dims(at))).collect();
    Ok(Built { kernel: Box::new(Split { number, attribute, parts, uneven }), outputs })
}

struct Split {
    number: i64,
    attribute: Option<Vec<i64>>,
    parts: usize,
    uneven: bool,
}

impl Kernel for Split {
    fn run(&self, args: &mut Args<'_>, buffers: &mut Buffers, made: &mut Vec<Tensor>) -> Result<()> {
        let input = args.get(0)?;
        let dims = Dims::from(input.shape());
        let along = axis(self.number, dims.len())?;
        let (before, size, behind) = dims.around(along);
        let sizes = match (&self.attribute, args.optional(1)) {
            (Some(sizes), _) => Some(sizes.as_slice()),
            (None, Some(input)) => Some(view::<i64>(input)?),
            (None, None) => None,
        };
        let equal = if self.uneven { size.div_ceil(self.parts.max(1)) } else { size / self.parts.max(1) };
        let wrong = || Error::invalid("the parts of Split do not make up the axis").got(format!("{sizes:?} of {size}"));
        let mut begin = 0_usize;
        for part in 0..self.parts {
            let left = size.saturating_sub(begin);
            let own = match sizes {
                Some(sizes) => sizes
                    .get(part)
                    .and_then(|own| usize::try_from(*own).ok())
                    .filter(|own| *own <= left)
                    .ok_or_else(wrong)?,
                None => equal.min(left),
            };
            let (run, step) = (own.saturating_mul(behind), size.saturating_mul(behind));
            let first = begin.saturating_mul(behind);
            let runs = (0..before).map(|outer| (outer.saturating_mul(step).saturating_add(first), run));
            made.push(tensor_of_runs(input, dims.with(along, own).shape()?, buffers, runs)?);
            begin = begin.saturating_add(own);
        }
        if begin == size && sizes.is_none_or(|sizes| sizes.len() == self.parts) { Ok(()) } else { Err(wrong()) }
    }
}

/// `Compress`: what a list of truths says, along an axis or of all elements.
pub(super) fn compress(build: &Build<'_>) -> Result<Built> {
    let number = build.node.int("axis").map_err(|error| candor_engine_source::told(&error))?;
    if build.input(1)?.datatype != Datatype::Bool {
        return Err(build.wrong_datatype(1, "BOOL"));
    }
    Built::by(build.input(0)?.datatype, None, move |args, buffers| {
        let (input, truths) = (args.get(0)?, view::<u8>(args.get(1)?)?);
        let dims = Dims::from(input.shape());
        let along = number.map(|number| axis(number, dims.len())).transpose()?;
        let (before, size, behind) = along.map_or((1, input.data().len(), 1), |along| dims.around(along));
        let kept = || truths.iter().take(size).enumerate().filter(|(_, truth)| **truth != 0).map(|(at, _)| at);
        let count = kept().count();
        let made = along.map_or_else(|| Dims::of([count]), |along| Ok(dims.with(along, count)))?;
        let runs = (0..before).flat_map(|outer| {
            kept().map(move |at| (outer.saturating_mul(size).saturating_add(at).saturating_mul(behind), behind))
        });
        tensor_of_runs(input, made.shape()?, buffers, runs)
    })
}
