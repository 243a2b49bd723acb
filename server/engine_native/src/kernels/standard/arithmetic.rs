//! Arithmetic of two tensors and of many: Add, Sub, Mul, Div, Pow, Mod, PRelu; Max, Min, Sum, Mean; Clip.
//!
//! Whole numbers wrap. A whole number divided by zero is an error of the request, not of the process.

use candor_domain::{Error, Result, Tensor};
use candor_engine_source::told;
use half::{bf16, f16};

use super::{
    cast::{to_i32, to_i64},
    dims::{Dims, broadcast, single},
    element::{Element, Float, Number, view, wide},
    infer,
    pairs::{Align, zip_of, zip_onto},
    unary::map,
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// Two tensors of one number type.
macro_rules! pairs {
    ($($(#[$doc:meta])* $name:ident($a:ident, $b:ident: $type:ident) => $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(build: &Build<'_>) -> Result<Built> {
            by_number!(
                build.input(0)?.datatype,
                $type => both(build, false, |$a: $type, $b: $type| $body),
                Err(build.wrong_datatype(0, "a number"))
            )
        })*
    };
}

pairs! {
    /// `Add`.
    add(a, b: T) => a.plus(b);
    /// `Sub`.
    sub(a, b: T) => a.minus(b);
    /// `Mul`.
    mul(a, b: T) => a.times(b);
    /// `PRelu`: the second is the slope below zero, before version 7 one for each channel.
    prelu(a, b: T) => if a.is_below_zero() { a.times(b) } else { a };
}

fn both<T: Number>(build: &Build<'_>, divides: bool, of: impl Fn(T, T) -> T + Send + Sync + 'static) -> Result<Built> {
    let datatype = build.input(0)?.datatype;
    if build.input(1)?.datatype != datatype {
        return Err(build.wrong_datatype(1, datatype.name()));
    }
    let align = Align::of(build)?;
    Built::by(datatype, infer::broadcast(build), move |args, buffers| {
        if divides && T::WHOLE && view::<T>(args.get(1)?)?.contains(&T::ZERO) {
            return Err(Error::invalid("a whole number is divided by zero"));
        }
        zip_onto(args, buffers, align, &of)
    })
}

/// `Div`: whole numbers towards zero.
pub(super) fn div(build: &Build<'_>) -> Result<Built> {
    by_number!(
        build.input(0)?.datatype,
        T => both(build, true, T::over),
        Err(build.wrong_datatype(0, "a number"))
    )
}

/// `Mod`: with the sign of the divisor, or with `fmod` that of the dividend.
pub(super) fn modulo(build: &Build<'_>) -> Result<Built> {
    let floored = !build.flag("fmod", false)?;
    by_number!(
        build.input(0)?.datatype,
        T => {
            if floored && !T::WHOLE && build.opset < 28 {
                return Err(candor_domain::Error::model("Mod of floats needs fmod before version 28"));
            }
            both(build, true, move |a: T, b: T| a.modulo(b, floored))
        },
        Err(build.wrong_datatype(0, "a number"))
    )
}

/// `BitwiseAnd`, `BitwiseOr` and `BitwiseXor`.
pub(super) fn bitwise(build: &Build<'_>) -> Result<Built> {
    by_whole!(
        build.input(0)?.datatype,
        T => match build.node.op_type.as_str() {
            "BitwiseAnd" => both(build, false, |a: T, b: T| a & b),
            "BitwiseOr" => both(build, false, |a: T, b: T| a | b),
            _ => both(build, false, |a: T, b: T| a ^ b),
        },
        Err(build.wrong_datatype(0, "an integer"))
    )
}

/// A base that `Pow` takes.
trait Base: Element {
    fn power(self, exponent: f64) -> Self;
}

macro_rules! base {
    ($($type:ty: $base:ident, $exponent:ident => $power:expr;)*) => {
        $(impl Base for $type {
            fn power(self, $exponent: f64) -> Self {
                let $base = self;
                $power
            }
        })*
    };
}

base! {
    // A result that does not fit is not defined; it is converted as `Cast` does.
    i32: base, exponent => to_i32(f64::from(base).powf(exponent));
    i64: base, exponent => whole_power(base, exponent);
    f32: base, exponent => if exponent == 2.0 { base * base } else { base.powf(exponent as Self) };
    f64: base, exponent => if exponent == 2.0 { base * base } else { base.powf(exponent) };
    f16: base, exponent => Self::narrow(base.wide().power(exponent));
    bf16: base, exponent => Self::narrow(base.wide().power(exponent));
}

/// Exact where it fits, also beyond the whole numbers that a float has.
fn whole_power(base: i64, exponent: f64) -> i64 {
    let whole = exponent >= 0.0 && exponent <= f64::from(u32::MAX) && exponent.fract() == 0.0;
    if whole { base.wrapping_pow(exponent as u32) } else { to_i64((base as f64).powf(exponent)) }
}

/// `Pow`: the result has the type of the base.
pub(super) fn pow(build: &Build<'_>) -> Result<Built> {
    fn of<A: Base>(build: &Build<'_>) -> Result<Built> {
        let align = Align::of(build)?;
        Built::by(build.input(0)?.datatype, infer::broadcast(build), move |args, buffers| {
            let exponents = wide(args.get(1)?, buffers)?;
            let (bases, second) = (args.get(0)?, args.get(1)?);
            let made = zip_of((bases, view(bases)?), (second, &exponents), buffers, align, A::data, A::power);
            buffers.give(exponents);
            made
        })
    }
    by_number!(build.input(1)?.datatype, _B => (), return Err(build.wrong_datatype(1, "a number")));
    by_type!(
        build.input(0)?.datatype,
        A => of::<A>(build),
        Err(build.wrong_datatype(0, "INT32, INT64 or a float"));
        Int32: i32, Int64: i64, Fp16: half::f16, Bf16: half::bf16, Fp32: f32, Fp64: f64;
        Bool, Bytes, Uint8, Uint16, Uint32, Uint64, Int8, Int16
    )
}

/// Many tensors of one type, the first with the second, that with the third, and so on; then each by `end`.
fn many<T: Number>(build: &Build<'_>, of: fn(T, T) -> T, end: Option<fn(T, T) -> T>) -> Result<Built> {
    let datatype = build.input(0)?.datatype;
    for at in 1..build.inputs.len() {
        if build.input(at)?.datatype != datatype {
            return Err(build.wrong_datatype(at, datatype.name()));
        }
    }
    // Before version 8 all had one shape; broadcasting says the same of those.
    Built::by(datatype, infer::broadcast(build), move |args, buffers| {
        let mut dims = Dims::default();
        for at in 0..args.len() {
            dims = broadcast([dims, Dims::from(args.get(at)?.shape())])?.dims;
        }
        let shape = dims.shape()?;
        let mut to: Vec<T> = T::take(buffers, shape.elements())?;
        for at in 0..args.len() {
            let from = view::<T>(args.get(at)?)?;
            let both = broadcast([dims, Dims::from(args.get(at)?.shape())])?;
            if at == 0 {
                both.walk.each_element(|[_, from_at]| to.extend(from.get(from_at)));
            } else {
                onto(&mut to, from, &both.walk, of);
            }
        }
        if let Some(end) = end {
            let count = T::near(args.len() as f64);
            to.iter_mut().for_each(|number| *number = end(*number, count));
        }
        Tensor::new(shape, T::data(to))
    })
}

fn onto<T: Copy>(to: &mut [T], from: &[T], walk: &super::dims::Walk<2>, of: fn(T, T) -> T) {
    walk.each_element(|[to_at, from_at]| {
        if let (Some(to), Some(from)) = (to.get_mut(to_at), from.get(from_at)) {
            *to = of(*to, *from);
        }
    });
}

macro_rules! many {
    ($($(#[$doc:meta])* $name:ident: $type:ident => $of:expr, $end:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(build: &Build<'_>) -> Result<Built> {
            by_number!(
                build.input(0)?.datatype,
                $type => many::<$type>(build, $of, $end),
                Err(build.wrong_datatype(0, "a number"))
            )
        })*
    };
}

many! {
    /// `Max`.
    max: T => T::larger, None;
    /// `Min`.
    min: T => T::smaller, None;
    /// `Sum`.
    sum: T => T::plus, None;
    /// `Mean`.
    mean: T => T::plus, Some(T::over);
}

/// `Clip`, between attributes before version 11, between inputs since; what is not said is the finite limit, so
/// that an infinity does not stay one.
pub(super) fn clip(build: &Build<'_>) -> Result<Built> {
    fn of<T: Number>(build: &Build<'_>, low: T, high: T) -> Result<Built> {
        let input = build.input(0)?;
        Built::by(input.datatype, input.dims.clone(), move |args, buffers| run(args, buffers, low, high))
    }
    fn run<T: Number>(args: &mut Args<'_>, buffers: &mut Buffers, low: T, high: T) -> Result<Tensor> {
        let low = args.optional(1).map_or(Ok(low), |low| single(view(low)?))?;
        let high = args.optional(2).map_or(Ok(high), |high| single(view(high)?))?;
        map(args, buffers, move |x: T| x.larger(low).smaller(high))
    }
    let datatype = build.input(0)?.datatype;
    let attributes = (
        build.node.float("min").map_err(|error| told(&error))?,
        build.node.float("max").map_err(|error| told(&error))?,
    );
    if build.opset >= 11 {
        return by_number!(datatype, T => of::<T>(build, T::LEAST, T::MOST), Err(build.wrong_datatype(0, "a number")));
    }
    by_float!(
        datatype,
        T => {
            let near = |number: Option<f32>, other: T| number.map_or(other, |number| T::near(number.into()));
            of::<T>(build, near(attributes.0, T::LEAST), near(attributes.1, T::MOST))
        },
        Err(build.wrong_datatype(0, "a float"))
    )
}
