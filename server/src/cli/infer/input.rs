//! Arguments, files and standard input as the body of a request.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use candor_domain::names::quoted;
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::InferArgs;
use crate::cli::problem::Problem;

/// What the input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InputFormat {
    Json,
    Jsonl,
    Csv,
}

/// The body of a request.
pub(super) struct Body {
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn read(args: &InferArgs) -> Result<Body, Problem> {
    let Some(file) = &args.input else {
        if args.features.is_empty() {
            return Err(Problem::new("there are no rows to send").help(
                "name the features of one row (sepal_length=5.1 …), or a file (--input rows.csv, or - for standard input)",
            ));
        }
        return json_body(json!({"rows": [row(&args.features)?]}), args.timeout_ms);
    };
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let bytes = bytes.map_err(|error| Problem::new(format!("cannot read {shown}")).cause(error))?;
    let format = args.input_format.or_else(|| by_name(file)).unwrap_or_else(|| by_look(&bytes));
    body(format, bytes, args).map_err(|problem| problem.at(shown))
}

fn body(format: InputFormat, bytes: Vec<u8>, args: &InferArgs) -> Result<Body, Problem> {
    let plain = bytes.trim_ascii();
    if plain.is_empty() {
        return Err(Problem::new("there are no rows in it"));
    }
    if args.no_header && format != InputFormat::Csv {
        return Err(Problem::new("--no-header is for CSV, and this is not").help("--input-format csv"));
    }
    match format {
        InputFormat::Json => {
            let value: Value = serde_json::from_slice(plain).map_err(|error| {
                let problem = Problem::new("it is not JSON").cause(error);
                problem.help("--input-format says what it is: json, jsonl or csv")
            })?;
            json_body(wrapped(value)?, args.timeout_ms)
        }
        InputFormat::Jsonl if args.timeout_ms.is_some() => {
            let rows = lines(plain)?;
            json_body(json!({ "rows": rows }), args.timeout_ms)
        }
        InputFormat::Jsonl => Ok(Body { media_type: "application/jsonl", bytes }),
        InputFormat::Csv if let Some(problem) = not_commas(plain) => Err(problem),
        InputFormat::Csv if args.no_header => Ok(Body { media_type: "text/csv; header=absent", bytes }),
        InputFormat::Csv => Ok(Body { media_type: "text/csv", bytes }),
    }
}

/// What is wrong with a table whose columns are parted by something else: it would be taken for one column.
fn not_commas(text: &[u8]) -> Option<Problem> {
    let first = text.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let (shown, name) = if first.contains(&b',') {
        return None;
    } else if first.contains(&b'\t') {
        ("tabs", "\\t")
    } else if first.contains(&b';') {
        ("semicolons", ";")
    } else {
        return None;
    };
    let line = quoted(&String::from_utf8_lossy(first));
    let what = format!("its columns are parted by {shown}: the first line would be one column, {line}");
    Some(Problem::new(what).help(format!(
        "write it with commas, and numbers with points; pandas: read_csv(FILE, sep=\"{name}\").to_csv(\"rows.csv\", index=False)"
    )))
}

fn lines(text: &[u8]) -> Result<Vec<Value>, Problem> {
    let lines = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let read = |(index, line): (usize, &[u8])| {
        serde_json::from_slice(line)
            .map_err(|error| Problem::new(format!("line {} is not JSON", index + 1)).cause(error))
    };
    lines.map(read).collect()
}

fn json_body(mut body: Value, timeout_ms: Option<u64>) -> Result<Body, Problem> {
    if let (Some(object), Some(timeout_ms)) = (body.as_object_mut(), timeout_ms) {
        object.insert("timeout_ms".to_owned(), json!(timeout_ms));
    }
    Ok(Body { media_type: "application/json", bytes: body.to_string().into_bytes() })
}

/// A body of the API as it is; an array of rows, one row, one array of values, or a split table as rows.
fn wrapped(value: Value) -> Result<Value, Problem> {
    match value {
        Value::Object(object) if object.get("columns").is_some_and(Value::is_array) => split(&object),
        Value::Object(object) if object.contains_key("rows") || object.contains_key("columns") => {
            Ok(Value::Object(object))
        }
        Value::Object(row) => Ok(json!({"rows": [row]})),
        Value::Array(rows) if rows.iter().all(|row| row.is_object() || row.is_array()) => Ok(json!({ "rows": rows })),
        Value::Array(row) => Ok(json!({"rows": [row]})),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Problem::new("it holds no rows")
                .help("{\"rows\": […]}, {\"columns\": {…}}, an array of rows, or one row"))
        }
    }
}

/// The names once and the values row by row, as pandas writes with `orient="split"`.
fn split(table: &Map<String, Value>) -> Result<Value, Problem> {
    let list = |key: &str| table.get(key).and_then(Value::as_array);
    let names: Option<Vec<&str>> = list("columns").and_then(|names| names.iter().map(Value::as_str).collect());
    let (Some(names), Some(data)) = (names, list("data")) else {
        return Err(Problem::new("its 'columns' is a list, and it is no table that pandas splits").help(
            "{\"columns\": [\"name\", …], \"data\": [[value, …], …]}, or {\"columns\": {\"name\": [value, …]}}",
        ));
    };
    let row = |(index, row): (usize, &Value)| {
        let values = row.as_array().filter(|values| values.len() == names.len());
        let values = values.ok_or_else(|| {
            Problem::new(format!("data[{index}] has not one value for each of {} columns", names.len()))
        })?;
        let cells = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone()));
        Ok(Value::Object(cells.collect()))
    };
    let rows = data.iter().enumerate().map(row).collect::<Result<Vec<_>, Problem>>()?;
    Ok(json!({ "rows": rows }))
}

