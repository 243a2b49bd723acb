//! Operators that change each element by itself.
//!
//! Floats of 16 bits go through 32. Formulas are those of the specification; where it gives none, of numpy.

use candor_domain::{Datatype, Result, Tensor, TensorData};
use half::{bf16, f16};

use super::{
    element::{Element, Float, Number, Real, view},
    moves::retyped,
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// Each element by itself, in place where nobody else needs the input.
fn mapped<T: Element>(build: &Build<'_>, of: impl Fn(T) -> T + Send + Sync + 'static) -> Result<Built> {
    let input = build.input(0)?;
    Built::by(input.datatype, input.dims.clone(), move |args, buffers| map(args, buffers, &of))
}

/// Runs what [`mapped`] builds.
pub(super) fn map<T: Element>(args: &mut Args<'_>, buffers: &mut Buffers, of: impl Fn(T) -> T) -> Result<Tensor> {
    let _: &[T] = view(args.get(0)?)?;
    if let Some(tensor) = args.moved(0) {
        let (shape, mut data) = tensor.into_parts();
        T::of_mut(&mut data).unwrap_or_default().iter_mut().for_each(|element| *element = of(*element));
        return Tensor::new(shape, data);
    }
    let input = args.get(0)?;
    let from = view::<T>(input)?;
    let mut to = T::take(buffers, from.len())?;
    to.extend(from.iter().map(|element| of(*element)));
    Tensor::new(*input.shape(), retyped(T::data(to), input.datatype() == Datatype::Bool))
}

/// Floats by a function of 32 bits and one of 64.
fn real(
    build: &Build<'_>,
    single: impl Fn(f32) -> f32 + Send + Sync + 'static,
    double: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> Result<Built> {
    match build.input(0)?.datatype {
        Datatype::Fp32 => mapped(build, single),
        Datatype::Fp64 => mapped(build, double),
        Datatype::Fp16 => mapped(build, move |number: f16| f16::narrow(single(number.wide()))),
        Datatype::Bf16 => mapped(build, move |number: bf16| bf16::narrow(single(number.wide()))),
        Datatype::Bool
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64
        | Datatype::Bytes => Err(build.wrong_datatype(0, "a float")),
    }
}

/// The same expression for both widths; attributes with their defaults come before it.
macro_rules! real {
    ($($(#[$doc:meta])* $name:ident($x:ident $(, $attribute:ident = $default:expr)*) => $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(build: &Build<'_>) -> Result<Built> {
            $(let $attribute = build.float(stringify!($attribute), $default)?;)*
            real(
                build,
                move |$x: f32| $body,
                move |$x: f64| {
                    $(let $attribute = f64::from($attribute);)*
                    $body
                },
            )
        })*
    };
}

real! {
    /// `Exp`.
    exp(x) => Real::exp(x);
    /// `Log`.
    log(x) => x.ln();
    /// `Sqrt`.
    sqrt(x) => x.sqrt();
    /// `Reciprocal`.
    reciprocal(x) => 1.0 / x;
    /// `Floor`.
    floor(x) => x.floor();
    /// `Ceil`.
    ceil(x) => x.ceil();
    /// `Round`: halves to the even neighbour.
    round(x) => x.round_ties_even();
    /// `Sigmoid`, without overflow on either side.
    sigmoid(x) => {
        let small = Real::exp(-x.abs());
        (if x < 0.0 { small } else { 1.0 }) / (1.0 + small)
    };
    /// `Tanh`.
    tanh(x) => Real::tanh(x);
    /// `Sin`.
    sin(x) => x.sin();
    /// `Cos`.
    cos(x) => x.cos();
    /// `Tan`.
    tan(x) => x.tan();
    /// `Asin`.
    asin(x) => x.asin();
    /// `Acos`.
    acos(x) => x.acos();
    /// `Atan`.
    atan(x) => x.atan();
    /// `Sinh`.
    sinh(x) => x.sinh();
    /// `Cosh`.
    cosh(x) => x.cosh();
    /// `Asinh`.
    asinh(x) => x.asinh();
    /// `Acosh`.
    acosh(x) => x.acosh();
    /// `Atanh`.
    atanh(x) => x.atanh();
    /// `LeakyRelu`.
    leaky_relu(x, alpha = 0.01) => if x < 0.0 { alpha * x } else { x };
    /// `Elu`.
    elu(x, alpha = 1.0) => if x < 0.0 { alpha * x.exp_m1() } else { x };
    /// `Celu`: `max(0, x) + min(0, alpha · (exp(x / alpha) − 1))`.
    celu(x, alpha = 1.0) =>
        if x > 0.0 { x } else { alpha * (x / alpha).exp_m1() };
    /// `ThresholdedRelu`.
    thresholded_relu(x, alpha = 1.0) => if x > alpha { x } else { 0.0 };
    /// `HardSigmoid`.
    hard_sigmoid(x, alpha = 0.2, beta = 0.5) => (alpha * x + beta).clamp(0.0, 1.0);
    /// `HardSwish`.
    hard_swish(x) => x * (x / 6.0 + 0.5).clamp(0.0, 1.0);
    /// `Softplus`, `ln(1 + exp(x))` without overflow.
    softplus(x) => x.max(0.0) + (-x.abs()).exp().ln_1p();
    /// `Softsign`.
    softsign(x) => x / (1.0 + x.abs());
    /// `Shrink`.
    shrink(x, lambd = 0.5, bias = 0.0) =>
        if x < -lambd { x + bias } else if x > lambd { x - bias } else { 0.0 };
    /// `Swish`.
    swish(x, alpha = 1.0) => x / (1.0 + (-alpha * x).exp());
    /// `Mish`: `x · tanh(softplus(x))`.
    mish(x) => x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
}

/// `Erf`.
pub(super) fn erf(build: &Build<'_>) -> Result<Built> {
    real(build, libm::erff, libm::erf)
}

/// `Selu`, whose defaults changed in their last digits with version 6.
pub(super) fn selu(build: &Build<'_>) -> Result<Built> {
    let (alpha, gamma) = if build.opset < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
    let (alpha, gamma) = (build.float("alpha", alpha)?, build.float("gamma", gamma)?);
    let (wide_alpha, wide_gamma) = (f64::from(alpha), f64::from(gamma));
    real(
        build,
        move |x| gamma * if x > 0.0 { x } else { alpha * x.exp_m1() },
        move |x| wide_gamma * if x > 0.0 { x } else { wide_alpha * x.exp_m1() },
    )
}

/// `Gelu`, exact or by `tanh`.
pub(super) fn gelu(build: &Build<'_>) -> Result<Built> {
    macro_rules! by_tanh {
        ($x:ident, $two_by_pi:expr) => {{
            let inner = $two_by_pi.sqrt() * ($x + 0.044_715 * $x * $x * $x);
            0.5 * $x * (1.0 + inner.tanh())
        }};
    }
    match build.text("approximate", "none")? {
        "none" => real(
            build,
            |x| 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)),
            |x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        ),
        "tanh" => {
            real(build, |x| by_tanh!(x, std::f32::consts::FRAC_2_PI), |x| by_tanh!(x, std::f64::consts::FRAC_2_PI))
        }
        _ => Err(candor_domain::Error::model("unknown approximation").expected("none or tanh")),
    }
}

