//! The configuration, checked once when an instance is made.
//!
//! It does not know images.

use candor_plugin_sdk::{Error, Result};
use serde::Deserialize;

/// Longest side of what is given to a model.
const SIDE_MAX: u32 = 8192;

/// The configuration; `schema.json` says the same to the host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "image")]
    input: String,
    #[serde(default = "pixel_values")]
    output: String,
    resize: Option<Resize>,
    #[serde(default)]
    filter: Filter,
    crop: Option<Crop>,
    #[serde(default)]
    channels: Channels,
    #[serde(default)]
    layout: Layout,
    #[serde(default)]
    datatype: Datatype,
    scale: Option<f64>,
    mean: Option<Vec<f64>>,
    std: Option<Vec<f64>>,
    #[serde(default = "yes")]
    orientation: bool,
    #[serde(default = "bytes_max")]
    bytes_max: usize,
    #[serde(default = "pixels_max")]
    pixels_max: u64,
}

fn image() -> String {
    "image".to_owned()
}

fn pixel_values() -> String {
    "pixel_values".to_owned()
}

const fn yes() -> bool {
    true
}

const fn bytes_max() -> usize {
    16 << 20
}

const fn pixels_max() -> u64 {
    25_000_000
}

/// What an image is resized to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the usual words")]
pub enum Resize {
    /// Its shorter side has this length, and it keeps its form.
    Shortest(Shortest),
    /// This size, whatever its form was.
    Exact(Crop),
}

/// The length of the shorter side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shortest {
    pub(crate) shortest: u32,
}

/// A width and a height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Pillow's filters of these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the usual words")]
pub enum Filter {
    #[default]
    Bilinear,
    Bicubic,
    Lanczos,
}

/// Which channels, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the usual words")]
pub enum Channels {
    #[default]
    Rgb,
    Bgr,
    Gray,
}

impl Channels {
    pub(crate) const fn count(self) -> i64 {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

/// The order of dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[allow(missing_docs, reason = "the usual words")]
pub enum Layout {
    #[default]
    #[serde(rename = "NCHW")]
    Nchw,
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// The type of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[allow(missing_docs, reason = "the usual words")]
pub enum Datatype {
    #[default]
    #[serde(rename = "FP32")]
    Fp32,
    #[serde(rename = "UINT8")]
    Uint8,
}

impl Datatype {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Uint8 => "UINT8",
        }
    }
}

/// A configuration that can be.
pub struct Settings {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) resize: Option<Resize>,
    pub(crate) filter: Filter,
    pub(crate) crop: Option<Crop>,
    pub(crate) channels: Channels,
    pub(crate) layout: Layout,
    pub(crate) datatype: Datatype,
    pub(crate) orientation: bool,
    pub(crate) bytes_max: usize,
    pub(crate) pixels_max: u64,
    /// What each of the 256 levels becomes, for each channel in the order of the output.
    pub(crate) levels: Vec<[f32; 256]>,
}

impl Config {
    pub(crate) fn checked(self) -> Result<Settings> {
        let side = |what: &str, side: u32| {
            if (1..=SIDE_MAX).contains(&side) {
                return Ok(());
            }
            Err(Error::invalid(format!("{what} is {side}; expected 1 to {SIDE_MAX}")))
        };
        for crop in [self.crop, self.resize.and_then(exact)].into_iter().flatten() {
            side("a `width`", crop.width)?;
            side("a `height`", crop.height)?;
        }
        if let Some(Resize::Shortest(Shortest { shortest })) = self.resize {
            side("`shortest`", shortest)?;
        }
        if let (Some(crop), Some(resize)) = (self.crop, self.resize) {
            let (width, height) = match resize {
                Resize::Shortest(Shortest { shortest }) => (shortest, shortest),
                Resize::Exact(size) => (size.width, size.height),
            };
            if crop.width > width || crop.height > height {
                let (crop_width, crop_height) = (crop.width, crop.height);
                return Err(Error::invalid(format!(
                    "`crop` is {crop_width}x{crop_height}, and `resize` gives {width}x{height}"
                )));
            }
        }
        let levels = self.levels()?;
        Ok(Settings {
            input: self.input,
            output: self.output,
            resize: self.resize,
            filter: self.filter,
            crop: self.crop,
            channels: self.channels,
            layout: self.layout,
            datatype: self.datatype,
            orientation: self.orientation,
            bytes_max: self.bytes_max,
            pixels_max: self.pixels_max,
            levels,
        })
    }

    fn levels(&self) -> Result<Vec<[f32; 256]>> {
        if self.datatype == Datatype::Uint8 {
            if self.scale.is_some() || self.mean.is_some() || self.std.is_some() {
                return Err(Error::invalid("`scale`, `mean` and `std` go with the `datatype` \"FP32\" only"));
            }
            return Ok(Vec::new());
        }
        let count = if self.channels == Channels::Gray { 1 } else { 3 };
        let scale = self.scale.unwrap_or(1.0 / 255.0);
        let of = |name: &str, numbers: Option<&Vec<f64>>, usual: f64| {
            let numbers = numbers.cloned().unwrap_or_else(|| vec![usual; count]);
            if numbers.len() != count || !numbers.iter().all(|number| number.is_finite()) {
                let got = numbers.len();
                return Err(Error::invalid(format!("`{name}` has {got} numbers; expected {count}, all finite")));
            }
            Ok(numbers)
        };
        let (mean, std) = (of("mean", self.mean.as_ref(), 0.0)?, of("std", self.std.as_ref(), 1.0)?);
        if !scale.is_finite() || std.iter().any(|&std| std <= 0.0) {
            return Err(Error::invalid("`scale` must be finite, and every number of `std` above 0"));
        }
        let level = |(mean, std): (&f64, &f64)| {
            let mut levels = [0.0_f32; 256];
            for (level, byte) in levels.iter_mut().zip(0..=u8::MAX) {
                #[allow(clippy::cast_possible_truncation, reason = "the nearest one is meant")]
                let number = ((f64::from(byte) * scale - mean) / std) as f32;
                *level = number;
            }
            levels
        };
        Ok(mean.iter().zip(&std).map(level).collect())
    }
}

fn exact(resize: Resize) -> Option<Crop> {
    match resize {
        Resize::Exact(size) => Some(size),
        Resize::Shortest(_) => None,
    }
}

impl Settings {
    /// The size of every image that is given, if it does not depend on the image.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        let size = self.crop.or_else(|| self.resize.and_then(exact))?;
        Some((size.width, size.height))
    }
}
