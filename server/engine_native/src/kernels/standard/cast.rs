//! Cast and CastLike: between all datatypes that the domain has.
//!
//! What the specification leaves undefined (floats beyond an integer's range) is what ONNX Runtime does on
//! x86. Strings are written as it writes them, with eight digits, and read as whole literals only.

use candor_domain::{BytesArray, Datatype, Error, Result, Tensor, TensorData};
use candor_engine_source::{datatype, told};
use candor_onnx::DataType;
use half::{bf16, f16};

use super::{
    compare::strings,
    element::{Element, Float, Number, view},
    moves::{Strings, retyped},
};
use crate::{
    kernel::{Args, Build, Built},
    workspace::Buffers,
};

/// Digits of a float as a string, for 32 and 64 bits alike.
const DIGITS: usize = 8;

/// `Cast`.
pub(super) fn cast(build: &Build<'_>) -> Result<Built> {
    // Version 1 named the type.
    let named = if build.opset < 6 { build.node.text("to").map_err(|error| told(&error))? } else { None };
    let to = match named {
        Some(name) => DataType::ALL.into_iter().find(|of| of.to_string().eq_ignore_ascii_case(name)),
        None => i32::try_from(build.int("to", 0)?).ok().and_then(DataType::from_number),
    };
    let to = to.ok_or_else(|| Error::model("Cast needs the type to cast to"))?;
    let Some(target) = datatype(to) else {
        return Err(build.unsupported("Cast to a datatype that is not supported").got(to.to_string()));
    };
    cast_to(build, target)
}

/// `CastLike`: to the type of the second input.
pub(super) fn cast_like(build: &Build<'_>) -> Result<Built> {
    cast_to(build, build.input(1)?.datatype)
}

fn cast_to(build: &Build<'_>, to: Datatype) -> Result<Built> {
    let input = build.input(0)?;
    let (from, dims) = (input.datatype, input.dims.clone());
    if from == to {
        return Built::by(to, dims, |args, _| args.take(0));
    }
    by_stored!(
        from,
        A => if to == Datatype::Bytes {
            Built::by(to, dims, written::<A>)
        } else {
            by_stored!(to, B => Built::by(to, dims, move |args, buffers| converted::<A, B>(args, buffers, to)), Err(build.unsupported("Cast")))
        },
        by_stored!(to, B => Built::by(to, dims, move |args, buffers| parsed::<B>(args, buffers, to)), Err(build.unsupported("Cast")))
    )
}

/// A number of any type, as wide as it must be.
#[derive(Debug, Clone, Copy)]
enum Wide {
    Signed(i64),
    Unsigned(u64),
    Real(f64),
}

/// A type to cast from and to.
trait Castable: Element {
    fn widen(self) -> Wide;
    fn of_signed(number: i64) -> Self;
    fn of_unsigned(number: u64) -> Self;
    fn of_real(number: f64) -> Self;

    fn of_wide(wide: Wide) -> Self {
        match wide {
            Wide::Signed(number) => Self::of_signed(number),
            Wide::Unsigned(number) => Self::of_unsigned(number),
            Wide::Real(number) => Self::of_real(number),
        }
    }
}

macro_rules! castable {
    ($($type:ty: $wide:ident, $real:ident => $of_real:expr;)*) => {
        $(impl Castable for $type {
            fn widen(self) -> Wide {
                Wide::$wide(self.into())
            }

            fn of_signed(number: i64) -> Self {
                number as Self
            }

            fn of_unsigned(number: u64) -> Self {
                number as Self
            }

            fn of_real($real: f64) -> Self {
                $of_real
            }
        })*
    };
}

castable! {
    u8: Unsigned, number => to_i32(number) as Self;
    u16: Unsigned, number => to_i32(number) as Self;
    u32: Unsigned, number => {
        const HALF: f64 = 2_147_483_648.0;
        if number >= HALF { to_i32(number - HALF) as Self ^ (1 << 31) } else { to_i32(number) as Self }
    };
    u64: Unsigned, number => {
        const HALF: f64 = 9_223_372_036_854_775_808.0;
        if number >= HALF { to_i64(number - HALF) as Self ^ (1 << 63) } else { to_i64(number) as Self }
    };
    i8: Signed, number => to_i32(number) as Self;
    i16: Signed, number => to_i32(number) as Self;
    i32: Signed, number => to_i32(number);
    i64: Signed, number => to_i64(number);
    f32: Real, number => number as Self;
    f64: Real, number => number;
}

