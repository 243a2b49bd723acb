//! One feature: its name, where its values go, what they may be, and what stands for a gap.

use std::sync::Arc;

use candor_domain::{Datatype, Dim, Error, Result};

use super::cell::{Cell, Store};
use crate::repository::{Feature, Filler};

/// Where the values of a feature go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into this column of the input's rows.
    Column(usize),
    /// They are the input's rows, each a nested list of these dimensions.
    Whole(Vec<Dim>),
}

/// What people call the type of a feature's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A text.
    String,
}

impl FeatureKind {
    /// The kind of elements of a datatype.
    #[must_use]
    pub const fn of(datatype: Datatype) -> Self {
        match datatype {
            Datatype::Bool => Self::Boolean,
            Datatype::Uint8
            | Datatype::Uint16
            | Datatype::Uint32
            | Datatype::Uint64
            | Datatype::Int8
            | Datatype::Int16
            | Datatype::Int32
            | Datatype::Int64 => Self::Integer,
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => Self::Number,
            Datatype::Bytes => Self::String,
        }
    }

    /// The word of JSON Schema.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::String => "string",
        }
    }
}

/// One feature of a version.
#[derive(Debug, Clone)]
pub struct FeatureSpec {
    /// Its name.
    pub name: Arc<str>,
    /// Position of the input that it belongs to.
    pub input: usize,
    /// Where in that input.
    pub place: Place,
    /// Type of its elements.
    pub datatype: Datatype,
    /// What the manifest says of it; only a name if it says nothing.
    pub notes: Feature,
    /// Whether the manifest names it.
    pub declared: bool,
}

impl FeatureSpec {
    pub(super) fn new(notes: &Feature, input: usize, place: Place, datatype: Datatype, declared: bool) -> Result<Self> {
        let name = Arc::from(notes.name.as_str());
        let spec = Self { name, input, place, datatype, notes: notes.clone(), declared };
        spec.check()?;
        Ok(spec)
    }

    /// The type of its elements in people's words.
    #[must_use]
    pub fn kind(&self) -> FeatureKind {
        FeatureKind::of(self.datatype)
    }

    /// Compares what the manifest says with what the graph takes.
    fn check(&self) -> Result<()> {
        let Feature { name, min, max, categories, default, impute, .. } = &self.notes;
        let wrong = |what: &str| Error::model(format!("feature '{name}' {what}"));
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            return Err(wrong("has no usable name").expected("1 to 256 bytes without control characters"));
        }
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(wrong("has a range that nothing is in").got(format!("min = {min}, max = {max}")));
        }
        let is_text = self.datatype == Datatype::Bytes;
        if !categories.is_empty() && !is_text {
            return Err(wrong("has categories, but the graph takes no text").got(self.datatype.name()));
        }
        if (min.is_some() || max.is_some()) && matches!(self.kind(), FeatureKind::String | FeatureKind::Boolean) {
            return Err(wrong("has a range, but the graph takes no number").got(self.datatype.name()));
        }
        for (key, filler) in [("default", default), ("impute", impute)] {
            let Some(filler) = filler else { continue };
            let cell = filler_cell(filler);
            let is_nan = matches!(cell, Cell::Float(value) if value.is_nan());
            let fits = if is_nan {
                key == "impute" && self.kind() == FeatureKind::Number
            } else {
                self.refusal_of(&cell).is_none() && Store::of(self.datatype).fits(&cell)
            };
            if !fits {
                return Err(wrong(&format!("has an impossible {key}"))
                    .expected(self.expectation())
                    .got(cell.to_string()));
            }
        }
        Ok(())
    }

    /// What a value must be, for messages.
    #[must_use]
    pub fn expectation(&self) -> String {
        let whole = |min: i128, max: i128| format!("a whole number from {min} to {max}");
        let base = match self.datatype {
            Datatype::Bool => "true or false".to_owned(),
            Datatype::Bytes if !self.notes.categories.is_empty() => {
                return format!("one of {}", shown(&self.notes.categories));
            }
            Datatype::Bytes => "a text".to_owned(),
            Datatype::Uint8 => whole(0, u8::MAX.into()),
            Datatype::Uint16 => whole(0, u16::MAX.into()),
            Datatype::Uint32 => whole(0, u32::MAX.into()),
            Datatype::Uint64 => whole(0, u64::MAX.into()),
            Datatype::Int8 => whole(i8::MIN.into(), i8::MAX.into()),
            Datatype::Int16 => whole(i16::MIN.into(), i16::MAX.into()),
            Datatype::Int32 => whole(i32::MIN.into(), i32::MAX.into()),
            Datatype::Int64 => whole(i64::MIN.into(), i64::MAX.into()),
            Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 => format!("a number that fits {}", self.datatype),
            Datatype::Fp64 => "a number".to_owned(),
        };
        let unit = self.notes.unit.as_deref().map(|unit| format!(" ({unit})")).unwrap_or_default();
        let plain = if self.kind() == FeatureKind::Integer { "a whole number" } else { "a number" };
        match (self.notes.min, self.notes.max) {
            (Some(min), Some(max)) if self.kind() == FeatureKind::Integer => {
                format!("a whole number from {min} to {max}{unit}")
            }
            (Some(min), Some(max)) => format!("a number from {min} to {max}{unit}"),
            (Some(min), None) => format!("{plain}, at least {min}{unit}"),
            (None, Some(max)) => format!("{plain}, at most {max}{unit}"),
            (None, None) => base,
        }
    }

    /// Why a value of the right type is refused: out of the declared range, or none of the categories.
    pub(super) fn refusal_of(&self, cell: &Cell<'_>) -> Option<&'static str> {
        #[allow(clippy::cast_precision_loss, reason = "ranges are compared as people write them")]
        let number = match cell {
            Cell::Unsigned(value) => *value as f64,
            Cell::Signed(value) => *value as f64,
            Cell::Float(value) => *value,
            Cell::Text(text) => {
                let known = &self.notes.categories;
                return (!known.is_empty() && !known.iter().any(|category| category == text))
                    .then_some("is none of the declared categories");
            }
            Cell::Null | Cell::Bool(_) => return None,
        };
        let below = self.notes.min.is_some_and(|min| number < min);
        let above = self.notes.max.is_some_and(|max| number > max);
        (below || above).then_some("is out of the declared range")
    }
}

/// What the manifest gives for a gap, as a cell.
pub(super) fn filler_cell(filler: &Filler) -> Cell<'_> {
    match filler {
        Filler::Bool(value) => Cell::Bool(*value),
        Filler::Whole(value) => Cell::Signed(*value),
        Filler::Number(value) => Cell::Float(*value),
        Filler::Text(text) => Cell::Text(text),
    }
}

fn shown(categories: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    let quoted: Vec<_> = categories.iter().take(SHOWN_MAX).map(|text| candor_domain::names::quoted(text)).collect();
    let more = if categories.len() > SHOWN_MAX { ", …" } else { "" };
    format!("{}{more}", quoted.join(", "))
}
