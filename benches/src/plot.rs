//! Lines over a logarithmic grid, as SVG: readable on light and dark pages, without a library.
//!
//! It does not know what the lines mean.

use std::fmt::Write as _;

use crate::stats::figure;

/// One line.
pub struct Series {
    pub name: String,
    /// As many as there are places on the x axis.
    pub values: Vec<f64>,
}

/// One picture of several lines.
pub struct Panel {
    pub title: &'static str,
    pub series: Vec<Series>,
}

const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// For the names of the lines, below.
const LEGEND: f64 = 30.0;
/// Told apart by people who see colours differently too (Okabe and Ito).
const COLOURS: [&str; 6] = ["#7f7f7f", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"];

/// The panels side by side, over the same places of the x axis, with one legend.
pub fn svg(x_title: &str, places: &[u32], panels: &[Panel]) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a few panels")]
    let width = WIDTH * panels.len() as f64;
    let height = HEIGHT + LEGEND;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut left = 0.0;
    for panel in panels {
        draw(&mut text, left, x_title, places, panel);
        left += WIDTH;
    }
    let mut x = LEFT;
    for (series, colour) in panels.first().into_iter().flat_map(|panel| &panel.series).zip(COLOURS) {
        let y = HEIGHT + LEGEND / 2.0;
        let _ = writeln!(
            text,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"#222222\">{}</text>",
            x + 22.0,
            x + 28.0,
            y + 4.0,
            series.name
        );
        #[allow(clippy::cast_precision_loss, reason = "the length of a name")]
        let name_width = series.name.len() as f64 * 6.6;
        x += 52.0 + name_width;
    }
    text.push_str("</svg>\n");
    text
}

/// From 1 up to the size of a power of ten that holds everything.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(panel: &Panel) -> Self {
        let values = || panel.series.iter().flat_map(|series| &series.values).copied().filter(|value| *value > 0.0);
        let low = values().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values().fold(0.0, f64::max).log10().ceil();
        if low.is_finite() && high > low { Self { low, high } } else { Self { low: 0.0, high: 1.0 } }
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value.max(f64::MIN_POSITIVE).log10() - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }
}

fn draw(text: &mut String, left: f64, x_title: &str, places: &[u32], panel: &Panel) {
    let scale = Scale::of(panel);
    let (from, to) = (left + LEFT, left + WIDTH - RIGHT);
    #[allow(clippy::cast_precision_loss, reason = "a few places")]
    let x = |at: usize| from + (to - from) * at as f64 / (places.len().max(2) - 1) as f64;
    let middle = f64::midpoint(from, to);
    let _ = writeln!(
        text,
        "<text x=\"{middle}\" y=\"20\" text-anchor=\"middle\" fill=\"#222222\" font-weight=\"bold\">{}</text>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#222222\">{x_title}</text>",
        panel.title,
        HEIGHT - 8.0
    );
    let mut power = scale.low;
    while power <= scale.high {
        let y = scale.y(10_f64.powf(power));
        let _ = writeln!(
            text,
            "<line x1=\"{from}\" y1=\"{y:.1}\" x2=\"{to}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444444\">{}</text>",
            from - 6.0,
            y + 4.0,
            tick(10_f64.powf(power))
        );
        power += 1.0;
    }
    for (at, place) in places.iter().enumerate() {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444444\">{place}</text>",
            x(at),
            HEIGHT - BOTTOM + 18.0
        );
    }
    for (series, colour) in panel.series.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> =
            series.values.iter().enumerate().map(|(at, value)| (x(at), scale.y(*value))).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for ((x, y), value) in points.iter().zip(&series.values) {
            let _ = writeln!(
                text,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {}</title></circle>",
                series.name,
                figure(*value)
            );
        }
    }
}

/// A power of ten as one reads it.
fn tick(value: f64) -> String {
    if value >= 1000.0 { format!("{}k", value / 1000.0) } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_within_the_grid_and_higher_is_more() {
        let series = vec![Series { name: "a".into(), values: vec![3.0, 250.0] }];
        let panel = Panel { title: "t", series };
        let scale = Scale::of(&panel);
        assert!((scale.low, scale.high) == (0.0, 3.0));
        assert!(scale.y(250.0) < scale.y(3.0) && scale.y(1000.0) >= TOP && scale.y(1.0) <= HEIGHT - BOTTOM);
        let text = svg("n", &[1, 2], &[panel]);
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && text.matches("<circle").count() == 2);
        assert_eq!((tick(0.1), tick(10_000.0)), ("0.1".to_owned(), "10k".to_owned()));
    }
}
