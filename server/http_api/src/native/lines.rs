//! Bodies of one row a line: CSV (RFC 4180) and JSON Lines.

use candor_domain::{Error, Result, names::quoted};
use candor_serving::features::{Cell, FeatureKind, FeatureSpec, Spot, Stop, Table};
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use serde::de::DeserializeSeed as _;

use super::body::{Reading, RowSeed};

/// Reads one object or list a line; empty lines do not count.
pub(crate) fn read_json_lines(body: &[u8], table: &mut Table<'_>, reading: &Reading<'_>) -> Result<()> {
    for (at, line) in body.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
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

/// Reads a table of texts, by names in its first line or in the order of the features.
pub(crate) fn read_csv(body: &[u8], header: bool, table: &mut Table<'_>) -> Result<()> {
    let mut reader = ReaderBuilder::new().has_headers(header).flexible(true).from_reader(body);
    let columns = match header {
        true => match columns_of(reader.headers().map_err(unreadable)?, table) {
            Ok(columns) => columns,
            // The table has the reasons.
            Err(Stop) => return Ok(()),
        },
        false => (0..table.set().all().len()).map(Some).collect(),
    };
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(unreadable)? {
        if read_record(&record, &columns, table).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Which feature each column is; `None` for a column that is none, which has been told.
fn columns_of(names: &StringRecord, table: &mut Table<'_>) -> Result<Vec<Option<usize>>, Stop> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        // A byte-order mark is what spreadsheets put before the first name.
        let feature = table.find_column(name.trim_start_matches('\u{feff}').trim())?;
        if let Some(feature) = feature {
            table.close_column(feature, 0);
        }
        columns.push(feature);
    }
    table.close_names()?;
    Ok(columns)
}

fn read_record(record: &StringRecord, columns: &[Option<usize>], table: &mut Table<'_>) -> Result<(), Stop> {
    table.open_row()?;
    let row = table.rows().saturating_sub(1);
    if record.len() != columns.len() {
        let error = Error::invalid("the line has the wrong number of cells")
            .expected(format!("{} cells", columns.len()))
            .got(record.len().to_string());
        return table.problem(Spot { row: Some(row), feature: None }, error);
    }
    for (text, feature) in record.iter().zip(columns) {
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

fn unreadable(error: csv::Error) -> Error {
    let line = error.position().map(|position| format!("line {}", position.line()));
    let what = if matches!(error.kind(), ErrorKind::Utf8 { .. }) {
        "the body is not UTF-8 text".to_owned()
    } else {
        format!("the body is not the CSV that was expected: {error}")
    };
    let error = Error::invalid(what);
    match line {
        Some(line) => error.at(line),
        None => error,
    }
}
