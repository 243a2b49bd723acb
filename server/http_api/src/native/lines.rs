//! Bodies of one row a line: CSV (RFC 4180) and JSON Lines.

use std::{borrow::Cow, cell::RefCell};

use candor_domain::{Error, Result, names::quoted};
use candor_serving::features::{Cell, FeatureKind, FeatureSet, FeatureSpec, Spot, Stop, Table};
use serde::de::DeserializeSeed as _;

use super::{
    body::{Reading, RowSeed},
    csv::{Record, Records},
};

/// Reads one object or list a line; empty lines do not count.
pub(crate) fn read_json_lines(body: &[u8], table: &mut Table<'_>, reading: &Reading<'_>, lines: &Lines) -> Result<()> {
    for (at, line) in body.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        lines.note(table.rows(), at + 1);
        let mut parser = serde_json::Deserializer::from_slice(line);
        let row = RowSeed { table, reading }.deserialize(&mut parser);
        if let Err(error) = row.and_then(|()| parser.end()) {
            let place = format!("line {}, column {}", at + 1, error.column());
            return match reading.explain(&error, line) {
                // The table says what is wrong.
                None => Ok(()),
                Some(error) if error.details().what.contains(" at line 1 column") => {
                    Err(Error::invalid("the line is not the JSON that was expected").at(place))
                }
                Some(error) => Err(error.at(format!("line {}", at + 1))),
            };
        }
    }
    Ok(())
}

/// More columns than there are features are a mistake; many more are not even named.
fn cells_max(set: &FeatureSet) -> usize {
    const STRANGERS_MAX: usize = 16;
    set.all().len() + STRANGERS_MAX
}

/// The cells of the first line of a CSV body.
pub(crate) fn first_line<'a>(body: &'a [u8], set: &FeatureSet) -> Result<Vec<Cow<'a, str>>> {
    let mut cells = Vec::new();
    Records::new(body, cells_max(set))?.next(&mut cells)?;
    Ok(cells)
}

/// Reads a table of texts, by names in its first line or in the order of the features.
pub(crate) fn read_csv(body: &[u8], header: bool, table: &mut Table<'_>, lines: &Lines) -> Result<()> {
    let mut records = Records::new(body, cells_max(table.set()))?;
    let mut cells = Vec::new();
    let columns = if header {
        records.next(&mut cells)?;
        match columns_of(&cells, table) {
            Ok(columns) => columns,
            // The table has the reasons.
            Err(Stop) => return Ok(()),
        }
    } else {
        (0..table.set().all().len()).map(Some).collect()
    };
    loop {
        let line = records.line();
        match records.next(&mut cells)? {
            None => return Ok(()),
            Some(Record::Blank) if columns.len() != 1 && records.only_blanks_left() => return Ok(()),
            // Of a table of one column, an empty line in the middle is an empty cell.
            Some(Record::Blank) if columns.len() == 1 && !records.only_blanks_left() => cells.push("".into()),
            Some(Record::Blank) => {
                let error = Error::invalid("the line is empty").at(format!("line {line}"));
                return Err(error
                    .expected(format!("{} cells", columns.len()))
                    .hint("a cell that is empty is written as \"\""));
            }
            Some(Record::Cells) => {}
        }
        lines.note(table.rows(), line);
        if read_record(&cells, &columns, table).is_err() {
            return Ok(());
        }
    }
}

/// Which feature each column is; `None` for a column that is none, which has been told.
fn columns_of(names: &[Cow<'_, str>], table: &mut Table<'_>) -> Result<Vec<Option<usize>>, Stop> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names.iter().map(|name| name.trim()) {
        if name.is_empty() {
            let error = Error::invalid("a column has no name").expected(table.set().names());
            table.problem(
                Spot { row: None, feature: Some(name) },
                error.hint("pandas writes its index into such a column: to_csv(index=False)"),
            )?;
            columns.push(None);
            continue;
        }
        let feature = table.find_column(name)?;
        if let Some(feature) = feature {
            table.close_column(feature, 0);
        }
        columns.push(feature);
    }
    table.close_names()?;
    Ok(columns)
}

fn read_record(cells: &[Cow<'_, str>], columns: &[Option<usize>], table: &mut Table<'_>) -> Result<(), Stop> {
    table.open_row()?;
    let row = table.rows().saturating_sub(1);
    if cells.len() != columns.len() {
        let error = Error::invalid("the line has the wrong number of cells")
            .expected(format!("{} cells", columns.len()))
            .got(cells.len().to_string());
        return table.problem(Spot { row: Some(row), feature: None }, error);
    }
    for (text, feature) in cells.iter().zip(columns) {
        let Some(feature) = *feature else { continue };
        let Some(spec) = table.set().all().get(feature) else { continue };
        if table.find(&spec.name)?.is_none() {
            continue;
        }
        match cell_of(text, spec) {
            Some(cell) => table.put(row, feature, &cell)?,
            None => table.wrong_type(row, spec, &quoted(text))?,
        }
    }
    table.close_row()
}

/// The line of each row, which is not its number where lines are empty or cells have line breaks.
#[derive(Default)]
pub(crate) struct Lines(RefCell<Vec<(usize, usize)>>);

impl Lines {
    /// Notes that a row begins on a line; rows come in order.
    fn note(&self, row: usize, line: usize) {
        if self.of(row) != line {
            self.0.borrow_mut().push((row, line));
        }
    }

    /// The line of a row, from 1; before any was noted, rows and lines are the same.
    pub(crate) fn of(&self, row: usize) -> usize {
        let noted = self.0.borrow();
        let before = noted.partition_point(|(known, _)| *known <= row).checked_sub(1);
        let (known, line) = before.and_then(|at| noted.get(at)).copied().unwrap_or((0, 1));
        line + (row - known)
    }
}

/// What a text stands for, by the type of its column; `None` when it is none of that type.
fn cell_of<'a>(text: &'a str, spec: &FeatureSpec) -> Option<Cell<'a>> {
    let kind = spec.kind();
    if kind == FeatureKind::String {
        let is_gap = text.is_empty() && spec.notes.impute.is_some();
        return Some(if is_gap { Cell::Null } else { Cell::Text(text) });
    }
    let text = text.trim();
    if text.is_empty() {
        return Some(Cell::Null);
    }
    match kind {
        FeatureKind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(Cell::Bool(true)),
            "false" | "0" => Some(Cell::Bool(false)),
            _ => None,
        },
        FeatureKind::Integer => match (text.parse::<i64>(), text.parse::<u64>()) {
            (Ok(value), _) => Some(Cell::Signed(value)),
            (Err(_), Ok(value)) => Some(Cell::Unsigned(value)),
            (Err(_), Err(_)) => text.parse().ok().map(Cell::Float),
        },
        FeatureKind::Number | FeatureKind::String => text.parse().ok().map(Cell::Float),
    }
}
