//! Images as rows of numbers: patches, superpixels, and what covers them.
//!
//! Superpixels are SLIC's (Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel methods") without
//! its last step, which joins stray pixels to neighbours. It does not know models.

use serde::Deserialize;

use crate::{Fault, Result};

/// How many numbers all patches of an image may have together, overlapping ones counted as often as they are covered.
const PLACES_MAX: usize = 1 << 23;

/// How the numbers of an image lie in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Channel by channel.
    #[default]
    Chw,
    /// Pixel by pixel.
    Hwc,
}

/// The shape of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Numbers of a pixel.
    pub channels: usize,
    layout: Layout,
}

/// A part of an image: a box around its pixels, and the pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Top, left, height, width.
    pub area: [usize; 4],
    /// Places of its pixels, row by row.
    pub pixels: Vec<usize>,
}

impl Image {
    /// An image of this shape, in the order of the layout, whose numbers are a row of `features`.
    ///
    /// # Errors
    /// `Invalid` when they are not.
    pub fn new(shape: &[i64], layout: Layout, features: usize) -> Result<Self> {
        let sizes: Option<Vec<usize>> =
            shape.iter().map(|size| usize::try_from(*size).ok().filter(|size| *size > 0)).collect();
        let image = match (sizes.as_deref(), layout) {
            (Some(&[channels, height, width]), Layout::Chw) | (Some(&[height, width, channels]), Layout::Hwc) => {
                Some(Self { height, width, channels, layout })
            }
            _ => None,
        };
        let fits = |image: &Self| {
            image.height.checked_mul(image.width).and_then(|size| size.checked_mul(image.channels)) == Some(features)
        };
        image.filter(fits).ok_or_else(|| {
            Fault::invalid(format!(
                "`shape` is {shape:?}, expected three sizes whose product is the {features} features of a row"
            ))
        })
    }

    /// How many pixels it has.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The feature of a pixel's channel.
    #[must_use]
    pub fn feature(&self, pixel: usize, channel: usize) -> usize {
        match self.layout {
            Layout::Chw => channel * self.pixels() + pixel,
            Layout::Hwc => pixel * self.channels + channel,
        }
    }

    /// The features of a part.
    #[must_use]
    pub fn features(&self, part: &Part) -> Vec<usize> {
        part.pixels
            .iter()
            .flat_map(|&pixel| (0..self.channels).map(move |channel| self.feature(pixel, channel)))
            .collect()
    }

    /// Boxes of a size, a stride apart, from top left; those at the right and at the bottom are cut.
    ///
    /// # Errors
    /// `Invalid` for sizes of 0, `Limit` for more than `parts_max`.
    pub fn grid(&self, size: [usize; 2], stride: [usize; 2], parts_max: usize) -> Result<Vec<Part>> {
        let ([high, wide], [down, right]) = (size, stride);
        if high == 0 || wide == 0 || down == 0 || right == 0 {
            return Err(Fault::invalid("`patch` and `stride` must be 1 or more"));
        }
        let count = self.height.div_ceil(down).saturating_mul(self.width.div_ceil(right));
        if count > parts_max {
            return Err(Fault::limit(format!(
                "there are {count} patches, expected at most {parts_max}; make `stride` larger"
            )));
        }
        let covered = |length: usize, size: usize, stride: usize| -> usize {
            (0..length).step_by(stride).map(|from| size.min(length - from)).sum()
        };
        let pixels = covered(self.height, high, down).saturating_mul(covered(self.width, wide, right));
        if pixels.saturating_mul(self.channels) > PLACES_MAX {
            return Err(Fault::limit(format!(
                "all patches together have {pixels} pixels of {} channels, expected at most {PLACES_MAX} numbers; make `stride` \
                 larger",
                self.channels
            )));
        }
        let mut parts = Vec::with_capacity(count);
        for top in (0..self.height).step_by(down) {
            for left in (0..self.width).step_by(right) {
                let (high, wide) = (high.min(self.height - top), wide.min(self.width - left));
                let pixels =
                    (top..top + high).flat_map(|y| (left..left + wide).map(move |x| y * self.width + x)).collect();
                parts.push(Part { area: [top, left, high, wide], pixels });
            }
        }
        Ok(parts)
    }

    /// SLIC: k-means over channels and places, from centres a step S = √(pixels / count) apart, each pixel among the centres
    /// not farther than S in both directions; the squared distance is |Δcolour|² + (compactness / S)² · |Δplace|². Colours
    /// are brought to 0 to 1 over the whole image.
    #[must_use]
    pub fn superpixels(&self, row: &[f64], count: usize, compactness: f64, rounds: usize) -> Vec<Part> {
        let step = ((self.pixels() as f64 / count.max(1) as f64).sqrt()).max(1.0);
        let points = self.points(row);
        let mut centres = self.centres(&points, step);
        let mut owner = vec![0_usize; self.pixels()];
        let factor = (compactness / step) * (compactness / step);
        for _ in 0..rounds.max(1) {
            let mut nearest = vec![f64::INFINITY; self.pixels()];
            for (at, centre) in centres.iter().enumerate() {
                for pixel in self.around(centre, step) {
                    let Some(point) = points.get(pixel) else { continue };
                    let colour: f64 = point.iter().zip(centre).skip(2).map(|(a, b)| (a - b) * (a - b)).sum();
                    let place: f64 = point.iter().zip(centre).take(2).map(|(a, b)| (a - b) * (a - b)).sum();
                    let apart = colour + factor * place;
                    if let (Some(nearest), Some(owner)) = (nearest.get_mut(pixel), owner.get_mut(pixel))
                        && apart < *nearest
                    {
                        (*nearest, *owner) = (apart, at);
                    }
                }
            }
            let mut sums = vec![(vec![0.0; self.channels + 2], 0.0); centres.len()];
            for (point, owner) in points.iter().zip(&owner) {
                if let Some((sum, count)) = sums.get_mut(*owner) {
                    sum.iter_mut().zip(point).for_each(|(sum, number)| *sum += number);
                    *count += 1.0;
                }
            }
            for (centre, (sum, count)) in centres.iter_mut().zip(sums).filter(|(_, (_, count))| *count > 0.0) {
                *centre = sum.iter().map(|sum| sum / count).collect();
            }
        }
        self.parts(&owner, centres.len())
    }

