//! JSON straight into a reply's buffer: texts and numbers, as serde_json writes them.
//!
//! `reply` calls it; after it nothing. It writes what it is given: whether JSON can carry a value, `reply` has checked.

use candor_domain::TensorData;

use super::quick::plain_bytes;

/// A text with its quotes.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    if plain_bytes(text.as_bytes()) == text.len() {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Escapes are rare enough; into memory this cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// A list of what `write` writes.
pub(super) fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    let empty = out.len();
    for item in items {
        write(out, item);
        out.push(b',');
    }
    // The last comma makes room for the bracket.
    out.truncate(out.len() - usize::from(out.len() > empty));
    out.push(b']');
}

/// A whole number.
pub(super) fn whole(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A finite number, in the fewest digits that are read back as the same.
fn float(out: &mut Vec<u8>, number: impl zmij::Float) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
}

/// The elements of a tensor, flat. Half-precision numbers have no JSON form: of them nothing is written.
pub(super) fn elements(out: &mut Vec<u8>, data: &TensorData) {
    macro_rules! write {
        ($elements:expr, $write:expr) => {
            list(out, $elements.iter().copied(), $write)
        };
    }
    match data {
        TensorData::Bool(truths) => write!(truths, |out, truth| {
            out.extend_from_slice(if truth == 0 { b"false" } else { b"true" });
        }),
        TensorData::Uint8(numbers) => write!(numbers, whole),
        TensorData::Uint16(numbers) => write!(numbers, whole),
        TensorData::Uint32(numbers) => write!(numbers, whole),
        TensorData::Uint64(numbers) => write!(numbers, whole),
        TensorData::Int8(numbers) => write!(numbers, whole),
        TensorData::Int16(numbers) => write!(numbers, whole),
        TensorData::Int32(numbers) => write!(numbers, whole),
        TensorData::Int64(numbers) => write!(numbers, whole),
        TensorData::Fp32(numbers) => write!(numbers, float),
        TensorData::Fp64(numbers) => write!(numbers, float),
        TensorData::Bytes(texts) => list(out, texts.iter(), |out, bytes| text(out, &String::from_utf8_lossy(bytes))),
        TensorData::Fp16(_) | TensorData::Bf16(_) => out.extend_from_slice(b"[]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;

    fn written(data: &TensorData) -> String {
        let mut out = Vec::new();
        elements(&mut out, data);
        String::from_utf8(out).unwrap()
    }

    fn as_serde_does(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn all_is_written_as_serde_json_writes_it(
            bits32: Vec<u32>, bits64: Vec<u64>, signed: Vec<i64>, bytes: Vec<u8>, small: Vec<i8>, texts: Vec<String>,
        ) {
            let singles: Vec<f32> = bits32.iter().map(|&bits| f32::from_bits(bits)).filter(|one| one.is_finite()).collect();
            let doubles: Vec<f64> = bits64.iter().map(|&bits| f64::from_bits(bits)).filter(|one| one.is_finite()).collect();
            let truths: Vec<bool> = bytes.iter().map(|byte| byte % 2 == 1).collect();
            for (data, want) in [
                (TensorData::Fp32(singles.clone()), as_serde_does(singles)),
                (TensorData::Fp64(doubles.clone()), as_serde_does(doubles)),
                (TensorData::Uint32(bits32.clone()), as_serde_does(bits32)),
                (TensorData::Uint64(bits64.clone()), as_serde_does(bits64)),
                (TensorData::Int64(signed.clone()), as_serde_does(signed)),
                (TensorData::Int8(small.clone()), as_serde_does(small)),
                (TensorData::Bool(truths.iter().map(|&truth| u8::from(truth)).collect()), as_serde_does(truths)),
                (TensorData::Uint8(bytes.clone()), as_serde_does(bytes)),
                (TensorData::Bytes(texts.iter().collect()), as_serde_does(&texts)),
            ] {
                prop_assert_eq!(written(&data), want);
            }
        }
    }

    #[test]
    fn texts_with_escapes_are_escaped() {
        for odd in
            ["", "plain", "\"", "a\\b", "\u{0}\u{1f}\u{20}\u{7f}\n", "é\u{2028}\u{1f600}", "12345678\"", "1234567\\9"]
        {
            let mut out = Vec::new();
            text(&mut out, odd);
            assert_eq!(String::from_utf8(out).unwrap(), as_serde_does(odd));
        }
    }
}
