//! An infer reply: JSON, then the outputs that are wanted as bytes; compressed if the client accepts it.
//!
//! JSON cannot carry NaN, infinities, half-precision numbers or bytes that are not UTF-8; asking for them in
//! JSON is refused with the way to get them.

use std::{borrow::Cow, io::Write as _};

use actix_web::http::header::HeaderValue;
use candor_domain::{Error, ErrorCode, Result, Tensor, TensorData, Version};
use candor_serving::{BatchNote, CacheNote, ReadyVersion, oip::bytes as tensor_bytes};
use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};

use super::write;

/// A reply's bytes and what its headers must say of them.
#[derive(Debug)]
pub struct ReplyBody {
    /// The body.
    pub bytes: Vec<u8>,
    /// Length of the JSON part (before compression), if bytes follow it.
    pub json_bytes: Option<usize>,
    /// Its content encoding.
    pub coding: Option<&'static str>,
    /// The version that would have answered if its breaker were not open.
    pub fallback_from: Option<Version>,
    /// The batch that it was run in, if it went through the pool.
    pub batch: Option<BatchNote>,
    /// What the cache of answers did, if the version keeps them.
    pub cache: Option<CacheNote>,
}

/// A content encoding that the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyEncoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls deflate.
    Deflate,
}

impl ReplyEncoding {
    /// The first of gzip and deflate that an `Accept-Encoding` header names and does not rule out.
    #[must_use]
    pub fn accepted(header: Option<&HeaderValue>) -> Self {
        let Some(text) = header.and_then(|value| value.to_str().ok()) else { return Self::Identity };
        let accepts = |coding: &str| {
            text.split(',').any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
                named && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        };
        if accepts("gzip") {
            Self::Gzip
        } else if accepts("deflate") {
            Self::Deflate
        } else {
            Self::Identity
        }
    }

    /// Packs a body; says how, if it did.
    pub(crate) fn apply(self, plain: Vec<u8>) -> Result<(Vec<u8>, Option<&'static str>)> {
        let failed = |error: std::io::Error| Error::new(ErrorCode::Internal, format!("cannot compress: {error}"));
        match self {
            Self::Identity => Ok((plain, None)),
            Self::Gzip => {
                let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
                packer.write_all(&plain).map_err(failed)?;
                Ok((packer.finish().map_err(failed)?, Some("gzip")))
            }
            Self::Deflate => {
                let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
                packer.write_all(&plain).map_err(failed)?;
                Ok((packer.finish().map_err(failed)?, Some("deflate")))
            }
        }
    }
}

/// One output on its way out.
pub(crate) struct ReplyOutput<'a> {
    pub(crate) name: &'a str,
    pub(crate) tensor: Cow<'a, Tensor>,
    pub(crate) as_bytes: bool,
}

