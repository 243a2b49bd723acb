//! CSV as RFC 4180 writes it, a record at a time.
//!
//! Strict where lenient readers guess: a quoted cell ends with its quote, and an empty line is told from a
//! cell that is empty. Knows nothing of features.

use std::borrow::Cow;

use candor_domain::{Error, Result};

/// Records of a body that are not read yet.
pub(super) struct Records<'a> {
    rest: &'a str,
    /// The line that comes next, from 1.
    line: usize,
    cells_max: usize,
}

/// What stands on a line, or on several if a cell has line breaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing at all.
    Blank,
    /// Cells.
    Cells,
}

impl<'a> Records<'a> {
    /// The records of `body`, each of at most `cells_max` cells.
    ///
    /// # Errors
    /// `InvalidInput` when it is not UTF-8.
    pub(super) fn new(body: &'a [u8], cells_max: usize) -> Result<Self> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let line = body.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
            Error::invalid("the body is not UTF-8 text").at(format!("line {line}"))
        })?;
        // A byte-order mark is what spreadsheets put before the first name.
        Ok(Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, cells_max })
    }

    /// The line on which the next record begins.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Whether only empty lines are left.
    pub(super) fn only_blanks_left(&self) -> bool {
        self.rest.bytes().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Puts the cells of the next record into `cells`; `None` at the end.
    ///
    /// # Errors
    /// `InvalidInput` with the line, for quotes that do not close, text behind them, and too many cells.
    pub(super) fn next(&mut self, cells: &mut Vec<Cow<'a, str>>) -> Result<Option<Record>> {
        cells.clear();
        if self.rest.is_empty() {
            return Ok(None);
        }
        let begin = self.line;
        if let Some(rest) = self.rest.strip_prefix('\n').or_else(|| self.rest.strip_prefix("\r\n")) {
            self.rest = rest;
            self.line += 1;
            return Ok(Some(Record::Blank));
        }
        loop {
            if cells.len() >= self.cells_max {
                return Err(Error::invalid("the line has far too many cells")
                    .at(format!("line {begin}"))
                    .expected(format!("fewer than {}", self.cells_max)));
            }
            let (cell, rest) = match self.rest.strip_prefix('"') {
                Some(quoted) => self.quoted_cell(quoted)?,
                None => {
                    let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
                    let (cell, rest) = self.rest.split_at(end);
                    (
                        Cow::Borrowed(if rest.starts_with(',') {
                            cell
                        } else {
                            cell.strip_suffix('\r').unwrap_or(cell)
                        }),
                        rest,
                    )
                }
            };
            cells.push(cell);
            if let Some(rest) = rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            self.rest = match rest.strip_prefix('\n') {
                Some(rest) => {
                    self.line += 1;
                    rest
                }
                None => rest,
            };
            return Ok(Some(Record::Cells));
        }
    }

    /// The cell whose opening quote has been read, and what stands behind it: a comma, a line break or nothing.
    fn quoted_cell(&mut self, text: &'a str) -> Result<(Cow<'a, str>, &'a str)> {
        let begin = self.line;
        let mut from = 0;
        let end = loop {
            let Some(quote) = text.get(from..).and_then(|rest| rest.find('"')) else {
                return Err(Error::invalid("a quoted cell does not end")
                    .at(format!("line {begin}"))
                    .expected("a closing quote"));
            };
            let at = from + quote;
            if text.as_bytes().get(at + 1) == Some(&b'"') {
                from = at + 2;
            } else {
                break at;
            }
        };
        let (cell, rest) = text.split_at(end);
        let rest = rest.get(1..).unwrap_or_default();
        self.line += cell.bytes().filter(|byte| *byte == b'\n').count();
        let rest = if rest.starts_with("\r\n") || rest == "\r" { rest.get(1..).unwrap_or_default() } else { rest };
        if !rest.is_empty() && !rest.starts_with([',', '\n']) {
            return Err(Error::invalid("there is text behind a closing quote")
                .at(format!("line {}", self.line))
                .expected("a comma or the end of the line")
                .hint("a quote within a quoted cell is written twice"));
        }
        let cell = if cell.contains('"') { Cow::Owned(cell.replace("\"\"", "\"")) } else { Cow::Borrowed(cell) };
        Ok((cell, rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, Vec<String>)>> {
        let (mut records, mut cells, mut all) = (Records::new(text.as_bytes(), 5)?, Vec::new(), Vec::new());
        loop {
            let line = records.line();
            match records.next(&mut cells)? {
                None => return Ok(all),
                Some(Record::Blank) => all.push((line, vec![])),
                Some(Record::Cells) => all.push((line, cells.iter().map(ToString::to_string).collect())),
            }
        }
    }

    #[test]
    fn records_are_read_as_the_rfc_writes_them() {
        let of = |rows: &[(usize, &[&str])]| {
            rows.iter()
                .map(|(line, cells)| (*line, cells.iter().map(ToString::to_string).collect()))
                .collect::<Vec<_>>()
        };
        for (text, want) in [
            ("", of(&[])),
            ("a,b\r\n1,2", of(&[(1, &["a", "b"]), (2, &["1", "2"])])),
            ("\u{feff}a\n\n\"\"\n", of(&[(1, &["a"]), (2, &[]), (3, &[""])])),
            ("\"a\nb\",c\r\nd,\"e\"\"f\"\r\n", of(&[(1, &["a\nb", "c"]), (3, &["d", "e\"f"])])),
            (",\n", of(&[(1, &["", ""])])),
            ("a\"b, c \n", of(&[(1, &["a\"b", " c "])])),
            ("\"a\"\r", of(&[(1, &["a"])])),
        ] {
            assert_eq!(read(text).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn what_others_guess_at_is_refused_with_its_line() {
        for (text, says) in [
            ("1,2\n3,\"4\"5\n", "line 2: there is text behind a closing quote"),
            ("1,2\n3,\"4", "line 2: a quoted cell does not end"),
            ("1\n\"a\nb", "line 2: a quoted cell does not end"),
            ("1,2,3,4,5,6", "line 1: the line has far too many cells"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert!(Records::new(b"a\nb\xff", 5).err().unwrap().to_string().starts_with("line 2: the body is not UTF-8"));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(rows in prop::collection::vec(prop::collection::vec("[a-z\",\r\n ü]{0,6}", 2..4), 1..6)) {
            let cell = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(",");
            let text = rows.iter().map(line).collect::<Vec<_>>().join("\r\n");
            let got: Vec<Vec<String>> = read(&text).unwrap().into_iter().map(|(_, cells)| cells).collect();
            prop_assert_eq!(got, rows);
        }
    }
}
