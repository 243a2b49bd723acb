//! A plot of two numeric axes, for points and lines.
//!
//! After [`crate::canvas`], before the pictures. The title of the upward axis lies above the plot, where it can be
//! read without turning one's head. It does not know what is plotted.

use crate::{
    canvas::{Anchor, Axis, Canvas, LINE, PAD},
    markup::coordinate,
    number::real,
    scale::Scale,
    style::SIZE,
    text,
};

/// Room at the right for rows that have no value of the feature.
const ASIDE: f64 = 74.0;

/// The two axes.
pub(crate) struct Plane {
    pub x: Scale,
    pub y: Scale,
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
    /// The middle of the room for rows without a value.
    pub aside: Option<f64>,
}

/// What the axes are of.
pub(crate) struct Axes<'a> {
    pub x_title: &'a str,
    pub y_title: &'a str,
    pub y_factor: f64,
    pub has_aside: bool,
    pub has_zero: bool,
}

impl Plane {
    /// Draws both axes and their lines; the caller draws into them and then goes on below.
    pub fn new(canvas: &mut Canvas<'_>, xs: &[f64], ys: &[f64], axes: &Axes<'_>) -> Self {
        let height = if canvas.style.is_narrow() { 230.0 } else { 300.0 };
        for line in text::wrap(axes.y_title, canvas.inner(), SIZE, false, 2) {
            canvas.y += LINE;
            let y = canvas.y;
            canvas.text(PAD, y, Anchor::Start, "ink", &line);
        }
        let (top, bottom) = (canvas.y + 10.0, canvas.y + 10.0 + height);
        let zero = axes.has_zero.then_some(0.0);
        let y = Scale::around(ys.iter().copied().chain(zero), 0.06, bottom, top);
        let ticks = y.ticks(6, axes.y_factor, false);
        let widest = ticks.iter().map(|tick| text::width(&tick.label, SIZE, false)).fold(20.0, f64::max);
        let left = PAD + widest + 8.0;
        let right = canvas.width - PAD;
        let x_end = if axes.has_aside { right - ASIDE } else { right };
        let x = Scale::around(xs.iter().copied(), 0.03, left, x_end);
        for tick in &ticks {
            canvas.straight((left, tick.x), (right, tick.x), "grid");
            canvas.text(left - 6.0, tick.x + 4.5, Anchor::End, "soft", &tick.label);
        }
        if axes.has_zero {
            canvas.straight((left, y.at(0.0)), (right, y.at(0.0)), "inked");
        }
        let aside = axes.has_aside.then_some(right - ASIDE / 2.0 + 5.0);
        let plane = Self { x, y, left, right: x_end, top, bottom, aside };
        canvas.y = bottom;
        let labels_end = if axes.has_aside { x_end + 8.0 } else { canvas.width - 2.0 };
        let is_whole = xs.iter().all(|x| x.fract() == 0.0);
        canvas.axis(&x, &Axis { factor: 1.0, ends: (left, x_end), labels_end, is_whole }, axes.x_title);
        if let Some(aside) = aside {
            canvas.straight((x_end + 10.0, top), (x_end + 10.0, bottom), "grid");
            canvas.text(aside, bottom + LINE, Anchor::Middle, "soft", "missing");
        }
        plane
    }

    /// A line through points, with a gap where one is not a number.
    pub fn line(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let mut is_new = true;
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                is_new = true;
                continue;
            }
            path.push(if is_new { 'M' } else { 'L' });
            path.push_str(&coordinate(self.x.at(x)));
            path.push(' ');
            path.push_str(&coordinate(self.y.at(y)));
            is_new = false;
        }
        path
    }

    /// How many values lie where, along the bottom.
    pub fn histogram(&self, canvas: &mut Canvas<'_>, values: &[f64]) {
        const BINS: usize = 30;
        let mut counts = [0_usize; BINS];
        let width = (self.right - self.left) / real(BINS);
        for value in values {
            let place = ((self.x.at(*value) - self.left) / width).floor().clamp(0.0, real(BINS - 1));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into the bins")]
            if let Some(count) = counts.get_mut(place as usize) {
                *count += 1;
            }
        }
        let most = real(counts.iter().copied().max().unwrap_or(0).max(1));
        for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let high = real(*count) / most * (self.bottom - self.top) * 0.18;
            canvas.rect((self.left + width * real(at), self.bottom - high), (width - 0.5, high), "bars");
        }
    }

    /// Ticks upon the horizontal axis where data lie.
    pub fn rug(&self, canvas: &mut Canvas<'_>, values: &[f64]) {
        for value in values.iter().filter(|value| self.x.holds(**value)) {
            let x = self.x.at(*value);
            canvas.straight((x, self.bottom - 8.0), (x, self.bottom), "inked");
        }
    }
}
