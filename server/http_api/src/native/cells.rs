//! One value of a JSON body: a cell of a column, or the nested list of a feature that is a whole input.

use std::fmt;

use candor_serving::features::{Cell, Place, Table};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::body::Reading;

/// Reads the value of a feature in a row.
pub(crate) struct ValueSeed<'t, 's, 'r> {
    pub(crate) table: &'t mut Table<'s>,
    pub(crate) reading: &'r Reading<'r>,
    pub(crate) row: usize,
    pub(crate) feature: usize,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { table, reading, row, feature } = self;
        let place = table.set().all().get(feature).map(|spec| &spec.place);
        let lists = match place {
            Some(Place::Whole(dims)) => dims.len(),
            Some(Place::Column(_)) | None => 0,
        };
        ElementSeed { table, reading, row, feature, depth: 0, lists }.deserialize(deserializer)
    }
}

/// A value below `depth` lists, of the `lists` that the feature's values are nested in.
struct ElementSeed<'t, 's, 'r> {
    table: &'t mut Table<'s>,
    reading: &'r Reading<'r>,
    row: usize,
    feature: usize,
    depth: usize,
    lists: usize,
}

impl<'de> DeserializeSeed<'de> for ElementSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ElementSeed<'_, '_, '_> {
    fn put<E: de::Error>(self, cell: &Cell<'_>) -> Result<(), E> {
        let Self { table, reading, row, feature, depth, lists } = self;
        let put = match lists {
            0 => table.put(row, feature, cell),
            lists if depth == lists => table.push(row, feature, cell),
            _ => return Self { table, reading, row, feature, depth, lists }.refuse(&cell.to_string()),
        };
        put.map_err(|stop| reading.stop(stop))
    }

    /// A value of the wrong kind. Where lists are nested, what follows it would be read at the wrong places.
    fn refuse<E: de::Error>(self, got: &str) -> Result<(), E> {
        let set = self.table.set();
        let Some(spec) = set.all().get(self.feature) else { return Ok(()) };
        let told = self.table.wrong_type(self.row, spec, got);
        let told = if self.lists > 0 { told.and(Err(candor_serving::features::Stop)) } else { told };
        told.map_err(|stop| self.reading.stop(stop))
    }
}

impl<'de> Visitor<'de> for ElementSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.put(&Cell::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.put(&Cell::Signed(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.put(&Cell::Float(value))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.put(&Cell::Bool(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        let number = (self.reading.number_of)(value);
        self.put(&number.map_or(Cell::Text(value), Cell::Float))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put(&Cell::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if self.depth >= self.lists {
            while members.next_element::<IgnoredAny>()?.is_some() {}
            return self.refuse("a list");
        }
        let Self { table, reading, row, feature, depth, lists } = self;
        let mut count = 0;
        loop {
            let member = ElementSeed { table, reading, row, feature, depth: depth + 1, lists };
            if members.next_element_seed(member)?.is_none() {
                break;
            }
            count += 1;
        }
        table.end_list(row, feature, depth, count).map_err(|stop| reading.stop(stop))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.refuse("an object")
    }
}
