//! Explanations drawn as SVG and told as self-contained HTML, for people who were never told what an attribution is.
//!
//! | module | what is there |
//! |---|---|
//! | [`data`] | what can be drawn: plain values, to be filled in by whoever has an explanation |
//! | [`pictures`] | one function for each picture, from those values and a [`Style`] to a whole SVG |
//! | [`report`] | whole pages: one decision, one model |
//! | [`tables`] | the same as text: a table for each picture |
//! | [`style`] | width, theme, limits, colours |
//!
//! ```
//! use candor_pictures::{Style, data::{Decision, Quantity, Share, Space}, pictures, tables};
//!
//! let share = |name: &str, value: &str, share| Share {
//!     name: name.into(),
//!     value: Some(value.into()),
//!     share,
//!     standard_error: None,
//! };
//! let decision = Decision {
//!     quantity: Quantity { name: "probability of granted".into(), unit: None, space: Space::Probability },
//!     base: 0.57,
//!     base_is: None,
//!     output: 0.45,
//!     shares: vec![share("income", "38,500 €", 0.06), share("debt ratio", "0.61", -0.18)],
//! };
//! let svg = pictures::waterfall(&decision, &Style::default());
//! assert!(svg.starts_with("<svg") && svg.contains("−18.0"));
//! assert_eq!(tables::decision(&decision).rows[1], ["debt ratio", "0.61", "−18.0"]);
//! ```
//!
//! It does not know models, explainers, routes or files. The same values give the same bytes. Nothing in a picture needs
//! a script, a font or an address from elsewhere, and no name can become markup.

pub mod data;
pub mod pictures;
pub mod report;
pub mod style;
pub mod tables;

mod bars;
mod canvas;
mod markup;
mod number;
mod partner;
mod plane;
mod png;
mod points;
mod rank;
mod scale;
mod strips;
mod text;
mod tint;
mod words;

pub use style::{Style, Theme};
