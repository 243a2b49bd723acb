//! Numbers from the bytes of a body: arrays of them straight into typed elements, eight digits at a time.
//!
//! After [`super::quick`] or [`super::data`] have found an array; before nothing. What is odd in any way (a wrong number
//! of elements, a number of another kind, a syntax error, a text) is not read and not explained: `None` sends the caller
//! to the reader that goes through serde, which says what is wrong. So here stands nothing but what good bodies need,
//! and both give the same bits for whatever both read; `tests` holds them to it.

use candor_domain::{Datatype, Shape, TensorData};

use super::data::Element;

/// A number as JSON means it, in the kinds that serde_json tells apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Without a sign, a fraction or an exponent.
    Unsigned(u64),
    /// With a sign, below zero.
    Signed(i64),
    /// Everything else: correctly rounded, and finite.
    Float(f64),
}

/// Reads a `data` array of numbers at the start of `text`, flat or nested as `shape` says; gives what stands behind it.
pub(crate) fn data<'a>(datatype: Datatype, shape: &Shape, text: &'a [u8]) -> Option<(TensorData, &'a [u8])> {
    macro_rules! read {
        ($variant:ident) => {
            elements(shape, text).map(|(elements, rest)| (TensorData::$variant(elements), rest))
        };
    }
    match datatype {
        Datatype::Uint8 => read!(Uint8),
        Datatype::Uint16 => read!(Uint16),
        Datatype::Uint32 => read!(Uint32),
        Datatype::Uint64 => read!(Uint64),
        Datatype::Int8 => read!(Int8),
        Datatype::Int16 => read!(Int16),
        Datatype::Int32 => read!(Int32),
        Datatype::Int64 => read!(Int64),
        Datatype::Fp32 => read!(Fp32),
        Datatype::Fp64 => read!(Fp64),
        Datatype::Bool | Datatype::Bytes | Datatype::Fp16 | Datatype::Bf16 => None,
    }
}

fn elements<'a, T: Element>(shape: &Shape, text: &'a [u8]) -> Option<(Vec<T>, &'a [u8])> {
    let count = shape.elements();
    // Each element takes a byte at least, so that no shape makes room for more than the body can hold.
    let mut sink = Vec::with_capacity(Some(count).filter(|count| *count <= text.len())?);
    let text = space(text).strip_prefix(b"[")?;
    let is_nested = shape.rank() > 1 && space(text).first() == Some(&b'[');
    let rest = if is_nested { level(shape.dims(), text, &mut sink)? } else { flat(count, text, &mut sink)? };
    Some((sink, rest))
}

/// The members of an array whose bracket has been read, down to its own closing one.
fn level<'a, T: Element>(dims: &[i64], text: &'a [u8], sink: &mut Vec<T>) -> Option<&'a [u8]> {
    let (&dim, inner) = dims.split_first()?;
    let count = usize::try_from(dim).ok()?;
    if inner.is_empty() {
        return flat(count, text, sink);
    }
    members(count, text, |text| level(inner, text.strip_prefix(b"[")?, sink))
}

/// As [`level`], where the members are numbers.
fn flat<'a, T: Element>(count: usize, text: &'a [u8], sink: &mut Vec<T>) -> Option<&'a [u8]> {
    members(count, text, |text| {
        let (number, rest) = number(text)?;
        sink.push(match number {
            Number::Float(value) => T::from_float(value)?,
            Number::Unsigned(value) => T::from_unsigned(value)?,
            Number::Signed(value) => T::from_signed(value)?,
        });
        Some(rest)
    })
}

/// Exactly `count` members with commas between them and a bracket behind the last.
#[inline]
fn members<'a>(count: usize, text: &'a [u8], mut member: impl FnMut(&'a [u8]) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
    let mut text = space(text);
    for left in (0..count).rev() {
        let (separator, rest) = space(member(text)?).split_first()?;
        match (separator, left) {
            (b',', 1..) => text = space(rest),
            (b']', 0) => return Some(rest),
            _ => return None,
        }
    }
    text.strip_prefix(b"]")
}

