//! A JSON reader for good bodies: no places, no messages, no look at what it has passed.
//!
//! `request` gives it a body first. It drives the same seeds as serde_json does, over a position that it shares with
//! them, so that a seed may also read by itself (as `data` does with numbers, by [`super::scan`]). At the first thing
//! that is not as usual it gives up, and the body is read again by serde_json, which knows what to say. It must
//! therefore take nothing that serde_json refuses; it may refuse whatever it likes.

use std::{cell::Cell, fmt};

use serde::{
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::scan::{self, Number, space};

/// Deeper than any body that means something, and less deep than serde_json goes.
const DEPTH_MAX: usize = 100;

/// A position in a body.
pub(crate) struct Cursor<'de> {
    body: &'de [u8],
    at: Cell<usize>,
    depth: Cell<usize>,
}

/// Something was not as usual.
#[derive(Debug)]
pub(crate) struct Odd;

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not as usual")
    }
}

impl std::error::Error for Odd {}

impl de::Error for Odd {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Cursor<'de> {
    /// The start of a body.
    pub(crate) fn new(body: &'de [u8]) -> Self {
        Self { body, at: Cell::new(0), depth: Cell::new(0) }
    }

    /// Reads the whole body.
    pub(crate) fn read<S: DeserializeSeed<'de>>(&self, seed: S) -> Result<S::Value, Odd> {
        let value = seed.deserialize(self)?;
        if self.next().is_none() { Ok(value) } else { Err(Odd) }
    }

    /// What has not been read.
    #[inline]
    pub(crate) fn rest(&self) -> &'de [u8] {
        self.body.get(self.at.get()..).unwrap_or_default()
    }

    /// Goes to where `rest` is what has not been read.
    #[inline]
    pub(crate) fn go_to(&self, rest: &[u8]) {
        self.at.set(self.body.len() - rest.len());
    }

    /// The next byte that is no white space, and stays unread.
    #[inline]
    fn next(&self) -> Option<u8> {
        let rest = space(self.rest());
        self.go_to(rest);
        rest.first().copied()
    }

    #[inline]
    fn expect(&self, byte: u8) -> Result<(), Odd> {
        match space(self.rest()) {
            [next, rest @ ..] if *next == byte => {
                self.go_to(rest);
                Ok(())
            }
            _ => Err(Odd),
        }
    }

    fn word<T>(&self, word: &[u8], value: T) -> Result<T, Odd> {
        self.go_to(self.rest().strip_prefix(word).ok_or(Odd)?);
        Ok(value)
    }

    /// Reads what `inside` reads between two brackets.
    fn within<T>(
        &self,
        open: u8,
        close: u8,
        inside: impl FnOnce(Members<'_, 'de>) -> Result<T, Odd>,
    ) -> Result<T, Odd> {
        self.expect(open)?;
        if self.depth.get() >= DEPTH_MAX {
            return Err(Odd);
        }
        self.depth.set(self.depth.get() + 1);
        let value = inside(Members { cursor: self, close, is_first: true })?;
        self.depth.set(self.depth.get() - 1);
        self.expect(close)?;
        Ok(value)
    }

    fn text<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Odd> {
        self.expect(b'"')?;
        let text = self.rest();
        let plain = plain_bytes(text);
        let (plain, rest) = text.split_at_checked(plain).ok_or(Odd)?;
        match rest {
            [b'"', rest @ ..] => {
                self.go_to(rest);
                visitor.visit_borrowed_str(std::str::from_utf8(plain).map_err(|_| Odd)?)
            }
            [b'\\', ..] => self.text_with_escapes(visitor),
            _ => Err(Odd),
        }
    }

    /// The opening quote has been read.
    #[cold]
    fn text_with_escapes<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Odd> {
        let from = self.at.get() - 1;
        loop {
            let rest = self.rest();
            match rest.get(plain_bytes(rest)..) {
                Some([b'"', rest @ ..]) => {
                    self.go_to(rest);
                    let token = self.body.get(from..self.at.get()).unwrap_or_default();
                    return visitor.visit_string(serde_json::from_slice(token).map_err(|_| Odd)?);
                }
                Some([b'\\', _, rest @ ..]) => self.go_to(rest),
                _ => return Err(Odd),
            }
        }
    }
}

/// How many bytes of a text there are before the first quote, backslash or control character.
pub(super) fn plain_bytes(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let (chunks, _) = text.as_chunks::<8>();
    let mut plain = 0;
    for chunk in chunks {
        let chunk = u64::from_le_bytes(*chunk);
        let is_zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
        let quote = is_zero(chunk ^ (ONES * u64::from(b'"')));
        let backslash = is_zero(chunk ^ (ONES * u64::from(b'\\')));
        let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
        // The lowest of these bits is right; those above it may have been borrowed from.
        let special = (quote | backslash | control) & HIGHEST;
        if special != 0 {
            return plain + special.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    plain + text.get(plain..).unwrap_or_default().iter().take_while(is_plain).count()
}

impl<'de> Deserializer<'de> for &Cursor<'de> {
    type Error = Odd;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        match self.next().ok_or(Odd)? {
            b'{' => self.deserialize_map(visitor),
            b'[' => self.deserialize_seq(visitor),
            b'"' => self.text(visitor),
            b't' => visitor.visit_bool(self.word(b"true", true)?),
            b'f' => visitor.visit_bool(self.word(b"false", false)?),
            b'n' => self.word(b"null", ()).and_then(|()| visitor.visit_unit()),
            _ => {
                let (number, rest) = scan::number(self.rest()).ok_or(Odd)?;
                self.go_to(rest);
                match number {
                    Number::Unsigned(value) => visitor.visit_u64(value),
                    Number::Signed(value) => visitor.visit_i64(value),
                    Number::Float(value) => visitor.visit_f64(value),
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        match self.next() {
            Some(b'n') => self.word(b"null", ()).and_then(|()| visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.text(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.within(b'[', b']', |members| visitor.visit_seq(members))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.within(b'{', b'}', |members| visitor.visit_map(members))
    }

    /// Refused: this is how a raw value would be asked for.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Odd> {
        Err(Odd)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf unit unit_struct tuple
        tuple_struct struct enum identifier ignored_any
    }
}

/// What stands between two brackets.
struct Members<'c, 'de> {
    cursor: &'c Cursor<'de>,
    close: u8,
    is_first: bool,
}

impl Members<'_, '_> {
    /// Whether another member comes; goes to its start.
    #[inline]
    fn is_there(&mut self) -> Result<bool, Odd> {
        match self.cursor.next().ok_or(Odd)? {
            byte if byte == self.close => Ok(false),
            _ if self.is_first => {
                self.is_first = false;
                Ok(true)
            }
            b',' => {
                self.cursor.expect(b',')?;
                // No comma stands before a bracket.
                if self.cursor.next() == Some(self.close) { Err(Odd) } else { Ok(true) }
            }
            _ => Err(Odd),
        }
    }
}

impl<'de> SeqAccess<'de> for Members<'_, 'de> {
    type Error = Odd;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Odd> {
        if self.is_there()? { seed.deserialize(self.cursor).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Odd;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Odd> {
        match self.is_there()? {
            true if self.cursor.rest().first() == Some(&b'"') => seed.deserialize(self.cursor).map(Some),
            true => Err(Odd),
            false => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Odd> {
        self.cursor.expect(b':')?;
        seed.deserialize(self.cursor)
    }
}