/// `sepal_length=5.1` as one row; a value that is no JSON is text.
pub(in crate::cli) fn row(features: &[String]) -> Result<Value, Problem> {
    let mut row = Map::new();
    for feature in features {
        let (name, text) = feature.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Problem::new("not a feature and its value").at(feature.clone()).help("such as sepal_length=5.1")
        })?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        if row.insert(name.to_owned(), value).is_some() {
            return Err(Problem::new(format!("'{name}' is given twice")).help("one row at a time; for more, --input"));
        }
    }
    Ok(Value::Object(row))
}

fn by_name(file: &Path) -> Option<InputFormat> {
    match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "json" => Some(InputFormat::Json),
        "jsonl" | "ndjson" => Some(InputFormat::Jsonl),
        "csv" | "tsv" => Some(InputFormat::Csv),
        _ => None,
    }
}

/// JSON begins with a bracket; if what follows its first value is another one, it is one row a line.
fn by_look(bytes: &[u8]) -> InputFormat {
    let text = bytes.trim_ascii();
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return InputFormat::Csv;
    }
    let values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    if values.take(2).filter(Result::is_ok).count() > 1 { InputFormat::Jsonl } else { InputFormat::Json }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_without_a_name_is_told_by_its_look() {
        for (text, format) in [
            ("[1, 2]", InputFormat::Json),
            (" {\"rows\":\n[[1]]}\n", InputFormat::Json),
            ("[1]\n[2]\n", InputFormat::Jsonl),
            ("{\"a\":1}\n{\"a\":2}", InputFormat::Jsonl),
            ("{broken", InputFormat::Json),
            ("a,b\n1,2\n", InputFormat::Csv),
            ("1,2\n", InputFormat::Csv),
        ] {
            assert_eq!(by_look(text.as_bytes()), format, "{text}");
        }
        assert_eq!(by_name(Path::new("x.NDJSON")), Some(InputFormat::Jsonl));
        assert_eq!(by_name(Path::new("-")), None);
    }

    #[test]
    fn rows_are_wrapped_and_bodies_are_left_alone() {
        for (given, sent) in [
            (json!({"rows": [[1]], "id": "x"}), json!({"rows": [[1]], "id": "x"})),
            (json!({"columns": {"a": [1]}}), json!({"columns": {"a": [1]}})),
            (json!({"a": 1}), json!({"rows": [{"a": 1}]})),
            (json!([{"a": 1}]), json!({"rows": [{"a": 1}]})),
            (json!([[1, 2], [3, 4]]), json!({"rows": [[1, 2], [3, 4]]})),
            (json!([1, 2]), json!({"rows": [[1, 2]]})),
        ] {
            assert_eq!(wrapped(given).unwrap(), sent);
        }
        let split = |data: Value| wrapped(json!({"columns": ["a", "b"], "index": [0, 1], "data": data}));
        assert_eq!(
            split(json!([[1, "x"], [2, null]])).unwrap(),
            json!({"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": null}]})
        );
        assert_eq!(split(json!([[1, 2], [3]])).unwrap_err().what(), "data[1] has not one value for each of 2 columns");
        assert!(wrapped(json!({"columns": ["a"]})).is_err());
        assert_eq!(wrapped(json!(3)).unwrap_err().what(), "it holds no rows");
    }

    #[test]
    fn tables_without_commas_are_told_from_those_of_one_column() {
        let says = |text: &str| not_commas(text.as_bytes()).map(|problem| problem.what().to_owned());
        let what = |parted: &str, line: &str| {
            Some(format!("its columns are parted by {parted}: the first line would be one column, {line}"))
        };
        assert_eq!(says("a;b\n1,5;2\n"), what("semicolons", "\"a;b\""));
        assert_eq!(says("a\tb;c\r\n1\t2\n"), what("tabs", r#""a\tb;c""#));
        assert_eq!(says("a,b;c\n"), None);
        assert_eq!(says("a\n1;2\n"), None);
    }

    #[test]
    fn values_on_the_command_line_are_json_or_else_text() {
        let words = ["a=5.1", "b=red", "c=\"1\"", "d=null", "e=x=y", "f=", "g=[1,2]"].map(str::to_owned);
        let row = row(&words).unwrap();
        assert_eq!(row, json!({"a": 5.1, "b": "red", "c": "1", "d": null, "e": "x=y", "f": "", "g": [1, 2]}));
        for (bad, what) in
            [(&["a"][..], "not a feature"), (&["=1"], "not a feature"), (&["a=1", "a=2"], "'a' is given twice")]
        {
            let bad: Vec<String> = bad.iter().map(|word| (*word).to_owned()).collect();
            assert!(super::row(&bad).unwrap_err().what().starts_with(what));
        }
    }
}
