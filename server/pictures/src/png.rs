//! PNG files: made of pixels, and their size read from others' bytes.
//!
//! Before the heat map. Written after the PNG specification, third edition (<https://www.w3.org/TR/png-3/>), §5 and §11.
//! It decodes nothing.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};

const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
/// Larger images make pages that nobody can open.
pub(crate) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// In each direction.
pub(crate) const PIXELS_MAX: u32 = 8192;

/// What the bytes of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Rgb,
    Rgba,
}

impl Colour {
    const fn bytes(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// §11.2.1, table 12.
    const fn code(self) -> u8 {
        match self {
            Self::Rgb => 2,
            Self::Rgba => 6,
        }
    }
}

/// Width and height of a PNG file.
pub(crate) fn size(bytes: &[u8]) -> Result<(u32, u32), String> {
    if bytes.len() > BYTES_MAX {
        return Err(format!("the image has {} bytes; at most {BYTES_MAX} are drawn", bytes.len()));
    }
    let header = bytes.strip_prefix(&SIGNATURE).and_then(|rest| rest.split_at_checked(16));
    let number = |at: usize| {
        let four = header.and_then(|(header, _)| header.get(at..at + 4)?.try_into().ok());
        four.map(u32::from_be_bytes)
    };
    let is_header = header.is_some_and(|(header, _)| header.get(4..8) == Some(b"IHDR"));
    let (Some(width), Some(height), true) = (number(8), number(12), is_header) else {
        return Err("the image is not a PNG file".to_owned());
    };
    checked(width, height)
}

/// Neither empty nor too large to be drawn.
pub(crate) fn checked(width: u32, height: u32) -> Result<(u32, u32), String> {
    if width == 0 || height == 0 || width > PIXELS_MAX || height > PIXELS_MAX {
        return Err(format!("the image is {width} × {height} pixels; 1 to {PIXELS_MAX} are drawn in each direction"));
    }
    Ok((width, height))
}

/// A file of pixels, row by row. `bytes` must have as many as the size needs.
pub(crate) fn file(width: u32, height: u32, colour: Colour, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (width, height) = checked(width, height)?;
    let row = usize::try_from(width).unwrap_or(usize::MAX) * colour.bytes();
    let expected = usize::try_from(height).unwrap_or(usize::MAX).saturating_mul(row);
    if bytes.len() != expected || expected > 4 * BYTES_MAX {
        return Err(format!("{width} × {height} pixels need {expected} bytes; there are {}", bytes.len()));
    }
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    for line in bytes.chunks(row) {
        // Filter 0, "none": the rows are told as they are.
        let written = packer.write_all(&[0]).and_then(|()| packer.write_all(line));
        written.map_err(|error| format!("the image cannot be compressed: {error}"))?;
    }
    let packed = packer.finish().map_err(|error| format!("the image cannot be compressed: {error}"))?;
    let mut file = SIGNATURE.to_vec();
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    // Eight bits, the colour, and the only compression, filtering and order of rows that there is to choose.
    header.extend_from_slice(&[8, colour.code(), 0, 0, 0]);
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"IDAT", &packed);
    chunk(&mut file, *b"IEND", &[]);
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    file.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut crc = Crc::new();
    crc.update(&name);
    crc.update(content);
    file.extend_from_slice(&name);
    file.extend_from_slice(content);
    file.extend_from_slice(&crc.sum().to_be_bytes());
}

/// The file as an address that needs no other file (RFC 2397, RFC 4648 §4).
pub(crate) fn address(file: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut address = String::with_capacity(file.len() / 3 * 4 + 30);
    address.push_str("data:image/png;base64,");
    for three in file.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = usize::try_from(bits >> (18 - 6 * at) & 63).ok().and_then(|place| LETTERS.get(place));
            let is_there = usize::try_from(at).is_ok_and(|at| at <= three.len());
            address.push(if is_there { letter.map_or('=', |letter| char::from(*letter)) } else { '=' });
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let file = file(2, 1, Colour::Rgb, &[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(size(&file).unwrap(), (2, 1));
        // Signature 8, IHDR 25, IDAT's length and name 8.
        let packed = &file[41..file.len() - 16];
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(packed).read_to_end(&mut rows).unwrap();
        assert_eq!(rows, [0, 1, 2, 3, 4, 5, 6]);
        // The check value of an empty IEND, which every PNG file ends with.
        assert_eq!(file[file.len() - 4..], [0xae, 0x42, 0x60, 0x82]);
    }

    #[test]
    fn other_bytes_are_refused() {
        size(b"").unwrap_err();
        size(b"GIF89a").unwrap_err();
        size(&SIGNATURE).unwrap_err();
        let mut huge = file(1, 1, Colour::Rgba, &[0; 4]).unwrap();
        huge[16] = 0xff;
        assert!(size(&huge).unwrap_err().contains("pixels"));
        assert!(file(2, 2, Colour::Rgb, &[0; 3]).unwrap_err().contains("12 bytes"));
    }

    #[test]
    fn addresses_are_base64() {
        assert_eq!(address(b"Man"), "data:image/png;base64,TWFu");
        assert_eq!(address(b"Ma"), "data:image/png;base64,TWE=");
        assert_eq!(address(b"M"), "data:image/png;base64,TQ==");
    }
}
