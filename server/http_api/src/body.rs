//! Bodies within limits: media type, size as sent, time to arrive, size after decompression.
//!
//! Handlers that take a body call [`read`] first. Nothing here knows what is in the body.

use std::{future::poll_fn, io::Read as _, pin::pin, task::Poll};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
    web::{Bytes, BytesMut, Payload},
};
use candor_domain::{Error, ErrorCode, Result};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt as _;

use crate::limits::HttpLimits;

/// Which bodies a route takes.
pub(crate) struct Accepts {
    /// Media types; a missing one is taken as JSON.
    media_types: &'static [&'static str],
    /// Those that a caller is told of.
    expected: &'static str,
    forms: Forms,
}

/// Bodies of inferences: JSON or tensors.
pub(crate) const INFERENCE: Accepts = Accepts {
    media_types: &["application/json", "application/octet-stream", "application/vnd.sagemaker-triton.binary+json"],
    expected: "application/json or application/octet-stream",
    forms: Forms::AsJson,
};

/// Bodies of requests that change something.
pub(crate) const CONTROL: Accepts = Accepts {
    media_types: &["application/json", "application/octet-stream"],
    expected: "application/json",
    forms: Forms::Refused,
};

/// Bodies of predictions: tables.
pub(crate) const PREDICTION: Accepts = Accepts {
    media_types: &[
        "application/json",
        crate::native::MEDIA_TYPE,
        "text/csv",
        "application/csv",
        "application/jsonl",
        "application/x-ndjson",
        "application/x-jsonlines",
    ],
    expected: "application/json, text/csv or application/jsonl",
    forms: Forms::AsJson,
};

/// Bodies of `/invocations` and its like: JSON in several forms, or a table.
pub(crate) const INVOCATION: Accepts = Accepts {
    media_types: &[
        "application/json",
        "text/csv",
        "application/csv",
        "application/jsonlines",
        "application/jsonl",
        "application/x-ndjson",
        "application/x-jsonlines",
    ],
    expected: "application/json, text/csv or application/jsonlines",
    forms: Forms::AsJson,
};

/// What curl and Python's urllib call every body that nobody named.
const FORM: &str = "application/x-www-form-urlencoded";

/// What a form's media type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// The client did not say; the body is read as JSON.
    AsJson,
    /// Refused, because a web page can send forms across origins without asking, and the route changes
    /// something.
    Refused,
}

/// Reads a body whole.
pub(crate) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: &HttpLimits,
    accepts: &Accepts,
) -> Result<Bytes> {
    check_media_type(request, accepts)?;
    if accepts.forms == Forms::Refused {
        check_origin(request)?;
    }
    let coding = Coding::of(request)?;
    let announced = header_text(request, &header::CONTENT_LENGTH)?.and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body_bytes_max as u64) {
        return Err(too_large(limits.body_bytes_max, "limits.body_bytes_max"));
    }
    let mut reading = pin!(collect(payload, limits.body_bytes_max, announced));
    // A small body has come with its head; a timer is for those that have not.
    let body = match poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await {
        Poll::Ready(body) => body?,
        Poll::Pending => tokio::time::timeout(limits.body_read_max, reading).await.map_err(|_| too_slow(limits))??,
    };
    if coding == Coding::Identity {
        return Ok(body);
    }
    // A small body can be a large one inside, which must not hold up this worker's other requests.
    let bytes_max = limits.decompressed_bytes_max;
    actix_web::web::block(move || coding.undo(body, bytes_max))
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "the decompression was lost"))?
}

/// Refuses what a page of another origin sends: browsers say where a page comes from whenever it sends
/// something, and a server on this machine is within reach of every page that its user looks at.
fn check_origin(request: &HttpRequest) -> Result<()> {
    let Some(origin) = header_text(request, &header::ORIGIN)? else { return Ok(()) };
    let host = header_text(request, &header::HOST)?.unwrap_or_default();
    match origin.split_once("://") {
        Some((_, authority)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Error::new(ErrorCode::Forbidden, "pages of other origins may not do this")
            .at("header Origin")
            .expected(candor_domain::names::quoted(host))
            .got(candor_domain::names::quoted(origin))),
    }
}

fn too_slow(limits: &HttpLimits) -> Error {
    Error::new(ErrorCode::BodyTimeout, "the body did not arrive in time")
        .expected(format!("the whole body within {} ms (limits.body_read_ms_max)", limits.body_read_max.as_millis()))
}

async fn collect(mut payload: Payload, bytes_max: usize, announced: Option<u64>) -> Result<Bytes> {
    let broken = |error: actix_web::error::PayloadError| Error::invalid(format!("the body broke off: {error}"));
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    // Small bodies come in one piece, which is then not copied.
    let Some(second) = payload.next().await else {
        return if first.len() > bytes_max { Err(too_large(bytes_max, "limits.body_bytes_max")) } else { Ok(first) };
    };
    // Room for all of it at once, which the system gives only as it is written to; growing would copy again and again.
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0).min(bytes_max);
    let mut body = BytesMut::with_capacity(announced.max(first.len()));
    body.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(next) = piece {
        let next = next.map_err(broken)?;
        if body.len() + next.len() > bytes_max {
            return Err(too_large(bytes_max, "limits.body_bytes_max"));
        }
        body.extend_from_slice(&next);
        piece = payload.next().await;
    }
    Ok(body.freeze())
}

fn too_large(bytes_max: usize, limit: &str) -> Error {
    Error::new(ErrorCode::TooLarge, "the body is too large").expected(format!("at most {bytes_max} bytes ({limit})"))
}

