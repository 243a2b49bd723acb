//! Rows of bars on one scale: what waterfall and bar pictures share beyond a canvas.
//!
//! After [`crate::canvas`]. It finds the place where the number of a bar can be read; it does not know explanations.

use crate::{
    canvas::{Anchor, Canvas},
    style::SIZE,
    text,
};

/// A bar whose number is to be told.
pub(crate) struct Spot {
    /// Where the bar begins and ends, in its direction.
    pub bar: (f64, f64),
    /// From left to right, with its whisker.
    pub taken: (f64, f64),
    /// Of the plot.
    pub ends: (f64, f64),
    pub middle: f64,
    /// Of the bar.
    pub class: &'static str,
}

impl Canvas<'_> {
    /// An error of a bar's end: from where to where it may lie.
    pub fn whisker(&mut self, ends: (f64, f64), middle: f64) {
        let tips = [(ends.0, middle - 4.0, middle + 4.0), (ends.1, middle - 4.0, middle + 4.0)];
        // First in the colour of the ground, so that the line is seen upon the bar too.
        for class in ["rim", "inked"] {
            self.straight((ends.0, middle), (ends.1, middle), class);
            for (x, top, bottom) in tips {
                self.straight((x, top), (x, bottom), class);
            }
        }
    }

    /// The number of a bar: in it where it fits, or else beyond its end, before its beginning, or at its beginning.
    pub fn told(&mut self, spot: &Spot, told: &str) {
        let (from, to) = spot.bar;
        let (left, right) = spot.taken;
        let wide = text::width(told, SIZE, true);
        let ink = match spot.class {
            "up" => "bold halo up-ink",
            "down" => "bold halo down-ink",
            "line-ink" => "bold halo line-ink",
            _ => "bold halo soft",
        };
        let is_in_bar = (from, to) == (left, right) || (to, from) == (left, right);
        let fits_left = left - 6.0 - wide >= spot.ends.0;
        let fits_right = right + 6.0 + wide <= spot.ends.1;
        let y = spot.middle + 4.5;
        if is_in_bar && right - left > wide + 16.0 {
            self.text(f64::midpoint(from, to), y, Anchor::Middle, "bold on", told);
        } else if fits_right && (to >= from || !fits_left) {
            self.text(right + 6.0, y, Anchor::Start, ink, told);
        } else if fits_left {
            self.text(left - 6.0, y, Anchor::End, ink, told);
        } else if to >= from {
            self.text(from + 6.0, y, Anchor::Start, "bold on", told);
        } else {
            self.text(from - 6.0, y, Anchor::End, "bold on", told);
        }
    }
}
