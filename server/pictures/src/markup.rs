//! A writer of elements, for SVG and HTML alike: what it writes is well-formed, and no text gets out of its place.
//!
//! After [`crate::text`]. The only file that makes angle brackets of data. It does not know what elements mean.

use crate::text;

/// The value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Number(f64),
    Text(&'a str),
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

/// Attributes as `"name" => value` pairs.
macro_rules! attributes {
    ($($name:expr => $value:expr),* $(,)?) => {
        &[$(($name, $crate::markup::Value::from($value))),*]
    };
}
pub(crate) use attributes;

pub(crate) type Attributes<'a> = &'a [(&'static str, Value<'a>)];

/// Elements, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Markup {
    written: String,
    open: Vec<&'static str>,
}

impl Markup {
    pub fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
        self.written.push('>');
        self.open.push(name);
    }

    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.written.push_str("</");
            self.written.push_str(name);
            self.written.push('>');
        }
    }

    /// An element without content.
    pub fn leaf(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.start(name, attributes);
        self.written.push_str("/>");
    }

    /// An element that holds a text.
    pub fn with(&mut self, name: &'static str, attributes: Attributes<'_>, text: &str) {
        self.open(name, attributes);
        self.text(text);
        self.close();
    }

    pub fn text(&mut self, text: &str) {
        escape(&mut self.written, text);
    }

    pub fn line(&mut self) {
        self.written.push('\n');
    }

    /// Elements that this writer, or a constant, has made before.
    pub fn made(&mut self, markup: &str) {
        self.written.push_str(markup);
    }

    /// Everything, with what is still open closed.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.written
    }

    fn start(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.written.push('<');
        self.written.push_str(name);
        for (name, value) in attributes {
            self.written.push(' ');
            self.written.push_str(name);
            self.written.push_str("=\"");
            match value {
                Value::Number(number) => self.written.push_str(&coordinate(*number)),
                Value::Text(text) => escape(&mut self.written, text),
            }
            self.written.push('"');
        }
    }
}

/// At most two decimals: a hundredth of a pixel is not seen.
pub(crate) fn coordinate(value: f64) -> String {
    // Far outside of every picture; a not-a-number is nowhere, and stands at zero.
    let bounded = if value.is_nan() { 0.0 } else { value.clamp(-1e6, 1e6) };
    let rounded = (bounded * 100.0).round() / 100.0;
    if rounded == 0.0 { "0".to_owned() } else { format!("{rounded}") }
}

fn escape(written: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            other => written.push(text::harmless(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut markup = Markup::default();
        markup.open("a", attributes! { "b" => "\"><script>", "x" => -0.001 });
        markup.text("</a>&'\u{0}\u{202e}");
        assert_eq!(
            markup.finish(),
            "<a b=\"&quot;&gt;&lt;script&gt;\" x=\"0\">&lt;/a&gt;&amp;&#39;\u{fffd}\u{fffd}</a>"
        );
    }

    #[test]
    fn coordinates_are_short_and_finite() {
        let told: Vec<String> = [1.0, 1.005, 2.346, -3.0, f64::NAN, f64::INFINITY].map(coordinate).into();
        assert_eq!(told, ["1", "1", "2.35", "-3", "0", "1000000"]);
    }
}
