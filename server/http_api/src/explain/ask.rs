//! What is asked of an explanation: members beside the table of a JSON body, or the query string where a body has no
//! place for them.

use std::time::Duration;

use candor_domain::{Error, ErrorCode, Result, names::quoted};
use candor_insight::explanations::{BackgroundChoice, Groups, Method, OutputPick, Question, Space};
use serde_json::{Map, Value, value::RawValue};

use crate::native::{self, Head};

/// The members of a question, in a body and in the query string.
pub(crate) const MEMBERS: &[&str] =
    &["method", "output", "space", "budget", "seed", "background", "groups", "interactions", "options"];

/// Longest text of a member; of those that hold a value for each row, the body's own limit counts.
const BYTES_MAX: usize = 64 << 10;

/// Members of a route's own, as values.
#[derive(Debug, Default)]
pub(crate) struct Own(Vec<(&'static str, Value)>);

impl Own {
    /// The value of a member.
    pub(crate) fn get(&self, member: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == member).map(|(_, value)| value)
    }

    /// Texts of a member that is a list of them.
    ///
    /// # Errors
    /// `InvalidInput` for anything else.
    pub(crate) fn texts(&self, member: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let texts = value.as_array().map(|list| list.iter().map(|one| one.as_str().map(str::to_owned)));
        let texts: Option<Vec<String>> = texts.and_then(Iterator::collect);
        let wrong = || Error::invalid("this is no list of texts").at(format!("/{member}")).expected("[\"a\", \"b\"]");
        texts.map(Some).ok_or_else(wrong)
    }
}

/// Reads the members of a question that stand beside a table.
///
/// # Errors
/// `InvalidInput` with the pointer to the member.
pub(crate) fn of_body(head: &Head) -> Result<(Question, Own)> {
    if head.priority.is_some_and(|priority| priority > 0) {
        let error = Error::invalid("explanations have no priority: each waits its turn").at("/priority");
        return Err(error.hint("leave it out"));
    }
    let mut own = Own::default();
    let mut question = Question { time_max: head.timeout_ms.map(Duration::from_millis), ..Question::default() };
    for (member, raw) in &head.more {
        let place = || format!("/{member}");
        if raw.get().len() > BYTES_MAX && *member != "truth" {
            let error = Error::invalid(format!("{member} is too long")).at(place());
            return Err(error.expected(format!("at most {BYTES_MAX} bytes")));
        }
        // It was read as JSON before.
        let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        if !MEMBERS.contains(member) {
            own.0.push((member, value));
            continue;
        }
        read(&mut question, member, &value).map_err(|error| {
            let error = if error.details().got.is_none() { error.got(native::shown(raw)) } else { error };
            if error.place().is_some() { error } else { error.at(place()) }
        })?;
    }
    Ok((question, own))
}

/// Reads the member `explain` of a prediction: an object of what is asked.
///
/// # Errors
/// `InvalidInput` with the pointer to the member.
pub(crate) fn of_object(question: &mut Question, raw: &RawValue) -> Result<()> {
    let wrong = |error: Error| error.at("/explain").expected(format!("an object of {}", MEMBERS.join(", ")));
    if raw.get().len() > BYTES_MAX {
        return Err(wrong(Error::invalid("what is asked is too long")));
    }
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(raw.get()) else {
        return Err(wrong(Error::invalid("this asks nothing")).got(native::shown(raw)));
    };
    for (member, value) in &members {
        if !MEMBERS.contains(&member.as_str()) {
            return Err(wrong(Error::invalid(format!("there is no member {} here", quoted(member)))));
        }
        read(question, member, value).map_err(|error| error.at(format!("/explain/{member}")))?;
    }
    Ok(())
}

/// Reads a question from the query string; names that are none of it are left to who else reads there.
///
/// # Errors
/// `InvalidInput` with the parameter.
pub(crate) fn of_query(pairs: &[(String, String)], others: &[&str]) -> Result<Question> {
    let mut question = Question::default();
    for (name, text) in pairs {
        let at = || format!("query {name}");
        if others.contains(&name.as_str()) {
            continue;
        }
        let value = match name.as_str() {
            "budget" | "seed" => text.parse::<u64>().map_or_else(|_| Value::String(text.clone()), Value::from),
            "interactions" => match text.as_str() {
                "true" | "1" => Value::Bool(true),
                "false" | "0" => Value::Bool(false),
                _ => Value::String(text.clone()),
            },
            "output" => Value::Array(text.split(',').map(|one| Value::String(one.to_owned())).collect()),
            "summary" => {
                question.background.summary = Some(
                    summary(&Value::from(text.parse::<u64>().unwrap_or(0)))
                        .map_err(|error| error.at(at()).got(quoted(text)))?,
                );
                continue;
            }
            "method" | "space" | "background" | "groups" => Value::String(text.clone()),
            _ => {
                let known = MEMBERS.iter().filter(|member| **member != "options").copied();
                let error = Error::invalid(format!("there is no parameter {} here", quoted(name))).at("query");
                return Err(error.expected(known.chain(others.iter().copied()).collect::<Vec<_>>().join(", ")));
            }
        };
        let summary = question.background.summary;
        read(&mut question, name, &value).map_err(|error| error.at(at()).got(quoted(text)))?;
        question.background.summary = question.background.summary.or(summary);
    }
    // A query has no numbers: a class may be called "1", and otherwise is the one of that number.
    Ok(question)
}

/// Puts a member into a question. Errors say where only below the member.
fn read(question: &mut Question, member: &str, value: &Value) -> Result<()> {
    match member {
        "method" => {
            let words = || Method::WORDS.map(|(word, _)| word).join(", ");
            let found = value.as_str().and_then(Method::from_word);
            question.method = found.ok_or_else(|| {
                let error = Error::invalid("there is no such method");
                error.expected(format!("{}, or the name of a component", words()))
            })?;
        }
        "space" => {
            let words = || Space::ALL.map(Space::word).join(", ");
            let found = value.as_str().and_then(Space::from_word);
            question.space = Some(found.ok_or_else(|| Error::invalid("there is no such space").expected(words()))?);
        }
        "output" => question.outputs = outputs(value)?,
        "budget" => question.budget = Some(whole(value, "budget", 1)?),
        "seed" => question.seed = whole(value, "seed", 0)?,
        "background" => question.background = background(value)?,
        "groups" => question.groups = groups(value)?,
        "interactions" => {
            let wanted = value.as_bool();
            question.interactions = wanted.ok_or_else(|| Error::invalid("not a choice").expected("true or false"))?;
        }
        _ => {
            let options = value.as_object().cloned();
            question.options = options.ok_or_else(|| {
                Error::invalid("these are no options").expected("an object, by the names that the method has")
            })?;
        }
    }
    Ok(())
}

fn whole(value: &Value, what: &str, min: u64) -> Result<u64> {
    value.as_u64().filter(|number| *number >= min && *number <= i64::MAX.cast_unsigned()).ok_or_else(|| {
        Error::invalid(format!("there is no such {what}")).expected(format!("a whole number of {min} or more"))
    })
}

pub(crate) fn outputs(value: &Value) -> Result<Vec<OutputPick>> {
    const OUTPUTS_MAX: usize = 1024;
    let one = |value: &Value| match value {
        Value::String(name) => Ok(OutputPick::Name(name.clone())),
        Value::Number(number) if number.is_u64() => {
            Ok(OutputPick::Index(usize::try_from(number.as_u64().unwrap_or(0)).unwrap_or(usize::MAX)))
        }
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(Error::invalid("this names no output").expected("a label, a number of a class, or a list of those"))
        }
    };
    match value {
        Value::Array(list) if (1..=OUTPUTS_MAX).contains(&list.len()) => list.iter().map(one).collect(),
        Value::Array(list) => Err(Error::invalid("a list of outputs has another length than this")
            .expected(format!("1 to {OUTPUTS_MAX}"))
            .got(list.len().to_string())),
        Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) | Value::Object(_) => Ok(vec![one(value)?]),
    }
}

