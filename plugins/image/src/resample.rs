//! Pillow's resampling of 8-bit images, to the last bit: `Image.resize` with a filter, which is an antialiasing one.
//!
//! Two passes, across and then down, each with weights of 22 bits and a rounding to 8 bits. Only what is kept of the
//! result is computed. It does not know where sizes come from.

use std::f64::consts::PI;

use crate::{
    config::Filter,
    decode::Pixels,
    geometry::{Plan, Side},
};

/// Bits behind the point of a weight: 32, less 8 for the level and 2 for what lies outside 0 to 1.
const PRECISION: u32 = 22;

impl Filter {
    /// How far it reaches at the size of the original.
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, at: f64) -> f64 {
        let distance = at.abs();
        match self {
            Self::Bilinear => f64::max(1.0 - distance, 0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                if distance < 1.0 {
                    ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
                } else if distance < 2.0 {
                    (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Lanczos => {
                if (-3.0..3.0).contains(&at) {
                    sinc(at) * sinc(at / 3.0)
                } else {
                    0.0
                }
            }
        }
    }
}

fn sinc(at: f64) -> f64 {
    if at == 0.0 { 1.0 } else { (at * PI).sin() / (at * PI) }
}

/// From which pixel of the original, and with which weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Pillow rounds by leaving the fraction away, and all numbers are within an image's sides"
)]
fn taps(side: Side, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(side.from) / f64::from(side.to);
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let one = |at: u32| {
        let center = (f64::from(at) + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as u32;
        let last = ((center + support + 0.5) as u32).min(side.from);
        let weight = |pixel: u32| filter.weight((f64::from(pixel) - center + 0.5) * (1.0 / stretch));
        let weights: Vec<f64> = (first..last).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| {
            let share = if sum == 0.0 { weight } else { weight / sum };
            let scaled = share * f64::from(1_u32 << PRECISION);
            (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
        };
        Taps { first: first as usize, weights: weights.into_iter().map(fixed).collect() }
    };
    (side.first..side.first + side.kept).map(one).collect()
}

/// A sum of weighted levels as a level.
fn level(sum: i32) -> u8 {
    u8::try_from((sum >> PRECISION).clamp(0, 255)).unwrap_or(u8::MAX)
}

/// Resizes and cuts out.
pub fn resample(image: &Pixels, plan: &Plan, filter: Filter) -> Pixels {
    let narrowed = across(image, plan.across, filter);
    let image = narrowed.as_ref().unwrap_or(image);
    let (width, channels) = (image.width, image.channels);
    let stride = width as usize * channels;
    let down = plan.down;
    let bytes = if down.from == down.to {
        image.bytes.chunks_exact(stride).skip(down.first as usize).take(down.kept as usize).flatten().copied().collect()
    } else {
        let mut bytes = Vec::with_capacity(stride * down.kept as usize);
        let mut sums = vec![0_i32; stride];
        for taps in taps(down, filter) {
            sums.fill(1 << (PRECISION - 1));
            let rows = image.bytes.chunks_exact(stride).skip(taps.first);
            for (row, weight) in rows.zip(&taps.weights) {
                for (sum, &byte) in sums.iter_mut().zip(row) {
                    *sum = sum.wrapping_add(i32::from(byte).wrapping_mul(*weight));
                }
            }
            bytes.extend(sums.iter().map(|&sum| level(sum)));
        }
        bytes
    };
    Pixels { width, height: down.kept, channels, bytes }
}

/// The first pass, over all rows; none if nothing changes.
fn across(image: &Pixels, side: Side, filter: Filter) -> Option<Pixels> {
    let channels = image.channels;
    let stride = image.width as usize * channels;
    let rows = image.bytes.chunks_exact(stride);
    if side.from == side.to && side.kept == side.to {
        return None;
    }
    let bytes = if side.from == side.to {
        let (first, kept) = (side.first as usize * channels, side.kept as usize * channels);
        rows.flat_map(|row| row.iter().skip(first).take(kept)).copied().collect()
    } else {
        let taps = taps(side, filter);
        let mut bytes = Vec::with_capacity(image.height as usize * side.kept as usize * channels);
        for row in rows {
            for taps in &taps {
                let mut sums = [1_i32 << (PRECISION - 1); 3];
                let pixels = row.chunks_exact(channels).skip(taps.first);
                for (pixel, weight) in pixels.zip(&taps.weights) {
                    for (sum, &byte) in sums.iter_mut().zip(pixel) {
                        *sum = sum.wrapping_add(i32::from(byte).wrapping_mul(*weight));
                    }
                }
                bytes.extend(sums.iter().take(channels).map(|&sum| level(sum)));
            }
        }
        bytes
    };
    Some(Pixels { width: side.kept, height: image.height, channels, bytes })
}
