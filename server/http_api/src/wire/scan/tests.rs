//! That the scanner and serde_json read the same, bit by bit, and take and refuse the same texts.

use std::fmt;

use candor_domain::{Datatype, Shape, TensorData};
use proptest::{collection::vec, prelude::*};
use serde::de::{Deserialize, DeserializeSeed as _, Deserializer, Visitor};

use super::{Number, data, eight_digits, leading_digits, number, space};
use crate::wire::{Trouble, data::DataSeed};

/// A number as serde_json tells a visitor of it.
struct Told(Number);

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tell;
        impl Visitor<'_> for Tell {
            type Value = Told;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Told, E> {
                Ok(Told(Number::Unsigned(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Told, E> {
                Ok(Told(Number::Signed(value)))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Told, E> {
                Ok(Told(Number::Float(value)))
            }
        }
        deserializer.deserialize_any(Tell)
    }
}

/// What two numbers are compared by: -0 is not 0.
fn bits(number: Number) -> (u8, u64) {
    match number {
        Number::Unsigned(value) => (0, value),
        Number::Signed(value) => (1, value.cast_unsigned()),
        Number::Float(value) => (2, value.to_bits()),
    }
}

/// Whether both read the whole text as the same number, or neither does.
fn agree(text: &str) -> Result<(), TestCaseError> {
    let theirs = serde_json::from_str::<Told>(text).ok().map(|told| bits(told.0));
    let end = [text.as_bytes(), b","].concat();
    // Near the end of a body digits are read one by one.
    for text in [text.as_bytes(), &end] {
        let ours = number(space(text)).filter(|(_, rest)| matches!(space(rest), [] | [b',']));
        prop_assert_eq!(ours.map(|(number, _)| bits(number)), theirs, "{}", String::from_utf8_lossy(text));
    }
    Ok(())
}

/// The ways in which languages write a float.
fn written(value: f64, single: f32) -> Vec<String> {
    let python = |text: String| match text.split_once('e') {
        // At least two digits and a sign.
        Some((digits, power)) => match power.strip_prefix('-') {
            Some(power) => format!("{digits}e-{power:0>2}"),
            None => format!("{digits}e+{power:0>2}"),
        },
        None => text,
    };
    let mut texts = Vec::new();
    for (plain, science, debug) in [
        (format!("{value}"), format!("{value:e}"), format!("{value:?}")),
        (format!("{single}"), format!("{single:e}"), format!("{single:?}")),
    ] {
        texts.extend([python(science.clone()), science.to_uppercase(), science, plain, debug]);
    }
    texts.extend([format!("{value:.17e}"), format!("{value:.25e}"), format!("{single:.6}"), format!("{value:.3}")]);
    texts.extend(serde_json::to_string(&value).ok().filter(|text| text != "null"));
    texts.extend(serde_json::to_string(&single).ok().filter(|text| text != "null"));
    // A float32 as a client writes it that has floats of one size only.
    texts.extend(serde_json::to_string(&f64::from(single)).ok().filter(|text| text != "null"));
    texts
}

/// Numbers, and what is nearly one.
const ENDS: &str = "
    0 -0 0.0 -0.0 0e5 -0e-5 1 -1 00 01 -01 1. .5 -.5 +1 - e5 1e 1e+ 1e- 1.e5 1.5e 0x10 NaN Infinity -Infinity
    1_000 1,5 1.5.5 1e5e5 9007199254740991 9007199254740992 9007199254740993 9007199254740993.0
    9007199254740993e0 9007199254740992e22 9007199254740992e23 9007199254740992e-22 9007199254740992e-23 1e22
    1e23 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615
    18446744073709551616 -18446744073709551615 -18446744073709551616 9999999999999999999 10000000000000000000
    99999999999999999999 1234567890123456789012345678901234567890 1.7976931348623157e308 1.7976931348623159e308
    1e309 -1e309 1e400 1e99999999999 0e99999999999 1e-99999999999 4.9e-324 2.4703282292062327e-324
    2.4703282292062328e-324 2.2250738585072014e-308 2.2250738585072011e-308 5e-324 1e-400 3.4028235677973366e38
    3.4028234e38 1.401298464324817e-45 7.038531e-26 0.1 0.30000000000000004 123456789.123456789
    0.000000000000000000000000000000000000001 1e0000000000000000000000022 1e-0000000000000000000000022
    1e2147483647 1e-2147483648 1e4294967296 100000000000000000000000000000000000000000000000e-46 8.5e5 12345678
    123456789 1234567 -12345678.9
";

#[test]
fn numbers_at_the_ends_of_everything() {
    agree("").unwrap();
    for text in ENDS.split_ascii_whitespace() {
        agree(text).unwrap();
    }
}

#[test]
fn a_number_ends_where_no_digit_is() {
    for end in 0..=u8::MAX {
        let text = [b"1234567".as_slice(), &[end], b"0000000000"].concat();
        let chunk = u64::from_le_bytes(text[..8].try_into().unwrap());
        assert_eq!(leading_digits(chunk), if end.is_ascii_digit() { 8 } else { 7 }, "{end}");
        for at in 0..8 {
            let mut chunk = *b"00000000";
            chunk[at] = end;
            let want = if end.is_ascii_digit() { 8 } else { at };
            assert_eq!(leading_digits(u64::from_le_bytes(chunk)), want, "{end} at {at}");
        }
    }
    assert_eq!(eight_digits(u64::from_le_bytes(*b"12345678")), 12_345_678);
    assert_eq!(eight_digits(u64::from_le_bytes(*b"99999999")), 99_999_999);
}

const NUMBERS: [Datatype; 10] = [
    Datatype::Uint8,
    Datatype::Uint16,
    Datatype::Uint32,
    Datatype::Uint64,
    Datatype::Int8,
    Datatype::Int16,
    Datatype::Int32,
    Datatype::Int64,
    Datatype::Fp32,
    Datatype::Fp64,
];

/// What serde reads.
fn explained(datatype: Datatype, shape: Shape, json: &str) -> Option<TensorData> {
    let (trouble, at) = (Trouble::default(), String::new);
    let seed = DataSeed { datatype, shape, trouble: &trouble, at: &at, body_bytes: json.len(), cursor: None };
    let mut parser = serde_json::Deserializer::from_str(json);
    seed.deserialize(&mut parser).ok().filter(|_| parser.end().is_ok())
}

/// Elements by their bits.
fn wire(data: Option<&TensorData>) -> Option<Vec<u8>> {
    data.map(|data| {
        let mut bytes = Vec::new();
        candor_serving::oip::bytes::write_tensor(data, &mut bytes);
        bytes
    })
}

/// Whether both read this array as the same elements, or neither does.
fn arrays_agree(datatype: Datatype, shape: Shape, json: &str) -> Result<(), TestCaseError> {
    let theirs = explained(datatype, shape, json);
    let ours = data(datatype, &shape, json.as_bytes()).filter(|(_, rest)| space(rest).is_empty());
    prop_assert_eq!(wire(ours.as_ref().map(|read| &read.0)), wire(theirs.as_ref()), "{} {} {}", datatype, shape, json);
    Ok(())
}

#[test]
fn arrays_are_nested_as_the_shape_says_or_flat() {
    let mut taken = 0;
    for dims in [&[][..], &[0], &[1], &[4], &[2, 2], &[1, 4], &[4, 1], &[2, 1, 2], &[2, 0], &[0, 2], &[1, 1, 1, 1]] {
        for json in [
            "",
            "[]",
            "[[]]",
            "[[],[]]",
            "[1]",
            "[[1]]",
            "[[[[1]]]]",
            "[1,2,3,4]",
            "[[1,2],[3,4]]",
            "[[1,2,3,4]]",
            "[1,2,3,4,]",
            "[[1],[2],[3],[4]]",
            "[[[1,2]],[[3,4]]]",
            "[[1,2],[3]]",
            "[[1,2],3,4]",
            "[1,2,[3,4]]",
            "[1 2 3 4]",
            "[,1]",
            " [ 1 , 2\n,\t3\r, 4 ] ",
            "[ [ 1 , 2 ] , [ 3 , 4 ] ] ",
            "[[1,2],[3,4]",
            "[[1,2],[3,4]]]",
            "[[1,2][3,4]]",
            "{}",
            "[1,2,3,null]",
            "[1,2,3,\"4\"]",
            "[1,2,3,true]",
            "[1.5,2,3,4]",
            "[-1,2,3,4]",
            "[256,2,3,4]",
            "[1e2,2,3,4]",
            "1",
        ] {
            for datatype in NUMBERS {
                let shape = Shape::new(dims).unwrap();
                arrays_agree(datatype, shape, json).unwrap();
                taken += usize::from(data(datatype, &shape, json.as_bytes()).is_some());
            }
        }
    }
    assert!(taken > 300, "{taken}");
}

#[test]
fn no_shape_makes_room_for_more_than_the_body_holds() {
    let huge = Shape::new(&[1 << 40, 1 << 20]).unwrap();
    assert_eq!(data(Datatype::Fp64, &huge, b"[1]"), None);
}

/// Text that looks like numbers, and is not always one.
fn almost() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?",
        2 => r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?",
        1 => r"-?0\.0{0,40}[0-9]{1,30}(e-?[0-9]{1,3})?",
        1 => r"[0-9eE+.\- ]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_float_is_read_back_however_it_is_written(float: u64, single: u32) {
        for text in written(f64::from_bits(float), f32::from_bits(single)) {
            agree(&text)?;
        }
    }

    #[test]
    fn everyday_floats_too(float in -1e6..1e6, single in -10.0_f32..10.0) {
        for text in written(float, single) {
            agree(&text)?;
        }
    }

    #[test]
    fn whatever_looks_like_a_number_is_one_for_both_or_for_neither(text in almost()) {
        agree(&text)?;
    }

    #[test]
    fn integers_are_exact(unsigned: u64, signed: i64, longer: u128) {
        for text in [unsigned.to_string(), signed.to_string(), longer.to_string(), format!("-{longer}")] {
            agree(&text)?;
        }
    }

    #[test]
    fn halfway_between_two_floats_is_rounded_to_even(half in 1_u64 << 52..1 << 53, scale in 0_u32..9, more in "0{0,30}[01]?") {
        let odd = 2 * half + 1;
        for text in [format!("{odd}.0"), format!("{odd}e0"), format!("{odd}.{more}1"), format!("{}e{scale}", u128::from(odd) << scale)] {
            agree(&text)?;
        }
    }

    #[test]
    fn so_is_halfway_with_few_decimals(half in 1_u64 << 52..1 << 53, decimals in 1_usize..6) {
        // Half of an odd number, half of that, and so on.
        let digits = (u128::from(2 * half + 1) * 5_u128.pow(u32::try_from(decimals).unwrap())).to_string();
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        for text in [format!("{whole}.{fraction}"), format!("{digits}e-{decimals}"), format!("0.{digits}e{}", whole.len())] {
            agree(&text)?;
        }
    }

    #[test]
    fn as_many_digits_as_a_float_has_and_a_few_more(digits in "[0-9]{15,21}", zeros in "0{0,12}", exponent in -30_i32..10) {
        for text in [format!("0.{zeros}{digits}"), format!("1.{digits}"), format!("1{digits}e{exponent}")] {
            agree(&text)?;
        }
    }

    #[test]
    fn arrays_of_almost_numbers_are_taken_by_both_or_by_neither(
        texts in vec(almost(), 0..5), datatype in prop::sample::select(NUMBERS.to_vec()), cut in 0_usize..8,
    ) {
        let mut json = format!("[{}]", texts.join(","));
        let shape = Shape::new(&[i64::try_from(texts.len()).unwrap()]).unwrap();
        arrays_agree(datatype, shape, &json)?;
        json.truncate(json.len().saturating_sub(cut));
        arrays_agree(datatype, shape, &json)?;
    }

    #[test]
    fn arrays_of_small_numbers_are_taken_by_both_or_by_neither(
        rows in vec(vec(-300_i64..300, 3), 1..4), datatype in prop::sample::select(NUMBERS.to_vec()), space in "[ \n]{0,2}",
    ) {
        let text = serde_json::to_string(&rows).unwrap().replace(',', &format!("{space},{space}"));
        let shape = Shape::new(&[i64::try_from(rows.len()).unwrap(), 3]).unwrap();
        arrays_agree(datatype, shape, &text)?;
        arrays_agree(datatype, shape, &text.replace("],", ",").replace(",[", ",").replace("]]", "]").replace("[[", "["))?;
    }
}
