//! The YAML of `MLmodel`: the keys that matter, each in a type that cannot grow.
//!
//! What is not asked for is skipped without being built, and nothing that is asked for is an open list of
//! lists, so a file that repeats itself through aliases stays as small in memory as it is on disk. Time is bounded
//! too: only what is asked for is followed through aliases, and no more of it than a file can hold without any.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Most entries of `metadata` that are looked at.
const METADATA_MAX: usize = 32;
/// Longest text of an entry of `metadata`, in characters.
const METADATA_CHARS_MAX: usize = 4096;

#[derive(Deserialize)]
pub(super) struct MlModel {
    #[serde(default)]
    pub(super) flavors: Flavors,
    pub(super) signature: Option<Signature>,
    pub(super) metadata: Option<Metadata>,
    pub(super) model_uuid: Option<String>,
    pub(super) model_id: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) utc_time_created: Option<String>,
    pub(super) mlflow_version: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Signature {
    pub(super) inputs: Option<String>,
    pub(super) outputs: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Onnx {
    pub(super) data: Option<String>,
}

/// The ONNX flavour, and the names of the others.
#[derive(Default)]
pub(super) struct Flavors {
    pub(super) onnx: Option<Onnx>,
    pub(super) others: BTreeSet<String>,
}

impl<'de> Deserialize<'de> for Flavors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Flavors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("flavours by name")
            }

            fn visit_unit<E>(self) -> Result<Flavors, E> {
                Ok(Flavors::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flavors, A::Error> {
                let mut flavors = Flavors::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "onnx" {
                        flavors.onnx = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        flavors.others.insert(name);
                    }
                }
                Ok(flavors)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// Entries of `metadata` that are no lists and no maps.
#[derive(Default)]
pub(super) struct Metadata(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metadata by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut entries = BTreeMap::new();
                let passed_over = Cell::new(0);
                for _ in 0..METADATA_MAX {
                    let Some(key) = map.next_key::<String>()? else { return Ok(Metadata(entries)) };
                    if let Some(value) = map.next_value_seed(Plain { passed_over: &passed_over })? {
                        entries.insert(key.chars().take(METADATA_CHARS_MAX).collect(), value);
                    }
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Metadata(entries))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// Text, number or flag as text; nothing for the rest.
#[derive(Clone, Copy)]
struct Plain<'a> {
    /// Members of lists and maps, of all entries together.
    passed_over: &'a Cell<usize>,
}

impl Plain<'_> {
    /// A file without aliases has fewer members than bytes.
    fn pass_over<E: serde::de::Error>(self) -> Result<(), E> {
        self.passed_over.set(self.passed_over.get() + 1);
        if self.passed_over.get() > super::BYTES_MAX {
            return Err(E::custom("metadata repeats itself through aliases more often than it is read"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(Some(text.chars().take(METADATA_CHARS_MAX).collect()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<String>, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<String>, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<String>, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<String>, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<String>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {
            self.pass_over()?;
        }
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            self.pass_over()?;
        }
        Ok(None)
    }
}
