//! Values of fields, with the line in every complaint.

use candor_domain::{Error, Result, names::quoted};

use super::{Said, at};
use crate::{
    likeness::closest,
    repository::pbtxt::{Field, Message, Value},
};

/// The line of a field.
pub(super) fn line(field: &Field) -> usize {
    field.place.line
}

fn wrong(field: &Field, expected: &str) -> Error {
    Error::model(format!("{} has a wrong value", field.name))
        .at(at(line(field)))
        .expected(expected)
        .got(field.value.shown())
}

/// Keeps what a field says that may stand there once.
pub(super) fn once<T>(slot: &mut Said<T>, field: &Field, value: T) -> Result<()> {
    if let Some((_, before)) = slot {
        return Err(
            Error::model(format!("{} stands there twice; first on line {before}", field.name)).at(at(line(field)))
        );
    }
    *slot = Some((value, line(field)));
    Ok(())
}

/// Shows `take` each value of a field that may stand there repeatedly, or as a list.
pub(super) fn each(field: &Field, mut take: impl FnMut(&Field) -> Result<()>) -> Result<()> {
    let Value::List(values) = &field.value else { return take(field) };
    values
        .iter()
        .try_for_each(|value| take(&Field { name: field.name.clone(), place: field.place, value: value.clone() }))
}

/// A text.
pub(super) fn text(field: &Field) -> Result<String> {
    let Value::Text(text) = &field.value else { return Err(wrong(field, "a text in quotes")) };
    Ok(text.clone())
}

/// A whole number between two bounds.
pub(super) fn whole(field: &Field, min: i64, max: i64) -> Result<i64> {
    let number = if let Value::Whole(number) = &field.value { i64::try_from(*number).ok() } else { None };
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| wrong(field, &format!("a whole number from {min} to {max}")))
}

/// True or false.
pub(super) fn flag(field: &Field) -> Result<bool> {
    let known = match &field.value {
        Value::Word(word) => match word.as_str() {
            "true" | "True" | "t" => Some(true),
            "false" | "False" | "f" => Some(false),
            _ => None,
        },
        Value::Whole(number) => {
            [(0, false), (1, true)].into_iter().find(|(known, _)| known == number).map(|(_, flag)| flag)
        }
        Value::Text(_) | Value::Number(_) | Value::Message(_) | Value::List(_) => None,
    };
    known.ok_or_else(|| wrong(field, "true or false"))
}

/// The name of an enum's value, or its number.
pub(super) fn word(field: &Field) -> Result<String> {
    match &field.value {
        Value::Word(word) => Ok(word.clone()),
        Value::Whole(number) => Ok(number.to_string()),
        Value::Text(text) => Err(wrong(field, &format!("{} without quotes", quoted(text).trim_matches('"')))),
        Value::Number(_) | Value::Message(_) | Value::List(_) => Err(wrong(field, "a name")),
    }
}

/// A message.
pub(super) fn message(field: &Field) -> Result<&Message> {
    if let Value::Message(message) = &field.value { Ok(message) } else { Err(wrong(field, "{ … }")) }
}

/// Adds what was probably meant.
pub(super) fn closest_hint(error: Error, wrong: &str, known: &[&str]) -> Error {
    match closest(wrong, known.iter().copied()) {
        Some(known) => error.hint(format!("did you mean {known}?")),
        None => error,
    }
}
