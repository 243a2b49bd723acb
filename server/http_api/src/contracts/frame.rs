//! Tables as pandas writes them: `dataframe_split`, and CSV with or without a line of names.

use std::fmt;

use candor_domain::{Error, Result, names::quoted};
use candor_serving::features::{FeatureKind, FeatureSet, FeatureSpec, Spot, Stop, Table};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::body::Context;
use crate::{
    native::{self, ValueSeed},
    wire::Word,
};

/// An object with `columns` and `data`; `index` names rows, which mean nothing here.
pub(super) struct SplitSeed<'t, 's, 'a> {
    pub(super) table: &'t mut Table<'s>,
    pub(super) context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for SplitSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SplitSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"columns\" and \"data\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { table, context } = self;
        let (mut named, mut waiting, mut done) = (false, None::<&'de RawValue>, false);
        while let Some(key) = members.next_key::<Word<'de>>()?.map(|word| word.0) {
            match &*key {
                "columns" if !named => {
                    named = true;
                    members.next_value_seed(NamesSeed { table, context })?;
                    // Pandas writes the columns first, but an object has no order.
                    if let Some(data) = waiting.take() {
                        context.reread(DataSeed { table, context }, data)?;
                        done = true;
                    }
                }
                "data" if !done && waiting.is_none() => match named {
                    true => {
                        members.next_value_seed(DataSeed { table, context })?;
                        done = true;
                    }
                    false => waiting = Some(members.next_value()?),
                },
                "index" => members.next_value::<IgnoredAny>().map(|_| ())?,
                other => {
                    let error = Error::invalid("a member does not belong here, or stands there twice");
                    let error = error.at("/dataframe_split").expected("columns, data and index, each once");
                    return Err(context.raise(error.got(quoted(other))));
                }
            }
        }
        if done {
            return Ok(());
        }
        let missing = if named { "data" } else { "columns" };
        let error = Error::invalid(format!("\"{missing}\" is missing")).at("/dataframe_split");
        Err(context.raise(error.expected("\"columns\" (a list of names) and \"data\" (a list of rows)")))
    }
}

/// The names of the columns.
struct NamesSeed<'t, 's, 'a> {
    table: &'t mut Table<'s>,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for NamesSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for NamesSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names of columns")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<(), A::Error> {
        let Self { table, context } = self;
        let stop = |stop| context.reading.stop::<A::Error>(stop);
        while let Some(name) = names.next_element::<Word<'de>>()?.map(|word| word.0) {
            let feature = table.find_column(&name).map_err(stop)?;
            if let Some(feature) = feature {
                table.close_column(feature, 0);
            }
            context.spots.columns.borrow_mut().push(feature);
        }
        table.close_names().map_err(stop)
    }
}

/// The rows.
struct DataSeed<'t, 's, 'a> {
    table: &'t mut Table<'s>,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for DataSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for DataSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let Self { table, context } = self;
        while rows.next_element_seed(DataRowSeed { table, context })?.is_some() {}
        Ok(())
    }
}

/// A list of values, one for each column.
struct DataRowSeed<'t, 's, 'a> {
    table: &'t mut Table<'s>,
    context: Context<'a>,
}

impl<'de> DeserializeSeed<'de> for DataRowSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for DataRowSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values, one for each column")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { table, context } = self;
        let reading = context.reading;
        let stop = |stop: Stop| reading.stop::<A::Error>(stop);
        table.open_row().map_err(stop)?;
        let row = table.rows().saturating_sub(1);
        let wanted = context.spots.columns.borrow().len();
        let mut came = 0;
        loop {
            let feature = context.spots.columns.borrow().get(came).copied().flatten();
            let is_there = match feature {
                Some(feature) => values.next_element_seed(ValueSeed { table, reading, row, feature })?.is_some(),
                None => values.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_there {
                break;
            }
            if let Some(name) = feature.and_then(|feature| table.set().all().get(feature)).map(|spec| &spec.name) {
                table.find(name).map_err(stop)?;
            }
            came += 1;
        }
        if came == wanted {
            return table.close_row().map_err(stop);
        }
        let error = Error::invalid("the row has the wrong number of values");
        let error = error.expected(format!("{wanted} values, one for each column")).got(format!("{came} values"));
        table.problem(Spot { row: Some(row), feature: None }, error).map_err(stop)
    }
}

/// Whether the first line of a CSV body holds names: if all its cells are features' names, and it could not be a row
/// as well, which it can where names are numbers, as those of pandas' columns may be. SageMaker's bodies have no such
/// line, MLflow's do. In doubt it is data: a row too many is seen, a row too few is not. A line that can be neither is
/// taken for names if it has one, since more can be said of a name that is misspelt than of a value that is none.
pub(super) fn has_header(body: &[u8], set: &FeatureSet) -> bool {
    // What is wrong with it is told when it is read.
    let Ok(first) = native::first_line(body, set) else { return false };
    let cells = || first.iter().map(|cell| cell.trim());
    let reads = |(cell, spec): (&str, &FeatureSpec)| match spec.kind() {
        _ if cell.is_empty() => true,
        FeatureKind::String => true,
        FeatureKind::Boolean => ["true", "false", "1", "0"].contains(&&*cell.to_ascii_lowercase()),
        FeatureKind::Integer | FeatureKind::Number => cell.parse::<f64>().is_ok(),
    };
    let could_be_row = first.len() == set.all().len() && cells().zip(set.all()).all(reads);
    !could_be_row && cells().any(|cell| set.index(cell).is_some())
}
