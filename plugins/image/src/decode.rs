//! From a file to pixels, with limits: how large a file is, and how many pixels it says that it has, are looked at
//! before anything is decoded.
//!
//! It does not know what is done with the pixels.

use std::{io::Cursor, panic::catch_unwind};

use candor_plugin_sdk::{Error, Result};
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageFormat, Limits, RgbImage, codecs::jpeg::JpegDecoder,
    codecs::png::PngDecoder, metadata::Orientation,
};

use crate::config::{Channels, Settings};

/// An image: rows of pixels from the top, `channels` bytes each.
pub struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
    pub(crate) bytes: Vec<u8>,
}

/// What decoding needs to know. Copied, so that a decoder's panic leaves nothing behind.
#[derive(Clone, Copy)]
struct Wanted {
    pixels_max: u64,
    orientation: bool,
}

/// Decodes a file.
pub fn decode(file: &[u8], settings: &Settings) -> Result<Pixels> {
    let (bytes, limit) = (file.len(), settings.bytes_max);
    if bytes > limit {
        return Err(Error::invalid(format!("it has {bytes} bytes; at most {limit} are read (bytes_max)")));
    }
    let format = image::guess_format(file).ok();
    let wanted = Wanted { pixels_max: settings.pixels_max, orientation: settings.orientation };
    // Decoders read what anybody has sent. A panic of theirs is an image that cannot be read.
    let decoded = catch_unwind(|| match format {
        Some(ImageFormat::Jpeg) => {
            JpegDecoder::new(Cursor::new(file)).map_err(broken).and_then(|one| read(one, wanted))
        }
        Some(ImageFormat::Png) => {
            let limits = wanted.limits();
            PngDecoder::with_limits(Cursor::new(file), limits).map_err(broken).and_then(|one| read(one, wanted))
        }
        Some(_) | None => Err(Error::invalid("it is neither a JPEG nor a PNG file")),
    });
    let image = decoded.unwrap_or_else(|payload| {
        std::mem::forget(payload);
        Err(Error::invalid("it cannot be decoded: the decoder panicked"))
    })?;
    Ok(match settings.channels {
        Channels::Rgb | Channels::Bgr => image,
        Channels::Gray => gray(&image),
    })
}

impl Wanted {
    /// Eight bytes are the most that a pixel takes.
    fn limits(self) -> Limits {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(self.pixels_max.saturating_mul(8).saturating_add(1 << 20));
        limits
    }
}

fn broken(error: image::ImageError) -> Error {
    Error::invalid(format!("it cannot be decoded: {error}"))
}

fn read(mut decoder: impl ImageDecoder, wanted: Wanted) -> Result<Pixels> {
    let (width, height) = decoder.dimensions();
    let (pixels, limit) = (u64::from(width) * u64::from(height), wanted.pixels_max);
    if pixels > limit {
        return Err(Error::invalid(format!(
            "it has {width}x{height} pixels; at most {limit} are decoded (pixels_max)"
        )));
    }
    if pixels == 0 {
        return Err(Error::invalid(format!("it has {width}x{height} pixels")));
    }
    // Before the pixels: reading them uses the decoder up. An orientation that cannot be read is none.
    let orientation = if wanted.orientation { decoder.orientation().ok() } else { None };
    let color = decoder.color_type();
    let total = usize::try_from(decoder.total_bytes()).map_err(|_| Error::invalid("it is too large"))?;
    let mut raw = vec![0; total];
    decoder.read_image(&mut raw).map_err(broken)?;
    let bytes = rgb(raw, color)?;
    let upright = match orientation {
        None | Some(Orientation::NoTransforms) => return Ok(Pixels { width, height, channels: 3, bytes }),
        Some(orientation) => {
            let image = RgbImage::from_raw(width, height, bytes);
            let image = image.ok_or_else(|| Error::invalid("it has fewer pixels than it says"))?;
            let mut image = DynamicImage::ImageRgb8(image);
            image.apply_orientation(orientation);
            image.into_rgb8()
        }
    };
    Ok(Pixels { width: upright.width(), height: upright.height(), channels: 3, bytes: upright.into_raw() })
}

/// Three bytes for each pixel, as Pillow's `convert("RGB")`: alpha is left away, and so are the low bytes of 16 bits.
fn rgb(raw: Vec<u8>, color: ColorType) -> Result<Vec<u8>> {
    let high = |pair: &[u8]| match *pair {
        [first, second] => u16::from_ne_bytes([first, second]).to_be_bytes()[0],
        _ => 0,
    };
    let narrow = |raw: &[u8]| -> Vec<u8> { raw.chunks_exact(2).map(high).collect() };
    let repeated =
        |raw: &[u8], step: usize| -> Vec<u8> { raw.iter().step_by(step).flat_map(|&level| [level; 3]).collect() };
    let without_alpha =
        |raw: &[u8]| -> Vec<u8> { raw.chunks_exact(4).flat_map(|pixel| pixel.iter().take(3).copied()).collect() };
    #[allow(clippy::wildcard_enum_match_arm, reason = "the library may learn further types")]
    match color {
        ColorType::L8 => Ok(repeated(&raw, 1)),
        ColorType::La8 => Ok(repeated(&raw, 2)),
        ColorType::Rgb8 => Ok(raw),
        ColorType::Rgba8 => Ok(without_alpha(&raw)),
        ColorType::L16 => Ok(repeated(&narrow(&raw), 1)),
        ColorType::La16 => Ok(repeated(&narrow(&raw), 2)),
        ColorType::Rgb16 => Ok(narrow(&raw)),
        ColorType::Rgba16 => Ok(without_alpha(&narrow(&raw))),
        other => Err(Error::unsupported(format!("it has pixels of the type {other:?}"))),
    }
}

/// Pillow's `convert("L")`: the luma of ITU-R 601-2, in fixed point.
fn gray(image: &Pixels) -> Pixels {
    let luma = |pixel: &[u8]| match *pixel {
        [red, green, blue] => {
            let sum = u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000;
            u8::try_from(sum >> 16).unwrap_or(u8::MAX)
        }
        _ => 0,
    };
    let bytes = image.bytes.chunks_exact(3).map(luma).collect();
    Pixels { width: image.width, height: image.height, channels: 1, bytes }
}
