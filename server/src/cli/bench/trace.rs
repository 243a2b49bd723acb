//! Reads a trace: lines of JSON, a model or a request each.

use std::{collections::HashMap, fs, path::Path};

use candor_domain::{Error, Result};
use candor_serving::residency::{ledger::Need, replay::Trace};
use serde::Deserialize;

/// Largest trace that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    model: String,
    at_ms: Option<u64>,
    steady_bytes: Option<u64>,
    load_bytes: Option<u64>,
    load_ms: Option<u64>,
}

/// Reads a trace from a file.
pub(super) fn read(file: &Path) -> Result<Trace> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| Error::invalid(format!("cannot read the trace {shown}: {error}"));
    let bytes = fs::metadata(file).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        let error = Error::invalid(format!("the trace {shown} is too large"));
        return Err(error.expected(format!("at most {FILE_BYTES_MAX} bytes")).got(bytes.to_string()));
    }
    parse(&fs::read_to_string(file).map_err(unreadable)?).map_err(|error| {
        let place = format!("{shown}:{}", error.place().unwrap_or_default());
        error.at(place)
    })
}

fn parse(text: &str) -> Result<Trace> {
    let (mut trace, mut names) = (Trace::default(), HashMap::new());
    for (number, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        take(&mut trace, &mut names, text).map_err(|error| error.at(format!("{number}")))?;
    }
    Ok(trace)
}

fn take(trace: &mut Trace, names: &mut HashMap<String, u32>, text: &str) -> Result<()> {
    let line: Line = serde_json::from_str(text).map_err(|error| {
        Error::invalid(format!("no line of a trace: {error}")).expected(
            "{\"model\": …, \"steady_bytes\": …, \"load_bytes\": …, \"load_ms\": …} or {\"at_ms\": …, \"model\": …}",
        )
    })?;
    match (line.at_ms, line.steady_bytes, line.load_ms) {
        (Some(at), None, None) => {
            let model = *names.get(&line.model).ok_or_else(|| {
                Error::invalid(format!("a request to '{}', of which no line above says what it takes", line.model))
            })?;
            if trace.requests.last().is_some_and(|(last, _)| *last > at) {
                return Err(Error::invalid("requests are not in the order of time").got(format!("at_ms {at}")));
            }
            trace.requests.push((at, model));
        }
        (None, Some(steady_bytes), Some(load_ms)) => {
            let load_bytes = line.load_bytes.unwrap_or(steady_bytes).max(steady_bytes);
            let place = u32::try_from(trace.models.len()).map_err(|_| Error::invalid("too many models"))?;
            if names.insert(line.model.clone(), place).is_some() {
                return Err(Error::invalid(format!("the model '{}' stands there twice", line.model)));
            }
            trace.models.push(Need { load_bytes, steady_bytes, load_ms });
        }
        (Some(_) | None, Some(_) | None, Some(_) | None) => {
            return Err(Error::invalid("a line is a model or a request")
                .expected("at_ms for a request; steady_bytes and load_ms for a model"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_requests_are_read() {
        let trace = parse(
            "{\"model\":\"a\",\"steady_bytes\":5,\"load_bytes\":9,\"load_ms\":3}\n\n{\"model\":\"b\",\"steady_bytes\":5,\"load_ms\":1}\n{\"at_ms\":0,\"model\":\"b\"}\n{\"at_ms\":0,\"model\":\"a\"}\n",
        );
        let trace = trace.unwrap();
        assert_eq!(trace.requests, [(0, 1), (0, 0)]);
        assert_eq!(trace.models[0], Need { load_bytes: 9, steady_bytes: 5, load_ms: 3 });
        assert_eq!(trace.models[1].load_bytes, 5);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let model = "{\"model\":\"a\",\"steady_bytes\":5,\"load_ms\":3}\n";
        for (text, words) in [
            ("{", "no line of a trace"),
            ("{\"at_ms\":0,\"model\":\"x\"}", "no line above says what it takes"),
            ("{\"model\":\"a\",\"steady_bytes\":5,\"load_ms\":3}", "stands there twice"),
            ("{\"at_ms\":5,\"model\":\"a\"}\n{\"at_ms\":4,\"model\":\"a\"}", "not in the order of time"),
            ("{\"model\":\"b\",\"load_ms\":3}", "a line is a model or a request"),
            ("{\"model\":\"b\",\"size\":3}", "unknown field"),
        ] {
            let error = parse(&format!("{model}{text}")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.place().is_some_and(|line| line == "2" || line == "3"), "{error}");
        }
    }
}
