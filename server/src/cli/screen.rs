//! What the user sees: styles, marks, sizes, tables.
//!
//! Text is built with styles and printed once. Colour reaches only a terminal (or `--color=always`), because
//! [`print()`] strips it elsewhere; `NO_COLOR` is honoured. Whatever else would steer a terminal is replaced: names,
//! titles and labels come from files and servers of others.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io::Write as _,
};

use anstyle::{AnsiColor, Style};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(super) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(super) const BLUE: Style = AnsiColor::Cyan.on_default().bold();

/// What the styles above are made of. No other sequence leaves this program.
const OURS: [&str; 7] = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m"];

/// Whether a character steers a terminal, or turns around what is written there.
fn steers(char: char) -> bool {
    let turns = matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (char.is_control() && !matches!(char, '\n' | '\t')) || turns
}

/// A text from elsewhere, in which nothing steers the terminal.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(steers) { text.replace(steers, "\u{fffd}").into() } else { text.into() }
}

/// A text of ours, in which only our own styles steer the terminal.
fn tame(mut text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    let mut tame = String::with_capacity(text.len());
    while let Some(char) = text.chars().next() {
        let style = OURS.into_iter().find(|style| text.starts_with(style));
        let long = style.map_or(char.len_utf8(), str::len);
        let (piece, rest) = text.split_at(long);
        tame.push_str(if style.is_none() && steers(char) { "\u{fffd}" } else { piece });
        text = rest;
    }
    tame.into()
}

/// Writes to standard output. A reader that has gone (`| head`) is no error of ours.
pub(super) fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(tame(text).as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn print_error(text: &str) {
    let _ = anstream::stderr().write_all(tame(text).as_bytes());
}

/// JSON for programs, with a line's end; what JSON may write as it is and a terminal obeys is escaped.
pub(super) fn print_json(value: &serde_json::Value) {
    let text = format!("{value:#}\n");
    print(&if text.contains(steers) {
        let escaped = |char: char| if steers(char) { format!("\\u{:04x}", u32::from(char)) } else { char.to_string() };
        text.chars().map(escaped).collect()
    } else {
        text
    });
}

/// A text in a style.
pub(super) fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `1.5 KiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    #[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
    let mut amount = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// Text of several lines, every line after the first moved in.
pub(super) fn indented(text: &str, by: usize) -> String {
    text.trim_end().replace('\n', &format!("\n{:by$}", ""))
}

/// A line break before the first word that would pass `width`.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let (mut lines, mut at) = (String::new(), 0);
    for word in text.split_whitespace() {
        let long = word.chars().count();
        if at > 0 && at + 1 + long > width {
            lines.push('\n');
            at = 0;
        } else if at > 0 {
            lines.push(' ');
            at += 1;
        }
        lines.push_str(word);
        at += long;
    }
    lines
}

/// Columns as wide as their widest cell.
pub(super) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
    indent: usize,
}

impl Table {
    pub(super) fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Self {
        let heads = heads.into_iter().map(|head| plain(&head.into()).replace(['\n', '\t'], " ")).collect();
        Self { heads, rows: Vec::new(), right: Vec::new(), indent: 0 }
    }

    /// Numbers of columns that are aligned to the right.
    pub(super) fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.right = columns.into_iter().collect();
        self
    }

    pub(super) fn indent(mut self, by: usize) -> Self {
        self.indent = by;
        self
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        let line = |cell: &String| plain(cell).replace(['\n', '\t'], " ");
        self.rows.push(cells.iter().map(line).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = |column: usize| {
            let cells = self.rows.iter().chain([&self.heads]).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(wide).collect();
        for (index, row) in std::iter::once(&self.heads).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, after) = if self.right.contains(&column) { (&*gap, "") } else { ("", &*gap) };
                write!(line, "{}{before}{cell}{after}", if column == 0 { "" } else { "  " })?;
            }
            let line = line.trim_end();
            let line = if index == 0 { styled(BOLD, line) } else { line.to_owned() };
            writeln!(f, "{:indent$}{line}", "", indent = self.indent)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "SIZE"]).right([1]).indent(1);
        table.row(vec!["größer".into(), "1 B".into()]);
        table.row(vec!["x".into(), "10 KiB".into()]);
        let text = anstream::adapter::strip_str(&table.to_string()).to_string();
        assert_eq!(text, " NAME      SIZE\n größer     1 B\n x       10 KiB\n");
    }

    #[test]
    fn only_our_own_styles_steer_the_terminal() {
        for style in [BOLD, DIM, RED, YELLOW, GREEN, BLUE] {
            let text = styled(style, "x\n\ty ä");
            assert_eq!(tame(&text), text);
        }
        let evil = "a\u{1b}]0;owned\u{7}b\u{1b}[31mc\u{9b}2Jd\re\u{202e}f\u{1b}";
        assert_eq!(plain(evil), "a\u{fffd}]0;owned\u{fffd}b\u{fffd}[31mc\u{fffd}2Jd\u{fffd}e\u{fffd}f\u{fffd}");
        assert_eq!(tame(&format!("{}{evil}", styled(BOLD, ""))).matches('\u{1b}').count(), 3, "our two, and a colour");
        let mut table = Table::new([evil]);
        table.row(vec!["one\ntwo\u{1b}[31m".to_owned()]);
        assert!(table.to_string().ends_with("one two\u{fffd}[31m\n"), "{table}");
    }

    #[test]
    fn sizes_have_one_digit_after_the_point() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }

    #[test]
    fn lines_end_before_the_word_that_would_not_fit() {
        assert_eq!(wrapped("one two  three", 7), "one two\nthree");
        assert_eq!(wrapped("averylongword x", 5), "averylongword\nx");
    }
}