    /// Each pixel as its place and its channels, the channels from 0 to 1.
    fn points(&self, row: &[f64]) -> Vec<Vec<f64>> {
        let finite = row.iter().copied().filter(|number| number.is_finite());
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
        let scale = |number: f64| if high > low && number.is_finite() { (number - low) / (high - low) } else { 0.0 };
        let point = |pixel: usize| {
            let place = [(pixel / self.width) as f64, (pixel % self.width) as f64];
            let channel = |channel| scale(row.get(self.feature(pixel, channel)).copied().unwrap_or(0.0));
            place.into_iter().chain((0..self.channels).map(channel)).collect()
        };
        (0..self.pixels()).map(point).collect()
    }

    /// Pixels a step apart, half a step from the edges.
    fn centres(&self, points: &[Vec<f64>], step: f64) -> Vec<Vec<f64>> {
        let places = |length: usize| {
            let count = (length as f64 / step).round().max(1.0);
            // In the middle of equal shares; whole and within the image.
            (0..count as usize).map(move |at| ((at as f64 + 0.5) * length as f64 / count) as usize)
        };
        let pixels = places(self.height).flat_map(|y| places(self.width).map(move |x| y * self.width + x));
        pixels.filter_map(|pixel| points.get(pixel).cloned()).collect()
    }

    fn around(&self, centre: &[f64], step: f64) -> impl Iterator<Item = usize> + use<> {
        let range = |at: usize, length: usize| {
            let centre = centre.get(at).copied().unwrap_or(0.0);
            let low = (centre - step).ceil().max(0.0) as usize;
            let high = ((centre + step).floor().max(0.0) as usize).min(length - 1);
            low..high + 1
        };
        let (rows, columns, width) = (range(0, self.height), range(1, self.width), self.width);
        rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
    }

    fn parts(&self, owner: &[usize], count: usize) -> Vec<Part> {
        let mut parts = vec![Vec::new(); count];
        for (pixel, owner) in owner.iter().enumerate() {
            if let Some(part) = parts.get_mut(*owner) {
                part.push(pixel);
            }
        }
        let part = |pixels: Vec<usize>| {
            let bounds = |of: fn(usize, usize) -> usize| {
                let (low, high) = pixels.iter().fold((usize::MAX, 0), |(low, high), &pixel| {
                    (low.min(of(pixel, self.width)), high.max(of(pixel, self.width)))
                });
                (low, high + 1 - low)
            };
            let ((top, high), (left, wide)) =
                (bounds(|pixel, width| pixel / width), bounds(|pixel, width| pixel % width));
            Part { area: [top, left, high, wide], pixels }
        };
        parts.into_iter().filter(|pixels| !pixels.is_empty()).map(part).collect()
    }

    /// Each channel's mean, everywhere.
    #[must_use]
    pub fn mean(&self, row: &[f64]) -> Vec<f64> {
        let mut cover = vec![0.0; row.len()];
        for channel in 0..self.channels {
            let of = |pixel: usize| row.get(self.feature(pixel, channel)).copied().unwrap_or(0.0);
            let mean = (0..self.pixels()).map(of).sum::<f64>() / self.pixels() as f64;
            for pixel in 0..self.pixels() {
                if let Some(cover) = cover.get_mut(self.feature(pixel, channel)) {
                    *cover = mean;
                }
            }
        }
        cover
    }

    /// Each channel blurred by a Gaussian of a standard deviation in pixels, cut at four of them, edges repeated: SciPy's
    /// `gaussian_filter(mode="nearest")`.
    #[must_use]
    pub fn blurred(&self, row: &[f64], deviation: f64) -> Vec<f64> {
        let radius = (4.0 * deviation + 0.5) as usize;
        let weight = |at: usize| (-0.5 * (at as f64 / deviation) * (at as f64 / deviation)).exp();
        let weights: Vec<f64> = (0..=radius).map(weight).collect();
        let total = weights.iter().skip(1).sum::<f64>() * 2.0 + 1.0;
        let mut image = row.to_vec();
        for down in [true, false] {
            let from = image.clone();
            let length = if down { self.height } else { self.width };
            for pixel in 0..self.pixels() {
                let (y, x) = (pixel / self.width, pixel % self.width);
                let place = if down { y } else { x };
                let at = |other: usize| if down { other * self.width + x } else { y * self.width + other };
                for channel in 0..self.channels {
                    let of = |other: usize| from.get(self.feature(at(other), channel)).copied().unwrap_or(0.0);
                    let sum: f64 = weights
                        .iter()
                        .enumerate()
                        .map(|(away, weight)| {
                            let (before, after) = (place.saturating_sub(away), (place + away).min(length - 1));
                            if away == 0 { of(place) } else { weight * (of(before) + of(after)) }
                        })
                        .sum();
                    if let Some(number) = image.get_mut(self.feature(pixel, channel)) {
                        *number = sum / total;
                    }
                }
            }
        }
        image
    }
}
