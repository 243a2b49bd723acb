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
    let Some((ranges, asked)) = ranges(request)? else { return Ok(PLAIN) };
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

/// How an explanation is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// As numbers, in this media type.
    Json(&'static str),
    /// As a picture.
    Svg,
    /// As a report.
    Html,
}

/// The media type of pictures.
pub(crate) const SVG: &str = "image/svg+xml";
/// The media type of reports.
pub(crate) const HTML: &str = "text/html";

/// How the caller wants to see what can be shown: by weight, then by how plainly it is named, then as JSON.
///
/// # Errors
/// `NotAcceptable` when the caller reads nothing of what there is (RFC 9110 §12.5.1).
pub(crate) fn accepted_view(request: &HttpRequest) -> Result<View> {
    let Some((ranges, _)) = ranges(request)? else { return Ok(View::Json(PLAIN)) };
    // The weight of a type, and how exactly the range that decides on it names it.
    let weight = |names: [&str; 3]| {
        let named = |name: &&str| ranges.iter().find(|range| range.name.eq_ignore_ascii_case(name));
        let found = names.iter().zip([3_u8, 2, 1]).find_map(|(name, exact)| Some((named(name)?.weight, exact)));
        found.filter(|(weight, _)| *weight > 0.0)
    };
    let rank = |view: View, names: [&str; 3]| weight(names).map(|(weight, exact)| (view, weight, exact));
    let ranked = [
        rank(View::Json(PLAIN), [PLAIN, "application/*", "*/*"]),
        rank(View::Json(MEDIA_TYPE), [MEDIA_TYPE, "application/*", "*/*"]),
        rank(View::Svg, [SVG, "image/*", "*/*"]),
        rank(View::Html, [HTML, "text/*", "*/*"]),
    ];
    let best = ranked
        .into_iter()
        .flatten()
        .reduce(|best, next| if next.1.total_cmp(&best.1).then(next.2.cmp(&best.2)).is_gt() { next } else { best });
    match best {
        Some((view @ (View::Svg | View::Html), ..)) => Ok(view),
        // Between the two kinds of JSON it is as everywhere.
        Some((View::Json(_), ..)) | None => accepted(request)
            .map(View::Json)
            .map_err(|error| error.expected(format!("{PLAIN}, {MEDIA_TYPE}, {SVG} or {HTML}"))),
    }
}

/// The entries of the header, and its text; nothing where there is none.
fn ranges(request: &HttpRequest) -> Result<Option<(Vec<Range<'_>>, &str)>> {
    let mut headers = request.headers().get_all(header::ACCEPT).peekable();
    if headers.peek().is_none() {
        return Ok(None);
    }
    let (mut ranges, mut asked) = (Vec::new(), "");
    for value in headers {
        asked = value.to_str().map_err(|_| Error::invalid("not plain text").at("header Accept"))?;
        ranges.extend(asked.split(',').map(Range::read).filter(|range| !range.name.is_empty()));
    }
    Ok(Some((ranges, asked)))
}

/// One entry of the header.
struct Range<'a> {
    name: &'a str,
    /// From 0 to 1; 1 where it is none.
    weight: f64,
    /// Whether its weight is above zero.
    wanted: bool,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.and_then(|weight| weight.parse::<f64>().ok()).filter(|weight| !weight.is_nan());
        let weight = weight.map_or(1.0, |weight| weight.clamp(0.0, 1.0));
        Self { name, weight, wanted: !name.is_empty() && weight > 0.0 }
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

    #[test]
    fn what_can_be_shown_is_shown_as_the_caller_likes_it_best() {
        let ask = |accept: &str| {
            let request = TestRequest::default().insert_header((header::ACCEPT, accept)).to_http_request();
            accepted_view(&request)
        };
        let (plain, own) = (View::Json(PLAIN), View::Json(MEDIA_TYPE));
        for (accept, want) in [
            ("", plain),
            ("*/*", plain),
            (MEDIA_TYPE, own),
            ("image/svg+xml", View::Svg),
            ("IMAGE/*", View::Svg),
            ("text/html", View::Html),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", View::Html),
            ("image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8", View::Svg),
            ("image/svg+xml;q=0.5, text/html;q=0.9", View::Html),
            ("image/svg+xml, application/json", plain),
            ("image/svg+xml, application/json;q=0.9", View::Svg),
            ("image/svg+xml, application/problem+json", View::Svg),
            ("text/html;q=0, */*", plain),
            ("application/problem+json", plain),
        ] {
            assert_eq!(ask(accept), Ok(want), "{accept}");
        }
        let refused = ask("image/png, text/html;q=0").unwrap_err().to_string();
        assert!(refused.contains("application/json, application/vnd.candor.v1+json, image/svg+xml or text/html"));
        assert_eq!(accepted_view(&TestRequest::default().to_http_request()), Ok(plain));
    }
}
