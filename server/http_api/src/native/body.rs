//! A JSON body: `rows` of objects or lists, or `columns`; with `id`, `timeout_ms` and `priority`.
//!
//! Read in one pass, by seeds that put each value where it belongs. What is wrong with the table is
//! remembered there; what is wrong with the body itself ends the reading.

use std::{cell::Cell as Slot, fmt};

use candor_domain::{Error, Result, names::quoted};
use candor_serving::{
    features::{FeatureSet, Filled, Spot, Stop, Table},
    likeness,
};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    cells::ValueSeed,
    head::{Head, read_id, read_priority, read_timeout},
    lines::Lines,
};
use crate::{
    limits::HttpLimits,
    wire::{Cursor, Trouble, Word, syntax_error},
};

/// How the table of this request is written, which decides how a place in it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `rows` of objects.
    Objects,
    /// `rows` of lists.
    Lists,
    /// `columns`.
    Columns,
    /// JSON Lines.
    Lines,
    /// CSV.
    Csv,
}

/// A place as the caller would look for it: a JSON pointer (RFC 6901), or a line. Rows of lines count from the
/// first line, however many of those hold no row.
pub(crate) fn locate(layout: Layout, set: &FeatureSet, lines: &Lines, spot: Spot<'_>) -> String {
    let member = |name: &str| pointer_member(name).map(|member| format!("/{member}")).unwrap_or_default();
    match (layout, spot.row, spot.feature) {
        (Layout::Objects | Layout::Lists, None, _) => "/rows".to_owned(),
        (Layout::Objects | Layout::Lists, Some(row), None) => format!("/rows/{row}"),
        (Layout::Objects, Some(row), Some(name)) => format!("/rows/{row}{}", member(name)),
        (Layout::Lists, Some(row), Some(name)) => match set.index(name) {
            Some(index) => format!("/rows/{row}/{index}"),
            None => format!("/rows/{row}"),
        },
        (Layout::Columns, None | Some(_), None) => "/columns".to_owned(),
        (Layout::Columns, None, Some(name)) => format!("/columns{}", member(name)),
        (Layout::Columns, Some(row), Some(name)) => format!("/columns{}/{row}", member(name)),
        (Layout::Lines, None, _) => "the lines".to_owned(),
        (Layout::Csv, None, None) => "the table".to_owned(),
        (Layout::Csv, None, Some(name)) => format!("column {}", quoted(name)),
        (Layout::Lines | Layout::Csv, Some(row), None) => format!("line {}", lines.of(row)),
        (Layout::Lines, Some(row), Some(name)) => format!("line {}, {}", lines.of(row), member(name)),
        (Layout::Csv, Some(row), Some(name)) => format!("line {}, column {}", lines.of(row), quoted(name)),
    }
}

/// A member's name within a JSON pointer; `None` for one that is too long to repeat.
pub(crate) fn pointer_member(name: &str) -> Option<String> {
    const BYTES_MAX: usize = 256;
    (name.len() <= BYTES_MAX).then(|| name.replace('~', "~0").replace('/', "~1"))
}

/// The place of a gap that was filled.
pub(crate) fn filled_at(layout: Layout, set: &FeatureSet, lines: &Lines, gap: Filled) -> String {
    let name = set.all().get(gap.feature).map_or("", |feature| &feature.name);
    // A gap is told by the name of its feature, which says more than the number of its column.
    let layout = if layout == Layout::Lists { Layout::Objects } else { layout };
    locate(layout, set, lines, Spot { row: Some(gap.row), feature: Some(name) })
}

/// What all seeds of one body share.
pub(crate) struct Reading<'a> {
    pub(crate) trouble: Trouble,
    pub(crate) layout: &'a Slot<Layout>,
    pub(crate) limits: &'a HttpLimits,
    /// The number that a text stands for, where a contract has numbers that JSON does not have.
    pub(crate) number_of: fn(&str) -> Option<f64>,
    /// Members that this route has beside those of every table.
    more: &'static [&'static str],
    /// Whether a body may do without a table.
    table_is_optional: bool,
    stopped: Slot<bool>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(layout: &'a Slot<Layout>, limits: &'a HttpLimits) -> Self {
        let stopped = Slot::new(false);
        Self {
            trouble: Trouble::default(),
            layout,
            limits,
            number_of: |_| None,
            more: &[],
            table_is_optional: false,
            stopped,
        }
    }

    /// The same with members that this route has beside those of every table.
    pub(crate) fn with_more(self, more: &'static [&'static str]) -> Self {
        Self { more, ..self }
    }

    /// The same for a body that may do without a table.
    pub(crate) fn with_optional_table(self, is_optional: bool) -> Self {
        Self { table_is_optional: is_optional, ..self }
    }

    /// Makes the parser give up; the table knows why.
    pub(crate) fn stop<E: de::Error>(&self, _: Stop) -> E {
        self.stopped.set(true);
        E::custom("")
    }

    /// What made the parser give up. `None` means that the table says it.
    pub(crate) fn explain(&self, error: &serde_json::Error, body: &[u8]) -> Option<Error> {
        match self.trouble.take() {
            Some(error) => Some(error),
            None if self.stopped.get() => None,
            None => Some(syntax_error(error, body, NO_NAN)),
        }
    }
}

