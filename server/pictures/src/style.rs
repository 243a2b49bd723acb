//! How pictures look: sizes, the two palettes, and the style sheet that both SVG and HTML carry.
//!
//! The colours are told apart by people who see colours differently (blue and orange, and never colour alone), and every
//! text has a contrast of 4.5 to its ground; a test computes it. It does not know what is drawn.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Widths in which pictures are laid out well; others are brought into this range.
pub const WIDTH_MIN: u32 = 320;
/// See [`WIDTH_MIN`].
pub const WIDTH_MAX: u32 = 1200;
/// Below this, labels stand above what they name instead of beside it.
const NARROW: u32 = 560;
/// The size of all text but titles, in pixels.
pub(crate) const SIZE: f64 = 13.0;
/// The size of a picture's title.
pub(crate) const TITLE: f64 = 15.0;
/// From small to large values of a feature.
pub(crate) const STEPS: usize = 9;

/// How a picture is to be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    /// In pixels; the height follows from what there is to show.
    pub width: u32,
    /// Light, dark, or as the reader's system says.
    pub theme: Theme,
    /// Features shown one by one; the rest is summed as "N others".
    pub features_max: usize,
    /// Points or lines drawn at most in one picture (or, in a beeswarm, for one feature); it says so where it shows fewer
    /// than it was given.
    pub points_max: usize,
    /// Begins every id in the picture: give each picture of one page its own.
    pub id: String,
    /// With a style sheet inside. Without, the page must have [`style_sheet`].
    pub standalone: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 720,
            theme: Theme::Auto,
            features_max: 12,
            points_max: 1000,
            id: "picture".to_owned(),
            standalone: true,
        }
    }
}

impl Style {
    /// The width that is drawn.
    pub(crate) fn pixels(&self) -> f64 {
        f64::from(self.width.clamp(WIDTH_MIN, WIDTH_MAX))
    }

    /// Do labels stand above what they name?
    pub(crate) const fn is_narrow(&self) -> bool {
        self.width < NARROW
    }

    /// Features shown, at least one.
    pub(crate) fn features(&self) -> usize {
        self.features_max.clamp(1, 100)
    }

    /// An id that can stand in an attribute.
    pub(crate) fn id(&self, end: &str) -> String {
        let safe: String =
            self.id.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').take(64).collect();
        let safe = if safe.starts_with(|char: char| char.is_ascii_alphabetic()) { safe } else { format!("p{safe}") };
        format!("{safe}-{end}")
    }
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the reader's system says (`prefers-color-scheme`); always light on paper.
    #[default]
    Auto,
    /// Dark on white.
    Light,
    /// Light on near-black.
    Dark,
}