/// Writes a reply.
pub(crate) fn write_reply(
    version: &ReadyVersion,
    id: Option<&str>,
    outputs: &[ReplyOutput<'_>],
    encoding: ReplyEncoding,
    compress_bytes_min: usize,
) -> Result<ReplyBody> {
    for output in outputs.iter().filter(|output| !output.as_bytes) {
        check_json_can_carry(output.name, output.tensor.data())?;
    }
    const HEAD_BYTES: usize = 160;
    const JSON_BYTES_PER_ELEMENT: usize = 12;
    let sizes = outputs.iter().map(|output| match output.as_bytes {
        true => HEAD_BYTES + tensor_bytes::wire_bytes(output.tensor.data()),
        false => HEAD_BYTES + JSON_BYTES_PER_ELEMENT * output.tensor.data().len(),
    });
    let mut bytes = Vec::with_capacity(HEAD_BYTES + sizes.sum::<usize>());
    write_head(&mut bytes, version, id, outputs);
    let json_bytes = bytes.len();
    let mut binary = false;
    for output in outputs.iter().filter(|output| output.as_bytes) {
        binary = true;
        tensor_bytes::write_tensor(output.tensor.data(), &mut bytes);
    }
    let encoding = if bytes.len() >= compress_bytes_min { encoding } else { ReplyEncoding::Identity };
    let (bytes, coding) = encoding.apply(bytes)?;
    let json_bytes = binary.then_some(json_bytes);
    Ok(ReplyBody { bytes, json_bytes, coding, fallback_from: None, batch: None, cache: None })
}

fn check_json_can_carry(name: &str, data: &TensorData) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::invalid(format!("output '{name}' {what}"))
            .hint("ask for it as bytes: \"parameters\": {\"binary_data\": true} on the output"))
    };
    let odd = match data {
        TensorData::Fp32(values) => values.iter().position(|value| !value.is_finite()),
        TensorData::Fp64(values) => values.iter().position(|value| !value.is_finite()),
        TensorData::Bytes(strings) => {
            return match strings.iter().position(|string| std::str::from_utf8(string).is_err()) {
                Some(index) => {
                    refuse(format!("holds bytes at element {index} that are not UTF-8, which JSON cannot carry"))
                }
                None => Ok(()),
            };
        }
        TensorData::Fp16(_) | TensorData::Bf16(_) => {
            return refuse(format!("is {}, which has no JSON form", data.datatype()));
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
    odd.map_or(Ok(()), |index| refuse(format!("is NaN or infinite at element {index}, which JSON cannot carry")))
}

fn write_head(out: &mut Vec<u8>, version: &ReadyVersion, id: Option<&str>, outputs: &[ReplyOutput<'_>]) {
    out.push(b'{');
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":");
        write::text(out, id);
        out.push(b',');
    }
    out.extend_from_slice(b"\"model_name\":");
    write::text(out, version.model.as_str());
    out.extend_from_slice(b",\"model_version\":");
    write::text(out, version.version.as_str());
    out.extend_from_slice(b",\"outputs\":");
    write::list(out, outputs.iter(), write_output);
    out.push(b'}');
}

fn write_output(out: &mut Vec<u8>, output: &ReplyOutput<'_>) {
    let data = output.tensor.data();
    out.extend_from_slice(b"{\"name\":");
    write::text(out, output.name);
    out.extend_from_slice(b",\"datatype\":");
    write::text(out, data.datatype().name());
    out.extend_from_slice(b",\"shape\":");
    write::list(out, output.tensor.shape().dims().iter().copied(), write::whole);
    if output.as_bytes {
        out.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        write::whole(out, tensor_bytes::wire_bytes(data));
        out.extend_from_slice(b"}}");
    } else {
        out.extend_from_slice(b",\"data\":");
        write::elements(out, data);
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_encodings_are_read_from_the_header() {
        for (header, want) in [
            ("gzip", ReplyEncoding::Gzip),
            ("br, GZIP;q=0.5", ReplyEncoding::Gzip),
            ("gzip;q=0, deflate", ReplyEncoding::Deflate),
            ("identity", ReplyEncoding::Identity),
            ("", ReplyEncoding::Identity),
            ("xgzip", ReplyEncoding::Identity),
        ] {
            let value = HeaderValue::from_static(header);
            assert_eq!(ReplyEncoding::accepted(Some(&value)), want, "{header}");
        }
        assert_eq!(ReplyEncoding::accepted(None), ReplyEncoding::Identity);
    }

    #[test]
    fn what_json_cannot_carry_is_refused_with_the_way_out() {
        for (data, words) in [
            (TensorData::Fp32(vec![1.0, f32::NAN]), "NaN or infinite at element 1"),
            (TensorData::Fp64(vec![f64::NEG_INFINITY]), "NaN or infinite at element 0"),
            (TensorData::Fp16(vec![0]), "FP16, which has no JSON form"),
            (TensorData::Bytes([&b"ok"[..], b"\xff"].into_iter().collect()), "element 1 that are not UTF-8"),
        ] {
            let error = check_json_can_carry("y", &data).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("binary_data"), "{error}");
        }
        assert!(check_json_can_carry("y", &TensorData::Int64(vec![i64::MIN])).is_ok());
    }
}