/// Any number by a function of its own type.
macro_rules! number {
    ($($(#[$doc:meta])* $name:ident($x:ident: $type:ident) => $body:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(build: &Build<'_>) -> Result<Built> {
            by_number!(
                build.input(0)?.datatype,
                $type => mapped(build, |$x: $type| $body),
                Err(build.wrong_datatype(0, "a number"))
            )
        })*
    };
}

number! {
    /// `Neg`.
    neg(x: T) => x.negative();
    /// `Abs`.
    abs(x: T) => x.magnitude();
    /// `Relu`; a not-a-number stays one.
    relu(x: T) => if x.is_below_zero() { T::ZERO } else { x };
    /// `Sign`; of a not-a-number, that.
    sign(x: T) =>
        if x > T::ZERO { T::ONE } else if x.is_below_zero() { T::ONE.negative() } else if x.is_nan() { x } else { T::ZERO };
}

/// `BitwiseNot`.
pub(super) fn bitwise_not(build: &Build<'_>) -> Result<Built> {
    by_whole!(
        build.input(0)?.datatype,
        T => mapped(build, |x: T| !x),
        Err(build.wrong_datatype(0, "an integer"))
    )
}

/// `Not`.
pub(super) fn not(build: &Build<'_>) -> Result<Built> {
    if build.input(0)?.datatype != Datatype::Bool {
        return Err(build.wrong_datatype(0, "BOOL"));
    }
    mapped(build, |truth: u8| u8::from(truth == 0))
}

/// Whether each float is something.
fn asked(
    build: &Build<'_>,
    single: impl Fn(f32) -> bool + Send + Sync + 'static,
    double: impl Fn(f64) -> bool + Send + Sync + 'static,
) -> Result<Built> {
    fn ask<T: Float>(build: &Build<'_>, of: impl Fn(T::Wide) -> bool + Send + Sync + 'static) -> Result<Built> {
        Built::by(Datatype::Bool, build.input(0)?.dims.clone(), move |args, buffers| {
            let input = args.get(0)?;
            let from = view::<T>(input)?;
            let mut to = buffers.take(from.len())?;
            to.extend(from.iter().map(|number| u8::from(of(number.wide()))));
            Tensor::new(*input.shape(), TensorData::Bool(to))
        })
    }
    match build.input(0)?.datatype {
        Datatype::Fp32 => ask::<f32>(build, single),
        Datatype::Fp64 => ask::<f64>(build, double),
        Datatype::Fp16 => ask::<f16>(build, single),
        Datatype::Bf16 => ask::<bf16>(build, single),
        Datatype::Bool
        | Datatype::Uint8
        | Datatype::Uint16
        | Datatype::Uint32
        | Datatype::Uint64
        | Datatype::Int8
        | Datatype::Int16
        | Datatype::Int32
        | Datatype::Int64
        | Datatype::Bytes => Err(build.wrong_datatype(0, "a float")),
    }
}

/// `IsNaN`.
pub(super) fn is_nan(build: &Build<'_>) -> Result<Built> {
    asked(build, f32::is_nan, f64::is_nan)
}

/// `IsInf`, of either sign or one.
pub(super) fn is_inf(build: &Build<'_>) -> Result<Built> {
    let (below, above) = (build.flag("detect_negative", true)?, build.flag("detect_positive", true)?);
    asked(
        build,
        move |x| (below && x == f32::NEG_INFINITY) || (above && x == f32::INFINITY),
        move |x| (below && x == f64::NEG_INFINITY) || (above && x == f64::INFINITY),
    )
}
