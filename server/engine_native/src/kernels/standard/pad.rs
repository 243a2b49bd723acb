//! Pad: more along each axis, on both sides; or less, where a number is negative.

use candor_domain::{Error, Result, Shape, Tensor, TensorData, tensor::RANK_MAX};

use super::{
    compare::{same, strings},
    dims::{Dims, Ints, axis, ints},
    moves::Strings,
};
use crate::{
    kernel::{Build, Built},
    workspace::Buffers,
};

/// What is put around.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

/// `Pad`; how much and with what are attributes before version 11.
pub(super) fn pad(build: &Build<'_>) -> Result<Built> {
    let mode = match build.text("mode", "constant")? {
        "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" => Mode::Wrap,
        other => {
            return Err(Error::model("unknown mode").expected("constant, reflect, edge or wrap").got(other.to_owned()));
        }
    };
    let input = build.input(0)?;
    let (attribute, value) = if build.opset < 11 {
        let name = if build.opset < 2 { "paddings" } else { "pads" };
        let pads = build.ints(name)?.ok_or_else(|| Error::model("Pad needs to know how much"))?;
        let value = build.float("value", 0.0)?;
        (Some(Ints::of(pads)?), Some(scalar(build, value)?))
    } else {
        build.input(1)?;
        if build.optional(2).is_some_and(|known| known.datatype != input.datatype) {
            return Err(build.wrong_datatype(2, input.datatype.name()));
        }
        (None, None)
    };
    Built::by(input.datatype, None, move |args, buffers| {
        let pads = attribute.map_or_else(|| ints(args.get(1)?), Ok)?;
        let axes = args.optional(3).map(ints).transpose()?;
        let value = value.as_ref().or_else(|| args.optional(2));
        run(args.get(0)?, &pads, axes.as_deref(), mode, value, buffers)
    })
}

/// The attribute's value as a tensor of the input's type.
fn scalar(build: &Build<'_>, value: f32) -> Result<Tensor> {
    by_float!(
        build.input(0)?.datatype,
        T => {
            use super::element::{Element, Number};
            Tensor::new(Shape::new(&[])?, T::data(vec![T::near(value.into())]))
        },
        Err(build.wrong_datatype(0, "a float"))
    )
}

/// What is put around one axis.
#[derive(Debug, Clone, Copy)]
struct Side {
    /// The axis as it is.
    old: i64,
    /// And as it becomes.
    new: usize,
    begin: i64,
    mode: Mode,
}

impl Side {
    fn new(size: usize, (begin, end): (i64, i64), mode: Mode) -> Result<Self> {
        let old = i64::try_from(size).unwrap_or(i64::MAX);
        let new = old.checked_add(begin).and_then(|sum| sum.checked_add(end)).unwrap_or(-1);
        let new = usize::try_from(new).map_err(|_| {
            Error::invalid("Pad makes a dimension that cannot be").got(format!("{begin} and {end} around {size}"))
        })?;
        let is_around_nothing = old == 0 && new > 0 && !matches!(mode, Mode::Constant);
        if is_around_nothing || (matches!(mode, Mode::Wrap) && (begin < 0 || end < 0)) {
            return Err(Error::invalid("Pad in this mode needs elements to repeat, and crops none")
                .got(format!("{begin} and {end} around {size}")));
        }
        Ok(Self { old, new, begin, mode })
    }

    /// Which place of the input a place of the result shows; none for what is put around.
    fn shows(&self, at: usize) -> Option<usize> {
        let at = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub(self.begin);
        let place = match self.mode {
            _ if (0..self.old).contains(&at) => at,
            Mode::Constant => return None,
            Mode::Edge => at.clamp(0, self.old.saturating_sub(1)),
            Mode::Wrap => at.checked_rem_euclid(self.old)?,
            Mode::Reflect => {
                let period = self.old.saturating_sub(1).saturating_mul(2).max(1);
                let at = at.rem_euclid(period);
                if at < self.old { at } else { period - at }
            }
        };
        usize::try_from(place).ok().filter(|_| place < self.old)
    }
}

fn run(
    input: &Tensor,
    pads: &[i64],
    axes: Option<&[i64]>,
    mode: Mode,
    value: Option<&Tensor>,
    buffers: &mut Buffers,
) -> Result<Tensor> {
    let dims = Dims::from(input.shape());
    let listed = axes.map_or(dims.len(), <[i64]>::len);
    if pads.len() != listed.saturating_mul(2) {
        return Err(Error::invalid("Pad needs two numbers for each axis")
            .expected(listed.saturating_mul(2).to_string())
            .got(pads.len().to_string()));
    }
    let (begins, ends) = pads.split_at_checked(listed).unwrap_or_default();
    let mut around = [(0_i64, 0_i64); RANK_MAX];
    for (at, (begin, end)) in begins.iter().zip(ends).enumerate() {
        let along = match axes.and_then(|axes| axes.get(at)) {
            Some(number) => axis(*number, dims.len())?,
            None => at,
        };
        if let Some(slot) = around.get_mut(along) {
            *slot = (*begin, *end);
        }
    }
    let pairs = dims.iter().zip(around);
    let sides = pairs.map(|(size, around)| Side::new(*size, around, mode)).collect::<Result<Vec<Side>>>()?;
    let made = Dims::of(sides.iter().map(|side| side.new))?;
    let shape = made.shape()?;
    let (old_steps, steps) = (dims.steps(), made.steps());
    let source = |element: usize| {
        let mut from = 0_usize;
        for ((side, step), old_step) in sides.iter().zip(steps.iter()).zip(old_steps.iter()) {
            let at = element / (*step).max(1) % side.new.max(1);
            from = from.saturating_add(side.shows(at)?.saturating_mul(*old_step));
        }
        Some(from)
    };
    let sources = (0..shape.elements()).map(source);
    let data = copied!(input.data(),
        from => {
            let mut to = buffers.take(shape.elements())?;
            let value = value.map_or(Ok(&[][..]), |value| same(from, value))?.first().copied().unwrap_or_default();
            to.extend(sources.map(|place| place.and_then(|place| from.get(place).copied()).unwrap_or(value)));
            to
        },
        from => {
            let mut to = Strings::of(shape.elements())?;
            let value = value.map(strings).transpose()?.and_then(|value| value.get(0)).unwrap_or_default();
            for place in sources {
                to.push(place.and_then(|place| from.get(place)).unwrap_or(value))?;
            }
            to.done()
        }
    );
    Tensor::new(shape, data)
}