macro_rules! castable_half {
    ($($type:ty),*) => {
        $(impl Castable for $type {
            fn widen(self) -> Wide {
                Wide::Real(self.into())
            }

            fn of_signed(number: i64) -> Self {
                Self::narrow(number as f32)
            }

            fn of_unsigned(number: u64) -> Self {
                Self::narrow(number as f32)
            }

            fn of_real(number: f64) -> Self {
                Self::near(number)
            }
        })*
    };
}

castable_half!(f16, bf16);

/// Towards zero; the lowest number for what does not fit and for what is not a number.
pub(super) fn to_i32(number: f64) -> i32 {
    if number > -2_147_483_649.0 && number < 2_147_483_648.0 { number as i32 } else { i32::MIN }
}

/// The same.
pub(super) fn to_i64(number: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) { number as i64 } else { i64::MIN }
}

fn converted<A: Castable, B: Castable>(args: &mut Args<'_>, buffers: &mut Buffers, to: Datatype) -> Result<Tensor> {
    let input = args.get(0)?;
    let from = view::<A>(input)?;
    let mut numbers = B::take(buffers, from.len())?;
    if to == Datatype::Bool {
        numbers.extend(from.iter().map(|number| B::of_unsigned(u64::from(*number != A::default()))));
    } else {
        numbers.extend(from.iter().map(|number| B::of_wide(number.widen())));
    }
    Tensor::new(*input.shape(), retyped(B::data(numbers), to == Datatype::Bool))
}

fn written<A: Castable>(args: &mut Args<'_>, _: &mut Buffers) -> Result<Tensor> {
    let input = args.get(0)?;
    let from = view::<A>(input)?;
    let mut to = Strings::of(from.len())?;
    for number in from {
        let text = match number.widen() {
            Wide::Signed(number) => number.to_string(),
            Wide::Unsigned(number) => number.to_string(),
            Wide::Real(number) => real_text(number),
        };
        to.push(text.as_bytes())?;
    }
    Tensor::new(*input.shape(), TensorData::Bytes(to.done()))
}

/// As C's `%.8g` writes it; `NaN`, `INF` and `-INF`.
fn real_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    let scientific = format!("{number:.*e}", DIGITS - 1);
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match usize::try_from(exponent) {
        Ok(before) if before < DIGITS => trimmed(&format!("{number:.*}", DIGITS - 1 - before)),
        Err(_) if exponent >= -4 => {
            let behind = DIGITS - 1 + usize::try_from(exponent.unsigned_abs()).unwrap_or(0);
            trimmed(&format!("{number:.behind$}"))
        }
        Ok(_) | Err(_) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
        }
    }
}

fn parsed<B: Castable>(args: &mut Args<'_>, buffers: &mut Buffers, to: Datatype) -> Result<Tensor> {
    let input = args.get(0)?;
    let from: &BytesArray = strings(input)?;
    let mut numbers = B::take(buffers, from.len())?;
    for string in from.iter() {
        let number = std::str::from_utf8(string).ok().and_then(|text| number_of(text.trim(), to));
        let number = number.ok_or_else(|| {
            Error::invalid("a string is no number")
                .expected(to.name())
                .got(String::from_utf8_lossy(string).into_owned())
        })?;
        numbers.push(if to == Datatype::Bool { B::of_unsigned(is_true(number).into()) } else { B::of_wide(number) });
    }
    Tensor::new(*input.shape(), retyped(B::data(numbers), to == Datatype::Bool))
}

fn is_true(number: Wide) -> bool {
    match number {
        Wide::Signed(number) => number != 0,
        Wide::Unsigned(number) => number != 0,
        Wide::Real(number) => number.trunc() != 0.0,
    }
}

/// A literal; for integers without an exponent, and digits behind the point are dropped.
fn number_of(text: &str, to: Datatype) -> Option<Wide> {
    if matches!(to, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp64) {
        return text.parse().ok().map(Wide::Real);
    }
    if to == Datatype::Fp32 {
        // Rounded once, not by way of 64 bits.
        return text.parse::<f32>().ok().map(|number| Wide::Real(number.into()));
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(Wide::Signed(number));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(Wide::Unsigned(number));
    }
    let (whole, behind) = text.split_once('.')?;
    let digits = behind.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|_| digits).map(Wide::Signed)
}
