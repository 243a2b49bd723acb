//! The first pass over a file: counts and bounds what is in it before anything is allocated.
//!
//! Walks the wire format by the table of fields that `build.rs` makes of the schema, so it knows the same
//! messages as prost, which runs after it. Strict where readers could differ: groups, wrong wire types,
//! oversized tags and singular fields that are written twice are refused. Knows nothing of graphs.

use crate::{
    error::{Error, ErrorKind, Result},
    limits::{Census, Limits},
    proto::SHAPES,
};

/// A message of the schema.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// Bytes of prost's struct.
    pub(crate) bytes: usize,
    pub(crate) fields: &'static [Field],
}

/// A field of a message.
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) repeated: bool,
    pub(crate) content: Content,
}

/// What a field holds; numbers with their bytes in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Varint(usize),
    Fixed32,
    Fixed64,
    Text,
    Blob,
    /// Position in [`SHAPES`].
    Message(usize),
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

/// Counts what is in a file that is a message of this kind, by its place in [`SHAPES`].
///
/// # Errors
/// `NotOnnx` when the bytes are no message of the schema, `Limit` when there is too much of something.
pub(crate) fn survey(root: usize, bytes: &[u8], limits: &Limits) -> Result<Census> {
    let size = bytes.len() as u64;
    bound("bytes of the file", size, limits.file_bytes)?;
    let memory_max = limits.memory_bytes.max(size.saturating_mul(limits.memory_per_file_byte));
    let census = Census { file_bytes: size, ..Census::default() };
    let mut pass = Pass { root, whole: bytes, limits, memory_max, census };
    pass.message(root, bytes, Depth { messages: 0, graphs: 0 })?;
    Ok(pass.census)
}

fn bound(what: &str, count: u64, max: u64) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Limit, format!("the model has too many {what}"))
        .expected(format!("at most {max}"))
        .got(count.to_string()))
}

#[derive(Clone, Copy)]
struct Depth {
    messages: usize,
    graphs: usize,
}

struct Pass<'a> {
    root: usize,
    whole: &'a [u8],
    limits: &'a Limits,
    memory_max: u64,
    census: Census,
}

