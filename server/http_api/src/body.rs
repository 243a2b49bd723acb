//! Bodies within limits: media type, size as sent, time to arrive, size after decompression, memory of all bodies.
//!
//! Handlers that take a body call [`read`] first, and keep what comes with it until they have answered. Nothing here knows what is in the body.

use std::{future::poll_fn, io::Read as _, pin::pin, task::Poll};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
    web::{Bytes, BytesMut, Payload},
};
use candor_domain::{Error, ErrorCode, Result};
use candor_serving::{Bodies, Counted, Held};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use futures_util::StreamExt as _;

use crate::{Api, limits::HttpLimits};

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

/// Larger bodies are counted until their last byte is dropped, wherever that is; smaller ones until their request is
/// answered, which costs no allocation.
const SMALL_BODY_BYTES_MAX: usize = 64 << 10;

/// Reads a body whole, and counts it as long as the second part of the result is kept.
pub(crate) async fn read<'a>(
    request: &HttpRequest,
    payload: Payload,
    api: &'a Api,
    accepts: &Accepts,
) -> Result<(Bytes, Held<&'a Bodies>)> {
    let limits = &*api.limits;
    check_media_type(request, accepts)?;
    if accepts.forms == Forms::Refused {
        check_origin(request)?;
    }
    let coding = Coding::of(request)?;
    let announced = header_text(request, &header::CONTENT_LENGTH)?.and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body_bytes_max as u64) {
        return Err(too_large(limits.body_bytes_max, "limits.body_bytes_max"));
    }
    api.bodies.check(announced.unwrap_or(0))?;
    let mut held = Held::nothing(&*api.bodies);
    let body = {
        let mut reading = pin!(collect(payload, limits.body_bytes_max, announced, &mut held));
        // A small body has come with its head, but is handed on only when the handler waits; a timer is for those that
        // have not.
        let mut looks = 0;
        let look = poll_fn(|context| match (reading.as_mut().poll(context), looks) {
            (Poll::Pending, 0) => {
                looks += 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            (looked, _) => Poll::Ready(looked),
        });
        match look.await {
            Poll::Ready(body) => body?,
            Poll::Pending => {
                tokio::time::timeout(limits.body_read_max, reading).await.map_err(|_| too_slow(limits))??
            }
        }
    };
    let nothing = Held::nothing(&*api.bodies);
    if coding == Coding::Identity {
        if body.len() <= SMALL_BODY_BYTES_MAX {
            return Ok((body, held));
        }
        return Ok((Bytes::from_owner(Counted::new(body, held.shared(&api.bodies))), nothing));
    }
    // A small body can be a large one inside, which must not hold up this worker's other requests.
    let (bytes_max, mut held) = (limits.decompressed_bytes_max, held.shared(&api.bodies));
    let unpack = move || {
        let plain = coding.undo(body, bytes_max, |more| held.grow(more))?;
        held.shrink_to(plain.len());
        Ok(Bytes::from_owner(Counted::new(plain, held)))
    };
    let plain = actix_web::web::block(unpack)
        .await
        .map_err(|_| Error::new(ErrorCode::Internal, "the decompression was lost"))??;
    Ok((plain, nothing))
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

/// Most room that is made on a client's word alone.
const PROMISED_BYTES_MAX: usize = 8 << 20;

async fn collect(
    mut payload: Payload,
    bytes_max: usize,
    announced: Option<u64>,
    held: &mut Held<&Bodies>,
) -> Result<Bytes> {
    let broken = |error: actix_web::error::PayloadError| Error::invalid(format!("the body broke off: {error}"));
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(broken)?;
    held.grow(first.len())?;
    // Small bodies come in one piece, which is then not copied.
    let Some(second) = payload.next().await else {
        return if first.len() > bytes_max { Err(too_large(bytes_max, "limits.body_bytes_max")) } else { Ok(first) };
    };
    // Room for all of it at once, which the system gives only as it is written to; growing would copy again and again.
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let announced = announced.min(bytes_max).min(PROMISED_BYTES_MAX);
    let mut body = BytesMut::with_capacity(announced.max(first.len()));
    body.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(next) = piece {
        let next = next.map_err(broken)?;
        if body.len() + next.len() > bytes_max {
            return Err(too_large(bytes_max, "limits.body_bytes_max"));
        }
        held.grow(next.len())?;
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
    // As nearly all write it.
    if accepts.media_types.first() == Some(&value) {
        return Ok(());
    }
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

    /// What was packed; `grow` hears of each piece as it is unpacked.
    fn undo(self, body: Bytes, bytes_max: usize, grow: impl FnMut(usize) -> Result<()>) -> Result<Bytes> {
        match self {
            Self::Identity => Ok(body),
            // RFC 1952 §2.2: one after the other, as many members as there are.
            Self::Gzip => {
                let mut stream = MultiGzDecoder::new(&*body);
                inflate(&mut stream, "gzip", bytes_max, grow)
            }
            // RFC 9110 §8.4.1.2 means the zlib format; some clients send the bare stream.
            Self::Deflate if is_zlib(&body) => {
                let mut stream = ZlibDecoder::new(&*body);
                let plain = inflate(&mut stream, "zlib", bytes_max, grow)?;
                check_end(stream.total_in(), &body).map(|()| plain)
            }
            Self::Deflate => {
                let mut stream = DeflateDecoder::new(&*body);
                let plain = inflate(&mut stream, "deflate", bytes_max, grow)?;
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

/// Bytes that are unpacked between two looks at the room that is left.
const PIECE_BYTES: u64 = 64 << 10;

fn inflate(
    stream: &mut impl std::io::Read,
    format: &str,
    bytes_max: usize,
    mut grow: impl FnMut(usize) -> Result<()>,
) -> Result<Bytes> {
    let (mut body, mut stream) = (Vec::new(), stream.take(bytes_max as u64 + 1));
    loop {
        let read = (&mut stream)
            .take(PIECE_BYTES)
            .read_to_end(&mut body)
            .map_err(|error| Error::invalid(format!("the body is not valid {format}: {error}")))?;
        if body.len() > bytes_max {
            return Err(too_large(bytes_max, "after decompression; limits.decompressed_bytes_max"));
        }
        if read == 0 {
            return Ok(body.into());
        }
        grow(read)?;
    }
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
        assert_eq!(*Coding::Gzip.undo(two, 10, |_| Ok(())).unwrap(), *b"abcd");
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"ab").unwrap();
        let longer = Bytes::from([zlib.finish().unwrap(), b"x".to_vec()].concat());
        assert!(Coding::Deflate.undo(longer, 10, |_| Ok(())).unwrap_err().to_string().contains("bytes behind"));
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
            assert_eq!(*coding.undo(packed.clone(), 100_000, |_| Ok(())).unwrap(), *text);
            assert_eq!(coding.undo(packed.clone(), 99_999, |_| Ok(())).unwrap_err().code(), ErrorCode::TooLarge);
            let broken = packed.slice(..packed.len() / 2);
            assert_eq!(coding.undo(broken, 100_000, |_| Ok(())).unwrap_err().code(), ErrorCode::InvalidInput);
        }
    }
}