fn background(value: &Value) -> Result<BackgroundChoice> {
    let wrong = || {
        Error::invalid("this names no background")
            .expected("an id, or {\"id\": \"…\", \"summary\": 10}; both may be left out")
    };
    match value {
        Value::String(id) => Ok(BackgroundChoice { id: Some(id.clone()), summary: None }),
        Value::Object(members) => {
            let mut choice = BackgroundChoice::default();
            for (name, value) in members {
                match name.as_str() {
                    "id" => choice.id = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
                    "summary" => {
                        choice.summary = Some(summary(value).map_err(|error| error.at("/background/summary"))?);
                    }
                    _ => return Err(wrong()),
                }
            }
            Ok(choice)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(wrong()),
    }
}

/// How many centres may stand for a background.
fn summary(value: &Value) -> Result<usize> {
    const CENTRES_MAX: u64 = 1000;
    let number = value.as_u64().filter(|number| (1..=CENTRES_MAX).contains(number));
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| {
        Error::invalid("so many centres cannot stand for a background").expected(format!("1 to {CENTRES_MAX}"))
    })
}

fn groups(value: &Value) -> Result<Groups> {
    let wrong = || {
        Error::invalid("these are no groups of features").expected("\"declared\", or {\"name\": [\"feature\", …], …}")
    };
    let members = match value {
        Value::String(word) if word == "declared" => return Ok(Groups::Declared),
        Value::Object(members) => members,
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(wrong()),
    };
    let named = members.iter().map(|(name, features)| {
        let features = features.as_array().filter(|features| !features.is_empty()).ok_or_else(wrong)?;
        let features = features.iter().map(|feature| feature.as_str().map(str::to_owned).ok_or_else(wrong));
        Ok((name.clone(), features.collect::<Result<Vec<_>>>()?))
    });
    Ok(Groups::Named(named.collect::<Result<_>>()?))
}

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Beside the table of a JSON body.
    Body,
    /// In the member `explain` of a JSON body.
    Member,
    /// In the query string.
    Query,
}