impl<'a> Pass<'a> {
    fn message(&mut self, at: usize, bytes: &'a [u8], depth: Depth) -> Result<()> {
        let Some(shape) = SHAPES.get(at) else { return Ok(()) };
        let depth = self.enter(shape, depth)?;
        let mut reader = Reader(bytes);
        let mut written = 0_u64;
        // Elements of each repeated field, by its place in the table.
        let mut counts = [0_u64; 32];
        while !reader.0.is_empty() {
            let rest = reader.0;
            let broken = |what: &str| self.broken(shape, rest, what);
            let (number, wire) = reader.tag().ok_or_else(|| broken("no tag of a field"))?;
            let found = shape.fields.iter().enumerate().find(|(_, field)| field.number == number);
            let Some((place, field)) = found else {
                reader.skip(wire).ok_or_else(|| broken("a field that is cut short or of no known wire type"))?;
                continue;
            };
            let bit = 1_u64 << place;
            if !field.repeated && written & bit != 0 {
                return Err(broken("a single field that is written twice"));
            }
            written |= bit;
            let content = reader
                .content(field, wire)
                .ok_or_else(|| broken("a field that is cut short or of another wire type"))?;
            if let Some(count) = counts.get_mut(place).filter(|_| field.repeated) {
                *count += content.elements;
                bound("elements of one list", *count, self.limits.elements)?;
            }
            self.count(field, &content)?;
            if let Content::Message(inner) = field.content {
                self.message(inner, content.bytes, depth)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, shape: &Shape, mut depth: Depth) -> Result<Depth> {
        let (census, limits) = (&mut self.census, self.limits);
        census.messages += 1;
        depth.messages += 1;
        let count = |what: &str, count: &mut u64, max: u64| {
            *count += 1;
            bound(what, *count, max)
        };
        match shape.name {
            "NodeProto" => count("nodes", &mut census.nodes, limits.nodes)?,
            "TensorProto" => count("tensors", &mut census.tensors, limits.tensors)?,
            "AttributeProto" => count("attributes", &mut census.attributes, limits.attributes)?,
            "FunctionProto" => count("functions", &mut census.functions, limits.functions)?,
            "GraphProto" => {
                depth.graphs += 1;
                census.graph_depth = census.graph_depth.max(depth.graphs);
                bound("graphs within graphs", depth.graphs as u64, limits.graph_depth as u64)?;
            }
            _ => {}
        }
        bound("messages within messages", depth.messages as u64, limits.message_depth as u64)?;
        Ok(depth)
    }

    /// Adds what the field will take in memory: lists may hold twice their elements while they grow.
    fn count(&mut self, field: &Field, content: &Found<'_>) -> Result<()> {
        let list = if field.repeated { 2 } else { 1 };
        let memory = match field.content {
            Content::Varint(bytes) => list * content.elements * bytes as u64,
            Content::Fixed32 => list * content.elements * 4,
            Content::Fixed64 => list * content.elements * 8,
            Content::Message(inner) => list * SHAPES.get(inner).map_or(0, |shape| shape.bytes as u64),
            Content::Text | Content::Blob => {
                let length = content.bytes.len() as u64;
                self.census.strings += 1;
                bound("strings", self.census.strings, self.limits.strings)?;
                if field.content == Content::Text {
                    bound("bytes of one text", length, self.limits.text_bytes)?;
                }
                // Blobs are slices of the file. A name stands in the view and in its index.
                list * 32 + if field.content == Content::Text { 3 * length } else { 0 }
            }
        };
        self.census.memory_bytes = self.census.memory_bytes.saturating_add(memory);
        if self.census.memory_bytes <= self.memory_max {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, "the file would grow out of proportion when it is decoded")
            .expected(format!("at most {} bytes of memory for {} bytes", self.memory_max, self.census.file_bytes)))
    }

    #[cold]
    fn broken(&self, shape: &Shape, rest: &[u8], what: &str) -> Error {
        let at = rest.as_ptr().addr().saturating_sub(self.whole.as_ptr().addr());
        let root = SHAPES.get(self.root).map_or("", |root| root.name);
        let thing = root.trim_end_matches("Proto").to_lowercase();
        Error::new(ErrorKind::NotOnnx, format!("the file is not an ONNX {thing}, or is cut short"))
            .at(format_args!("byte {at} ({})", shape.name))
            .expected(format!("an ONNX {root}"))
            .got(what)
    }
}

/// A field's bytes (none for plain numbers) and how many elements they are.
struct Found<'a> {
    bytes: &'a [u8],
    elements: u64,
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn tag(&mut self) -> Option<(u32, u8)> {
        let tag = u32::try_from(self.varint()?).ok()?;
        let wire = u8::try_from(tag & 7).ok()?;
        Some((tag >> 3, wire)).filter(|(number, _)| *number > 0)
    }

    fn skip(&mut self, wire: u8) -> Option<&'a [u8]> {
        match wire {
            VARINT => self.varint().map(|_| &[][..]),
            FIXED64 => self.take(8),
            FIXED32 => self.take(4),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length)
            }
            _ => None,
        }
    }

    fn content(&mut self, field: &Field, wire: u8) -> Option<Found<'a>> {
        let own = match field.content {
            Content::Varint(_) => VARINT,
            Content::Fixed32 => FIXED32,
            Content::Fixed64 => FIXED64,
            Content::Text | Content::Blob | Content::Message(_) => LENGTH,
        };
        let bytes = self.skip(wire)?;
        if wire == own {
            return Some(Found { bytes, elements: 1 });
        }
        if wire != LENGTH || !field.repeated {
            return None;
        }
        let packed = bytes.len() as u64;
        let elements = match field.content {
            Content::Varint(_) => bytes.iter().filter(|byte| **byte < 0x80).count() as u64,
            Content::Fixed32 => Some(packed / 4).filter(|_| packed.is_multiple_of(4))?,
            Content::Fixed64 => Some(packed / 8).filter(|_| packed.is_multiple_of(8))?,
            Content::Text | Content::Blob | Content::Message(_) => return None,
        };
        Some(Found { bytes, elements })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