/// What stands behind the white space that JSON has.
#[inline]
pub(crate) fn space(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// Most digits that always fit into a `u64`.
const DIGITS_MAX: usize = 19;

/// Reads a number at the start of `text`; gives what stands behind it, whatever that is.
#[inline]
pub(crate) fn number(text: &[u8]) -> Option<(Number, &[u8])> {
    let (is_negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (first, rest) = unsigned.split_first().filter(|(first, _)| first.is_ascii_digit())?;
    let leading = u64::from(first - b'0');
    let (whole, rest) = match rest {
        // JSON has no leading zeros.
        [b'0'..=b'9', ..] if leading == 0 => return None,
        [b'0'..=b'9', ..] => digits(rest, Digits { value: leading, count: 1 }),
        _ => (Digits { value: leading, count: 1 }, rest),
    };
    let (all, exponent, rest) = match rest {
        [b'.', behind @ ..] => {
            let (all, rest) = digits(behind, whole);
            let decimals = i32::try_from(all.count - whole.count).ok().filter(|decimals| *decimals > 0)?;
            (all, -decimals, rest)
        }
        [b'e' | b'E', ..] => (whole, 0, rest),
        _ => return integer(is_negative, whole, unsigned, rest).map(|number| (number, rest)),
    };
    let (exponent, rest) = match rest {
        [b'e' | b'E', behind @ ..] => {
            let (power, rest) = power(behind)?;
            (exponent.saturating_add(power), rest)
        }
        _ => (exponent, rest),
    };
    let short = all.count <= DIGITS_MAX || are_zeros(unsigned, all.count - DIGITS_MAX);
    let quick = || exact(all.value, exponent).or_else(|| quotient(all.value, exponent));
    let magnitude = if short { quick() } else { None }.or_else(|| rounded(token(unsigned, rest)))?;
    Some((Number::Float(if is_negative { -magnitude } else { magnitude }), rest))
}

/// A number without fraction and exponent, as serde_json takes it: what no integer holds is a float, and so is -0.
#[cold]
fn long_integer(is_negative: bool, token: &[u8]) -> Option<Number> {
    match std::str::from_utf8(token).ok()?.parse() {
        Ok(value) => short_integer(is_negative, value),
        Err(_) => rounded(token).map(|value| Number::Float(if is_negative { -value } else { value })),
    }
}

#[inline]
fn integer(is_negative: bool, whole: Digits, unsigned: &[u8], rest: &[u8]) -> Option<Number> {
    if whole.count <= DIGITS_MAX {
        short_integer(is_negative, whole.value)
    } else {
        long_integer(is_negative, token(unsigned, rest))
    }
}

#[allow(clippy::cast_precision_loss, reason = "the nearest float is what JSON means by a number that no integer holds")]
#[inline]
fn short_integer(is_negative: bool, value: u64) -> Option<Number> {
    Some(match (is_negative, value) {
        (false, value) => Number::Unsigned(value),
        (true, 1..=0x8000_0000_0000_0000) => Number::Signed(0_i64.wrapping_sub_unsigned(value)),
        (true, value) => Number::Float(-(value as f64)),
    })
}

/// What `text` has before `rest`, which ends it.
fn token<'a>(text: &'a [u8], rest: &[u8]) -> &'a [u8] {
    text.get(..text.len() - rest.len()).unwrap_or_default()
}

/// Digits in a row.
#[derive(Clone, Copy)]
struct Digits {
    /// Their value, if they are at most [`DIGITS_MAX`].
    value: u64,
    count: usize,
}

const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Appends the digits at the start of `text` to those that were `read` before.
#[inline]
fn digits(mut text: &[u8], mut read: Digits) -> (Digits, &[u8]) {
    while let Some((chunk, rest)) = text.split_first_chunk::<8>() {
        let chunk = u64::from_le_bytes(*chunk);
        let count = leading_digits(chunk);
        if count == 8 {
            read.value = read.value.wrapping_mul(100_000_000).wrapping_add(eight_digits(chunk));
            read.count += 8;
            text = rest;
            continue;
        }
        // Zeros from the left make eight digits of them.
        let padded = chunk.wrapping_sub(ZEROS).checked_shl(64 - 8 * count as u32).unwrap_or(0);
        let power = POWERS.get(count).copied().unwrap_or(1);
        read.value = read.value.wrapping_mul(power).wrapping_add(eight_digits(padded));
        read.count += count;
        return (read, text.get(count..).unwrap_or_default());
    }
    while let [digit @ b'0'..=b'9', rest @ ..] = text {
        read.value = read.value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        read.count += 1;
        text = rest;
    }
    (read, text)
}

/// Eight times the character 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// How many of eight characters, the first of which is the lowest byte, are digits before the first that is none.
#[inline]
fn leading_digits(chunk: u64) -> usize {
    // The highest bit of a byte is set if it is below '0' or above '9'. A byte that is no digit may carry into those
    // behind it, never into those before it.
    let others = (chunk.wrapping_sub(ZEROS) | chunk.wrapping_add(0x4646_4646_4646_4646)) & 0x8080_8080_8080_8080;
    others.trailing_zeros() as usize / 8
}

