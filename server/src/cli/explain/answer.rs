//! Shares as a table for people: the largest first, output by output.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::screen::{BOLD, DIM, Table, YELLOW, plain, styled};

/// Every output of the first row.
pub(super) fn table(answer: &Value) -> String {
    let outputs = answer.pointer("/explanations/0/outputs").and_then(Value::as_array);
    let mut text = String::new();
    for output in outputs.into_iter().flatten() {
        let name = styled(BOLD, plain(word(output, "output")));
        let (base, value) = (digits(output.get("base_value")), digits(output.get("value")));
        let _ = writeln!(text, "{name}: {value}, from {base} with nothing known ({})", plain(word(answer, "space")));
        text.push_str(&shares(output));
        if output.pointer("/additivity/holds") == Some(&Value::Bool(false)) {
            let _ = writeln!(text, "{} base and shares do not add up to the value", styled(YELLOW, "!"));
        }
    }
    let method = answer.get("method").map_or("?", |method| word(method, "name"));
    let line = format!("{} version {}, method {method}", word(answer, "model"), word(answer, "version"));
    let background = answer.get("background").map(|rows| format!(", background {}", word(rows, "id")));
    let _ = writeln!(text, "{}", styled(DIM, plain(&format!("{line}{}", background.unwrap_or_default()))));
    text
}

fn shares(output: &Value) -> String {
    let share = |one: &Value| one.get("attribution").and_then(Value::as_f64).unwrap_or(0.0);
    let mut all: Vec<&Value> = output.get("attributions").and_then(Value::as_array).into_iter().flatten().collect();
    all.sort_by(|one, other| share(other).abs().total_cmp(&share(one).abs()));
    let mut table = Table::new(["feature", "value", "share"]).right([2]).indent(2);
    for one in all {
        let value = one.get("value").map_or_else(String::new, |value| match value {
            Value::String(text) => text.clone(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        });
        table.row(vec![word(one, "feature").to_owned(), value, format!("{:+.4}", share(one))]);
    }
    table.to_string()
}

fn word<'a>(from: &'a Value, key: &str) -> &'a str {
    from.get(key).and_then(Value::as_str).unwrap_or("?")
}

fn digits(value: Option<&Value>) -> String {
    value.and_then(Value::as_f64).map_or_else(|| "?".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_largest_share_comes_first_and_what_does_not_add_up_is_told() {
        let share =
            |feature: &str, value: Value, share: f64| json!({"feature": feature, "value": value, "attribution": share});
        let output = json!({"output": "yes", "base_value": 0.5, "value": 0.25, "additivity": {"holds": false},
            "attributions": [share("small", json!(1.5), 0.05), share("large", json!("red"), -0.3)]});
        let text = table(&json!({"model": "m", "version": "2", "space": "probability", "method": {"name": "exact"},
            "background": {"id": "b.csv"}, "explanations": [{"outputs": [output]}]}));
        assert!(text.contains("0.2500, from 0.5000 with nothing known (probability)"), "{text}");
        assert!(text.find("large").unwrap() < text.find("small").unwrap() && text.contains("-0.3000"), "{text}");
        assert!(
            text.contains("do not add up") && text.contains("m version 2, method exact, background b.csv"),
            "{text}"
        );
    }
}
