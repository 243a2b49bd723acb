//! Passing over what means nothing here, as deep as JSON may be.

use std::fmt;

use candor_domain::Error;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Trouble;

/// Passes over a value of a key that means nothing here, as deep as JSON may be.
#[derive(Clone, Copy)]
pub(crate) struct Skip<'a> {
    pub(crate) trouble: &'a Trouble,
    pub(crate) depth: usize,
    pub(crate) depth_max: usize,
}

impl Skip<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth < self.depth_max {
            return Ok(Self { depth: self.depth + 1, ..self });
        }
        let error = Error::invalid("the JSON is nested too deep")
            .expected(format!("at most {} levels (limits.json_depth_max)", self.depth_max));
        Err(self.trouble.raise(error))
    }
}

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while array.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(deeper)?;
        }
        Ok(())
    }
}