/// The value of eight digits, the first of which is the lowest byte: pairs, then fours, then all.
#[inline]
fn eight_digits(chunk: u64) -> u64 {
    let pairs = (chunk & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(10 << 8 | 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32
}

/// An exponent behind its `e`.
fn power(text: &[u8]) -> Option<(i32, &[u8])> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (power, rest) = digits(text, Digits { value: 0, count: 0 });
    let digits = Some(power).filter(|power| power.count > 0)?;
    // Beyond nine digits only the reader of everything knows.
    let power = if digits.count <= 9 { i32::try_from(digits.value).ok()? } else { i32::MAX };
    Some((if is_negative { -power } else { power }, rest))
}

/// Clinger's fast path: a product or a quotient of two floats that are exact is rounded once, and so correctly.
#[allow(clippy::cast_precision_loss, reason = "no more than 53 bits")]
#[inline]
fn exact(digits: u64, exponent: i32) -> Option<f64> {
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ];
    if digits > 1 << 53 {
        return None;
    }
    let power = *POWERS.get(exponent.unsigned_abs() as usize)?;
    let value = digits as f64;
    Some(if exponent < 0 { value / power } else { value * power })
}

/// Whether so many digits at the start of a number are zeros, and thus say nothing.
#[cold]
fn are_zeros(unsigned: &[u8], count: usize) -> bool {
    unsigned.iter().filter(|&&byte| byte != b'.').take(count).all(|&byte| byte == b'0')
}

/// Powers of a fifth, by their exponent, as 128 bits of which the highest is set; rounded up. (The first is not used.)
const FIFTHS: [u128; 28] = fifths();

#[allow(clippy::indexing_slicing, reason = "at compile time")]
const fn fifths() -> [u128; 28] {
    let (mut fifths, mut exponent, mut power) = ([1 << 127; 28], 1, 1_u128);
    while exponent < fifths.len() {
        power *= 5;
        // Long division: of the smallest power of two above, and 127 zeros behind it.
        let (mut quotient, mut rest, mut digits) = (0_u128, power.next_power_of_two(), 0);
        while digits < 128 {
            quotient <<= 1;
            if rest >= power {
                rest -= power;
                quotient |= 1;
            }
            rest <<= 1;
            digits += 1;
        }
        fifths[exponent] = quotient + 1;
        exponent += 1;
    }
    fifths
}

/// What Clinger's path leaves of the usual floats, those of 17 digits: the algorithm of Eisel and Lemire (D. Lemire,
/// "Number Parsing at a Gigabyte per Second", 2021, algorithm 1), for 1 to 27 decimals, where it always has an answer
/// and none is subnormal.
fn quotient(digits: u64, exponent: i32) -> Option<f64> {
    const MANTISSA_BITS: u32 = 52;
    let fifth = *FIFTHS.get(exponent.unsigned_abs() as usize).filter(|_| exponent < 0)?;
    if digits == 0 {
        return Some(0.0);
    }
    let shift = digits.leading_zeros();
    let aligned = u128::from(digits << shift);
    let mut product = aligned * (fifth >> 64);
    // So many ones that what was left out of the product may carry into those that count.
    if (product >> 64) & 0x1ff == 0x1ff {
        product += (aligned * (fifth & u128::from(u64::MAX))) >> 64;
    }
    let (high, low) = ((product >> 64) as u64, product as u64);
    let upper = (high >> 63) as u32;
    let dropped = upper + 64 - MANTISSA_BITS - 3;
    let mut mantissa = high >> dropped;
    // Halfway between two floats, which only happens with few decimals: to the even one.
    if low <= 1 && exponent >= -4 && mantissa & 3 == 1 && mantissa << dropped == high {
        mantissa &= !1;
    }
    // The lowest bit rounds; what overflows makes the exponent one larger, and is zeros otherwise.
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    let power = ((exponent * 217_706) >> 16) + 63 + 1023 + upper.cast_signed() - shift.cast_signed();
    let implicit = 1 << MANTISSA_BITS;
    Some(f64::from_bits((u64::from(power.unsigned_abs()) << MANTISSA_BITS) + (mantissa - implicit)))
}

/// Any number, correctly rounded; nothing for one that no float holds.
fn rounded(token: &[u8]) -> Option<f64> {
    std::str::from_utf8(token).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests;
