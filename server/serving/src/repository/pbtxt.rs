//! Text-format protobuf: `config.pbtxt` into a tree of fields that know where they stand.
//!
//! Reads the whole language but extensions and `Any`, for files of any schema: who reads the tree decides
//! what a field may be. Size and depth have an end; nothing here panics, whatever the text.

use std::fmt;

use candor_domain::{Error, Result, names::quoted};

/// Largest file that is read.
pub const BYTES_MAX: usize = 1 << 20;
/// Messages and lists within each other.
pub const DEPTH_MAX: usize = 32;

/// Where something begins, both counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The fields of a message in the order of the file; repeated ones stand there repeatedly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message(pub Vec<Field>);

/// A field and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// What it says.
    pub value: Value,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A quoted text.
    Text(String),
    /// A whole number.
    Whole(i128),
    /// A number with a fraction or exponent.
    Number(f64),
    /// `true`, `inf`, or the name of an enum's value.
    Word(String),
    /// `{ … }` or `< … >`.
    Message(Message),
    /// `[ … ]`.
    List(Vec<Value>),
}

impl Value {
    /// What it is, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.clone(),
            Self::Message(_) => "{ … }".to_owned(),
            Self::List(_) => "[ … ]".to_owned(),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// `InvalidModel` with `line:column` as its place.
pub fn parse(text: &str) -> Result<Message> {
    if text.len() > BYTES_MAX {
        return Err(Error::model("the file is too large")
            .expected(format!("at most {BYTES_MAX} bytes"))
            .got(format!("{} bytes", text.len())));
    }
    let mut reader = Reader { rest: text, place: Place { line: 1, column: 1 } };
    let message = reader.message(None, 0)?;
    Ok(message)
}

/// What is still to be read, and where it begins.
struct Reader<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.place = Place { line: self.place.line + 1, column: 1 };
        } else {
            self.place.column += 1;
        }
        Some(next)
    }

    /// Takes the next character if it is `wanted`.
    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.next();
        }
        there
    }

    /// Takes characters as long as they fit.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let (whole, mut bytes) = (self.rest, 0);
        while let Some(next) = self.peek().filter(|next| fits(*next)) {
            bytes += next.len_utf8();
            self.next();
        }
        whole.get(..bytes).unwrap_or_default()
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            self.take_while(|next| next.is_ascii_whitespace() || next == '\u{b}');
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|next| next != '\n');
        }
    }

    fn found(&self) -> String {
        match self.peek() {
            Some(next) => format!("'{}'", next.escape_debug()),
            None => "end of the file".to_owned(),
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        Error::model(format!("unexpected {}", self.found())).at(self.place.to_string()).expected(expected)
    }

    /// Fields up to `end`, which is taken; up to the end of the file if there is none.
    fn message(&mut self, end: Option<char>, depth: usize) -> Result<Message> {
        let mut fields = Vec::new();
        loop {
            self.skip();
            match (self.peek(), end) {
                (None, None) => return Ok(Message(fields)),
                (Some(next), Some(end)) if next == end => {
                    self.next();
                    return Ok(Message(fields));
                }
                (Some(next), _) if next.is_ascii_alphabetic() || next == '_' => {
                    fields.push(self.field(depth)?);
                    self.skip();
                    if !self.take(',') {
                        self.take(';');
                    }
                }
                (Some('['), _) => {
                    return Err(Error::model("extensions and Any are not read here").at(self.place.to_string()));
                }
                (_, Some(end)) => return Err(self.unexpected(&format!("the name of a field or '{end}'"))),
                (_, None) => return Err(self.unexpected("the name of a field")),
            }
        }
    }

    fn field(&mut self, depth: usize) -> Result<Field> {
        let place = self.place;
        let name = self.word().to_owned();
        self.skip();
        let colon = self.take(':');
        self.skip();
        let value = match self.peek() {
            Some('{' | '<' | '[') => self.value(depth)?,
            _ if colon => self.value(depth)?,
            _ => return Err(self.unexpected(&format!("':' or '{{' after {name}"))),
        };
        if let (false, Value::List(values)) = (colon, &value)
            && values.iter().any(|value| !matches!(value, Value::Message(_)))
        {
            return Err(Error::model(format!("a list of values needs ':' after {name}")).at(place.to_string()));
        }
        Ok(Field { name, place, value })
    }

    fn word(&mut self) -> &'a str {
        self.take_while(|next| next.is_ascii_alphanumeric() || next == '_')
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        match self.peek() {
            Some(open @ ('{' | '<')) => {
                let inner = self.deeper(depth)?;
                self.next();
                self.message(Some(if open == '{' { '}' } else { '>' }), inner).map(Value::Message)
            }
            Some('[') => {
                let inner = self.deeper(depth)?;
                self.next();
                self.list(inner).map(Value::List)
            }
            Some('"' | '\'') => self.text().map(Value::Text),
            Some(next) if next.is_ascii_alphabetic() || next == '_' => Ok(Value::Word(self.word().to_owned())),
            Some(next) if next.is_ascii_digit() || matches!(next, '-' | '.') => self.number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize> {
        if depth < DEPTH_MAX {
            return Ok(depth + 1);
        }
        Err(Error::model("messages lie too deep within each other")
            .at(self.place.to_string())
            .expected(format!("at most {DEPTH_MAX} levels")))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        self.skip();
        if self.take(']') {
            return Ok(values);
        }
        loop {
            self.skip();
            if self.peek() == Some('[') {
                return Err(self.unexpected("a value; lists do not lie in lists"));
            }
            values.push(self.value(depth)?);
            self.skip();
            if self.take(']') {
                return Ok(values);
            }
            if !self.take(',') {
                return Err(self.unexpected("',' or ']'"));
            }
        }
    }

    fn number(&mut self) -> Result<Value> {
        let place = self.place;
        let negative = self.take('-');
        if negative {
            self.skip();
            if self.peek().is_some_and(|next| next.is_ascii_alphabetic()) {
                return self.infinite();
            }
        }
        let mut digits = self.take_while(|next| next.is_ascii_alphanumeric() || next == '.').to_owned();
        let in_exponent = digits.ends_with(['e', 'E']) && !digits.starts_with("0x") && !digits.starts_with("0X");
        if let (true, Some(sign @ ('+' | '-'))) = (in_exponent, self.peek()) {
            self.next();
            digits.push(sign);
            digits.push_str(self.take_while(|next| next.is_ascii_alphanumeric() || next == '.'));
        }
        let value = read_number(&digits)
            .ok_or_else(|| Error::model("not a number").at(place.to_string()).got(quoted(&digits)))?;
        match value {
            Digits::Whole(number) => Ok(Value::Whole(if negative { -i128::from(number) } else { number.into() })),
            Digits::Number(number) => Ok(Value::Number(if negative { -number } else { number })),
        }
    }

    /// The word behind a minus.
    fn infinite(&mut self) -> Result<Value> {
        let place = self.place;
        match self.word().to_ascii_lowercase().as_str() {
            "inf" | "infinity" => Ok(Value::Number(f64::NEG_INFINITY)),
            "nan" => Ok(Value::Number(f64::NAN)),
            word => Err(Error::model("not a number").at(place.to_string()).got(quoted(&format!("-{word}")))),
        }
    }

    /// One or more quoted texts that stand next to each other.
    fn text(&mut self) -> Result<String> {
        let (place, mut bytes) = (self.place, Vec::new());
        while let Some(quote @ ('"' | '\'')) = self.peek() {
            self.next();
            loop {
                let at = self.place;
                match self.next() {
                    Some(next) if next == quote => break,
                    Some('\\') => self.escape(at, &mut bytes)?,
                    Some('\n') | None => {
                        return Err(Error::model("the text has no end on this line")
                            .at(place.to_string())
                            .expected(quote));
                    }
                    Some(next) => bytes.extend(next.encode_utf8(&mut [0; 4]).bytes()),
                }
            }
            self.skip();
        }
        String::from_utf8(bytes).map_err(|_| Error::model("the text is not UTF-8").at(place.to_string()))
    }

    /// What stands behind a backslash.
    fn escape(&mut self, place: Place, bytes: &mut Vec<u8>) -> Result<()> {
        let wrong = |what: &'static str| Error::model(what).at(place.to_string());
        let simple = match self.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('a') => 7,
            Some('b') => 8,
            Some('f') => 12,
            Some('v') => 11,
            Some(same @ ('\\' | '\'' | '"' | '?')) => same as u8,
            Some(first @ '0'..='7') => {
                let mut code = first.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    self.next();
                    code = code * 8 + digit;
                }
                u8::try_from(code).map_err(|_| wrong("an octal escape is above \\377"))?
            }
            Some('x' | 'X') => {
                let code = self.hex(1, 2).ok_or_else(|| wrong("\\x needs hexadecimal digits"))?;
                u8::try_from(code).unwrap_or_default()
            }
            Some(kind @ ('u' | 'U')) => {
                let digits = if kind == 'u' { 4 } else { 8 };
                let code = self.hex(digits, digits).and_then(char::from_u32);
                let code = code.ok_or_else(|| wrong("not a character's number behind \\u"))?;
                bytes.extend(code.encode_utf8(&mut [0; 4]).bytes());
                return Ok(());
            }
            _ => {
                return Err(
                    wrong("no such escape").expected(r#"one of \n \r \t \a \b \f \v \\ \' \" \? \123 \x41 \u0041"#)
                );
            }
        };
        bytes.push(simple);
        Ok(())
    }

    fn hex(&mut self, min: usize, max: usize) -> Option<u32> {
        let (mut code, mut count) = (0, 0);
        while let Some(digit) = self.peek().and_then(|next| next.to_digit(16)).filter(|_| count < max) {
            self.next();
            code = code * 16 + digit;
            count += 1;
        }
        (count >= min).then_some(code)
    }
}

/// A number without its sign. Wider than 64 bits no field is.
enum Digits {
    Whole(u64),
    Number(f64),
}

/// Decimal, `0x` and `0` octal whole numbers, and fractions with an optional `f`.
fn read_number(digits: &str) -> Option<Digits> {
    let whole = |digits: &str, radix: u32| {
        let plain = digits.chars().all(|digit| digit.is_digit(radix));
        u64::from_str_radix(digits, radix).ok().filter(|_| plain).map(Digits::Whole)
    };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return whole(hex, 16);
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|digit| digit.is_ascii_digit()) {
        return whole(digits, 8);
    }
    if digits.chars().all(|digit| digit.is_ascii_digit())
        && let Some(number) = whole(digits, 10)
    {
        return Some(number);
    }
    let float = digits.strip_suffix(['f', 'F']).unwrap_or(digits);
    let plain = float.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    float.parse().ok().filter(|_| plain).map(Digits::Number)
}

#[cfg(test)]
mod tests;
