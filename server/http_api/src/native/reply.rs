//! Predictions by row: label, probabilities, scores, value, and what has no role under its own name.

use std::time::Duration;

use candor_domain::{Error, Result, Tensor, TensorData, Version};
use candor_serving::{
    Parts, ReadyVersion, Role,
    features::{Answer, OutputNotes, label_at},
};
use half::{bf16, f16};
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

/// What a reply says.
pub(super) struct Reply<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) prediction_id: Uuid,
    pub(super) version: &'a ReadyVersion,
    pub(super) fallback_from: Option<&'a Version>,
    pub(super) outputs: &'a [Tensor],
    pub(super) rows: usize,
    pub(super) filled: &'a [String],
    pub(super) filled_count: usize,
    pub(super) queue_ms: f64,
    pub(super) decode_ms: f64,
    pub(super) run_ms: f64,
    pub(super) laps: &'a [u64],
}

/// An output with what is known of it, and how it falls apart into rows.
struct Part<'a> {
    notes: &'a OutputNotes,
    tensor: &'a Tensor,
    by_row: Option<Answer<'a>>,
}

/// Writes a reply.
///
/// # Errors
/// `InvalidInput` when an output holds what JSON cannot carry.
pub(super) fn write(reply: &Reply<'_>) -> Result<Vec<u8>> {
    let parts = parts(reply.version, reply.outputs, reply.rows)?;
    to_bytes(&Whole { reply, parts: &parts }, &parts, reply.rows)
}

/// Writes the predictions alone, and what does not fall apart into rows.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_predictions(version: &ReadyVersion, outputs: &[Tensor], rows: usize) -> Result<Vec<u8>> {
    let parts = parts(version, outputs, rows)?;
    to_bytes(&Bare { parts: &parts, rows }, &parts, rows)
}

fn parts<'a>(version: &'a ReadyVersion, outputs: &'a [Tensor], rows: usize) -> Result<Vec<Part<'a>>> {
    let answers = &version.answers;
    let part = |(notes, tensor)| Part { notes, tensor, by_row: answers.per_row(notes, tensor, rows) };
    let parts: Vec<Part<'_>> = answers.outputs().iter().zip(outputs).map(part).collect();
    parts.iter().try_for_each(check)?;
    Ok(parts)
}

fn to_bytes(whole: &impl Serialize, parts: &[Part<'_>], rows: usize) -> Result<Vec<u8>> {
    const HEAD_BYTES: usize = 320;
    const BYTES_PER_ELEMENT: usize = 24;
    let elements: usize = parts.iter().map(|part| part.tensor.data().len()).sum();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + BYTES_PER_ELEMENT * elements + 16 * rows);
    let cannot = |error| Error::new(candor_domain::ErrorCode::Internal, format!("cannot write the reply: {error}"));
    serde_json::to_writer(&mut bytes, whole).map_err(cannot)?;
    Ok(bytes)
}

/// Refuses what JSON has no form for.
fn check(part: &Part<'_>) -> Result<()> {
    let data = part.tensor.data();
    let odd = match data {
        TensorData::Fp16(bits) => bits.iter().position(|&bits| !f16::from_bits(bits).is_finite()),
        TensorData::Bf16(bits) => bits.iter().position(|&bits| !bf16::from_bits(bits).is_finite()),
        TensorData::Fp32(values) => values.iter().position(|value| !value.is_finite()),
        TensorData::Fp64(values) => values.iter().position(|value| !value.is_finite()),
        TensorData::Bytes(texts) => {
            return match texts.iter().position(|text| std::str::from_utf8(text).is_err()) {
                Some(at) => Err(cannot_carry(part, &format!("holds bytes at element {at} that are not UTF-8"))),
                None => Ok(()),
            };
        }
        TensorData::Bool(_)
        | TensorData::Uint8(_)
        | TensorData::Uint16(_)
        | TensorData::Uint32(_)
        | TensorData::Uint64(_)
        | TensorData::Int8(_)
        | TensorData::Int16(_)
        | TensorData::Int32(_)
        | TensorData::Int64(_) => None,
    };
    odd.map_or(Ok(()), |at| Err(cannot_carry(part, &format!("is NaN or infinite at element {at}"))))
}

fn cannot_carry(part: &Part<'_>, what: &str) -> Error {
    Error::invalid(format!("output '{}' {what}, which JSON cannot carry", part.notes.name))
        .hint("ask /v2/models/{model}/infer for it as bytes (binary_tensor_data)")
}

struct Whole<'a> {
    reply: &'a Reply<'a>,
    parts: &'a [Part<'a>],
}

#[derive(Serialize)]
struct Engine<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Timings<'a> {
    queue: f64,
    decode: f64,
    run: f64,
    #[serde(skip_serializing_if = "Laps::is_empty")]
    stages: Laps<'a>,
}

/// What each part of the version took, by name.
struct Laps<'a>(&'a Parts, &'a [u64]);

impl Laps<'_> {
    fn is_empty(&self) -> bool {
        self.1.is_empty()
    }
}

