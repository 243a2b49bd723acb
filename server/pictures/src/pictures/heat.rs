//! Heat map: the parts of an image that raised the answer and those that lowered it.
//!
//! After [`crate::png`]. The image stands beside itself with the shares upon it, in grey, so that only the shares have
//! colour.

use crate::{
    canvas::{Canvas, Sign},
    data::{HeatMap, Image},
    markup::attributes,
    number::Format,
    png::{self, Colour},
    rank,
    scale::bounded,
    style::{DARK, Style},
    text, words,
};

const SIDE_MAX: f64 = 480.0;
const GAP: f64 = 16.0;
/// Of the strongest share; the image is still seen through it.
const OPACITY: f64 = 0.82;

/// Draws it.
pub fn heat_map(map: &HeatMap, style: &Style) -> String {
    let title = format!("Where in the image: {}", text::clean(&map.quantity.name));
    match image(map).and_then(|image| overlay(map).map(|overlay| (image, overlay))) {
        Ok((image, overlay)) => draw(map, style, &title, &image, &overlay),
        Err(why) => Canvas::nothing(style, &title, &format!("This cannot be drawn: {why}.")),
    }
}

/// An image that a picture can hold.
struct Held {
    address: String,
    width: f64,
    height: f64,
}

fn image(map: &HeatMap) -> Result<Held, String> {
    let ((width, height), address) = match &map.image {
        Image::Png(bytes) => (png::size(bytes)?, png::address(bytes)),
        Image::Rgb { width, height, bytes } => {
            ((*width, *height), png::address(&png::file(*width, *height, Colour::Rgb, bytes)?))
        }
    };
    Ok(Held { address, width: f64::from(width), height: f64::from(height) })
}

/// One pixel for each share: its colour says the direction, its opacity the size.
fn overlay(map: &HeatMap) -> Result<String, String> {
    let cells = u64::from(map.rows) * u64::from(map.columns);
    if u64::try_from(map.shares.len()) != Ok(cells) {
        return Err(format!(
            "a grid of {} × {} needs {cells} shares, there are {}",
            map.rows,
            map.columns,
            map.shares.len()
        ));
    }
    let largest = largest(map);
    let channel =
        |colour: &str, at: usize| colour.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
    let mut pixels = Vec::with_capacity(map.shares.len() * 4);
    for share in &map.shares {
        // The colours for dark grounds: a photograph is dark in places, and the bright ones are seen on both.
        let colour = if *share > 0.0 { DARK.up } else { DARK.down };
        pixels.extend([1, 3, 5].map(|at| channel(colour, at)));
        let strength = if largest > 0.0 { (bounded(*share).abs() / largest).clamp(0.0, 1.0) } else { 0.0 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
        pixels.push((strength * OPACITY * 255.0).round() as u8);
    }
    Ok(png::address(&png::file(map.columns, map.rows, Colour::Rgba, &pixels)?))
}

fn largest(map: &HeatMap) -> f64 {
    map.shares.iter().map(|share| bounded(*share).abs()).fold(0.0, f64::max)
}

fn draw(map: &HeatMap, style: &Style, title: &str, image: &Held, overlay: &str) -> String {
    let format = Format::of(&map.quantity, map.shares.iter().copied());
    let mut canvas = Canvas::new(style, title, "The image, and the same in grey with the shares of its parts.");
    let is_narrow = style.is_narrow();
    let room = if is_narrow { canvas.inner() } else { (canvas.inner() - GAP) / 2.0 };
    let scale = (room.min(SIDE_MAX) / image.width).min(SIDE_MAX / image.height);
    let size = (image.width * scale, image.height * scale);
    let left = crate::canvas::PAD;
    let top = canvas.y;
    let second = if is_narrow { (left, top + size.1 + GAP) } else { (left + size.0 + GAP, top) };
    place(&mut canvas, &image.address, (left, top), size, "plain");
    place(&mut canvas, &image.address, second, size, "grey");
    place(&mut canvas, overlay, second, size, "cells");
    canvas.y = second.1 + size.1;
    let largest = largest(map);
    canvas.legend(&[(Sign::WarmCell, "raises it"), (Sign::ColdCell, "lowers it")]);
    canvas.y += 6.0;
    let strongest = format.number(largest);
    let unit = words::unit(&map.quantity);
    canvas.note(&format!(
        "The strongest part counts {strongest}{unit}. The weaker the colour, the smaller the share; parts without colour \
         did not count."
    ));
    let description = described(map, &format);
    canvas.finish(&description)
}

fn place(canvas: &mut Canvas<'_>, address: &str, at: (f64, f64), size: (f64, f64), class: &'static str) {
    let rendering = if class == "cells" { "image-rendering:pixelated" } else { "image-rendering:auto" };
    let attributes = attributes! {
        "x" => at.0, "y" => at.1, "width" => size.0, "height" => size.1, "preserveAspectRatio" => "none",
        "class" => class, "style" => rendering, "href" => address,
    };
    canvas.body.leaf("image", attributes);
}

/// The strongest parts by their place, for who sees neither image.
fn described(map: &HeatMap, format: &Format) -> String {
    let parts: Vec<String> = strongest(map, 5)
        .into_iter()
        .map(|part| format!("row {}, column {}: {}", part.row + 1, part.column + 1, format.share(part.share)))
        .collect();
    format!(
        "An image in {} rows and {} columns of parts; the strongest shares in {}: {}.",
        map.rows,
        map.columns,
        text::isolated(&text::clean(&map.quantity.name)),
        parts.join("; ")
    )
}

/// A part of the image.
pub(crate) struct Part {
    pub row: usize,
    pub column: usize,
    pub share: f64,
}

/// The parts with the largest shares.
pub(crate) fn strongest(map: &HeatMap, most: usize) -> Vec<Part> {
    let columns = usize::try_from(map.columns).unwrap_or(1).max(1);
    let mut order: Vec<(usize, f64)> = map.shares.iter().copied().enumerate().collect();
    order.sort_by(|one, other| rank::size(other.1).total_cmp(&rank::size(one.1)));
    order.truncate(most);
    order.into_iter().map(|(at, share)| Part { row: at / columns, column: at % columns, share }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Quantity;

    fn map(shares: Vec<f64>) -> HeatMap {
        HeatMap {
            quantity: Quantity { name: "cat".into(), ..Quantity::default() },
            image: Image::Rgb { width: 2, height: 2, bytes: vec![9; 12] },
            rows: 2,
            columns: 2,
            shares,
        }
    }

    #[test]
    fn the_strongest_part_is_named_by_its_place() {
        let svg = heat_map(&map(vec![0.1, -0.5, f64::NAN, 0.2]), &Style::default());
        assert!(svg.contains("row 1, column 2: −0.500"), "{svg}");
        assert_eq!(svg.matches("<image").count(), 3);
    }

    #[test]
    fn what_cannot_be_drawn_says_why() {
        let svg = heat_map(&map(vec![0.1]), &Style::default());
        assert!(svg.contains("needs 4 shares, there are 1"), "{svg}");
        let mut wrong = map(vec![0.0; 4]);
        wrong.image = Image::Png(b"GIF89a".to_vec());
        assert!(heat_map(&wrong, &Style::default()).contains("not a PNG file"));
    }
}
