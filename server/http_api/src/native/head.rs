//! What stands beside the table of a JSON body: an id, limits, and members of routes that have more to ask.

use candor_domain::{Error, Result, names::quoted};
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

/// A value as a message shows it.
pub(crate) fn shown(raw: &RawValue) -> String {
    quoted(raw.get()).trim_matches('"').to_owned()
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
