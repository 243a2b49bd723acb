//! The protobuf wire format, as far as an infer request needs it: fields one after the other, nothing kept.

use candor_domain::{Error, Result};

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

/// The fields of a message, in the order in which they stand there.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Result<(u32, Value<'a>)> {
        let rest = &mut self.0;
        let key = varint(rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| broken("a field has a number that none can have"))?;
        let value = match key & 7 {
            0 => Value::Varint(varint(rest)?),
            1 => Value::Fixed64(chunk(rest)?),
            2 => {
                let length = usize::try_from(varint(rest)?).unwrap_or(usize::MAX);
                let (bytes, after) = rest.split_at_checked(length).ok_or_else(cut)?;
                *rest = after;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(chunk(rest)?),
            _ => return Err(broken("a field has a wire type that is not read here")),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    /// Text, which protobuf wants to be UTF-8.
    pub(super) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| broken("a text is not UTF-8"))
    }

    /// Bytes, a text, a message, or packed numbers.
    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err(wrong_type()),
        }
    }

    /// A number, or each of several packed ones.
    pub(super) fn each_varint(self, mut take: impl FnMut(u64) -> Result<()>) -> Result<()> {
        match self {
            Self::Varint(number) => take(number),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    take(varint(&mut packed)?)?;
                }
                Ok(())
            }
            Self::Fixed64(_) | Self::Fixed32(_) => Err(wrong_type()),
        }
    }

    /// The bytes of a number of four, or of several packed ones.
    pub(super) fn fixed32(&self) -> Result<&[[u8; 4]]> {
        match self {
            Self::Fixed32(number) => Ok(std::slice::from_ref(number)),
            Self::Bytes(packed) => whole(packed),
            Self::Varint(_) | Self::Fixed64(_) => Err(wrong_type()),
        }
    }

    /// The bytes of a number of eight, or of several packed ones.
    pub(super) fn fixed64(&self) -> Result<&[[u8; 8]]> {
        match self {
            Self::Fixed64(number) => Ok(std::slice::from_ref(number)),
            Self::Bytes(packed) => whole(packed),
            Self::Varint(_) | Self::Fixed32(_) => Err(wrong_type()),
        }
    }
}

fn whole<const N: usize>(packed: &[u8]) -> Result<&[[u8; N]]> {
    match packed.as_chunks() {
        (chunks, []) => Ok(chunks),
        _ => Err(cut()),
    }
}

fn chunk<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk().ok_or_else(cut)?;
    *rest = after;
    Ok(*chunk)
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    const BYTES_MAX: usize = 10;
    let mut number = 0;
    for (index, byte) in rest.iter().enumerate().take(BYTES_MAX) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = rest.get(index + 1..).unwrap_or_default();
            return Ok(number);
        }
    }
    Err(if rest.len() < BYTES_MAX { cut() } else { broken("a number has more than ten bytes") })
}

fn cut() -> Error {
    broken("it ends within a field")
}

fn wrong_type() -> Error {
    broken("a field has another wire type than its number says")
}

fn broken(what: &str) -> Error {
    Error::invalid(format!("the message is not an inference.ModelInferRequest: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_read_as_the_encoding_guide_writes_them() {
        // protobuf.dev/programming-guides/encoding: field 1 is 150; field 2 is "testing".
        let message = [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat();
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(fields, [(1, Value::Varint(150)), (2, Value::Bytes(b"testing"))]);
        let mut minus_two = &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01][..];
        assert_eq!(varint(&mut minus_two).unwrap(), (-2_i64).cast_unsigned());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (bytes, says) in [
            (&[0x08][..], "ends within a field"),
            (&[0x08, 0x80], "ends within a field"),
            (&[0x12, 0x05, b'a'], "ends within a field"),
            (&[0x0d, 0, 0], "ends within a field"),
            (&[0x00, 0x00], "a number that none can have"),
            (&[0x0b], "a wire type"),
            (&[0x80; 11], "more than ten bytes"),
        ] {
            let error = Fields::of(bytes).find_map(Result::err).unwrap().to_string();
            assert!(error.contains(says), "{bytes:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            let fields = Fields::of(&bytes).count();
            prop_assert!(fields <= bytes.len());
        }
    }
}