const NO_NAN: &str = "JSON has no NaN or Infinity; send null for a gap, where the model declares `impute`";

/// Reads a body that is JSON as usual, whatever the table has to say of it. If it is not, what was read is of no use.
pub(crate) fn read_quickly(body: &[u8], table: &mut Table<'_>, reading: &Reading<'_>) -> Option<Head> {
    Cursor::new(body).read(BodySeed { table, reading }).ok()
}

/// Reads a body into `table`.
pub(crate) fn read(body: &[u8], table: &mut Table<'_>, reading: &Reading<'_>) -> Result<Head> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let head = BodySeed { table, reading }.deserialize(&mut parser);
    match head.and_then(|head| parser.end().map(|()| head)) {
        Ok(head) => Ok(head),
        // Reading on gives what the table has to say: so there is one, wherever one may be left out.
        Err(error) => {
            reading.explain(&error, body).map_or_else(|| Ok(Head { has_table: true, ..Head::default() }), Err)
        }
    }
}

const MEMBERS: [&str; 5] = ["rows", "columns", "id", "timeout_ms", "priority"];

struct BodySeed<'t, 's, 'r> {
    table: &'t mut Table<'s>,
    reading: &'r Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for BodySeed<'_, '_, '_> {
    type Value = Head;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Head, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BodySeed<'_, '_, '_> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"rows\" or \"columns\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Head, A::Error> {
        let error = Error::invalid("the body is a list").expected("an object with \"rows\" or \"columns\"");
        Err(self.reading.trouble.raise(error.hint("name the list: {\"rows\": [...]}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let Self { table, reading } = self;
        let raise = |error: Error| reading.trouble.raise::<A::Error>(error);
        let (mut head, mut form) = (Head::default(), None::<&str>);
        let mut seen: Vec<&str> = Vec::new();
        while let Some(key) = map.next_key::<Word<'de>>()?.map(|word| word.0) {
            let known = MEMBERS.into_iter().chain(reading.more.iter().copied()).find(|member| *member == key);
            let Some(member) = known else {
                return Err(raise(unknown_member(&key, reading.more)));
            };
            if seen.contains(&member) {
                return Err(raise(Error::invalid("this member stands there twice").at(format!("/{member}"))));
            }
            seen.push(member);
            if let ("rows" | "columns", Some(other)) = (member, form) {
                let error = Error::invalid(format!("a body has rows or columns, and \"{other}\" came before"));
                return Err(raise(error.at(format!("/{member}"))));
            }
            match member {
                "rows" => {
                    form = Some("rows");
                    map.next_value_seed(RowsSeed { table, reading })?;
                }
                "columns" => {
                    form = Some("columns");
                    reading.layout.set(Layout::Columns);
                    map.next_value_seed(ColumnsSeed { table, reading })?;
                }
                "id" => head.id = Some(read_id(map.next_value()?).map_err(raise)?),
                "priority" => head.priority = read_priority(map.next_value()?).map_err(raise)?,
                "timeout_ms" => head.timeout_ms = read_timeout(map.next_value()?).map_err(raise)?,
                more => head.more.push((more, map.next_value::<&RawValue>()?.to_owned())),
            }
        }
        match form {
            Some(_) => Ok(Head { has_table: true, ..head }),
            None if reading.table_is_optional => Ok(head),
            None => Err(raise(
                Error::invalid("the body has no table")
                    .at("/rows")
                    .expected("\"rows\" (a list of objects or lists) or \"columns\" (an object of lists)")
                    .hint("such as {\"rows\": [{\"name\": 1.5}]}; tensors go to /v2/models/{model}/infer"),
            )),
        }
    }
}

fn unknown_member(key: &str, more: &[&str]) -> Error {
    let members = || MEMBERS.into_iter().chain(more.iter().copied());
    let known: Vec<&str> = members().collect();
    let error = Error::invalid(format!("there is no member {} here", quoted(key))).expected(known.join(", "));
    match likeness::closest(key, members()) {
        Some(close) => error.hint(format!("did you mean \"{close}\"?")),
        None if key == "inputs" || key == "instances" => error
            .hint("tensors (\"inputs\") go to /v2/models/{model}/infer, \"instances\" to /v1/models/{model}:predict"),
        None => error.hint(
            "features stand in \"rows\" or \"columns\"; pandas: {\"rows\": df.to_dict(\"records\")} or \
             {\"columns\": df.to_dict(\"list\")}",
        ),
    }
}

/// A list of rows.
pub(crate) struct RowsSeed<'t, 's, 'r> {
    pub(crate) table: &'t mut Table<'s>,
    pub(crate) reading: &'r Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for RowsSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        let error = Error::invalid("\"rows\" is an object").at("/rows").expected("a list of rows");
        Err(self.reading.trouble.raise(error.hint("a single row is a list too: [{…}]; or did you mean \"columns\"?")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let Self { table, reading } = self;
        while rows.next_element_seed(RowSeed { table, reading })?.is_some() {}
        Ok(())
    }
}

/// One row: an object of features, or a list of values in the order of the features.
pub(crate) struct RowSeed<'t, 's, 'r> {
    pub(crate) table: &'t mut Table<'s>,
    pub(crate) reading: &'r Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl RowSeed<'_, '_, '_> {
    fn refuse<E: de::Error>(self, got: &str) -> Result<(), E> {
        let Self { table, reading } = self;
        let row = table.rows();
        let list = "a list with a value for each of them in this order";
        let error = Error::invalid("this is no row")
            .expected(format!("an object of features ({}), or {list}", table.set().names()))
            .got(got);
        let opened = table.open_row();
        opened
            .and_then(|()| table.problem(Spot { row: Some(row), feature: None }, error))
            .map_err(|stop| reading.stop(stop))
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<(), A::Error> {
        let Self { table, reading } = self;
        if reading.layout.get() == Layout::Lists {
            reading.layout.set(Layout::Objects);
        }
        let stop = |stop| reading.stop::<A::Error>(stop);
        table.open_row().map_err(stop)?;
        let at = table.rows().saturating_sub(1);
        while let Some(name) = row.next_key::<Word<'de>>()?.map(|word| word.0) {
            match table.find(&name).map_err(stop)? {
                Some(feature) => row.next_value_seed(ValueSeed { table, reading, row: at, feature })?,
                None => row.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        table.close_row().map_err(stop)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { table, reading } = self;
        if reading.layout.get() == Layout::Objects {
            reading.layout.set(Layout::Lists);
        }
        let stop = |stop| reading.stop::<A::Error>(stop);
        table.open_row().map_err(stop)?;
        let (at, wanted) = (table.rows().saturating_sub(1), table.set().all().len());
        let mut came = 0;
        while came < wanted && values.next_element_seed(ValueSeed { table, reading, row: at, feature: came })?.is_some()
        {
            came += 1;
        }
        while came >= wanted && values.next_element::<IgnoredAny>()?.is_some() {
            came += 1;
        }
        table.see_all();
        if came == wanted {
            return Ok(());
        }
        let error = Error::invalid("the row has the wrong number of values")
            .expected(format!("{wanted} values: {}", table.set().names()))
            .got(format!("{came} values"));
        table.problem(Spot { row: Some(at), feature: None }, error).map_err(stop)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.refuse(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.refuse(&value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.refuse(&value.to_string())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.refuse(&value.to_string())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.refuse(&quoted(value))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.refuse("null")
    }
}

/// An object with a list of values for each feature.
pub(crate) struct ColumnsSeed<'t, 's, 'r> {
    pub(crate) table: &'t mut Table<'s>,
    pub(crate) reading: &'r Reading<'r>,
}

impl<'de> DeserializeSeed<'de> for ColumnsSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ColumnsSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of values for each feature")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut columns: A) -> Result<(), A::Error> {
        let Self { table, reading } = self;
        let stop = |stop| reading.stop::<A::Error>(stop);
        while let Some(name) = columns.next_key::<Word<'de>>()?.map(|word| word.0) {
            match table.find_column(&name).map_err(stop)? {
                Some(feature) => columns.next_value_seed(ColumnSeed { table, reading, feature })?,
                None => columns.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        table.close_columns().map_err(stop)
    }
}

struct ColumnSeed<'t, 's, 'r> {
    table: &'t mut Table<'s>,
    reading: &'r Reading<'r>,
    feature: usize,
}

impl<'de> DeserializeSeed<'de> for ColumnSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ColumnSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of the feature's values, one for each row")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { table, reading, feature } = self;
        let mut row = 0;
        while values.next_element_seed(InColumn(ValueSeed { table, reading, row, feature }))?.is_some() {
            row += 1;
        }
        table.close_column(feature, row);
        Ok(())
    }
}

/// A value of a column, which makes its row if it is the first to have it.
struct InColumn<'t, 's, 'r>(ValueSeed<'t, 's, 'r>);

impl<'de> DeserializeSeed<'de> for InColumn<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let ValueSeed { table, reading, row, .. } = &self.0;
        let (rows, reading) = (row + 1, *reading);
        let _ = table;
        let Self(seed) = self;
        seed.table.grow(rows).map_err(|stop| reading.stop::<D::Error>(stop))?;
        seed.deserialize(deserializer)
    }
}