fn check_media_type(request: &HttpRequest, accepts: &Accepts) -> Result<()> {
    let Some(value) = header_text(request, &header::CONTENT_TYPE)? else { return Ok(()) };
    let essence = value.split(';').next().unwrap_or_default().trim();
    if accepts.forms == Forms::AsJson && essence.eq_ignore_ascii_case(FORM) {
        return Ok(());
    }
    if essence.is_empty() || accepts.media_types.iter().any(|known| known.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let is_form = essence.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    let hint = if is_form && accepts.media_types.contains(&"text/csv") {
        "send the file itself as the body: curl --data-binary @FILE -H 'Content-Type: …'"
    } else {
        "with curl, add -H 'Content-Type: application/json'"
    };
    Err(Error::new(ErrorCode::UnsupportedMediaType, "this media type is not read here")
        .at("header Content-Type")
        .expected(accepts.expected)
        .got(candor_domain::names::quoted(essence))
        .hint(hint))
}

/// The text of a header that may stand once.
pub(crate) fn header_text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = request.headers().get_all(name);
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Error::invalid("the header stands there twice").at(format!("header {name}")));
    }
    let text =
        first.map(|value| value.to_str().map_err(|_| Error::invalid("not plain text").at(format!("header {name}"))));
    text.transpose()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
}

impl Coding {
    fn of(request: &HttpRequest) -> Result<Self> {
        match header_text(request, &header::CONTENT_ENCODING)?.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some("deflate") => Ok(Self::Deflate),
            Some(other) => Err(Error::new(ErrorCode::UnsupportedMediaType, "this content encoding is not read here")
                .at("header Content-Encoding")
                .expected("gzip, deflate or identity")
                .got(candor_domain::names::quoted(other))),
        }
    }

    fn undo(self, body: Bytes, bytes_max: usize) -> Result<Bytes> {
        match self {
            Self::Identity => Ok(body),
            // RFC 1952 §2.2: one after the other, as many members as there are.
            Self::Gzip => {
                let mut stream = MultiGzDecoder::new(&*body);
                inflate(&mut stream, "gzip", bytes_max)
            }
            // RFC 9110 §8.4.1.2 means the zlib format; some clients send the bare stream.
            Self::Deflate if is_zlib(&body) => {
                let mut stream = ZlibDecoder::new(&*body);
                let plain = inflate(&mut stream, "zlib", bytes_max)?;
                check_end(stream.total_in(), &body).map(|()| plain)
            }
            Self::Deflate => {
                let mut stream = DeflateDecoder::new(&*body);
                let plain = inflate(&mut stream, "deflate", bytes_max)?;
                check_end(stream.total_in(), &body).map(|()| plain)
            }
        }
    }
}

/// Refuses bytes behind the end of a compressed stream, which would otherwise be lost.
fn check_end(read: u64, body: &[u8]) -> Result<()> {
    if read == body.len() as u64 {
        return Ok(());
    }
    Err(Error::invalid("there are bytes behind the compressed body")
        .expected(format!("{read} bytes"))
        .got(body.len().to_string()))
}

/// Whether the first two bytes are a zlib header (RFC 1950 §2.2).
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)).is_multiple_of(31))
}

fn inflate(stream: &mut impl std::io::Read, format: &str, bytes_max: usize) -> Result<Bytes> {
    let mut body = Vec::new();
    stream
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|error| Error::invalid(format!("the body is not valid {format}: {error}")))?;
    if body.len() > bytes_max {
        return Err(too_large(bytes_max, "after decompression; limits.decompressed_bytes_max"));
    }
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder, write::GzEncoder, write::ZlibEncoder};
    use std::io::Write as _;

    #[test]
    fn members_of_gzip_are_joined_and_nothing_behind_a_stream_is_lost() {
        let gzip = |text: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(text).unwrap();
            gzip.finish().unwrap()
        };
        let two = Bytes::from([gzip(b"ab"), gzip(b"cd")].concat());
        assert_eq!(*Coding::Gzip.undo(two, 10).unwrap(), *b"abcd");
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"ab").unwrap();
        let longer = Bytes::from([zlib.finish().unwrap(), b"x".to_vec()].concat());
        assert!(Coding::Deflate.undo(longer, 10).unwrap_err().to_string().contains("bytes behind"));
    }

    #[test]
    fn pages_of_other_origins_are_told_from_ones_own() {
        use actix_web::test::TestRequest;
        let verdict = |origin: Option<&'static str>| {
            let request = TestRequest::post().insert_header((header::HOST, "localhost:8080"));
            let request =
                origin.into_iter().fold(request, |request, origin| request.insert_header((header::ORIGIN, origin)));
            check_origin(&request.to_http_request()).map_err(|error| error.code())
        };
        assert_eq!(verdict(None), Ok(()));
        assert_eq!(verdict(Some("http://localhost:8080")), Ok(()));
        for other in ["http://evil.example", "http://localhost:8081", "null", "http://localhost:8080.evil.example"] {
            assert_eq!(verdict(Some(other)), Err(ErrorCode::Forbidden), "{other}");
        }
    }

    #[test]
    fn codings_are_undone_and_bombs_are_cut() {
        let text = vec![7_u8; 100_000];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&text).unwrap();
        for (coding, packed) in [
            (Coding::Gzip, gzip.finish().unwrap()),
            (Coding::Deflate, zlib.finish().unwrap()),
            (Coding::Deflate, bare.finish().unwrap()),
        ] {
            let packed = Bytes::from(packed);
            assert!(packed.len() < 2_000);
            assert_eq!(*coding.undo(packed.clone(), 100_000).unwrap(), *text);
            assert_eq!(coding.undo(packed.clone(), 99_999).unwrap_err().code(), ErrorCode::TooLarge);
            let broken = packed.slice(..packed.len() / 2);
            assert_eq!(coding.undo(broken, 100_000).unwrap_err().code(), ErrorCode::InvalidInput);
        }
    }
}
