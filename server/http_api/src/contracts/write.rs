//! Tensors as nested values: row by row, or whole. A single output is not named.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use candor_domain::{Error, ErrorCode, Result, Tensor, TensorData};
use candor_serving::ReadyVersion;
use half::{bf16, f16};
use serde::Serialize;

use super::tokens;

/// Which numbers a contract's JSON has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// Those of JSON.
    Json,
    /// NaN and Infinity too, as bare words.
    NanToo,
}

/// `{"predictions": […]}`, one a row.
pub(super) fn by_row(version: &ReadyVersion, outputs: &[Tensor], rows: usize, carries: Carries) -> Result<Vec<u8>> {
    let parts: Vec<Part<'_>> = parts(version, outputs, carries).collect();
    let size = |dims: &[i64]| dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).product::<usize>();
    for part in &parts {
        if part.tensor.shape().dims().first().and_then(|first| usize::try_from(*first).ok()) != Some(rows) {
            return Err(Error::invalid(format!("output '{}' does not fall apart into {rows} rows", part.name))
                .got(format!("shape {}", part.tensor.shape()))
                .hint("send \"inputs\" instead of \"instances\", which gives whole tensors"));
        }
    }
    let mut bytes = buffer(outputs);
    bytes.extend_from_slice(b"{\"predictions\":");
    list(&mut bytes, rows, |bytes, row| {
        named(bytes, &parts, |bytes, part| {
            let dims = part.tensor.shape().dims().get(1..).unwrap_or_default();
            part.nested(bytes, dims, row * size(dims))
        })
    })?;
    bytes.push(b'}');
    Ok(bytes)
}

/// `{"outputs": …}`, each whole.
pub(super) fn whole(version: &ReadyVersion, outputs: &[Tensor], carries: Carries) -> Result<Vec<u8>> {
    let parts: Vec<Part<'_>> = parts(version, outputs, carries).collect();
    let mut bytes = buffer(outputs);
    bytes.extend_from_slice(b"{\"outputs\":");
    named(&mut bytes, &parts, |bytes, part| part.nested(bytes, part.tensor.shape().dims(), 0))?;
    bytes.push(b'}');
    Ok(bytes)
}

struct Part<'a> {
    name: &'a str,
    tensor: &'a Tensor,
    carries: Carries,
}

fn parts<'a>(version: &'a ReadyVersion, outputs: &'a [Tensor], carries: Carries) -> impl Iterator<Item = Part<'a>> {
    let specs = version.signature.outputs.iter();
    specs.zip(outputs).map(move |(spec, tensor)| Part { name: &spec.name, tensor, carries })
}

fn buffer(outputs: &[Tensor]) -> Vec<u8> {
    const BYTES_PER_ELEMENT: usize = 16;
    let elements: usize = outputs.iter().map(|tensor| tensor.data().len()).sum();
    Vec::with_capacity(64 + BYTES_PER_ELEMENT * elements)
}

fn list(bytes: &mut Vec<u8>, count: usize, mut each: impl FnMut(&mut Vec<u8>, usize) -> Result<()>) -> Result<()> {
    bytes.push(b'[');
    for at in 0..count {
        if at > 0 {
            bytes.push(b',');
        }
        each(bytes, at)?;
    }
    bytes.push(b']');
    Ok(())
}

/// An object of the parts by name, or the only one.
fn named(
    bytes: &mut Vec<u8>,
    parts: &[Part<'_>],
    mut each: impl FnMut(&mut Vec<u8>, &Part<'_>) -> Result<()>,
) -> Result<()> {
    if let [only] = parts {
        return each(bytes, only);
    }
    for (at, part) in parts.iter().enumerate() {
        bytes.push(if at == 0 { b'{' } else { b',' });
        json(bytes, part.name)?;
        bytes.push(b':');
        each(bytes, part)?;
    }
    if parts.is_empty() {
        bytes.push(b'{');
    }
    bytes.push(b'}');
    Ok(())
}

fn json(bytes: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<()> {
    serde_json::to_writer(bytes, value)
        .map_err(|error| Error::new(ErrorCode::Internal, format!("cannot write the reply: {error}")))
}

impl Part<'_> {
    fn nested(&self, bytes: &mut Vec<u8>, dims: &[i64], start: usize) -> Result<()> {
        let Some((first, rest)) = dims.split_first() else { return self.element(bytes, start) };
        let size = |dim: &i64| usize::try_from(*dim).unwrap_or(0);
        let step = rest.iter().map(size).product::<usize>();
        list(bytes, size(first), |bytes, at| self.nested(bytes, rest, start + at * step))
    }

    fn element(&self, bytes: &mut Vec<u8>, index: usize) -> Result<()> {
        match self.tensor.data() {
            TensorData::Bool(values) => json(bytes, &values.get(index).map(|value| *value != 0)),
            TensorData::Uint8(values) => json(bytes, &values.get(index)),
            TensorData::Uint16(values) => json(bytes, &values.get(index)),
            TensorData::Uint32(values) => json(bytes, &values.get(index)),
            TensorData::Uint64(values) => json(bytes, &values.get(index)),
            TensorData::Int8(values) => json(bytes, &values.get(index)),
            TensorData::Int16(values) => json(bytes, &values.get(index)),
            TensorData::Int32(values) => json(bytes, &values.get(index)),
            TensorData::Int64(values) => json(bytes, &values.get(index)),
            TensorData::Fp16(bits) => {
                self.single(bytes, index, bits.get(index).map(|bits| f16::from_bits(*bits).to_f32()))
            }
            TensorData::Bf16(bits) => {
                self.single(bytes, index, bits.get(index).map(|bits| bf16::from_bits(*bits).to_f32()))
            }
            TensorData::Fp32(values) => self.single(bytes, index, values.get(index).copied()),
            TensorData::Fp64(values) => match values.get(index).copied().and_then(tokens::word) {
                Some(word) => self.word(bytes, index, word),
                None => json(bytes, &values.get(index)),
            },
            TensorData::Bytes(texts) => self.text(bytes, texts.get(index).unwrap_or_default()),
        }
    }

    fn single(&self, bytes: &mut Vec<u8>, index: usize, value: Option<f32>) -> Result<()> {
        match value.and_then(|value| tokens::word(value.into())) {
            Some(word) => self.word(bytes, index, word),
            None => json(bytes, &value),
        }
    }

    fn word(&self, bytes: &mut Vec<u8>, index: usize, word: &str) -> Result<()> {
        if self.carries == Carries::NanToo {
            bytes.extend_from_slice(word.as_bytes());
            return Ok(());
        }
        Err(Error::invalid(format!("output '{}' is {word} at element {index}, which JSON cannot carry", self.name))
            .hint("ask /v2/models/{model}/infer for it as bytes (binary_tensor_data)"))
    }

    /// A text, or bytes in base64: where TensorFlow Serving would give them so, and where JSON has no other form.
    fn text(&self, bytes: &mut Vec<u8>, text: &[u8]) -> Result<()> {
        #[derive(Serialize)]
        struct Encoded {
            b64: String,
        }
        match std::str::from_utf8(text) {
            Ok(text) if !self.name.ends_with("_bytes") => json(bytes, text),
            Ok(_) | Err(_) => json(bytes, &Encoded { b64: STANDARD.encode(text) }),
        }
    }
}