/// An error of insight, whose places are members, with a place that the caller finds.
pub(crate) fn placed(error: Error, asked: Asked) -> Error {
    let error = of_component(error);
    let Some(place) = error.place() else { return error };
    let member = place.split('/').next().unwrap_or_default();
    const OWN: [&str; 7] = ["rows", "wanted", "immutable", "ranges", "directions", "features", "count"];
    if !MEMBERS.contains(&member) && !OWN.contains(&member) {
        return error;
    }
    let at = match asked {
        Asked::Body => format!("/{place}"),
        Asked::Member => format!("/explain/{place}"),
        Asked::Query => format!("query {member}"),
    };
    error.at(at)
}

/// An error of a component is placed at the method, and names the component and then the input that is wrong. Of a
/// component's inputs only the budget is there exactly if the caller gave one.
fn of_component(error: Error) -> Error {
    let what = error.details().what;
    let sentence =
        what.split_once(": ").map_or(what, |(component, rest)| if component.contains('`') { what } else { rest });
    let is_budget = sentence.starts_with("`budget` ");
    let is_open = matches!(error.place(), None | Some("method")) && error.code() == ErrorCode::InvalidInput;
    if is_open && is_budget { error.at("budget") } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_a_component_refuses_has_the_place_that_the_caller_knows() {
        let place = |error: Error, asked| placed(error, asked).place().map(str::to_owned);
        let small =
            || Error::invalid("acme.path: `budget` is 5, and 6 players take 14 evaluations for each row at least");
        let shared = Error::invalid("`budget` is 1, expected at least 2: a coalition and its complement");
        assert_eq!(place(shared.at("method"), Asked::Body).as_deref(), Some("/budget"));
        let other = Error::invalid("acme.path: `x` is no matrix: `budget` is right").at("method");
        assert_eq!(place(other, Asked::Body).as_deref(), Some("/method"));
        assert_eq!(place(small(), Asked::Body).as_deref(), Some("/budget"));
        assert_eq!(place(small(), Asked::Member).as_deref(), Some("/explain/budget"));
        assert_eq!(place(small(), Asked::Query).as_deref(), Some("query budget"));
        assert_eq!(place(Error::invalid("`x` is no matrix"), Asked::Body), None);
        assert_eq!(
            place(small().at("explanations.budget_max"), Asked::Body).as_deref(),
            Some("explanations.budget_max")
        );
        assert_eq!(place(small().with_code(ErrorCode::Overloaded), Asked::Body), None);
    }
}