impl Serialize for Laps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.named(self.1).map(|(name, nanos)| (name, millis(nanos))))
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_micros() as f64 / 1000.0
}

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { reply, parts } = self;
        let version = reply.version;
        let mut object = serializer.serialize_map(None)?;
        if let Some(id) = reply.id {
            object.serialize_entry("id", id)?;
        }
        let mut text = Uuid::encode_buffer();
        object.serialize_entry("prediction_id", &*reply.prediction_id.hyphenated().encode_lower(&mut text))?;
        object.serialize_entry("model", version.model.as_str())?;
        object.serialize_entry("version", version.version.as_str())?;
        if let Some(from) = reply.fallback_from {
            object.serialize_entry("fallback_from", from.as_str())?;
        }
        let engine = Engine { name: version.engine.name, version: &version.engine.version };
        object.serialize_entry("engine", &engine)?;
        Bare { parts, rows: reply.rows }.write(&mut object)?;
        if reply.filled_count > 0 {
            object.serialize_entry("filled", reply.filled)?;
            object.serialize_entry("filled_count", &reply.filled_count)?;
        }
        let stages = Laps(&version.parts, reply.laps);
        let timings = Timings { queue: reply.queue_ms, decode: reply.decode_ms, run: reply.run_ms, stages };
        object.serialize_entry("timings_ms", &timings)?;
        object.end()
    }
}

/// The predictions, and what does not fall apart into them.
struct Bare<'a> {
    parts: &'a [Part<'a>],
    rows: usize,
}

impl Bare<'_> {
    fn write<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        object.serialize_entry("predictions", &Rows(self))?;
        if self.parts.iter().any(|part| part.by_row.is_none()) {
            object.serialize_entry("outputs", &Shared(self.parts))?;
        }
        Ok(())
    }
}

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        self.write(&mut object)?;
        object.end()
    }
}

struct Rows<'a>(&'a Bare<'a>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.0.rows).map(|row| Row { parts: self.0.parts, row }))
    }
}

/// One prediction.
struct Row<'a> {
    parts: &'a [Part<'a>],
    row: usize,
}

impl<'a> Row<'a> {
    fn of(&self, part: &Part<'a>) -> Option<(Answer<'a>, usize)> {
        part.by_row.map(|answer| (answer, self.row.saturating_mul(answer.each)))
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let mut others = false;
        for part in self.parts {
            let Some((answer, start)) = self.of(part) else { continue };
            match part.notes.role {
                Role::Label => {
                    object.serialize_entry("label", &label_at(answer.data, start, &part.notes.labels))?;
                }
                Role::Probabilities => object.serialize_entry("probabilities", &Classes { part, answer, start })?,
                Role::Scores => object.serialize_entry("scores", &Classes { part, answer, start })?,
                Role::Value => object.serialize_entry("value", &Element { data: answer.data, index: start })?,
                Role::Other => others = true,
            }
        }
        if others {
            object.serialize_entry("outputs", &Others(self))?;
        }
        object.end()
    }
}

/// A number for each class.
struct Classes<'a> {
    part: &'a Part<'a>,
    answer: Answer<'a>,
    start: usize,
}

impl Serialize for Classes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.answer.each))?;
        for class in 0..self.answer.each {
            let element = Element { data: self.answer.data, index: self.start + class };
            match self.part.notes.labels.get(class) {
                Some(label) => object.serialize_entry(label, &element)?,
                None => object.serialize_entry(&class, &element)?,
            }
        }
        object.end()
    }
}

/// What has no role, by name.
struct Others<'a>(&'a Row<'a>);

impl Serialize for Others<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let others = self.0.parts.iter().filter(|part| part.notes.role == Role::Other);
        serializer.collect_map(others.filter_map(|part| {
            let (answer, start) = self.0.of(part)?;
            Some((&*part.notes.name, Nested { data: answer.data, dims: answer.dims, start }))
        }))
    }
}

/// What does not fall apart into rows.
struct Shared<'a>(&'a [Part<'a>]);

impl Serialize for Shared<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shared = self.0.iter().filter(|part| part.by_row.is_none());
        serializer.collect_map(shared.map(|part| {
            let nested = Nested { data: part.tensor.data(), dims: part.tensor.shape().dims(), start: 0 };
            (&*part.notes.name, nested)
        }))
    }
}

/// A tensor, or a part of one, as nested lists.
struct Nested<'a> {
    data: &'a TensorData,
    dims: &'a [i64],
    start: usize,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((first, rest)) = self.dims.split_first() else {
            return Element { data: self.data, index: self.start }.serialize(serializer);
        };
        let size = |dim: &i64| usize::try_from(*dim).unwrap_or(0);
        let step = rest.iter().map(size).product::<usize>();
        serializer.collect_seq((0..size(first)).map(|at| Nested {
            data: self.data,
            dims: rest,
            start: self.start + at * step,
        }))
    }
}

/// One element.
struct Element<'a> {
    data: &'a TensorData,
    index: usize,
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = self.index;
        match self.data {
            TensorData::Bool(values) => values.get(index).map(|value| *value != 0).serialize(serializer),
            TensorData::Uint8(values) => values.get(index).serialize(serializer),
            TensorData::Uint16(values) => values.get(index).serialize(serializer),
            TensorData::Uint32(values) => values.get(index).serialize(serializer),
            TensorData::Uint64(values) => values.get(index).serialize(serializer),
            TensorData::Int8(values) => values.get(index).serialize(serializer),
            TensorData::Int16(values) => values.get(index).serialize(serializer),
            TensorData::Int32(values) => values.get(index).serialize(serializer),
            TensorData::Int64(values) => values.get(index).serialize(serializer),
            TensorData::Fp16(bits) => bits.get(index).map(|&bits| f16::from_bits(bits).to_f32()).serialize(serializer),
            TensorData::Bf16(bits) => bits.get(index).map(|&bits| bf16::from_bits(bits).to_f32()).serialize(serializer),
            TensorData::Fp32(values) => values.get(index).serialize(serializer),
            TensorData::Fp64(values) => values.get(index).serialize(serializer),
            TensorData::Bytes(texts) => texts.get(index).map(String::from_utf8_lossy).serialize(serializer),
        }
    }
}
