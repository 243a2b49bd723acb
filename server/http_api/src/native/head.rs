//! What stands beside the table of a JSON body: an id, limits, and members of routes that have more to ask.

use candor_domain::{Error, Result};
use serde_json::value::RawValue;

/// What stands beside the table.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) id: Option<String>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) priority: Option<u64>,
    /// Whether there is a table at all.
    pub(crate) has_table: bool,
    /// The members that this route has beside those of every table, as they were written.
    pub(crate) more: Vec<(&'static str, Box<RawValue>)>,
}

/// Longest id of a request, in characters.
pub(super) const ID_CHARS_MAX: usize = 256;

/// Looks at the text of a value and does not build it: it may be as large as the body.
pub(super) fn read_id(raw: &RawValue) -> Result<String> {
    /// An escape of one character may take twelve bytes.
    const BYTES_MAX: usize = 12 * ID_CHARS_MAX + 2;
    let text = Some(raw.get()).filter(|text| text.len() <= BYTES_MAX);
    let id = text.and_then(|text| serde_json::from_str::<String>(text).ok());
    id.filter(|id| id.chars().nth(ID_CHARS_MAX).is_none()).ok_or_else(|| {
        Error::invalid("the id is no short text")
            .at("/id")
            .expected(format!("a string of at most {ID_CHARS_MAX} characters"))
            .got(shown(raw))
    })
}

/// A value as a message shows it: as it was written, cut, a text still between its quotes.
pub(crate) fn shown(raw: &RawValue) -> String {
    let text = raw.get();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => format!("\"{}\"", cut(inner)),
        None => cut(text),
    }
}

/// JSON text escapes what has to be escaped in it but for line breaks between its tokens, and what cannot be seen.
fn cut(json: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown = String::new();
    for char in json.chars().take(SHOWN_CHARS_MAX) {
        match char {
            '"' | '\\' | '\'' => shown.push(char),
            other => shown.extend(other.escape_debug()),
        }
    }
    if json.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Longest limit on time that a caller may set: a day. (Longer ones are likely to be in another unit.)
pub(super) const TIMEOUT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Lowest level of priority, as a number.
pub(super) const PRIORITY_MAX: u64 = 100;

/// A whole number that is not negative; in JSON 250.0 is as whole as 250 (JSON Schema 2020-12 §6.1.1).
fn whole(raw: &RawValue) -> Option<u64> {
    let whole = || raw.get().parse().ok().filter(|number: &f64| *number >= 0.0 && number.fract() == 0.0);
    raw.get().parse().ok().or_else(|| whole().map(|number| number as u64))
}

/// A limit on time; 0 means none of the caller's own.
pub(super) fn read_timeout(raw: &RawValue) -> Result<Option<u64>> {
    match whole(raw) {
        Some(0) => Ok(None),
        Some(millis) if millis <= TIMEOUT_MS_MAX => Ok(Some(millis)),
        Some(_) | None => Err(Error::invalid("there is no such timeout")
            .at("/timeout_ms")
            .expected(format!("whole milliseconds, 0 to {TIMEOUT_MS_MAX}"))
            .got(shown(raw))),
    }
}

/// A level of priority; 0 means the model's own.
pub(super) fn read_priority(raw: &RawValue) -> Result<Option<u64>> {
    match whole(raw) {
        Some(level) if level <= PRIORITY_MAX => Ok(Some(level)),
        Some(_) | None => Err(Error::invalid("there is no such priority")
            .at("/priority")
            .expected(format!("a level from 1, the highest, to {PRIORITY_MAX}, or 0 for the model's own"))
            .got(shown(raw))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_were_written() {
        let shown = |text: &str| shown(&RawValue::from_string(text.to_owned()).unwrap());
        for text in ["\"tre\"", "\"\"", "\"a \\\"b\\\" \\\\ it's\"", "5", "[\"a\", {\"b\": null}]", "{\"a\": \"b\"}"] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("[1,\n2]"), "[1,\\n2]");
        assert_eq!(shown("\"\u{202e}\""), "\"\\u{202e}\"");
        assert_eq!(shown(&format!("\"{}\"", "é".repeat(61))), format!("\"{}…\"", "é".repeat(60)));
        assert_eq!(shown(&format!("[{}]", "1".repeat(60))), format!("[{}…", "1".repeat(59)));
        let raw = RawValue::from_string("\"soon\"".to_owned()).unwrap();
        let error = read_timeout(&raw).unwrap_err().to_string();
        assert!(error.ends_with("got \"soon\""), "{error}");
    }
}
