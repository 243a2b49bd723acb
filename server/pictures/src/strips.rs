//! Rows of points on one scale, a name before each: beeswarms, and whatever goes by category.
//!
//! After [`crate::points`], before the pictures. It does not know what a row stands for.

use crate::{
    canvas::{Anchor, Canvas, LINE, Label, PAD},
    number::real,
    points::{Points, swarm},
    scale::Scale,
    style::SIZE,
    text,
    tint::Tint,
};

const DOT: f64 = 5.0;
const ROW: f64 = 34.0;

/// One row.
pub(crate) struct Strip {
    pub name: String,
    /// Values on the axis.
    pub points: Vec<(f64, Tint)>,
    /// A value to be pointed out.
    pub mean: Option<f64>,
}

/// Draws the rows and the axis below; what tints occurred.
pub(crate) fn draw(canvas: &mut Canvas<'_>, strips: &[Strip], has_zero: bool, factor: f64, axis: &str) -> Points {
    let is_narrow = canvas.style.is_narrow();
    let labels = strips.iter().map(|strip| text::width(&strip.name, SIZE, false)).fold(60.0, f64::max);
    let labels = labels.min(canvas.inner() * 0.36);
    let ends = (if is_narrow { PAD } else { PAD + labels + 12.0 }, canvas.width - PAD);
    let values = strips.iter().flat_map(|strip| strip.points.iter().map(|(value, _)| *value).chain(strip.mean));
    let values = values.chain(has_zero.then_some(0.0));
    let scale = Scale::around(values, 0.04, ends.0, ends.1);
    let (row, above) = if is_narrow { (ROW + LINE, LINE) } else { (ROW, 0.0) };
    let top = canvas.y;
    let bottom = top + row * real(strips.len());
    canvas.grid_up(&scale, factor, top, bottom, ends);
    if has_zero {
        canvas.straight((scale.at(0.0), top), (scale.at(0.0), bottom), "inked");
    }
    let mut all = Points::default();
    for (at, strip) in strips.iter().enumerate() {
        let middle = top + row * real(at) + above + (row - above) / 2.0;
        let (x, y, anchor, room) = if is_narrow {
            (PAD, middle - ROW / 2.0 - 1.0, Anchor::Start, canvas.inner())
        } else {
            (ends.0 - 12.0, middle + 4.5, Anchor::End, labels)
        };
        canvas.label(x, y, anchor, room, &Label { name: &strip.name, value: None });
        let finite: Vec<(f64, Tint)> = strip
            .points
            .iter()
            .filter(|(value, _)| value.is_finite())
            .map(|(value, tint)| (scale.at(*value), *tint))
            .collect();
        let xs: Vec<f64> = finite.iter().map(|(x, _)| *x).collect();
        for ((x, tint), offset) in finite.iter().zip(swarm(&xs, DOT, ROW / 2.0 - 4.0)) {
            all.add(*x, middle + offset, *tint);
        }
    }
    all.draw(canvas, DOT);
    for (at, strip) in strips.iter().enumerate() {
        if let Some(mean) = strip.mean.filter(|mean| mean.is_finite()) {
            let middle = top + row * real(at) + above + (row - above) / 2.0;
            let x = scale.at(mean);
            let attributes = crate::markup::attributes! {
                "x1" => x, "x2" => x, "y1" => middle - 11.0, "y2" => middle + 11.0, "class" => "line",
                "stroke-width" => 4.0,
            };
            canvas.body.leaf("line", attributes);
        }
    }
    canvas.y = bottom;
    canvas.axis_below(&scale, factor, ends, axis);
    all
}
