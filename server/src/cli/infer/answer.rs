//! Predictions as a table for people or as CSV for spreadsheets.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::screen::{DIM, Table, YELLOW, styled};

/// With more classes than this a table shows the likeliest instead of a column each.
const CLASS_COLUMNS_MAX: usize = 5;
const TOP: usize = 3;
/// Longest cell of an output that is neither a label nor a number.
const CELL_CHARS_MAX: usize = 48;

/// What a column shows of a prediction.
enum Column {
    /// A member: `label`, `value`.
    Plain(&'static str),
    /// One entry of a map: the probability of one class.
    Entry(&'static str, String),
    /// The largest entries of a map.
    Top(&'static str),
}

impl Column {
    fn head(&self) -> String {
        match self {
            Self::Plain(key) | Self::Top(key) => (*key).to_owned(),
            Self::Entry("outputs", name) => name.clone(),
            Self::Entry(key, name) => format!("{key}.{name}"),
        }
    }

    /// In a table the key need not be said: classes are known by their names.
    fn short_head(&self, alone: bool) -> String {
        match self {
            Self::Entry("probabilities" | "scores", name) if alone => name.clone(),
            Self::Plain(_) | Self::Entry(..) | Self::Top(_) => self.head(),
        }
    }

    fn of<'a>(&self, prediction: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Plain(key) => prediction.get(*key),
            Self::Entry(key, name) => prediction.get(*key)?.get(name),
            Self::Top(_) => None,
        }
    }

    fn cell(&self, prediction: &Value) -> String {
        let Self::Top(key) = self else { return self.of(prediction).map(short).unwrap_or_default() };
        let entries = prediction.get(*key).and_then(Value::as_object);
        let mut entries: Vec<(&String, f64)> =
            entries.into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect();
        entries.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shown = entries.iter().take(TOP).map(|(name, value)| format!("{name} {}", digits(*value)));
        shown.collect::<Vec<_>>().join(", ")
    }
}

fn predictions(answer: &Value) -> &[Value] {
    answer.get("predictions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The columns that any prediction needs, in the order in which they come.
fn columns(predictions: &[Value], class_columns_max: usize) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for key in ["label", "value"] {
        if predictions.iter().any(|prediction| prediction.get(key).is_some()) {
            columns.push(Column::Plain(key));
        }
    }
    for key in ["probabilities", "scores", "outputs"] {
        let mut names: Vec<&String> = Vec::new();
        for map in predictions.iter().filter_map(|prediction| prediction.get(key)?.as_object()) {
            // All rows of an answer have the same classes, so that this looks through them once.
            if names.len() < map.len() {
                names.extend(map.keys().filter(|name| !names.contains(name)).collect::<Vec<_>>());
            }
        }
        if key != "outputs" && names.len() > class_columns_max {
            columns.push(Column::Top(key));
        } else {
            columns.extend(names.into_iter().map(|name| Column::Entry(key, name.clone())));
        }
    }
    columns
}

/// For people.
pub(super) fn table(answer: &Value) -> String {
    let predictions = predictions(answer);
    let columns = columns(predictions, CLASS_COLUMNS_MAX);
    let kinds = |key: &str| columns.iter().any(|column| matches!(column, Column::Entry(known, _) if *known == key));
    let alone = !(kinds("probabilities") && kinds("scores"));
    let heads = std::iter::once("row".to_owned()).chain(columns.iter().map(|column| column.short_head(alone)));
    let is_number = |column: &Column| {
        let mut values = predictions.iter().filter_map(|prediction| column.of(prediction)).peekable();
        values.peek().is_some() && values.all(Value::is_number)
    };
    let right = columns.iter().enumerate().filter(|(_, column)| is_number(column)).map(|(index, _)| index + 1);
    let mut table = Table::new(heads).right(std::iter::once(0).chain(right));
    for (index, prediction) in predictions.iter().enumerate() {
        let cells = columns.iter().map(|column| column.cell(prediction));
        table.row(std::iter::once(index.to_string()).chain(cells).collect());
    }
    let mut text = table.to_string();
    for (name, value) in answer.get("outputs").and_then(Value::as_object).into_iter().flatten() {
        let _ = writeln!(text, "{name}, of all rows: {}", short(value));
    }
    text.push_str(&filled(answer));
    let _ = writeln!(text, "{}", styled(DIM, origin(answer)));
    text
}

/// Where the manifest's values stand for gaps.
pub(super) fn filled(answer: &Value) -> String {
    const SHOWN_MAX: usize = 5;
    let Some(places) = answer.get("filled").and_then(Value::as_array) else { return String::new() };
    let shown: Vec<&str> = places.iter().take(SHOWN_MAX).filter_map(Value::as_str).collect();
    let all = answer.get("filled_count").and_then(Value::as_u64).unwrap_or(places.len() as u64);
    let more = all.saturating_sub(shown.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} filled in as model.toml says: {}{more}\n", styled(YELLOW, "!"), shown.join(", "))
}

/// Who answered, and how long it took.
fn origin(answer: &Value) -> String {
    let word = |from: &Value, key: &str| from.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
    let mut text = format!("{} version {}", word(answer, "model"), word(answer, "version"));
    if let Some(engine) = answer.get("engine") {
        let _ = write!(text, ", {} {}", word(engine, "name"), word(engine, "version"));
    }
    if let Some(timings) = answer.get("timings_ms").and_then(Value::as_object) {
        let parts = timings.iter().filter_map(|(phase, ms)| Some(format!(", {phase} {:.3} ms", ms.as_f64()?)));
        text.extend(parts);
    }
    if let Some(id) = answer.get("prediction_id").and_then(Value::as_str) {
        let _ = write!(text, ", prediction {id}");
    }
    text
}

/// One line a row, with every number whole.
pub(super) fn csv(answer: &Value) -> String {
    let predictions = predictions(answer);
    let columns = columns(predictions, usize::MAX);
    let heads: Vec<String> = columns.iter().map(|column| quoted(&column.head())).collect();
    let mut text = format!("row{}{}\n", if heads.is_empty() { "" } else { "," }, heads.join(","));
    for (index, prediction) in predictions.iter().enumerate() {
        let _ = write!(text, "{index}");
        for column in &columns {
            let _ = write!(text, ",{}", quoted(&column.of(prediction).map(whole).unwrap_or_default()));
        }
        text.push('\n');
    }
    text
}

fn whole(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// RFC 4180: quotes where a comma, a quote or a line's end needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn short(value: &Value) -> String {
    if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
        return digits(number);
    }
    let text = whole(value);
    if text.chars().count() <= CELL_CHARS_MAX {
        return text;
    }
    text.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// Four digits that count.
fn digits(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if (1e-4..1e6).contains(&size) {
        #[allow(clippy::cast_possible_truncation, reason = "between -4 and 6")]
        let before = size.log10().floor() as i32;
        let after = usize::try_from(3 - before).unwrap_or(0);
        format!("{number:.after$}")
    } else {
        format!("{number:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(answer: &Value) -> String {
        anstream::adapter::strip_str(&table(answer)).to_string()
    }

    #[test]
    fn few_classes_have_a_column_each_and_of_many_the_likeliest_are_shown() {
        let few = json!({"model": "m", "version": "1", "predictions": [
            {"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}, {"label": "b", "probabilities": {"a": 0.00001, "b": 1.0}}]});
        assert_eq!(
            plain(&few),
            "row  label         a       b\n  0  a        0.7500  0.2500\n  1  b      1.000e-5   1.000\nm version 1\n"
        );
        let many: serde_json::Map<_, _> =
            (0..10).map(|digit| (digit.to_string(), json!(f64::from(digit) / 45.0))).collect();
        let many = json!({"model": "m", "version": "1", "predictions": [{"label": "9", "probabilities": many}]});
        assert_eq!(plain(&many), "row  label  probabilities\n  0  9      9 0.2000, 8 0.1778, 7 0.1556\nm version 1\n");
    }

    #[test]
    fn csv_has_every_class_and_every_digit_and_quotes_what_needs_it() {
        let answer = json!({"predictions": [
            {"label": "a,b", "probabilities": {"a,b": 0.1, "c\"": 0.9}, "outputs": {"x": [1, 2]}},
            {"label": "c", "probabilities": {"a,b": 1e-300, "c\"": 1.0}, "outputs": {"x": null}}]});
        assert_eq!(
            csv(&answer),
            "row,label,\"probabilities.a,b\",\"probabilities.c\"\"\",x\n0,\"a,b\",0.1,0.9,\"[1,2]\"\n1,c,1e-300,1.0,\n"
        );
        assert_eq!(csv(&json!({})), "row\n");
    }

    #[test]
    fn numbers_keep_four_digits_that_count() {
        for (number, text) in [
            (0.0, "0"),
            (0.97614, "0.9761"),
            (12.3456, "12.35"),
            (-152.07, "-152.1"),
            (1e9, "1.000e9"),
            (0.00001, "1.000e-5"),
        ] {
            assert_eq!(digits(number), text);
        }
    }
}
