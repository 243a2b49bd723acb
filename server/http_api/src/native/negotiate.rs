//! `Accept`: which version of the native API the caller wants, and in which media type it reads the answer.

use actix_web::{HttpRequest, http::header};
use candor_domain::{Error, ErrorCode, Result, names::quoted};

/// The media type of version 1 of the native API.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.candor.v1+json";

const PLAIN: &str = "application/json";

/// The media type of the reply: the native one if it is asked for by name, else plain JSON.
///
/// # Errors
/// `NotAcceptable` when the caller reads neither (RFC 9110 §12.5.1).
pub(crate) fn accepted(request: &HttpRequest) -> Result<&'static str> {
    let mut headers = request.headers().get_all(header::ACCEPT).peekable();
    if headers.peek().is_none() {
        return Ok(PLAIN);
    }
    let (mut ranges, mut asked) = (Vec::new(), "");
    for value in headers {
        asked = value.to_str().map_err(|_| Error::invalid("not plain text").at("header Accept"))?;
        ranges.extend(asked.split(',').map(Range::read).filter(|range| !range.name.is_empty()));
    }
    // The most specific range that matches a type decides on it.
    let wants = |names: &[&str]| {
        let matching = |name: &&str| ranges.iter().find(|range| range.name.eq_ignore_ascii_case(name));
        names.iter().find_map(matching).is_some_and(|range| range.wanted)
    };
    if ranges.is_empty() || wants(&[PLAIN, "application/*", "*/*"]) || wants(&["application/problem+json"]) {
        // Plain JSON does not stand in the way of the native type, where that is named.
        return Ok(if wants(&[MEDIA_TYPE]) { MEDIA_TYPE } else { PLAIN });
    }
    if wants(&[MEDIA_TYPE, "application/*", "*/*"]) {
        return Ok(MEDIA_TYPE);
    }
    Err(Error::new(ErrorCode::NotAcceptable, "this API does not answer in that form")
        .at("header Accept")
        .expected(format!("{PLAIN} or {MEDIA_TYPE}"))
        .got(quoted(asked)))
}

/// One entry of the header.
struct Range<'a> {
    name: &'a str,
    /// Whether its weight is above zero.
    wanted: bool,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let ruled_out = weight.is_some_and(|weight| weight.parse::<f64>().is_ok_and(|weight| weight <= 0.0));
        Self { name, wanted: !name.is_empty() && !ruled_out }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_version_is_negotiated() {
        let ask = |accept: &str| {
            let request = TestRequest::default().insert_header((header::ACCEPT, accept)).to_http_request();
            accepted(&request).map_err(|error| error.to_string())
        };
        for (accept, want) in [
            ("", PLAIN),
            ("*/*", PLAIN),
            ("application/json", PLAIN),
            ("text/html, application/*;q=0.8", PLAIN),
            ("application/vnd.candor.v1+json", MEDIA_TYPE),
            ("Application/Vnd.Candor.V1+JSON; q=0.5, application/json", MEDIA_TYPE),
            ("application/vnd.candor.v9+json, */*;q=0.1", PLAIN),
            ("application/vnd.candor.v1+json;q=0, application/json", PLAIN),
            ("application/json;q=0, */*", MEDIA_TYPE),
            ("application/problem+json", PLAIN),
        ] {
            assert_eq!(ask(accept), Ok(want), "{accept}");
        }
        assert_eq!(
            ask("application/vnd.candor.v2+json").unwrap_err(),
            "header Accept: this API does not answer in that form; expected application/json or \
             application/vnd.candor.v1+json, got \"application/vnd.candor.v2+json\""
        );
        ask("text/html").unwrap_err();
        ask("application/json;q=0").unwrap_err();
        assert_eq!(accepted(&TestRequest::default().to_http_request()).unwrap(), PLAIN);
    }
}
