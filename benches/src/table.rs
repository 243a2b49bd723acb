//! Tables in Markdown, of figures with their ranges. It does not know what the figures mean.

use std::fmt::Write as _;

use crate::stats::{Summary, figure};

/// A table of the rows that have figures, under a headline; `None` when none has.
pub fn table(
    title: &str,
    first: &str,
    columns: &[&str],
    rows: impl Iterator<Item = (String, Vec<Option<String>>)>,
) -> Option<String> {
    let rows: Vec<_> = rows.filter(|(_, cells)| cells.iter().any(Option::is_some)).collect();
    if rows.is_empty() {
        return None;
    }
    let head = columns.join(" | ");
    let mut text = format!("## {title}\n\n| {first} | {head} |\n|---|{}\n", "---:|".repeat(columns.len()));
    for (name, cells) in rows {
        let cells: Vec<_> = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    Some(text)
}

/// A median and its range.
pub fn shown(summary: Option<Summary>) -> Option<String> {
    let Summary { median, min, max } = summary?;
    // A single round has no range.
    let range = if min < max { format!(" ({}–{})", figure(min), figure(max)) } else { String::new() };
    Some(figure(median) + &range)
}

/// The same of a series.
pub fn shown_series(series: &[f64]) -> Option<String> {
    shown(Summary::of(series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_figures_are_left_out() {
        let rows = [("a".to_owned(), vec![shown_series(&[1.0, 3.0, 2.0]), None]), ("b".to_owned(), vec![None, None])];
        assert_eq!(
            table("T", "what", &["x", "y"], rows.into_iter()).unwrap(),
            "## T\n\n| what | x | y |\n|---|---:|---:|\n| a | 2.00 (1.00–3.00) | – |\n"
        );
        assert_eq!(table("T", "what", &["x"], [("b".to_owned(), vec![None])].into_iter()), None);
        assert_eq!(shown_series(&[5.0]).unwrap(), "5.00");
    }
}
