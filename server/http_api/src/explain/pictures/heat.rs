//! Where in an image: the share of each pixel beside the image itself, which is read from the tensor that was explained.
//!
//! After an explanation by parts. It knows no explainer; an image is three sizes of a row, of which `layout` says the
//! order, and its numbers are brightness.

use candor_domain::{Tensor, TensorData};
use candor_insight::explanations::Heat;
use candor_pictures::data::{HeatMap, Image, Quantity};
use half::{bf16, f16};

use super::super::write::RowBody;

/// The heat map of an output, if the row is of an image whose pixels have shares; `output` is its number.
pub(super) fn heat_map(row: &RowBody, output: usize, quantity: Quantity, image: Option<&Image>) -> Option<HeatMap> {
    let (heat, image) = (row.heat.as_deref()?, image?.clone());
    let (rows, columns, shares) = grid(row, heat, output).unwrap_or_else(|| {
        let shares = heat.shares.iter().skip(output).step_by(heat.outputs.max(1)).copied();
        (heat.height, heat.width, shares.collect())
    });
    Some(HeatMap { quantity, image, rows: u32::try_from(rows).ok()?, columns: u32::try_from(columns).ok()?, shares })
}

/// Rows, columns and shares of parts, where these are equal boxes side by side that cover the image.
fn grid(row: &RowBody, heat: &Heat, output: usize) -> Option<(usize, usize, Vec<f64>)> {
    let areas = row.areas.as_ref()?;
    let &[_, _, height, width] = areas.first()?;
    let (tall, wide) = (usize::try_from(height).ok()?, usize::try_from(width).ok()?);
    let (rows, columns) = (heat.height.checked_div(tall)?, heat.width.checked_div(wide)?);
    let shares: Vec<f64> = row.outputs.get(output)?.attributions.iter().map(|one| one.attribution).collect();
    let is_whole = rows * tall == heat.height && columns * wide == heat.width && rows * columns == areas.len();
    let place = |index: usize| {
        let (down, right) = (index.checked_div(columns)?, index.checked_rem(columns)?);
        Some([i64::try_from(down * tall).ok()?, i64::try_from(right * wide).ok()?, height, width])
    };
    let in_order = areas.iter().enumerate().all(|(index, area)| place(index).as_ref() == Some(area));
    (is_whole && in_order && shares.len() == areas.len()).then_some((rows, columns, shares))
}

/// The image of a row: one channel as grey, three as red, green and blue, of more the first three.
///
/// Bytes are brightness as they are, numbers from 0 to 1 are a part of it; others are spread from the smallest of the
/// image to the largest.
pub(crate) fn image(tensor: &Tensor, row: usize, is_hwc: bool) -> Option<Image> {
    let &[_, first, second, third] = tensor.shape().dims() else { return None };
    let [first, second, third] =
        [usize::try_from(first).ok()?, usize::try_from(second).ok()?, usize::try_from(third).ok()?];
    let (channels, height, width) = if is_hwc { (third, first, second) } else { (first, second, third) };
    let (pixels, each) = (height.checked_mul(width)?, height.checked_mul(width)?.checked_mul(channels)?);
    let start = row.checked_mul(each)?;
    let grey = brightness(tensor.data(), start, start.checked_add(each)?)?;
    // One channel, or two of which nobody knows what they are, is grey.
    let of_colour = |colour: usize| if channels < 3 { 0 } else { colour };
    let at = |pixel: usize, channel: usize| if is_hwc { pixel * channels + channel } else { channel * pixels + pixel };
    let bytes: Option<Vec<u8>> = (0..pixels)
        .flat_map(|pixel| (0..3).map(move |colour| (pixel, colour)))
        .map(|(pixel, colour)| grey.get(at(pixel, of_colour(colour))).copied())
        .collect();
    Some(Image::Rgb { width: u32::try_from(width).ok()?, height: u32::try_from(height).ok()?, bytes: bytes? })
}

/// Numbers of a tensor as brightness.
fn brightness(data: &TensorData, from: usize, to: usize) -> Option<Vec<u8>> {
    fn cast<T: Copy>(values: &[T], (from, to): (usize, usize), number: impl Fn(T) -> f64) -> Option<Vec<f64>> {
        Some(values.get(from..to)?.iter().map(|value| number(*value)).collect())
    }
    let place = (from, to);
    let numbers = match data {
        TensorData::Uint8(values) => return values.get(from..to).map(<[u8]>::to_vec),
        TensorData::Bool(values) => cast(values, place, f64::from),
        TensorData::Int8(values) => cast(values, place, f64::from),
        TensorData::Uint16(values) => cast(values, place, f64::from),
        TensorData::Int16(values) => cast(values, place, f64::from),
        TensorData::Uint32(values) => cast(values, place, f64::from),
        TensorData::Int32(values) => cast(values, place, f64::from),
        TensorData::Fp16(bits) => cast(bits, place, |bits| f16::from_bits(bits).to_f64()),
        TensorData::Bf16(bits) => cast(bits, place, |bits| bf16::from_bits(bits).to_f64()),
        TensorData::Fp32(values) => cast(values, place, f64::from),
        TensorData::Fp64(values) => cast(values, place, |value| value),
        // No image is made of these.
        TensorData::Uint64(_) | TensorData::Int64(_) | TensorData::Bytes(_) => None,
    }?;
    let finite = || numbers.iter().copied().filter(|number| number.is_finite());
    let (mut low, mut high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low >= 0.0 && high <= 1.0 {
        (low, high) = (0.0, 1.0);
    }
    let range = if high > low { high - low } else { 1.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255; NaN becomes 0")]
    let byte = |number: f64| ((number - low) / range * 255.0).round().clamp(0.0, 255.0) as u8;
    Some(numbers.into_iter().map(byte).collect())
}

#[cfg(test)]
mod tests {
    use candor_domain::Shape;

    use super::*;

    fn rgb(dims: &[i64], data: TensorData, row: usize, is_hwc: bool) -> Option<Vec<u8>> {
        match image(&Tensor::new(Shape::new(dims).unwrap(), data).unwrap(), row, is_hwc)? {
            Image::Rgb { bytes, .. } => Some(bytes),
            Image::Png(_) => None,
        }
    }

    #[test]
    fn channels_become_colours_in_either_order_and_numbers_brightness() {
        // Two pixels of three channels, the second row of two.
        let planes: Vec<u8> = (0..12).collect();
        let second = rgb(&[2, 3, 1, 2], TensorData::Uint8(planes.clone()), 1, false).unwrap();
        assert_eq!(second, [6, 8, 10, 7, 9, 11]);
        assert_eq!(rgb(&[2, 1, 2, 3], TensorData::Uint8(planes), 1, true).unwrap(), [6, 7, 8, 9, 10, 11]);
        let grey = |numbers: Vec<f32>| rgb(&[1, 1, 1, 3], TensorData::Fp32(numbers), 0, false).unwrap();
        assert_eq!(grey(vec![0.0, 0.2, 1.0]), [0, 0, 0, 51, 51, 51, 255, 255, 255]);
        assert_eq!(grey(vec![-1.0, 0.0, 1.0]), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
        assert_eq!(grey(vec![7.0, 7.0, f32::NAN]), [0; 9]);
        assert!(rgb(&[1, 3], TensorData::Fp32(vec![0.0; 3]), 0, false).is_none());
        assert!(rgb(&[1, 1, 1, 3], TensorData::Fp32(vec![0.0; 3]), 1, false).is_none());
        assert!(rgb(&[1, 1, 1, 1], TensorData::Int64(vec![0]), 0, false).is_none());
    }
}