/// Colours by what they are for.
pub(crate) struct Palette {
    pub ground: &'static str,
    /// Panels of a report.
    pub panel: &'static str,
    pub ink: &'static str,
    pub soft: &'static str,
    pub grid: &'static str,
    pub axis: &'static str,
    /// Raises the output.
    pub up: &'static str,
    /// Lowers it.
    pub down: &'static str,
    /// Text on either of the two.
    pub on: &'static str,
    /// Neither up nor down: sums, texts, missing values.
    pub neutral: &'static str,
    /// Lines that are the answer of a picture.
    pub line: &'static str,
    /// From small to large values.
    pub steps: [&'static str; STEPS],
}

pub(crate) const LIGHT: Palette = Palette {
    ground: "#ffffff",
    panel: "#f5f7f9",
    ink: "#1f2328",
    soft: "#57606a",
    grid: "#e1e6eb",
    axis: "#6e7781",
    up: "#b84a00",
    down: "#0b62a8",
    on: "#ffffff",
    neutral: "#6e7781",
    line: "#00695c",
    steps: ["#0b5cad", "#3a5db8", "#5d5bb8", "#7a57b0", "#9355a0", "#a75287", "#b4526a", "#b9544a", "#b85a1a"],
};

pub(crate) const DARK: Palette = Palette {
    ground: "#14181d",
    panel: "#1d232a",
    ink: "#e6e9ec",
    soft: "#a7b0ba",
    grid: "#2c343d",
    axis: "#7d8894",
    up: "#f2994a",
    down: "#6cb6ff",
    on: "#14181d",
    neutral: "#8b96a2",
    line: "#4fd1b5",
    steps: ["#4a9eff", "#7197ff", "#9190fb", "#ab89ee", "#c283d8", "#d480bb", "#e2819a", "#eb8776", "#f2994a"],
};

const FONT: &str =
    "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans','DejaVu Sans',sans-serif";

/// The rules that pictures without a style sheet of their own need on the page around them.
pub fn style_sheet(theme: Theme) -> String {
    let shape = format!(
        ".candor .warm{{fill:{warm}}}.candor .cold{{fill:{cold}}}\
         .candor{{font-family:{FONT};font-size:{SIZE}px}}.candor .bold{{font-weight:bold}}\
         .candor .halo{{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}}\
         .candor .dot{{fill:none;stroke-linecap:round}}.candor .thin{{fill:none;stroke-width:1}}\
         .candor .pale{{opacity:.35}}.candor .dash{{stroke-dasharray:4 3}}.candor .grey{{filter:grayscale(1)}}",
        // Upon images the colours are the same on every ground.
        warm = DARK.up,
        cold = DARK.down,
    );
    match theme {
        Theme::Light => shape + &rules(&LIGHT),
        Theme::Dark => shape + &rules(&DARK),
        Theme::Auto => {
            let dark = rules(&DARK);
            format!("{shape}{}@media screen and (prefers-color-scheme:dark){{{dark}}}", rules(&LIGHT))
        }
    }
}

/// What has a colour, by class.
fn rules(palette: &Palette) -> String {
    let Palette { ground, panel, ink, soft, grid, axis, up, down, on, neutral, line, steps } = palette;
    let mut css = format!(
        ".candor .ground{{fill:{ground}}}.candor .panel{{fill:{panel}}}.candor text,.candor .ink{{fill:{ink}}}\
         .candor .soft{{fill:{soft}}}.candor .halo{{stroke:{ground}}}\
         .candor .grid{{stroke:{grid};fill:none}}.candor .axis{{stroke:{axis};fill:none}}\
         .candor .inked{{stroke:{ink};fill:none}}\
         .candor .up{{fill:{up};stroke:{up}}}.candor .down{{fill:{down};stroke:{down}}}\
         .candor .neutral{{fill:{neutral};stroke:{neutral}}}.candor .on{{fill:{on}}}\
         .candor .up-ink{{fill:{up}}}.candor .down-ink{{fill:{down}}}\
         .candor .line{{stroke:{line};fill:none}}.candor .line-ink{{fill:{line}}}.candor .bars{{fill:{grid}}}\
         .candor .none{{stroke:{neutral}}}.candor .hole{{stroke:{ground}}}.candor .edge{{stroke:{ground}}}.candor .rim{{stroke:{ground};stroke-width:4;stroke-linecap:square}}"
    );
    for (at, step) in steps.iter().enumerate() {
        let _ = write!(css, ".candor .v{at}{{stroke:{step}}}");
    }
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let level = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_has_a_contrast_of_four_and_a_half_and_shapes_of_three() {
        for palette in [&LIGHT, &DARK] {
            for ground in [palette.ground, palette.panel] {
                for text in [palette.ink, palette.soft, palette.up, palette.down, palette.line] {
                    assert!(contrast(text, ground) >= 4.5, "{text} on {ground}: {}", contrast(text, ground));
                }
            }
            for bar in [palette.up, palette.down] {
                assert!(contrast(palette.on, bar) >= 4.5, "{} on {bar}", palette.on);
            }
            for shape in palette.steps.iter().chain([&palette.axis, &palette.neutral]) {
                assert!(contrast(shape, palette.ground) >= 3.0, "{shape}: {}", contrast(shape, palette.ground));
            }
        }
    }

    /// Colours as people without red cones and without green cones see them (Viénot, Brettel and Mollon 1999,
    /// https://doi.org/10.1002/(SICI)1520-6378(199908)24:4<243::AID-COL5>3.0.CO;2-3, as in linear RGB).
    #[test]
    fn up_and_down_stay_apart_for_who_sees_no_red_or_no_green() {
        let linear = |colour: &str| {
            [1, 3, 5].map(|at| {
                let level = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                level.powf(2.2)
            })
        };
        let protan = [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]];
        let deutan = [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]];
        for palette in [&LIGHT, &DARK] {
            for matrix in [protan, deutan] {
                let seen = |colour: &str| {
                    let rgb = linear(colour);
                    matrix.map(|row| {
                        row.iter().zip(rgb).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0).powf(1.0 / 2.2) * 255.0
                    })
                };
                for (one, other) in [(palette.up, palette.down), (palette.steps[0], palette.steps[STEPS - 1])] {
                    let distance: f64 =
                        seen(one).iter().zip(seen(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance > 90.0, "{one} and {other}: {distance}");
                }
            }
        }
    }

    #[test]
    fn ids_are_safe_and_widths_bounded() {
        let style = Style { id: "\"1 x<".to_owned(), width: 5, ..Style::default() };
        assert_eq!(style.id("title"), "p1x-title");
        assert!((style.pixels() - 320.0).abs() < f64::EPSILON && style.is_narrow());
        assert!(style_sheet(Theme::Auto).contains("prefers-color-scheme:dark"));
        assert!(!style_sheet(Theme::Light).contains("@media"));
    }
}
