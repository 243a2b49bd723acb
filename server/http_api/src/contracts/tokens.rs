//! NaN and Infinity as bare words. JSON does not have them; TensorFlow Serving reads and writes them, and so do
//! Python's json and its clients.
//!
//! The parser is strict, so the words become texts before it reads them: texts that begin with a mark, which in such
//! a body no other text may begin with. A body without bare words is read as it is.

use std::borrow::Cow;

use candor_domain::{Error, Result};

/// The only way to write the mark in JSON.
const MARK: &[u8] = br"\u0001";

const WORDS: [(&[u8], &[u8]); 5] = [
    (b"NaN", br#""\u0001NaN""#),
    (b"-Infinity", br#""\u0001-Infinity""#),
    (b"Infinity", br#""\u0001Infinity""#),
    (b"-Inf", br#""\u0001-Infinity""#),
    (b"Inf", br#""\u0001Infinity""#),
];

/// The body with each bare word as a text; itself, borrowed, if there is none.
pub(super) fn quoted(body: &[u8]) -> Result<Cow<'_, [u8]>> {
    let (mut plain, mut done, mut at, mut in_text, mut has_mark) = (Vec::new(), 0, 0, false, false);
    while let Some(&byte) = body.get(at) {
        match byte {
            b'\\' if in_text => at += 1,
            b'"' => {
                in_text = !in_text;
                has_mark |= in_text && body.get(at + 1..).unwrap_or_default().starts_with(MARK);
            }
            b'N' | b'I' | b'-' if !in_text => {
                let rest = body.get(at..).unwrap_or_default();
                if let Some((word, text)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
                    plain.extend_from_slice(body.get(done..at).unwrap_or_default());
                    plain.extend_from_slice(text);
                    at += word.len();
                    done = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if done == 0 {
        return Ok(Cow::Borrowed(body));
    }
    if has_mark {
        return Err(Error::invalid("a text begins with the character U+0001, which marks NaN and Infinity here")
            .hint("send such texts as {\"b64\": …}, or without NaN and Infinity in the same body"));
    }
    plain.extend_from_slice(body.get(done..).unwrap_or_default());
    Ok(Cow::Owned(plain))
}

/// The number that a text of [`quoted`]'s stands for. Only for bodies that it has changed.
pub(super) fn number(text: &str) -> Option<f64> {
    match text.strip_prefix('\u{1}')? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The bare word for a number that JSON does not have.
pub(super) fn word(number: f64) -> Option<&'static str> {
    match number {
        number if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_texts_outside_of_texts_only() {
        let read = |text: &str| String::from_utf8(quoted(text.as_bytes()).unwrap().into_owned()).unwrap();
        assert_eq!(read("[NaN,-Infinity, Inf]"), r#"["\u0001NaN","\u0001-Infinity", "\u0001Infinity"]"#);
        assert!(quoted(br#"[NaN, "\u0001NaN"]"#).unwrap_err().to_string().contains("U+0001"));
        assert!(quoted(br#"["\u0001", NaN]"#).is_err() && quoted(br#"["a\u0001", NaN]"#).is_ok());
        for same in [r#"["\u0001NaN"]"#, r#"["NaN", "a\"NaN", "\\", -1, "Infinity"]"#, "", "\"", "\"\\", "[-1, N]"] {
            assert_eq!(read(same), same);
        }
        assert_eq!(read(r#"["\\", NaN]"#), r#"["\\", "\u0001NaN"]"#);
        let texts: Vec<String> = serde_json::from_str(&read("[NaN, Infinity, -Inf]")).unwrap();
        assert!(number(&texts[0]).unwrap().is_nan());
        assert_eq!((number(&texts[1]), number(&texts[2])), (Some(f64::INFINITY), Some(f64::NEG_INFINITY)));
        assert_eq!((number("NaN"), number("\u{1}x"), word(1.0)), (None, None, None));
    }
}
